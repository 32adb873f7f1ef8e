"""What geometry and patches give without a model: `python -m benchmarks.quality.draft SCENES_DIR … -o DIR [--json]`.

For every scene with target/gt.*: PSNR and SSIM in the hole, and sharpness (gradient energy there as a share of the
truth's), of yardsticks and of the draft, at the target's own size or 2,000 px at most. Yardsticks: OpenCV's Telea and
Navier-Stokes inpainting; the forty lines and the PatchMatch canvas (seeds 1-4, enlarged to the target) of
../shared/baselines, left out where that folder is not there; the draft before there were proposals, frozen in
draft_before.json. Beside them: what geometry shows alone, the best of the proposals by PSNR, and the one that their
score picks; how far the score's order is that of PSNR and SSIM (Spearman), and what the pick costs (regret). Pictures
go to DIR, also of scenes without truth; those of the yardsticks are kept there and not made again; --picture makes one
of all. With --recipes six further scenes, made of the same photos with their parts exchanged, which nothing was fitted
to; with --recipes FILE those of another list, such as draft_development.json, the 37 scenes that the score's weights
were chosen on beside the sixteen.

A scene takes 30 to 90 seconds on two CPU cores with SIFT, the nineteen scenes about fifteen minutes.
"""

import dataclasses
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from benchmarks.options import print_json
from benchmarks.quality.harness import (
    Row,
    list_scenes,
    markdown_table,
    replace_hole,
    scenes_parser,
    tile_pictures,
    write_picture,
)
from benchmarks.quality.measures import gradient_share, luma_ssim, psnr
from realfill.arrays import Hole, Photo
from realfill.config import PROPOSALS, SelectConfig
from realfill.evaluation.methods.classic import inpaint
from realfill.geometry.draft import VOUCHED, covered_share, full_size_draft, to_grey
from realfill.geometry.make_draft import make_draft
from realfill.geometry.propose import best_first, propose
from realfill.imaging.crop import crop_longest
from realfill.imaging.photo import read_photo, save_photo
from realfill.matching.matcher import Matcher
from realfill.matching.registry import MATCHERS, load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

LONGEST = 2000  # pixels of the target's longest side that are measured; the yardsticks are made for no more
BASELINES = Path(__file__).resolve().parents[2] / "../shared/baselines"
BEFORE = Path(__file__).with_name("draft_before.json")
RECIPES = Path(__file__).with_name("draft_recipes.json")
CANVAS_SEEDS = (1, 2, 3, 4)
COLUMNS = ("telea", "ns", "forty lines", "canvas", "before", "geometry", "best", "pick")
TILE = 420  # pixels of a picture's longer side in a contact sheet
PICTURE = 1000  # pixels across a row of pictures
STRIP = ("telea", "geometry", "proposal-1")  # of `picture_row`, between the target and the truth


def reduce_scene(scene: Scene) -> Scene:
    """The scene with target, hole and truth at LONGEST pixels at most; references keep their size."""
    if max(scene.hole.shape) <= LONGEST:
        return scene
    fit = crop_longest(*scene.hole.shape, longest=LONGEST)
    truth = None if scene.truth is None else fit.crop_photo(scene.truth)
    return dataclasses.replace(scene, target=fit.crop_photo(scene.target), hole=fit.crop_hole(scene.hole), truth=truth)


def fill_by_forty_lines(baseline: ModuleType, scene: Scene) -> Photo:
    """One reference, one plane, one colour change, one Poisson blend."""
    target, *photos = (photo[..., ::-1].copy() for photo in (scene.target, *scene.references))
    return np.asarray(baseline.fill(target, scene.hole, photos)[0][..., ::-1], np.uint8)


