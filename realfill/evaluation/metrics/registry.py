"""The metrics of §4.2, loaded with what is on this machine; what is not there is said, never counted as zero."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from realfill.errors import RealFillError, WeightsError
from realfill.evaluation.metrics.base import Memory, Metric


@dataclass(frozen=True, eq=False)
class Loaded:
    """The metrics that can be measured here, and for the others the reason why not."""

    metrics: tuple[Metric, ...]
    missing: Mapping[str, str]  # column → sentence
    memory: Memory
    weights: Mapping[str, str]  # column → sha256 of its weights


def load_metrics(weights: Path | None = None, *, device: str = "cpu", fetch: bool = False) -> Loaded:
    """All metrics of `COLUMNS` that this machine has packages and weights for.

    `weights`: a folder with dino-vits16/, clip-vit-base-patch32/, dreamsim/ and AlexNet's file. `fetch` lets
    what is missing be downloaded, DreamSim excepted.
    """
    memory = Memory()
    metrics: list[Metric] = []
    missing: dict[str, str] = {}
    hashes: dict[str, str] = {}
    makers: dict[tuple[str, ...], Callable[[], tuple[Sequence[Metric], str]]] = {
        ("psnr",): _psnr,
        ("ssim",): lambda: _ssim(device),
        ("sharpness",): _sharpness,
        ("lpips", "lpips_masked"): lambda: _lpips(weights, device, fetch),
        ("dreamsim",): lambda: _dreamsim(weights, device, memory),
        ("dino",): lambda: _hub("dino", weights, device, memory, fetch),
        ("clip",): lambda: _hub("clip", weights, device, memory, fetch),
    }
    for names, make in makers.items():
        try:
            made, sha256 = make()
        except (RealFillError, ImportError, OSError, RuntimeError) as error:
            missing |= dict.fromkeys(names, str(error).strip().split("\n")[0][:500])
            continue
        metrics += made
        hashes |= dict.fromkeys(names, sha256) if sha256 else {}
    return Loaded(tuple(metrics), missing, memory, hashes)


def _needs(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise WeightsError(
                f"the package {package} is not installed; install it with: pip install -r requirements-bench.txt"
            )


def _psnr() -> tuple[Sequence[Metric], str]:
    _needs("torchmetrics")
    from realfill.evaluation.metrics import pixels

    return [pixels.Psnr()], ""


def _ssim(device: str) -> tuple[Sequence[Metric], str]:
    _needs("torchmetrics")
    from realfill.evaluation.metrics import pixels

    return [pixels.Ssim(device)], ""


def _sharpness() -> tuple[Sequence[Metric], str]:
    from realfill.evaluation.metrics import pixels

    return [pixels.Sharpness()], ""


def _lpips(given: Path | None, device: str, fetch: bool) -> tuple[Sequence[Metric], str]:
    _needs("torchvision", "lpips")
    from realfill.evaluation.metrics import perceptual, weights

    file = weights.alexnet(given, fetch=fetch)
    network, sha256 = perceptual.lpips_network(file, device), weights.sha256(file)
    identity = f"lpips {version('lpips')} alex {sha256[:16]}"
    return [
        perceptual.Lpips(network, "box", identity, device),
        perceptual.Lpips(network, "masked", identity, device),
    ], sha256


def _dreamsim(given: Path | None, device: str, memory: Memory) -> tuple[Sequence[Metric], str]:
    _needs("torchvision", "dreamsim")
    from realfill.evaluation.metrics import embeddings, perceptual, weights

    folder = weights.dreamsim(given)
    sha256 = weights.sha256(folder)
    identity = f"dreamsim {version('dreamsim')} ensemble {sha256[:16]}"
    network = perceptual.dreamsim(folder, device)
    return [embeddings.Embedding("dreamsim", identity, network, memory, distance=True)], sha256


def _hub(name: str, given: Path | None, device: str, memory: Memory, fetch: bool) -> tuple[Sequence[Metric], str]:
    from realfill.evaluation.metrics import embeddings, weights

    source, make = {"dino": (weights.DINO, embeddings.dino), "clip": (weights.CLIP, embeddings.clip)}[name]
    folder = weights.hub(source, given, fetch=fetch)
    sha256 = weights.sha256(folder)
    return [embeddings.Embedding(name, f"{source} {sha256[:16]}", make(folder, device), memory)], sha256
