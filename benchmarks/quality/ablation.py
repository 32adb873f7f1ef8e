"""What parts of the recipe are worth: `python -m benchmarks.quality.ablation SCENES_DIR … -o DIR [--json]`.

For every scene with target/gt.* and every variant of the preset: PSNR and SSIM in the hole at the target's own size,
mean over seeds that all start from noise, as the paper's do. Resumable: the runs lie in DIR/<scene>/<variant>. The
table goes to DIR/table.md.

With `mini` and its preset a variant of a scene takes about two minutes on two CPU cores: all seven over the eight of
assets/scenes two hours.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.harness import Row, exported_photo, list_scenes, markdown_table, measure_scenes, runs_parser
from benchmarks.quality.measures import luma_ssim, psnr
from realfill import config
from realfill.pipeline.stages import complete
from realfill.runs.run import Run
from realfill.scene import scene as scenes

DROPOUTS = ("train.layer_dropout", "train.mask_dropout", "train.prompt_dropout")
VARIANTS: dict[str, dict[str, Any]] = {
    "preset": {},
    "no layer dropout": {"train.layer_dropout": 0.0},
    "no mask dropout": {"train.mask_dropout": 0.0},
    "no prompt dropout": {"train.prompt_dropout": 0.0},
    "none of the three": dict.fromkeys(DROPOUTS, 0.0),
    "pool of 16": {"train.pool": 16},
    "pool of 256": {"train.pool": 256},
}
AS_IT_IS = "preset"


def measure_scene(folder: Path, args: argparse.Namespace) -> Row:
    """Mean PSNR and SSIM of one scene by variant."""
    scene = scenes.load(folder)
    assert scene.truth is not None
    row: Row = {"scene": folder.name, "variants": {}}
    common = {"base": args.base, "sample.seeds": args.seeds, "guide.draft": False, "select.matcher": "sift"}
    for name in args.variant or VARIANTS:
        sys.stderr.write(f"  {name}\n")
        settings = config.make(args.preset, {**common, **VARIANTS[name]})
        run_folder = args.out / folder.name / name.replace(" ", "-")
        run = Run.open(complete(run_folder, scene=folder, config=settings, device=args.device).run)
        pictures = [exported_photo(run, scene, seed) for seed in run.seeds_done()]
        row["variants"][name] = {
            "psnr": float(np.mean([psnr(one, scene.truth, scene.hole) for one in pictures])),
            "ssim": float(np.mean([luma_ssim(one, scene.truth, scene.hole) for one in pictures])),
        }
    return row


def table(rows: list[Row]) -> str:
    """Markdown: PSNR of the preset and what each variant adds, a line a scene and one for their mean; SSIM below."""
    names = [name for name in VARIANTS if any(name in row["variants"] for row in rows)]
    lines = [[row["scene"], *_cells(row["variants"], names, "psnr", 2)] for row in rows]
    complete_rows = [row["variants"] for row in rows if all(name in row["variants"] for name in names)]
    for key, digits in (("psnr", 2), ("ssim", 3)):
        mean = {name: {key: float(np.mean([values[name][key] for values in complete_rows]))} for name in names}
        lines.append([f"mean, {key.upper()}", *_cells(mean, names, key, digits)])
    return markdown_table(["scene", *names], lines)


def _cells(values_by_variant: dict[str, Any], names: list[str], key: str, digits: int) -> list[str]:
    """The preset's own value, and the others' differences from it."""
    base = values_by_variant.get(AS_IT_IS, {}).get(key)
    cells = []
    for name in names:
        value = values_by_variant.get(name, {}).get(key)
        if value is None:
            cells.append("")
        elif base is None or name == AS_IT_IS:
            cells.append(f"{value:.{digits}f}")
        else:
            cells.append(f"{value - base:+.{digits}f}")
    return cells


def main() -> None:
    """Measures every scene with ground truth that is named."""
    parser = runs_parser(__doc__ or "")
    parser.add_argument("--seeds", default="0-15")
    parser.add_argument("--variant", action="append", default=[], choices=list(VARIANTS), help="repeatable")
    args = parser.parse_args()
    folders = [folder for folder in list_scenes(args.scenes, args.only) if any(folder.glob("target/gt.*"))]
    measure_scenes(folders, args, measure_scene, table)


if __name__ == "__main__":
    main()
