"""What geometry alone gives: `python -m benchmarks.quality.draft SCENES_DIR … [--json] [-o DIR]`.

For every scene with target/gt.*: PSNR and SSIM inside the hole at the target's own size of OpenCV's Telea and
Navier-Stokes inpainting, of the plain trial (SIFT, ratio test, one homography from the best reference, median gain)
and of the draft; the share of the hole that the draft vouches for, the gradient error along the border, seconds.
With -o the pictures are written to DIR, also of scenes without ground truth.

A scene takes 2 to 20 seconds on two CPU cores with SIFT, the eight of assets/scenes about two minutes.
"""

import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.options import print_json
from benchmarks.quality.harness import (
    Row,
    list_scenes,
    replace_hole,
    scenes_parser,
    tile_pictures,
    write_picture,
)
from benchmarks.quality.measures import WORKING, border_errors, luma_ssim, psnr
from realfill.arrays import Photo
from realfill.config import SelectConfig
from realfill.evaluation.methods.classic import inpaint
from realfill.geometry.draft import Draft, covered_share, full_size_draft
from realfill.geometry.make_draft import make_draft
from realfill.matching.matcher import Matcher
from realfill.matching.registry import MATCHERS, load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene


def plain_trial(scene: Scene) -> Photo:
    """SIFT at 1024 px, ratio 0.75, one MAGSAC homography from the reference with most inliers, median gains.

    Where that reference shows nothing, and where no homography is found, it is Telea.
    """
    rest = inpaint(scene, "telea")
    matches = load_matcher(SelectConfig(matcher="sift", size=WORKING)).match(scene.references, [scene.target])[0]
    best: tuple[int, Any, Photo] | None = None
    for pairs, reference in zip(matches, scene.references, strict=True):
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
        return rest
    _, matrix, reference = best
    size = scene.hole.shape[::-1]
    warped = cv2.warpPerspective(reference, matrix, size, flags=cv2.INTER_CUBIC).astype(np.float64)
    inside = cv2.warpPerspective(np.ones(reference.shape[:2], np.float32), matrix, size) > 0.99
    both = inside & ~scene.hole
    gain = np.median(scene.target[both], axis=0) / np.maximum(np.median(warped[both], axis=0), 1) if both.any() else 1
    filled = np.clip(warped * gain, 0, 255).astype(np.uint8)
    return np.where((scene.hole & inside)[..., None], filled, rest)


def measure_scene(folder: Path, matcher: Matcher, out: Path | None, size: int) -> Row:
    """One scene's numbers; the pictures go to `out`."""
    scene = scenes.load(folder)
    began = time.process_time()
    draft = make_draft(scene, matcher, size=size)
    cpu = time.process_time() - began
    hole = draft.frame.crop_hole(scene.hole)
    pictures = {"draft": replace_hole(scene, draft.frame.uncrop_photo(draft.photo))}
    if draft.fine is not None:  # sharper, and where it lies a pixel off it costs PSNR
        pictures["fine"] = replace_hole(scene, full_size_draft(draft))
    row: Row = {
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
            "telea": inpaint(scene, "telea"),
            "ns": inpaint(scene, "ns"),
            "plain": plain_trial(scene),
            **pictures,
        }
        for name, picture in pictures.items():
            row[name] = {
                "psnr": psnr(picture, scene.truth, scene.hole),
                "ssim": luma_ssim(picture, scene.truth, scene.hole),
                "seam": border_errors(picture, scene.truth, scene.hole)["seam"],
            }
    if out is not None:
        _write_pictures(draft, scene, pictures, out / folder.name)
    return row


def _write_pictures(draft: Draft, scene: Scene, pictures: dict[str, Photo], folder: Path) -> None:
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
    write_picture(folder / "sheet.png", tile_pictures(tiles, across=len(tiles)))
    write_picture(folder / "draft.png", draft.photo)


def table(rows: list[Row]) -> str:
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
    """Measures every scene that is named."""
    parser = scenes_parser(__doc__ or "")
    parser.add_argument("-o", "--out", type=Path, help="folder of the pictures")
    parser.add_argument("--matcher", default="sift", choices=list(MATCHERS))
    parser.add_argument("--matcher-weights", default="", help="a file, where the matcher's weights are not installed")
    parser.add_argument("--size", type=int, default=1024, help="longest side of the draft, pixels")
    args = parser.parse_args()
    matcher = load_matcher(SelectConfig(matcher=args.matcher, weights=args.matcher_weights))
    rows = []
    for folder in list_scenes(args.scenes, args.only):
        rows.append(measure_scene(folder, matcher, args.out, args.size))
        sys.stderr.write(table(rows[-1:]).splitlines()[-1] + "\n")
    sys.stdout.write(table(rows))
    if args.json:
        print_json(rows=rows)


if __name__ == "__main__":
    main()
