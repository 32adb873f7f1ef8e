"""What parts of the recipe are worth: `python -m benchmarks.ablation SCENES_DIR … -o DIR [--json]`.

For every scene with target/gt.* and every variant of the preset: PSNR and SSIM in the hole at the target's own size,
mean over seeds that all start from noise, as the paper's do. Resumable: the runs lie in DIR/<scene>/<variant>. The
table goes to DIR/table.md.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.geometry import composite, numbers
from realfill import config, devices
from realfill import scene as scenes
from realfill.pipeline import complete
from realfill.runs import Run

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
    row: dict[str, Any] = {"scene": folder.name, "variants": {}}
    common = {"base": args.base, "sample.seeds": args.seeds, "guide.draft": False, "select.matcher": "sift"}
    for name in args.variant or VARIANTS:
        sys.stderr.write(f"  {name}\n")
        settings = config.make(args.preset, {**common, **VARIANTS[name]})
        place = args.out / folder.name / name.replace(" ", "-")
        run = Run.open(complete(place, scene=folder, config=settings, device=args.device).run)
        found = [numbers(composite(run, scene, seed), scene) for seed in run.seeds_done()]
        row["variants"][name] = {key: float(np.mean([one[key] for one in found])) for key in ("psnr", "ssim")}
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


def main(argv: list[str] | None = None) -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--preset", default="mini", choices=list(config.PRESETS))
    parser.add_argument("--seeds", default="0-15")
    parser.add_argument("--variant", action="append", default=[], choices=list(VARIANTS))
    parser.add_argument("--only", action="append", default=[], metavar="SCENE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for folder in sorted(path for root in args.scenes for path in root.iterdir() if any(path.glob("target/gt.*"))):
        if not args.only or folder.name in args.only:
            sys.stderr.write(f"{folder.name}\n")
            rows.append(scene_row(folder, args))
            (args.out / "table.md").write_text(table(rows))
    sys.stdout.write(table(rows))
    if args.json:
        sys.stdout.write(json.dumps({"device": devices.choose(args.device), "command": sys.argv, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