def fill_by_canvas(baseline: ModuleType, scene: Scene, seed: int) -> Photo:
    """PatchMatch from target and references side by side at 512 px, enlarged."""
    height, width = scene.hole.shape
    target, *photos = (baseline.smaller(photo) for photo in (scene.target, *scene.references))
    hole = cv2.resize(scene.hole.astype(np.uint8) * 255, target.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    made = baseline.fill(target, hole, photos, seed)
    return np.asarray(cv2.resize(made, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def load_baseline(name: str) -> ModuleType | None:
    """A script of ../shared/baselines as a module; None where it is not there or lacks a package."""
    spec = importlib.util.spec_from_file_location(name, BASELINES / f"{name}.py")
    if spec is None or spec.loader is None or not (BASELINES / f"{name}.py").is_file():
        return None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        sys.stderr.write(f"Without {name}: {error}.\n")
        return None
    if hasattr(module, "patch_match"):
        module.patch_match.set_verbose(False)
    return module


def yardsticks(scene: Scene, folder: Path) -> dict[str, Photo]:
    """The yardsticks' pictures of a scene by name; those that lie in `folder` are not made again."""
    makers: dict[str, Callable[[], Photo]] = {
        "telea": lambda: inpaint(scene, "telea"),
        "ns": lambda: inpaint(scene, "ns"),
    }
    lines, canvas = load_baseline("forty_lines"), load_baseline("patchmatch_canvas")
    if lines is not None:
        makers["forty lines"] = lambda: fill_by_forty_lines(lines, scene)
    if canvas is not None:
        makers |= {f"canvas {seed}": partial(fill_by_canvas, canvas, scene, seed) for seed in CANVAS_SEEDS}
    pictures = {}
    for name, make in makers.items():
        path = folder / f"{name.replace(' ', '-')}.png"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            save_photo(replace_hole(scene, make()), path)
        pictures[name] = read_photo(path)
    return pictures


def build_scene(recipe: Mapping[str, Any], roots: Sequence[Path], out: Path) -> Path | None:
    """A scene of its own made of another one's photos, as a folder in `out`; None where that scene is not there.

    Args:
        recipe: name; scene; target, the number of the reference that takes the target's part; references, their
            numbers ("truth": the scene's own, in both); crop and hole, left, top, right, bottom as shares of the photo.
    """
    source = next((root / recipe["scene"] for root in roots if (root / recipe["scene"]).is_dir()), None)
    if source is None:
        return None
    given = scenes.load(source)
    photo = _named_photo(given, recipe["target"])
    height, width = photo.shape[:2]
    left, top, right, bottom = (
        round(share * side) for share, side in zip(recipe["crop"], (width, height) * 2, strict=True)
    )
    truth = photo[top:bottom, left:right]
    x0, y0, x1, y1 = (round(share * side) for share, side in zip(recipe["hole"], truth.shape[1::-1] * 2, strict=True))
    hole = np.zeros(truth.shape[:2], np.uint8)
    hole[y0:y1, x0:x1] = 255
    folder = out / str(recipe["name"])
    for place, number in enumerate(recipe["references"]):
        (folder / "ref").mkdir(parents=True, exist_ok=True)
        save_photo(_named_photo(given, number), folder / "ref" / f"{place}.png")
    (folder / "target").mkdir(exist_ok=True)
    for name, picture in (
        ("gt", truth),
        ("target", np.where(hole[..., None] > 0, np.uint8(255), truth)),
        ("mask", hole),
    ):
        save_photo(picture, folder / "target" / f"{name}.png")
    return folder


def _named_photo(scene: Scene, name: int | str) -> Photo:
    photo = scene.truth if isinstance(name, str) else scene.references[name]
    assert photo is not None
    return photo


def measure(picture: Photo, scene: Scene, guessed: Hole | None = None) -> dict[str, float]:
    """PSNR, SSIM and sharpness of a picture (H, W, 3) in the hole, and sharpness where nothing vouches for it."""
    assert scene.truth is not None
    values = {
        "psnr": psnr(picture, scene.truth, scene.hole),
        "ssim": luma_ssim(picture, scene.truth, scene.hole),
        "sharpness": gradient_share(picture, scene.truth, scene.hole),
    }
    if guessed is not None and guessed.sum() >= 0.02 * scene.hole.sum():
        values["guessed_sharpness"] = gradient_share(picture, scene.truth, guessed)
    return values


def mean_values(rows: list[dict[str, float]]) -> dict[str, float]:
    """The means of values that all rows have."""
    return {name: float(np.mean([one[name] for one in rows])) for name in rows[0]}


def measure_scene(folder: Path, matcher: Matcher, out: Path, size: int, count: int) -> Row:
    """One scene's numbers; the pictures go to `out`."""
    scene = reduce_scene(scenes.load(folder))
    began = time.process_time()
    draft = make_draft(scene, matcher, size=size)
    made, seconds = [], [time.process_time() - began]
    for proposal in propose(scene, draft, count):
        made.append(proposal)
        seconds.append(time.process_time() - began)
    ranked = best_first(made, scene.hole)
    pictures = {
        **yardsticks(scene, out / folder.name),
        "geometry": replace_hole(scene, full_size_draft(draft)),
        **{f"proposal {place}": replace_hole(scene, full_size_draft(one.draft)) for place, one in enumerate(ranked, 1)},
    }
    pictures["pick"] = pictures["proposal 1"]
    guessed = scene.hole & (draft.frame.uncrop_photo(to_grey(draft.confidence))[:, :, 0] < VOUCHED * 255)
    row: Row = {
        "scene": folder.name,
        "vouched": covered_share(draft, scene.hole),
        "references": [one.reference for one in draft.warped],
        "seconds": seconds,  # of a processor: until the geometry, then until each proposal
        "reason": draft.reason,
        "recipes": [dataclasses.asdict(one.recipe) for one in ranked],
        "scores": [one.score.to_json() for one in ranked],
    }
    if scene.truth is not None:
        values = {name: measure(picture, scene, guessed) for name, picture in pictures.items()}
        proposals = [values.pop(f"proposal {place}") for place in range(1, len(ranked) + 1)]
        values["best"] = max(proposals, key=lambda one: one["psnr"])
        row["proposals"] = proposals
        fills = [values.pop(f"canvas {seed}") for seed in CANVAS_SEEDS if f"canvas {seed}" in values]
        if fills:
            values["canvas"] = mean_values(fills)
        frozen = json.loads(BEFORE.read_text()) if BEFORE.is_file() else {"scenes": {}}
        if folder.name in frozen["scenes"]:
            values["before"] = frozen["scenes"][folder.name]
        row |= values
    _write_pictures(scene, {name: one for name, one in pictures.items() if name != "pick"}, out / folder.name)
    return row


def rank_correlation(values: Sequence[float]) -> float:
    """Spearman's between an order, best first, and values of which the largest is best; equal ones share a rank."""
    order, row = -np.arange(len(values), dtype=np.float64), np.asarray(values)
    ranks = (row[:, None] > row).sum(1) + (row[:, None] >= row).sum(1)
    return float(np.corrcoef(order, ranks)[0, 1]) if np.ptp(ranks) else 1.0


def ranking_line(rows: Sequence[Row]) -> str:
    """How well the score orders the proposals, in one sentence."""
    measured = [row for row in rows if "proposals" in row]
    if not measured:
        return ""
    correlation = {
        name: np.mean([rank_correlation([one[name] for one in row["proposals"]]) for row in measured])
        for name in ("psnr", "ssim")
    }
    regret = [row["best"]["psnr"] - row["pick"]["psnr"] for row in measured]
    return (
        f"\nRank correlation of the score with PSNR {correlation['psnr']:.2f}, with SSIM {correlation['ssim']:.2f}; "
        f"the pick costs {np.mean(regret):.2f} dB in the mean, {max(regret):.2f} at most.\n"
    )


def _write_pictures(scene: Scene, pictures: Mapping[str, Photo], folder: Path) -> None:
    white = np.where(scene.hole[..., None], np.uint8(255), scene.target)
    tiles = {"hole": white, **pictures} | ({} if scene.truth is None else {"truth": scene.truth})
    height, width = scene.hole.shape
    scale = TILE / max(height, width)
    small = []
    for name, tile in tiles.items():
        shown = cv2.resize(tile, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        small.append(cv2.putText(shown, name, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 0, 255), 1, cv2.LINE_AA))
    folder.mkdir(parents=True, exist_ok=True)
    write_picture(folder / "sheet.png", tile_pictures(small, across=4))
    for name, picture in pictures.items():
        if name.startswith(("proposal", "geometry")):
            write_picture(folder / f"{name.replace(' ', '-')}.png", picture)


def picture_row(scene: Scene, folder: Path, width: int) -> Photo:
    """The target, Telea, what geometry shows, the pick and the truth beside one another, `width` pixels each."""
    white = np.where(scene.hole[..., None], np.uint8(255), scene.target)
    made = [read_photo(folder / f"{name}.png") for name in STRIP]
    pictures = [white, *made, white if scene.truth is None else scene.truth]
    height = round(width * scene.hole.shape[0] / scene.hole.shape[1])
    small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in pictures]
    return tile_pictures([np.asarray(one, np.uint8) for one in small], across=len(small))


def table(rows: list[Row]) -> str:
    """A table in Markdown; PSNR / SSIM / sharpness a cell."""
    names = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = []
    for row in rows:
        cells = [_cell(row[name]) if name in row else "" for name in names]
        seconds = f"{row['seconds'][1]:.1f}, {np.mean(np.diff(row['seconds'][1:])):.1f}"
        lines.append([row["scene"], *cells, f"{row['vouched']:.0%}", seconds])
    measured = [row for row in rows if all(name in row for name in names)]
    if names and len(measured) > 1:
        means = {name: mean_values([_plain(row[name]) for row in measured]) for name in names}
        lines.append(["mean", *(_cell(means[name]) for name in names), "", ""])
    return markdown_table(["scene", *names, "vouched", "seconds to the first, each more"], lines) + ranking_line(rows)


def _plain(values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in ("psnr", "ssim", "sharpness")}


def _cell(values: Mapping[str, float]) -> str:
    return f"{values['psnr']:.2f} / {values['ssim']:.3f} / {values['sharpness']:.2f}"


def main() -> None:
    """Measures every scene that is named."""
    parser = scenes_parser(__doc__ or "")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--matcher", default="sift", choices=list(MATCHERS))
    parser.add_argument("--matcher-weights", default="", help="a file, where the matcher's weights are not installed")
    parser.add_argument("--size", type=int, default=1024, help="longest side of the draft, pixels")
    parser.add_argument(
        "--recipes", type=Path, nargs="?", const=RECIPES, metavar="FILE", help="scenes of a list (draft_recipes.json)"
    )
    parser.add_argument("--proposals", type=int, default=PROPOSALS, help="how many are made, two at least")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a row of pictures for every scene")
    args = parser.parse_args()
    matcher = load_matcher(SelectConfig(matcher=args.matcher, weights=args.matcher_weights))
    rows: list[Row] = []
    folders = list_scenes(args.scenes, args.only)
    if args.recipes:
        built = [build_scene(one, args.scenes, args.out / "scenes") for one in json.loads(args.recipes.read_text())]
        folders = [folder for folder in built if folder is not None]
    for folder in folders:
        rows.append(measure_scene(folder, matcher, args.out, args.size, args.proposals))
        sys.stderr.write(table(rows[-1:]).splitlines()[2] + "\n")
        (args.out / "rows.json").write_text(json.dumps(rows, indent=1))
    sys.stdout.write(table(rows))
    if args.picture:
        given = [(reduce_scene(scenes.load(folder)), args.out / folder.name) for folder in folders]
        strips = [picture_row(scene, place, PICTURE // (len(STRIP) + 2)) for scene, place in given]
        write_picture(args.picture, np.concatenate(strips), quality=75)
    if args.json:
        print_json(rows=rows)


if __name__ == "__main__":
    main()
