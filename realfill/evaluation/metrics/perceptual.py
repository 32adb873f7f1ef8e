"""LPIPS inside the hole by two protocols, and DreamSim on the whole picture, by their authors' packages.

The paper says "only inside the filled region". Its scale is that of the hole's bounding box (`lpips`); scores of
the whole frame with everything known painted black (`lpips_masked`) are about half as large.
"""

import contextlib
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from realfill.arrays import Hole, Photo
from realfill.errors import WeightsError
from realfill.evaluation.metrics import weights
from realfill.evaluation.metrics.base import (
    LoadedMetrics,
    MetricSources,
    Picture,
    check_same_size,
    require_packages,
)
from realfill.evaluation.metrics.embeddings import Embedding, Network
from realfill.evaluation.metrics.weights import ALEXNET
from realfill.imaging.holes import bounding_box

LEAST = 64  # pixels; AlexNet's layers leave nothing of a smaller box


class Lpips:
    """Perceptual distance; `box`: of the hole's bounding box, `masked`: of the frame with known pixels black."""

    def __init__(self, network: Any, protocol: Literal["box", "masked"], identity: str, device: str = "cpu") -> None:
        self.name = "lpips" if protocol == "box" else "lpips_masked"
        self.identity = f"{identity}, {protocol}"
        self._network, self._box, self._device = network, protocol == "box", device

    def measure(self, truth: Picture, hole: Hole, pictures: Sequence[Picture]) -> list[float]:
        """See `Metric.measure`."""
        check_same_size(truth, pictures)
        target = self._input(truth.photo, hole)
        with torch.no_grad():
            return [float(self._network(self._input(one.photo, hole), target)) for one in pictures]

    def _input(self, photo: Photo, hole: Hole) -> Tensor:
        """(1, 3, h, w) in [-1, 1]."""
        visible = photo[hole_box(hole)] if self._box else np.where(hole[..., None], photo, np.uint8(0))
        values = torch.from_numpy(np.ascontiguousarray(visible)).permute(2, 0, 1)[None]
        return (values.float() / 127.5 - 1).to(self._device)


def hole_box(hole: Hole) -> tuple[slice, slice]:
    """Rows and columns of the hole's bounding box, grown to 64 pixels where the photo has them."""
    left, top, right, bottom = bounding_box(hole)
    return _grow(top, bottom, hole.shape[0]), _grow(left, right, hole.shape[1])


def _grow(start: int, stop: int, limit: int) -> slice:
    more = max(0, min(LEAST, limit) - (stop - start))
    start = min(max(0, start - more // 2), limit - (stop - start) - more)
    return slice(start, max(stop, start + min(LEAST, limit)))


def lpips_network(trunk: Path, device: str) -> Any:
    """LPIPS on AlexNet: linear layers from the package, the trunk from torchvision's file; no download.

    Raises:
        WeightsError: the file does not hold AlexNet.
    """
    import lpips

    try:
        state = torch.load(trunk, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a file of another kind; all mean the same here
        raise WeightsError(f"{trunk} is not a file of weights that can be read safely; fetch it again.") from error
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    expected = {name.split(".", 1)[1]: value for name, value in network.net.state_dict().items()}  # slice2.3.weight
    trunk_state = {
        name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")
    }
    if {name: value.shape for name, value in expected.items()} != {
        name: value.shape for name, value in trunk_state.items()
    }:
        raise WeightsError(f"{trunk} does not hold torchvision's AlexNet; fetch {ALEXNET} again.")
    for name, value in network.net.state_dict().items():
        value.copy_(trunk_state[name.split(".", 1)[1]])
    return network.eval().requires_grad_(False).to(device)


def dreamsim(folder: Path, device: str) -> Network:
    """DreamSim's ensemble embedding (B photos → (B, D)) from a folder with its published files; no download."""
    from dreamsim import dreamsim as load
    from PIL import Image

    hub = torch.hub.get_dir()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the package prints
            model, process = load(pretrained=True, device=device, cache_dir=str(folder))
    finally:
        torch.hub.set_dir(hub)  # the package moves torch's folder to its own

    def embed(photos: Sequence[Photo]) -> Tensor:
        vectors: Tensor = model.embed(torch.cat([process(Image.fromarray(photo)) for photo in photos]).to(device))
        return vectors

    return embed


def load_lpips(sources: MetricSources) -> LoadedMetrics:
    """LPIPS by both protocols.

    Raises:
        WeightsError: a package or AlexNet's weights are not on this machine.
    """
    require_packages("torchvision", "lpips")
    file = weights.find_alexnet(sources.weights, fetch=sources.fetch)
    network, sha256 = lpips_network(file, sources.device), weights.sha256(file)
    identity = f"lpips {version('lpips')} alex {sha256[:16]}"
    return LoadedMetrics(
        [Lpips(network, "box", identity, sources.device), Lpips(network, "masked", identity, sources.device)], sha256
    )


def load_dreamsim(sources: MetricSources) -> LoadedMetrics:
    """DreamSim.

    Raises:
        WeightsError: a package or its weights are not on this machine.
    """
    require_packages("torchvision", "dreamsim")
    folder = weights.find_dreamsim(sources.weights)
    sha256 = weights.sha256(folder)
    identity = f"dreamsim {version('dreamsim')} ensemble {sha256[:16]}"
    network = dreamsim(folder, sources.device)
    return LoadedMetrics([Embedding("dreamsim", identity, network, sources.cache, distance=True)], sha256)
