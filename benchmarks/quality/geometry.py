"""What the references' geometry adds: `python -m benchmarks.geometry SCENES_DIR … -o DIR [--json]`.

For every scene with target/gt.*: the draft by geometry, the paper's recipe and each option of the guided fill, on one
base. All options of a scene sample from one trained adapter, except those that change training. PSNR, SSIM and the
gradient error along the hole's border are measured on the export at the target's own size: mean over the seeds, over
the best quarter by matches, and of the pick. Resumable: the runs lie in DIR. Tables go to DIR/table.md, a contact
sheet of every scene to DIR/<scene>.jpg.
"""

import argparse
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.quality.draft import EDGES, border_errors, ssim
from benchmarks.quality.scenes import chosen, every, parser, psnr, smooth
from realfill import config
from realfill.arrays import Photo
from realfill.events import StageDone
from realfill.imaging import photo
from realfill.pipeline.stages import complete
from realfill.runs.export import compose
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene
from realfill.seeds import DRAFT

RINGS = tuple(f"{low}-{high}" for low, high in itertools.pairwise(EDGES))
GROUPS = ("mean", "top_quarter", "pick")
OFF = {"guide.draft": False, "train.guided": 0.0}
ON = {**OFF, "guide.draft": True}
FREE = {"guide.guess": 1.0, "guide.known": False, "guide.bound": 0.0}
STRIP = ("target", "telea", "draft", "paper", "all", "truth")  # of these is the picture in docs/geometry.md
OPTIONS: dict[str, dict[str, Any]] = {
    "paper": OFF,
    "warm start": {**ON, **FREE, "guide.warm": 1.0, "guide.strength": 0.3},
    "+ shown as known": {**ON, **FREE, "guide.warm": 1.0, "guide.strength": 0.3, "guide.known": True},
    "+ bound": {**ON, **FREE, "guide.warm": 1.0, "guide.strength": 0.2, "guide.known": True, "guide.bound": 1.0},
    "all": {},  # the preset as it is
    "target views": {**OFF, "guide.draft": True, "guide.warm": 0.0, "train.guided": 0.4, "train.aware": 0.5},
}  # fmt: skip


def composite(run: Run, scene: Scene, seed: int) -> Photo:
    """The export of a seed at the target's own size, before it is encoded."""
    return photo.to_photo(compose(run, scene, seed))


def numbers(picture: Photo, scene: Scene) -> dict[str, float]:
    """PSNR and SSIM in the hole, the gradient error along its border and by distance from it."""
    assert scene.truth is not None
    return {
        "psnr": psnr(picture, scene.truth, scene.hole),
        "ssim": ssim(picture, scene.truth, scene.hole),
        **border_errors(picture, scene.truth, scene.hole),
    }


