"""Image stitching (§5.1): OpenCV's stitcher finds the cameras, the references are laid over the hole.

The stitcher sees the target's known pixels alone. What it composes itself would show the target's hole too, so
only its cameras are taken: for photos turned about one point they give a homography from each into the target.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.evaluation.methods.base import Method, NoResult, Setup, resize_to_target
from realfill.evaluation.methods.classic import RADIUS
from realfill.imaging.crop import crop_longest
from realfill.sampling.sample import Candidate
from realfill.scene.scene import Scene

LONGEST = 1024  # pixels, of what is stitched
LEAST = 0.01  # of the hole; what covers less completes nothing
_WHY = {
    cv2.Stitcher_ERR_NEED_MORE_IMGS: "it finds too few correspondences between the photos",
    cv2.Stitcher_ERR_HOMOGRAPHY_EST_FAIL: "no homography fits the correspondences",
    cv2.Stitcher_ERR_CAMERA_PARAMS_ADJUST_FAIL: "the cameras cannot be adjusted",
}
_Weight = npt.NDArray[np.float32]


class Stitch:
    """Target and references as a panorama seen from the target; the rest of the hole is Telea's."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        fit = crop_longest(*scene.hole.shape, longest=LONGEST)
        hole, target = fit.crop_hole(scene.hole), fit.crop_photo(scene.target)
        photos = [crop_longest(*photo.shape[:2], longest=LONGEST).crop_photo(photo) for photo in scene.references]
        warped = _warp_references(target, hole, photos)
        colour, weight = _merge(target, hole, warped)
        covered = float((weight[hole] > 0).mean())
        if covered < LEAST:
            raise NoResult("The stitcher aligns the photos, but no reference reaches into the hole.")
        self._setup.facts["shown"] = round(covered, 4)  # of the hole, by references
        rest = (hole & (weight == 0)).astype(np.uint8)
        filled = np.where((hole & (weight > 0))[..., None], colour, target)
        working = np.asarray(cv2.inpaint(filled, rest, RADIUS, cv2.INPAINT_TELEA), np.uint8)
        photo = resize_to_target(scene, fit, working)
        yield from (Candidate(seed, photo) for seed in seeds)


def stitch(setup: Setup) -> Method:
    """OpenCV's stitcher."""
    return Stitch(setup)


def _warp_references(target: Photo, hole: Hole, photos: Sequence[Photo]) -> list[tuple[Photo, _Weight]]:
    """The references that the stitcher accepts, in the target's frame, with weights that fall to their edges.

    Raises:
        NoResult: the stitcher refuses, or leaves the target out.
    """
    stitcher = cv2.Stitcher.create(cv2.Stitcher_PANORAMA)
    masks = [np.where(hole, 0, 255).astype(np.uint8), *(np.full(one.shape[:2], 255, np.uint8) for one in photos)]
    images = [np.ascontiguousarray(one[..., ::-1]) for one in (target, *photos)]  # OpenCV's order, here only
    cv2.setRNGSeed(0)
    try:
        status = stitcher.estimateTransform(images, masks)
    except cv2.error as error:  # the stitcher asserts where it should refuse
        raise NoResult("The stitcher gives up on these photos.") from error
    if status != cv2.Stitcher_OK:
        raise NoResult(f"The stitcher has no panorama: {_WHY.get(status, f'status {status}')}.")
    cameras = {int(index): camera for index, camera in zip(stitcher.component(), stitcher.cameras(), strict=True)}
    if 0 not in cameras:
        raise NoResult("The stitcher joins the references without the target.")
    scale = float(stitcher.workScale())
    size = (target.shape[1], target.shape[0])
    return [
        _warp(photos[index - 1], _homography(camera, cameras[0], scale), size)
        for index, camera in cameras.items()
        if index
    ]


def _homography(camera: Any, target: Any, scale: float) -> npt.NDArray[np.float64]:
    """Pixels of a photo → pixels of the target: K_t R_tᵀ R K⁻¹, cameras being in pixels times `scale`."""
    shrink = np.diag([scale, scale, 1.0])
    inner = target.K() @ np.linalg.inv(target.R) @ camera.R @ np.linalg.inv(camera.K())
    return np.asarray(np.linalg.inv(shrink) @ inner @ shrink, np.float64)


def _warp(photo: Photo, matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> tuple[Photo, _Weight]:
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        return np.zeros((size[1], size[0], 3), np.uint8), np.zeros(size[::-1], np.float32)
    inside = np.zeros(photo.shape[:2], np.uint8)
    inside[1:-1, 1:-1] = 1
    weight = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    warped = cv2.warpPerspective(photo, matrix, size, flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8), np.asarray(cv2.warpPerspective(weight, matrix, size), np.float32)


def _merge(target: Photo, hole: Hole, warped: Sequence[tuple[Photo, _Weight]]) -> tuple[Photo, _Weight]:
    """The mean of the references by weight, each with the exposure that it needs to meet the target's known part."""
    total, sums = np.zeros(hole.shape, np.float32), np.zeros((*hole.shape, 3), np.float32)
    for photo, weight in warped:
        common = ~hole & (weight > 0)
        gain = np.ones(3, np.float32)
        if common.sum() >= 100:
            gain = np.clip(target[common].mean(0) / np.maximum(photo[common].mean(0), 1), 0.5, 2).astype(np.float32)
        sums += weight[..., None] * photo * gain
        total += weight
    mean = sums / np.maximum(total, 1e-6)[..., None]
    return np.clip(np.rint(mean), 0, 255).astype(np.uint8), total
