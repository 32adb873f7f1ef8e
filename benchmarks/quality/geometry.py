"""What the references' geometry adds: `python -m benchmarks.quality.geometry SCENES_DIR … -o DIR [--json]`.

For every scene with target/gt.*: the draft by geometry, the paper's recipe and each option of the guided fill, on one
base. All options of a scene sample from one trained adapter, except those that change training. PSNR, SSIM and the
gradient error along the hole's border are measured on the export at the target's own size: mean over the seeds, over
the best quarter by matches, and of the pick. Resumable: the runs lie in DIR. Tables go to DIR/table.md, a contact
sheet of every scene to DIR/<scene>.jpg.

With `mini` and its preset the six options of a scene take about five minutes on two CPU cores, the eight scenes of
assets/scenes forty.
"""

import argparse
import itertools
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.quality.harness import (
    Row,
    add_set_option,
    exported_photo,
    list_scenes,
    markdown_table,
    measure_scenes,
    parse_changes,
    replace_hole,
    runs_parser,
    tile_pictures,
    write_picture,
)
from benchmarks.quality.measures import EDGES, border_errors, luma_ssim, psnr
from realfill import config
from realfill.arrays import Photo
from realfill.evaluation.methods.classic import inpaint
from realfill.events import StageDone
from realfill.imaging.photo import read_photo
from realfill.pipeline.stages import complete
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene
from realfill.seeds import DRAFT

RINGS = tuple(f"{low}-{high}" for low, high in itertools.pairwise(EDGES))
GROUPS = ("mean", "top_quarter", "pick")
OFF = {"guide.draft": False, "train.guided": 0.0}
ON = {**OFF, "guide.draft": True, "guide.proposals": 0}
FREE = {"guide.guess": 1.0, "guide.known": False, "guide.bound": 0.0, "guide.texture": 0.0}
STRIP = ("target", "telea", "draft", "paper", "all", "truth")  # of these is a row of --picture
OPTIONS: dict[str, dict[str, Any]] = {
    "paper": OFF,
    "warm start": {**ON, **FREE, "guide.warm": 1.0, "guide.strength": 0.3},
    "+ shown as known": {**ON, **FREE, "guide.warm": 1.0, "guide.strength": 0.3, "guide.known": True},
    "+ bound": {**ON, **FREE, "guide.warm": 1.0, "guide.strength": 0.2, "guide.known": True, "guide.bound": 1.0},
    "all": {},  # the preset as it is
    "target views": {**ON, "guide.warm": 0.0, "train.guided": 0.4, "train.aware": 0.5},
}  # fmt: skip


def measure_picture(picture: Photo, scene: Scene) -> dict[str, float]:
    """PSNR and SSIM in the hole, the gradient error along its border and by distance from it."""
    assert scene.truth is not None
    return {
        "psnr": psnr(picture, scene.truth, scene.hole),
        "ssim": luma_ssim(picture, scene.truth, scene.hole),
        **border_errors(picture, scene.truth, scene.hole),
    }


