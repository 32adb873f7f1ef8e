"""What training gives on scenes with ground truth: `python -m benchmarks.scenes SCENES_DIR -o DIR [--json]`.

For every scene that has a target/gt.*: PSNR inside the hole at the target's own size, of the same base
untrained and trained on the scene, mean over the preset's seeds and over the best quarter by matches,
beside OpenCV's Telea inpainting. Resumable: the runs lie in DIR and are continued. A table goes to DIR/table.md,
a contact sheet of every scene to DIR/<scene>.jpg.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realfill import config
from realfill.arrays import Hole, Photo
from realfill.device.devices import choose_device
from realfill.evaluation.metrics.base import Metric, Picture
from realfill.evaluation.metrics.pixels import Psnr, Sharpness
from realfill.events import Event, Notice, StageDone
from realfill.imaging import photo
from realfill.pipeline.stages import complete
from realfill.runs.export import crop_of_run, enlarge
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene
from realfill.seeds import DRAFT

Row = dict[str, Any]
RowOf = Callable[[Path, argparse.Namespace], Row]
TableOf = Callable[[list[Row]], str]


def psnr(picture: Photo, truth: Photo, hole: Hole) -> float:
    """PSNR in dB over the hole's pixels of two (H, W, 3) photos."""
    return _measured(Psnr(), picture, truth, hole)


def _measured(metric: Metric, picture: Photo, truth: Photo, hole: Hole) -> float:
    return metric.measure(Picture(truth, ""), hole, [Picture(picture, "")])[0]


def smooth(scene: Scene, method: int) -> Photo:
    """OpenCV's inpainting of the target at no more than 768 px, radius 5.

    Args:
        method: `cv2.INPAINT_TELEA` or `cv2.INPAINT_NS`.
    """
    scale = min(1.0, 768 / max(scene.hole.shape))
    size = (round(scene.hole.shape[1] * scale), round(scene.hole.shape[0] * scale))
    small = cv2.resize(scene.target, size, interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(scene.hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    filled = cv2.resize(cv2.inpaint(small, hole, 5, method), scene.hole.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.where(scene.hole[..., None], filled, scene.target)


def measure(run: Run, scene: Scene, truth: Photo) -> dict[str, Any]:
    """PSNR of every seed of a finished run, in ranked order."""
    fit = crop_of_run(run)
    assert fit is not None
    ranked = [entry["seed"] for entry in run.read("scores")["seeds"] if entry["seed"] != DRAFT]
    pictures = {seed: enlarge(run, scene, seed, fit) for seed in ranked}
    values = [psnr(pictures[seed], truth, scene.hole) for seed in ranked]
    whole = [np.where(scene.hole[..., None], pictures[seed], scene.target) for seed in ranked]
    edges = [_measured(Sharpness(), picture, truth, scene.hole) for picture in whole]
    quarter = max(1, len(values) // 4)
    return {
        "mean": float(np.mean(values)),
        "top_quarter": float(np.mean(values[:quarter])),
        "best_by_matches": values[0],
        "gradient_energy": float(np.mean(edges)),
        "matches": [entry["matches"] for entry in run.read("scores")["seeds"] if entry["seed"] != DRAFT],
    }


def sheet(run: Run, scene: Scene, path: Path) -> None:
    """Target, truth, result and the eight best seeds side by side."""
    fit = crop_of_run(run)
    assert fit is not None
    ranked = [entry["seed"] for entry in run.read("scores")["seeds"]][:8]
    row = [fit.crop_photo(scene.target)]
    if scene.truth is not None:
        row.append(fit.crop_photo(scene.truth))
    row += [run.read_seed(seed) for seed in ranked]
    row += [np.full_like(row[0], 255)] * (-len(row) % 5)
    rows = [np.concatenate(row[i : i + 5], 1) for i in range(0, len(row), 5)]
    encoded, data = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    if encoded:
        path.write_bytes(data.tobytes())


def _say(event: Event) -> None:
    if isinstance(event, (Notice, StageDone)):
        sys.stderr.write(f"  {event}\n")


def scene_row(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One scene's numbers; untrained first."""
    scene, out = scenes.load(folder), args.out
    row: dict[str, Any] = {"scene": folder.name}
    if scene.truth is not None:
        row["telea"] = psnr(smooth(scene, cv2.INPAINT_TELEA), scene.truth, scene.hole)
    changes: dict[str, Any] = {"base": args.base, **dict(change.split("=", 1) for change in args.set)}
    for name in ("trained",) if scene.truth is None else ("untrained", "trained"):
        settings = config.make(args.preset, {**changes, "train.steps": 0} if name == "untrained" else changes)
        began = time.monotonic()
        outcome = complete(
            out / f"{folder.name}-{name}", scene=folder, config=settings, report=_say, device=args.device
        )
        run = Run.open(outcome.run)
        if scene.truth is not None:
            row[name] = measure(run, scene, scene.truth)
        row[f"{name}_seconds"] = {**outcome.seconds, "all": time.monotonic() - began}
        sheet(run, scene, out / f"{folder.name}-{name}.jpg")
    result = photo.read_photo(out / f"{folder.name}-trained" / "result.png")
    row["result"] = list(result.shape[:2])
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """A markdown table of the rows with ground truth, and the mean gain."""
    lines = [
        "| scene | Telea | untrained | trained | gain | trained, top quarter | gradient energy | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    known = [row for row in rows if "telea" in row]
    for row in known:
        before, after = row["untrained"], row["trained"]
        lines.append(
            f"| {row['scene']} | {row['telea']:.2f} | {before['mean']:.2f} | {after['mean']:.2f} "
            f"| {after['mean'] - before['mean']:+.2f} | {after['top_quarter']:.2f} | {after['gradient_energy']:.2f} "
            f"| {row['trained_seconds']['all']:.0f} |"
        )
    if known:
        gains = [row["trained"]["mean"] - row["untrained"]["mean"] for row in known]
        lines.append(f"\nMean gain of training {np.mean(gains):+.2f} dB, least {min(gains):+.2f} dB.")
    return "\n".join(lines) + "\n"


def parser(text: str) -> argparse.ArgumentParser:
    """The options that every benchmark over scenes with a base has."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    made.add_argument("-o", "--out", type=Path, required=True)
    made.add_argument("--base", default="mini")
    made.add_argument("--preset", default="mini", choices=list(config.PRESETS))
    made.add_argument("--only", action="append", default=[], metavar="SCENE")
    made.add_argument("--device", default="auto")
    made.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    return made


def chosen(roots: Sequence[Path], only: Collection[str]) -> list[Path]:
    """The scene folders in some folders, those named in `only` where any is named."""
    folders = sorted(path for root in roots for path in root.iterdir() if (path / "target").is_dir())
    return [folder for folder in folders if not only or folder.name in only]


def every(folders: Sequence[Path], args: argparse.Namespace, row: RowOf, table: TableOf) -> list[Row]:
    """The rows of all scenes; DIR/table.md and DIR/rows.json are written anew after each, the table is printed."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for folder in folders:
        sys.stderr.write(f"{folder.name}\n")
        rows.append(row(folder, args))
        (args.out / "table.md").write_text(table(rows))
        (args.out / "rows.json").write_text(json.dumps(rows))
    sys.stdout.write(table(rows))
    if args.json:
        facts = {"device": choose_device(args.device), "command": sys.argv, "rows": rows}
        sys.stdout.write(json.dumps(facts) + "\n")
    return rows


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = made.parse_args()
    every(chosen(args.scenes, args.only), args, scene_row, table)


if __name__ == "__main__":
    main()
