"""What geometry alone gives: `python -m benchmarks.draft SCENES_DIR … [--json] [-o DIR]`.

For every scene with target/gt.*: PSNR and SSIM inside the hole at the target's own size of OpenCV's Telea and
Navier-Stokes inpainting, of the plain trial (SIFT, ratio test, one homography from the best reference, median gain)
and of the draft; the share of the hole that the draft vouches for, the gradient error along the border, seconds.
With -o the pictures are written to DIR, also of scenes without ground truth.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.quality.scenes import chosen, psnr, smooth
from realfill.arrays import Hole, Photo
from realfill.config import SelectConfig
from realfill.geometry.draft import Draft, covered_share, full_size_draft
from realfill.geometry.make_draft import make_draft
from realfill.matching.matcher import Matcher
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

EDGES = (0, 2, 5, 10, 30)  # px at working size
WORKING = 1024  # longest side at which the border is judged and the plain trial works


def ssim(picture: Photo, truth: Photo, hole: Hole) -> float:
    """Mean SSIM (Wang et al. 2004, Gaussian window of 1.5 px, luma) over the hole's pixels."""
    first, second = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float64) for photo in (picture, truth))

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    a, b = mean(first), mean(second)
    spread_a, spread_b = mean(first**2) - a**2, mean(second**2) - b**2
    both = mean(first * second) - a * b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * a * b + c1) * (2 * both + c2) / ((a**2 + b**2 + c1) * (spread_a + spread_b + c2))
    return float(index[hole].mean())


def border_errors(picture: Photo, truth: Photo, hole: Hole) -> dict[str, float]:
    """Mean absolute gradient errors in grey levels a pixel, at working size.

    Returns:
        seam: on ±4 px around the hole's border; 0-2, 2-5 …: in the hole by distance from the border in px, where there
        is any such pixel. A seam is an error that falls inwards.
    """
    error, small = _gradient_error(picture, truth, hole)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    # the photo's own edge is no border
    band = (cv2.dilate(small, kernel) > 0) & (cv2.erode(small, kernel, borderValue=1) == 0)
    away = cv2.distanceTransform(small, cv2.DIST_L2, 5)
    rings = {f"{low}-{high}": (away > low) & (away <= high) for low, high in itertools.pairwise(EDGES)}
    inside = {name: float(error[ring].mean()) for name, ring in rings.items() if ring.any()}
    return {"seam": float(error[band].mean()), **inside}


def _gradient_error(picture: Photo, truth: Photo, hole: Hole) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Absolute gradient error at working size, mean of both directions, and the hole there as 0 and 1."""
    scale = min(1.0, WORKING / max(hole.shape))
    size = (round(hole.shape[1] * scale), round(hole.shape[0] * scale))
    small = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    parts = []
    for photo in (picture, truth):
        grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        values = grey.astype(np.float64)
        parts.append((np.gradient(values, axis=1), np.gradient(values, axis=0)))
    error = [np.abs(one - other) for one, other in zip(*parts, strict=True)]
    return (error[0] + error[1]) / 2, small.astype(np.uint8)


def plain_trial(scene: Scene) -> Photo:
    """SIFT at 1024 px, ratio 0.75, one MAGSAC homography from the reference with most inliers, median gains.

    Where that reference shows nothing, and where no homography is found, it is Telea.
    """
    result = smooth(scene, cv2.INPAINT_TELEA)
    found = load_matcher(SelectConfig(matcher="sift", size=WORKING)).match(scene.references, [scene.target])[0]
    best: tuple[int, Any, Photo] | None = None
    for pairs, reference in zip(found, scene.references, strict=True):
        xy = np.rint(pairs.target_xy).astype(int).clip(0, np.array(scene.hole.shape[::-1]) - 1)
        known = ~scene.hole[xy[:, 1], xy[:, 0]]
        if known.sum() < 4:
            continue
        scale = max(scene.hole.shape) / WORKING
        matrix, inliers = cv2.findHomography(
            pairs.reference_xy[known], pairs.target_xy[known], cv2.USAC_MAGSAC, 3 * scale, None, 5000, 0.999
        )
        if matrix is not None and (best is None or inliers.sum() > best[0]):
            best = int(inliers.sum()), matrix, reference
    if best is None:
        return result
    _, matrix, reference = best
    size = scene.hole.shape[::-1]
    laid = cv2.warpPerspective(reference, matrix, size, flags=cv2.INTER_CUBIC).astype(np.float64)
    inside = cv2.warpPerspective(np.ones(reference.shape[:2], np.float32), matrix, size) > 0.99
    both = inside & ~scene.hole
    gain = np.median(scene.target[both], axis=0) / np.maximum(np.median(laid[both], axis=0), 1) if both.any() else 1
    filled = np.clip(laid * gain, 0, 255).astype(np.uint8)
    return np.where((scene.hole & inside)[..., None], filled, result)


def at_target(draft: Draft, scene: Scene) -> Photo:
    """The draft enlarged to the target's own size, known pixels as in the target."""
    return np.where(scene.hole[..., None], draft.frame.uncrop_photo(draft.photo), scene.target)


