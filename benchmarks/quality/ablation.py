"""What parts of the recipe are worth: `python -m benchmarks.ablation SCENES_DIR … -o DIR [--json]`.

For every scene with target/gt.* and every variant of the preset: PSNR and SSIM in the hole at the target's own size,
mean over seeds that all start from noise, as the paper's do. Resumable: the runs lie in DIR/<scene>/<variant>. The
table goes to DIR/table.md.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.draft import ssim
from benchmarks.quality.geometry import composite
from benchmarks.quality.scenes import chosen, every, parser, psnr
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


def scene_row(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Mean PSNR and SSIM of one scene by variant."""
    scene = scenes.load(folder)
    assert scene.truth is not None
    row: dict[str, Any] = {"scene": folder.name, "variants": {}}
    common = {"base": args.base, "sample.seeds": args.seeds, "guide.draft": False, "select.matcher": "sift"}
    for name in args.variant or VARIANTS:
        sys.stderr.write(f"  {name}\n")
        settings = config.make(args.preset, {**common, **VARIANTS[name]})
        place = args.out / folder.name / name.replace(" ", "-")
        run = Run.open(complete(place, scene=folder, config=settings, device=args.device).run)
        pictures = [composite(run, scene, seed) for seed in run.seeds_done()]
        row["variants"][name] = {
            "psnr": float(np.mean([psnr(one, scene.truth, scene.hole) for one in pictures])),
            "ssim": float(np.mean([ssim(one, scene.truth, scene.hole) for one in pictures])),
        }
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: PSNR of the preset and what each variant adds, a line a scene and one for their mean; SSIM below."""
    names = [name for name in VARIANTS if any(name in row["variants"] for row in rows)]
    lines = [f"| scene | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {row['scene']} | {_cells(row['variants'], names, 'psnr', 2)} |" for row in rows]
    whole = [row["variants"] for row in rows if all(name in row["variants"] for name in names)]
    for key, digits in (("psnr", 2), ("ssim", 3)):
        mean = {name: {key: float(np.mean([one[name][key] for one in whole]))} for name in names}
        lines.append(f"| mean, {key.upper()} | {_cells(mean, names, key, digits)} |")
    return "\n".join(lines) + "\n"


def _cells(found: dict[str, Any], names: list[str], key: str, digits: int) -> str:
    base = found.get(AS_IT_IS, {}).get(key)
    cells = []
    for name in names:
        value = found.get(name, {}).get(key)
        if value is None:
            cells.append("")
        elif base is None or name == AS_IT_IS:
            cells.append(f"{value:.{digits}f}")
        else:
            cells.append(f"{value - base:+.{digits}f}")
    return " | ".join(cells)


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--seeds", default="0-15")
    made.add_argument("--variant", action="append", default=[], choices=list(VARIANTS))
    args = made.parse_args()
    known = [folder for folder in chosen(args.scenes, args.only) if any(folder.glob("target/gt.*"))]
    every(known, args, scene_row, table)


if __name__ == "__main__":
    main()