def measure(run: Run, scene: Scene) -> dict[str, Any]:
    """Mean, top quarter and pick of a finished run's seeds; the draft among them counts only as a pick."""
    ranked = [entry["seed"] for entry in run.read("scores")["seeds"]]
    each = {seed: numbers(composite(run, scene, seed), scene) for seed in ranked}
    own = [seed for seed in ranked if seed != DRAFT]
    groups = dict(zip(GROUPS, (own, own[: max(1, len(own) // 4)], ranked[:1]), strict=True))
    found: dict[str, Any] = {
        group: {name: float(np.mean([each[seed][name] for seed in members])) for name in each[ranked[0]]}
        for group, members in groups.items()
    }
    if DRAFT in each:
        found["draft"] = each[DRAFT]
    return {**found, "picked": "draft" if ranked[0] == DRAFT else ranked[0]}


def options_of(args: argparse.Namespace) -> Iterator[tuple[str, config.Config]]:
    """Names and settings of the options that are asked for."""
    common = {"base": args.base, "sample.seeds": args.seeds, **dict(change.split("=", 1) for change in args.set)}
    for name, changes in OPTIONS.items():
        if not args.option or name in args.option:
            yield name, config.make(args.preset, {**common, **changes})


def run_of(folder: Path, place: Path, settings: config.Config, device: str) -> Run:
    """A finished run; its training is taken from the scene's other runs where it is the same."""
    trained = place.parent / f"trained-{settings.train.guided:g}"
    if not (place / "run.json").exists():
        complete(trained, scene=folder, config=settings, device=device, until="train")
        shutil.copytree(trained, place, ignore=shutil.ignore_patterns("seeds", "scores.json", "matches", "result*"))
    complete(place, config=settings, device=device)
    return Run.open(place)


def seconds(run: Run) -> float:
    """What filling, ranking and export took when they were done last."""
    done = {event.stage: event.seconds for event in run.events()[0] if isinstance(event, StageDone)}
    return sum(done.get(stage, 0.0) for stage in ("sample", "select", "export"))


def scene_row(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One scene's numbers, by option."""
    scene = scenes.load(folder)
    row: dict[str, Any] = {"scene": folder.name, "options": {}}
    plain = smooth(scene, cv2.INPAINT_TELEA)
    white = np.where(scene.hole[..., None], np.uint8(255), scene.target)
    pictures: dict[str, Photo] = {"target": white, "telea": plain}
    if scene.truth is not None:
        row["telea"] = numbers(plain, scene)
        pictures = {"truth": scene.truth, **pictures}
    for name, settings in options_of(args):
        sys.stderr.write(f"  {name}\n")
        run = run_of(folder, args.out / folder.name / name.replace(" ", "-"), settings, args.device)
        if DRAFT in run.seeds_done() and "draft" not in pictures:
            pictures["draft"] = composite(run, scene, DRAFT)
        seeds = [entry["seed"] for entry in run.read("scores")["seeds"] if entry["seed"] != DRAFT]
        pictures[name] = composite(run, scene, seeds[0])
        if scene.truth is not None:
            row["options"][name] = {**measure(run, scene), "seconds": seconds(run)}
    sheet(pictures, scene, args.out / f"{folder.name}.jpg", across=4)
    strip = {name: pictures[name] for name in STRIP if name in pictures}
    sheet(strip, scene, args.out / f"{folder.name}-strip.png", across=len(STRIP))
    return row


def sheet(pictures: dict[str, Photo], scene: Scene, path: Path, *, across: int) -> None:
    """The pictures with their names, 320 px wide each, so many in a row."""
    height = round(320 * scene.target.shape[0] / scene.target.shape[1])
    tiles = []
    for name, picture in pictures.items():
        tile = cv2.resize(picture, (320, height), interpolation=cv2.INTER_AREA)
        cv2.putText(tile, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.putText(tile, name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % across)
    rows = [np.concatenate(tiles[start : start + across], 1) for start in range(0, len(tiles), across)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: PSNR of the top quarter by option; gradient errors along and inside the border; every number."""
    known = [row for row in rows if "telea" in row]
    names = [name for name in OPTIONS if any(name in row["options"] for row in known)]
    first = _grid(["scene", "Telea", "draft", *names, "best pick of all"], [_psnr(row, names) for row in known])
    borders = _grid(["scene", "Telea", "draft", *names], [_borders(row, names) for row in known])
    rings = _grid(["px inside the border", *RINGS], list(_rings(known, names)))
    head = ["scene", "option", "mean", "top quarter", "best pick", "seconds"]
    return "\n".join([first, borders, rings, _grid(head, [line for row in known for line in _lines(row, names)])])


def _psnr(row: dict[str, Any], names: list[str]) -> list[str]:
    draft, pick = _draft(row), row["options"].get("all", {}).get("pick")
    cells = [f"{row['options'][name]['top_quarter']['psnr']:.2f}" if name in row["options"] else "" for name in names]
    picked = "" if pick is None else f"{pick['psnr']:.2f} ({row['options']['all']['picked']})"
    held = "held back" if draft is None else f"{draft['psnr']:.2f}"
    return [row["scene"], f"{row['telea']['psnr']:.2f}", held, *cells, picked]


def _borders(row: dict[str, Any], names: list[str]) -> list[str]:
    found = [row["options"].get(name, {}).get("top_quarter") for name in names]
    cells = ["" if one is None else f"{one['seam']:.2f}" for one in (row["telea"], _draft(row), *found)]
    return [row["scene"], *cells]


def _rings(known: list[dict[str, Any]], names: list[str]) -> Iterator[list[str]]:
    """By distance from the border, means over the scenes that have a draft."""
    rows = [row for row in known if _draft(row) is not None]
    kinds = [("Telea", [row["telea"] for row in rows]), ("draft", [_draft(row) or {} for row in rows])]
    kinds += [(name, [row["options"][name]["top_quarter"] for row in rows if name in row["options"]]) for name in names]
    for kind, found in kinds:
        values = [[one[ring] for one in found if ring in one] for ring in RINGS]
        yield [kind, *(f"{np.mean(value):.2f}" if value else "" for value in values)]


def _lines(row: dict[str, Any], names: list[str]) -> Iterator[list[str]]:
    yield [row["scene"], "Telea", *_alone(row["telea"])]
    if (draft := _draft(row)) is not None:
        yield [row["scene"], "draft", *_alone(draft)]
    for name in names:
        if found := row["options"].get(name):
            groups = [f"{found[group]['psnr']:.2f} / {found[group]['ssim']:.3f}" for group in GROUPS]
            yield [row["scene"], name, *groups, f"{found['seconds']:.0f}"]


def _alone(found: dict[str, float]) -> list[str]:
    """Of one picture that no seeds vary."""
    return ["", "", f"{found['psnr']:.2f} / {found['ssim']:.3f}", ""]


def _draft(row: dict[str, Any]) -> dict[str, float] | None:
    return next((one["draft"] for one in row["options"].values() if "draft" in one), None)


def _grid(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--seeds", default="0-7")
    made.add_argument("--option", action="append", default=[], choices=list(OPTIONS))
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    made.add_argument("--picture", type=Path, metavar="FILE", help="a row of pictures for every scene")
    args = made.parse_args()
    rows = every(chosen(args.scenes, args.only), args, scene_row, table)
    if args.picture:
        strips = [photo.read_photo(args.out / f"{row['scene']}-strip.png") for row in rows]
        cv2.imwrite(str(args.picture), np.concatenate(strips)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
