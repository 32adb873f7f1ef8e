"""What training gives on scenes with ground truth: `python -m benchmarks.quality.scenes SCENES_DIR … -o DIR [--json]`.

For every scene that has a target/gt.*: PSNR inside the hole at the target's own size, of the same base
untrained and trained on the scene, mean over the preset's seeds and over the best quarter by matches,
beside OpenCV's Telea inpainting. Resumable: the runs lie in DIR and are continued. A table goes to DIR/table.md,
a contact sheet of every scene to DIR/<scene>-trained.jpg.

With `mini` and its preset a scene takes about two minutes on two CPU cores, the eight of assets/scenes a quarter of an
hour.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.harness import (
    Row,
    add_set_option,
    list_scenes,
    measure_scenes,
    parse_changes,
    replace_hole,
    runs_parser,
    tile_pictures,
    write_picture,
)
from benchmarks.quality.measures import psnr, sharpness
from realfill import config
from realfill.arrays import Photo
from realfill.evaluation.methods.classic import inpaint
from realfill.events import Event, Notice, StageDone
from realfill.imaging import photo
from realfill.pipeline.stages import complete
from realfill.runs.export import crop_of_run, enlarge
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene
from realfill.seeds import DRAFT


def measure_run(run: Run, scene: Scene, truth: Photo) -> dict[str, Any]:
    """PSNR and sharpness of a finished run's seeds, and their matches in ranked order; the draft left out."""
    fit = crop_of_run(run)
    assert fit is not None
    entries = [entry for entry in run.read("scores")["seeds"] if entry["seed"] != DRAFT]
    pictures = [replace_hole(scene, enlarge(run, scene, entry["seed"], fit)) for entry in entries]
    values = [psnr(picture, truth, scene.hole) for picture in pictures]
    quarter = max(1, len(values) // 4)
    return {
        "mean": float(np.mean(values)),
        "top_quarter": float(np.mean(values[:quarter])),
        "best_by_matches": values[0],
        "gradient_energy": float(np.mean([sharpness(picture, truth, scene.hole) for picture in pictures])),
        "matches": [entry["matches"] for entry in entries],
    }


def write_contact_sheet(run: Run, scene: Scene, path: Path) -> None:
    """Target, truth and the eight best seeds side by side, at working size."""
    fit = crop_of_run(run)
    assert fit is not None
    photos = [scene.target] if scene.truth is None else [scene.target, scene.truth]
    seeds = [entry["seed"] for entry in run.read("scores")["seeds"]][:8]
    tiles = [*(fit.crop_photo(one) for one in photos), *(run.read_seed(seed) for seed in seeds)]
    write_picture(path, tile_pictures(tiles, across=5))


def _report(event: Event) -> None:
    if isinstance(event, (Notice, StageDone)):
        sys.stderr.write(f"  {event}\n")


def measure_scene(folder: Path, args: argparse.Namespace) -> Row:
    """One scene's numbers; untrained first."""
    scene, out = scenes.load(folder), args.out
    row: Row = {"scene": folder.name}
    if scene.truth is not None:
        row["telea"] = psnr(inpaint(scene, "telea"), scene.truth, scene.hole)
    changes: dict[str, Any] = {"base": args.base, **parse_changes(args.set)}
    for name in ("trained",) if scene.truth is None else ("untrained", "trained"):
        settings = config.make(args.preset, {**changes, "train.steps": 0} if name == "untrained" else changes)
        began = time.monotonic()
        outcome = complete(
            out / f"{folder.name}-{name}", scene=folder, config=settings, report=_report, device=args.device
        )
        run = Run.open(outcome.run)
        if scene.truth is not None:
            row[name] = measure_run(run, scene, scene.truth)
        row[f"{name}_seconds"] = {**outcome.seconds, "all": time.monotonic() - began}
        write_contact_sheet(run, scene, out / f"{folder.name}-{name}.jpg")
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


def main() -> None:
    """Measures every scene that is named."""
    parser = runs_parser(__doc__ or "")
    add_set_option(parser)
    args = parser.parse_args()
    measure_scenes(list_scenes(args.scenes, args.only), args, measure_scene, table)


if __name__ == "__main__":
    main()