def measure_run(run: Run, scene: Scene) -> dict[str, Any]:
    """Mean, top quarter and pick of a finished run's seeds; the draft among them counts only as a pick."""
    ranked = [entry["seed"] for entry in run.read("scores")["seeds"]]
    each = {seed: measure_picture(exported_photo(run, scene, seed), scene) for seed in ranked}
    own = [seed for seed in ranked if seed != DRAFT]
    groups = dict(zip(GROUPS, (own, own[: max(1, len(own) // 4)], ranked[:1]), strict=True))
    values: dict[str, Any] = {
        group: {name: float(np.mean([each[seed][name] for seed in members])) for name in each[ranked[0]]}
        for group, members in groups.items()
    }
    if DRAFT in each:
        values["draft"] = each[DRAFT]
    return {**values, "picked": "draft" if ranked[0] == DRAFT else ranked[0]}


def list_options(args: argparse.Namespace) -> Iterator[tuple[str, config.Config]]:
    """Names and settings of the options that are asked for."""
    common = {"base": args.base, "sample.seeds": args.seeds, **parse_changes(args.set)}
    for name, changes in OPTIONS.items():
        if not args.option or name in args.option:
            yield name, config.make(args.preset, {**common, **changes})


def complete_option(folder: Path, run_folder: Path, settings: config.Config, device: str) -> Run:
    """A finished run; its training is taken from the scene's other runs where it is the same."""
    trained = run_folder.parent / f"trained-{settings.train.guided:g}"
    if not (run_folder / "run.json").exists():
        complete(trained, scene=folder, config=settings, device=device, until="train")
        shutil.copytree(
            trained, run_folder, ignore=shutil.ignore_patterns("seeds", "scores.json", "matches", "result*")
        )
    complete(run_folder, config=settings, device=device)
    return Run.open(run_folder)


def sampling_seconds(run: Run) -> float:
    """What filling, ranking and export took when they were done last."""
    stage_seconds = {event.stage: event.seconds for event in run.events()[0] if isinstance(event, StageDone)}
    return sum(stage_seconds.get(stage, 0.0) for stage in ("sample", "select", "export"))


def measure_scene(folder: Path, args: argparse.Namespace) -> Row:
    """One scene's numbers, by option."""
    scene = scenes.load(folder)
    row: Row = {"scene": folder.name, "options": {}}
    telea = inpaint(scene, "telea")
    white = replace_hole(scene, np.full_like(scene.target, 255))
    pictures: dict[str, Photo] = {"target": white, "telea": telea}
    if scene.truth is not None:
        row["telea"] = measure_picture(telea, scene)
        pictures = {"truth": scene.truth, **pictures}
    for name, settings in list_options(args):
        sys.stderr.write(f"  {name}\n")
        run = complete_option(folder, args.out / folder.name / name.replace(" ", "-"), settings, args.device)
        if DRAFT in run.seeds_done() and "draft" not in pictures:
            pictures["draft"] = exported_photo(run, scene, DRAFT)
        seeds = [entry["seed"] for entry in run.read("scores")["seeds"] if entry["seed"] != DRAFT]
        pictures[name] = exported_photo(run, scene, seeds[0])
        if scene.truth is not None:
            row["options"][name] = {**measure_run(run, scene), "seconds": sampling_seconds(run)}
    write_contact_sheet(pictures, scene, args.out / f"{folder.name}.jpg", across=4)
    strip = {name: pictures[name] for name in STRIP if name in pictures}
    write_contact_sheet(strip, scene, args.out / f"{folder.name}-strip.png", across=len(STRIP))
    return row


def write_contact_sheet(pictures: dict[str, Photo], scene: Scene, path: Path, *, across: int) -> None:
    """The pictures with their names, 320 px wide each, so many in a row."""
    height = round(320 * scene.target.shape[0] / scene.target.shape[1])
    tiles = []
    for name, picture in pictures.items():
        tile = cv2.resize(picture, (320, height), interpolation=cv2.INTER_AREA)
        cv2.putText(tile, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.putText(tile, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    write_picture(path, tile_pictures(tiles, across=across), quality=95)


def table(rows: list[Row]) -> str:
    """Markdown: PSNR of the top quarter by option; gradient errors along and inside the border; every number."""
    rows = [row for row in rows if "telea" in row]
    names = [name for name in OPTIONS if any(name in row["options"] for row in rows)]
    head = ["scene", "option", "mean", "top quarter", "best pick", "seconds"]
    return "\n".join(
        [
            markdown_table(
                ["scene", "Telea", "draft", *names, "best pick of all"], [_psnr(row, names) for row in rows]
            ),
            markdown_table(["scene", "Telea", "draft", *names], [_seams(row, names) for row in rows]),
            markdown_table(["px inside the border", *RINGS], _ring_errors(rows, names)),
            markdown_table(head, [line for row in rows for line in _all_numbers(row, names)]),
        ]
    )


def _psnr(row: Row, names: Sequence[str]) -> list[str]:
    draft, pick = _draft(row), row["options"].get("all", {}).get("pick")
    cells = [f"{row['options'][name]['top_quarter']['psnr']:.2f}" if name in row["options"] else "" for name in names]
    best_pick = "" if pick is None else f"{pick['psnr']:.2f} ({row['options']['all']['picked']})"
    draft_cell = "held back" if draft is None else f"{draft['psnr']:.2f}"
    return [row["scene"], f"{row['telea']['psnr']:.2f}", draft_cell, *cells, best_pick]


def _seams(row: Row, names: Sequence[str]) -> list[str]:
    quarters = [row["options"].get(name, {}).get("top_quarter") for name in names]
    values = (row["telea"], _draft(row), *quarters)
    return [row["scene"], *("" if value is None else f"{value['seam']:.2f}" for value in values)]


def _ring_errors(rows: Sequence[Row], names: Sequence[str]) -> Iterator[list[str]]:
    """By distance from the border, means over the scenes that have a draft."""
    drafted = [row for row in rows if _draft(row) is not None]
    groups = {"Telea": [row["telea"] for row in drafted], "draft": [_draft(row) or {} for row in drafted]}
    groups |= {
        name: [row["options"][name]["top_quarter"] for row in drafted if name in row["options"]] for name in names
    }
    for kind, group in groups.items():
        values = [[one[ring] for one in group if ring in one] for ring in RINGS]
        yield [kind, *(f"{np.mean(value):.2f}" if value else "" for value in values)]


def _all_numbers(row: Row, names: Sequence[str]) -> Iterator[list[str]]:
    yield [row["scene"], "Telea", *_single_picture(row["telea"])]
    if (draft := _draft(row)) is not None:
        yield [row["scene"], "draft", *_single_picture(draft)]
    for name in names:
        if values := row["options"].get(name):
            groups = [f"{values[group]['psnr']:.2f} / {values[group]['ssim']:.3f}" for group in GROUPS]
            yield [row["scene"], name, *groups, f"{values['seconds']:.0f}"]


def _single_picture(values: dict[str, float]) -> list[str]:
    """Cells of one picture that no seeds vary."""
    return ["", "", f"{values['psnr']:.2f} / {values['ssim']:.3f}", ""]


def _draft(row: Row) -> dict[str, float] | None:
    return next((option["draft"] for option in row["options"].values() if "draft" in option), None)


def main() -> None:
    """Measures every scene that is named."""
    parser = runs_parser(__doc__ or "")
    parser.add_argument("--seeds", default="0-7")
    parser.add_argument("--option", action="append", default=[], choices=list(OPTIONS), help="repeatable")
    add_set_option(parser)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a row of pictures for every scene")
    args = parser.parse_args()
    rows = measure_scenes(list_scenes(args.scenes, args.only), args, measure_scene, table)
    if args.picture:
        strips = [read_photo(args.out / f"{row['scene']}-strip.png") for row in rows]
        write_picture(args.picture, tile_pictures(strips, across=1), quality=80)


if __name__ == "__main__":
    main()