def row(folder: Path, matcher: Matcher, out: Path | None, size: int) -> dict[str, Any]:
    """One scene's numbers; the pictures go to `out`."""
    scene = scenes.load(folder)
    began = time.process_time()
    draft = make_draft(scene, matcher, size=size)
    cpu = time.process_time() - began
    hole = draft.frame.crop_hole(scene.hole)
    pictures = {"draft": at_target(draft, scene)}
    if draft.fine is not None:  # sharper, and where it lies a pixel off it costs PSNR
        pictures["fine"] = np.where(scene.hole[..., None], full_size_draft(draft), scene.target)
    found: dict[str, Any] = {
        "scene": folder.name,
        "vouched": covered_share(draft, scene.hole),
        "used": float((draft.confidence[hole] > 0).mean()),
        "references": [one.reference for one in draft.warped],
        "seconds": draft.seconds,
        "cpu_seconds": cpu,
        "reason": draft.reason,
    }
    if scene.truth is not None:
        pictures = {
            "telea": smooth(scene, cv2.INPAINT_TELEA),
            "ns": smooth(scene, cv2.INPAINT_NS),
            "plain": plain_trial(scene),
            **pictures,
        }
        for name, picture in pictures.items():
            found[name] = {
                "psnr": psnr(picture, scene.truth, scene.hole),
                "ssim": ssim(picture, scene.truth, scene.hole),
                "seam": border_errors(picture, scene.truth, scene.hole)["seam"],
            }
    if out is not None:
        _write(draft, scene, pictures, out / folder.name)
    return found


def _write(draft: Draft, scene: Scene, pictures: dict[str, Photo], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    hole = draft.frame.crop_hole(scene.hole)
    trust = np.repeat(np.rint(draft.confidence * 255).astype(np.uint8)[..., None], 3, 2)
    white = np.where(hole[..., None], np.uint8(255), draft.frame.crop_photo(scene.target))
    tiles = [white, draft.photo, trust] + [one.photo for one in draft.warped]
    if scene.truth is not None:
        tiles[1:1] = [draft.frame.crop_photo(scene.truth), draft.frame.crop_photo(pictures["plain"])]
    height, width = tiles[0].shape[:2]
    size = round(400 * width / max(height, width)), round(400 * height / max(height, width))
    tiles = [cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in tiles]
    cv2.imwrite(str(folder / "sheet.png"), np.concatenate(tiles, 1)[..., ::-1])
    cv2.imwrite(str(folder / "draft.png"), draft.photo[..., ::-1])


def table(rows: list[dict[str, Any]]) -> str:
    """A markdown table; PSNR / SSIM a column."""
    names = ("telea", "ns", "plain", "draft")
    lines = [
        "| scene | Telea | NS | plain trial | draft | gain on Telea | border: plain → draft | vouched | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        if "telea" not in one:
            lines.append(f"| {one['scene']} | | | | | | | {one['vouched']:.0%} | {one['seconds']:.1f} |")
            continue
        numbers = " | ".join(f"{one[name]['psnr']:.2f} / {one[name]['ssim']:.3f}" for name in names)
        gain = one["draft"]["psnr"] - one["telea"]["psnr"]
        border = f"{one['plain']['seam']:.2f} → {one['draft']['seam']:.2f}"
        lines.append(
            f"| {one['scene']} | {numbers} | {gain:+.2f} | {border} | {one['vouched']:.0%} | {one['seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--matcher", default="sift", choices=["loftr", "aliked", "sift"])
    parser.add_argument("--matcher-weights", default="")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--only", action="append", default=[], metavar="SCENE")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    args = parser.parse_args()
    matcher = load_matcher(SelectConfig(matcher=args.matcher, weights=args.matcher_weights))
    rows = []
    for folder in chosen(args.scenes, args.only):
        rows.append(row(folder, matcher, args.out, args.size))
        sys.stderr.write(table(rows[-1:]).splitlines()[-1] + "\n")
    sys.stdout.write(table(rows))
    if args.json:
        sys.stdout.write(json.dumps({"command": sys.argv, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
