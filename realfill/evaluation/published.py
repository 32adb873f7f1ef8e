"""Numbers that others published for RealBench, and where RealBench is. Nothing here was measured by this code."""

from dataclasses import dataclass

REALBENCH_PAGE = "https://realfill.github.io"
REALBENCH_DRIVE = "https://drive.google.com/file/d/18hlxyw3g3C9QwG9PtFCPedMgcVxFAN0e/view"
REALBENCH_COPIES = (
    "https://github.com/eric15342335/realfill/releases/download/dataset/realfill_data_release_full.zip",
    "https://github.com/xchlowex/APAI3010",
)
REALBENCH_SCENES = 33  # 23 outpainting, 10 inpainting

PAPER_V1 = "RealFill, arXiv 2309.16668v1, Table 1"
PAPER_V1_FILTER = "RealFill, arXiv 2309.16668v1, Table 2"
PAPER_V2 = "RealFill, arXiv 2309.16668v2, Table 1"
GEOCOMPLETE = "GeoComplete, arXiv 2510.03110, Table 1"


@dataclass(frozen=True)
class PublishedRow:
    """One row of somebody's table: means over RealBench's 33 scenes, keyed by our columns' names.

    The paper says "inside the filled region" for LPIPS and no more; its values have the scale of the hole's
    bounding box (`lpips`), not of the masked frame (`lpips_masked`).
    """

    method: str
    values: dict[str, float]
    source: str


def _row(method: str, source: str, *values: float) -> PublishedRow:
    return PublishedRow(
        method, dict(zip(("psnr", "ssim", "lpips", "dreamsim", "dino", "clip"), values, strict=True)), source
    )


TABLE_1: tuple[PublishedRow, ...] = (
    _row("Stable Diffusion 2 inpainting, written prompt", PAPER_V1, 10.63, 0.282, 0.605, 0.213, 0.831, 0.874),
    _row("Photoshop Generative Fill (2023)", PAPER_V2, 10.92, 0.311, 0.598, 0.212, 0.851, 0.898),
    _row("Paint-by-Example", PAPER_V1, 10.13, 0.244, 0.642, 0.237, 0.797, 0.859),
    _row("TransFill", PAPER_V2, 13.28, 0.404, 0.542, 0.192, 0.860, 0.866),
    _row("RealFill", PAPER_V1, 14.78, 0.424, 0.431, 0.077, 0.948, 0.962),
    _row("GeoComplete", GEOCOMPLETE, 17.32, 0.578, 0.197, 0.036, 0.986, 0.987),
)

# RealFill by the share of samples that is dropped, the ones with fewest matches first (Table 2).
TABLE_2: dict[float, PublishedRow] = {
    0.0: _row("RealFill, all", PAPER_V1_FILTER, 14.78, 0.424, 0.431, 0.077, 0.948, 0.962),
    0.25: _row("RealFill, worst 25 % dropped", PAPER_V1_FILTER, 15.01, 0.427, 0.421, 0.066, 0.955, 0.967),
    0.5: _row("RealFill, worst 50 % dropped", PAPER_V1_FILTER, 15.05, 0.427, 0.418, 0.063, 0.958, 0.969),
    0.75: _row("RealFill, worst 75 % dropped", PAPER_V1_FILTER, 15.10, 0.427, 0.417, 0.060, 0.961, 0.970),
}
