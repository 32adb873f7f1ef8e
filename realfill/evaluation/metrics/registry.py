"""The metrics of §4.2 by column. A new one is a file with a class and a function that loads it, and an entry here.

What this machine has no package or weights for is said, never counted as zero.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from realfill.errors import RealFillError
from realfill.evaluation.lazy_import import import_on_call
from realfill.evaluation.metrics.base import Column, EmbeddingCache, LoadedMetrics, Metric, MetricSources


@dataclass(frozen=True)
class MetricEntry:
    """The columns that one load of metrics fills, one metric a column."""

    columns: tuple[Column, ...]
    load: Callable[[MetricSources], LoadedMetrics]


ENTRIES: tuple[MetricEntry, ...] = (
    MetricEntry(
        (Column("psnr", "PSNR", "higher", 2, "over the hole's pixels, three channels, in dB; at most 100"),),
        import_on_call("realfill.evaluation.metrics.pixels", "load_psnr"),
    ),
    MetricEntry(
        (Column("ssim", "SSIM", "higher", 3, "11 px Gaussian windows (deviation 1.5), those centred in the hole"),),
        import_on_call("realfill.evaluation.metrics.pixels", "load_ssim"),
    ),
    MetricEntry(
        (Column("sharpness", "Sharpness", "near 1", 2, "gradient energy in the hole, as a share of the truth's"),),
        import_on_call("realfill.evaluation.metrics.pixels", "load_sharpness"),
    ),
    MetricEntry(
        (
            Column(
                "lpips", "LPIPS box", "lower", 3, "AlexNet v0.1, the bounding box of the hole, known pixels included"
            ),
            Column(
                "lpips_masked", "LPIPS masked", "lower", 3, "AlexNet v0.1, the whole frame with everything known black"
            ),
        ),
        import_on_call("realfill.evaluation.metrics.perceptual", "load_lpips"),
    ),
    MetricEntry(
        (Column("dreamsim", "DreamSim", "lower", 3, "ensemble, whole picture at 224 × 224"),),
        import_on_call("realfill.evaluation.metrics.perceptual", "load_dreamsim"),
    ),
    MetricEntry(
        (Column("dino", "DINO", "higher", 3, "cosine of ViT-S/16's class token, whole picture at 224 × 224"),),
        import_on_call("realfill.evaluation.metrics.embeddings", "load_dino"),
    ),
    MetricEntry(
        (Column("clip", "CLIP", "higher", 3, "cosine of ViT-B/32's image embedding, whole picture at 224 × 224"),),
        import_on_call("realfill.evaluation.metrics.embeddings", "load_clip"),
    ),
)
COLUMNS: Mapping[str, Column] = {column.name: column for entry in ENTRIES for column in entry.columns}


@dataclass(frozen=True, eq=False)
class Loaded:
    """The metrics that can be measured here, and for the others the reason why not."""

    metrics: tuple[Metric, ...]
    missing: Mapping[str, str]  # column → sentence
    cache: EmbeddingCache
    weights: Mapping[str, str]  # column → sha256 of its weights


def load_metrics(weights: Path | None = None, *, device: str = "cpu", fetch: bool = False) -> Loaded:
    """All metrics of `COLUMNS` that this machine has packages and weights for.

    `weights`: a folder with dino-vits16/, clip-vit-base-patch32/, dreamsim/ and AlexNet's file. `fetch` lets
    what is missing be downloaded, DreamSim excepted.
    """
    sources = MetricSources(weights, device, fetch, EmbeddingCache())
    metrics: list[Metric] = []
    missing: dict[str, str] = {}
    hashes: dict[str, str] = {}
    for entry in ENTRIES:
        names = [column.name for column in entry.columns]
        try:
            loaded = entry.load(sources)
        except (RealFillError, ImportError, OSError, RuntimeError) as error:
            missing |= dict.fromkeys(names, str(error).strip().split("\n")[0][:500])
            continue
        metrics += loaded.metrics
        hashes |= dict.fromkeys(names, loaded.sha256) if loaded.sha256 else {}
    return Loaded(tuple(metrics), missing, sources.cache, hashes)
