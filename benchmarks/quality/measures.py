"""How pictures are compared with the truth in the hole: PSNR, SSIM, sharpness, gradient errors along the border.

PSNR and sharpness are the metrics of `realfill bench`. SSIM is of luma alone, as the tables of docs/geometry.md have
it: `realfill bench` takes the mean over the three channels, which is up to 0.036 lower on the example scenes.
"""

import itertools

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.evaluation.metrics.base import Metric, Picture
from realfill.evaluation.metrics.pixels import Psnr, Sharpness
from realfill.imaging.crop import crop_longest

EDGES = (0, 2, 5, 10, 30)  # px from the hole's border, at working size
WORKING = 1024  # longest side at which the border is judged


def psnr(picture: Photo, truth: Photo, hole: Hole) -> float:
    """PSNR in dB over the hole's pixels of two (H, W, 3) photos."""
    return _measure(Psnr(), picture, truth, hole)


def sharpness(picture: Photo, truth: Photo, hole: Hole) -> float:
    """Gradient energy in the hole of a (H, W, 3) photo, as a share of the truth's."""
    return _measure(Sharpness(), picture, truth, hole)


def gradient_share(picture: Photo, truth: Photo, hole: Hole) -> float:
    """Gradient energy in the hole of a (H, W, 3) photo as a share of the truth's, at 1,024 px at most.

    As `sharpness`, which looks at 256 px, where a fill that was enlarged from half the size passes for sharp.
    """
    fit = crop_longest(*hole.shape, longest=WORKING)
    inside = cv2.erode(fit.crop_hole(hole).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not inside.any():
        return 1.0
    energies = []
    for photo in (picture, truth):
        grey = cv2.cvtColor(fit.crop_photo(photo), cv2.COLOR_RGB2GRAY).astype(np.float32)
        energy = cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2
        energies.append(float(energy[inside].mean()) + 1)
    return energies[0] / energies[1]


def _measure(metric: Metric, picture: Photo, truth: Photo, hole: Hole) -> float:
    return metric.measure(Picture(truth, ""), hole, [Picture(picture, "")])[0]


def luma_ssim(picture: Photo, truth: Photo, hole: Hole) -> float:
    """Mean SSIM (Wang et al. 2004, Gaussian window of 1.5 px, luma) over the hole's pixels of two (H, W, 3) photos."""
    first, second = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float64) for photo in (picture, truth))

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    a, b = mean(first), mean(second)
    variance_a, variance_b = mean(first**2) - a**2, mean(second**2) - b**2
    covariance = mean(first * second) - a * b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * a * b + c1) * (2 * covariance + c2) / ((a**2 + b**2 + c1) * (variance_a + variance_b + c2))
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
