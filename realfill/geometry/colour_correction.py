"""Exposure and colour of a warped reference, brought to the target's on what both show."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from realfill.arrays import Field, Matrix, Photo, Vector, Weight
from realfill.geometry.colour_regions import RegionField, find_regions, spread_by_region
from realfill.scene.scene import Scene

GAIN = (0.2, 5.0)  # a channel is never changed more: four stops are a factor of 3.5 in sRGB's values
SAME_LIGHT = (0.6, 1.7)  # gains between which a fit near 1 finds the right one by itself
NOISE = 100.0  # variance in grey levels squared: a flat patch has no say in the gain
BALANCE = 400.0  # the same for a gain of each channel's own instead of the common one
MIXING = 3000.0  # the same for the mixing of channels: only clear evidence, such as a grey target, brings it about
PALE = 0.85  # mean gain of the channels down to which one change for all pixels is not doubted
ROUNDS = 6
SAMPLES = 6000  # pixels looked at, at most


@dataclass(frozen=True, eq=False)
class ColourTransform:
    """An affine change of colours: out = matrix · in + offset."""

    matrix: Matrix  # (3, 3)
    offset: Vector  # (3,), grey levels

    def apply(self, photo: Photo) -> Photo:
        """The photo (h, w, 3) in the new colours."""
        return np.asarray(cv2.transform(photo, np.c_[self.matrix, self.offset]), np.uint8)


IDENTITY = ColourTransform(np.eye(3), np.zeros(3))


TINT = 12  # grey levels between channels that a JPEG may give a photo without colour
TINTED = 0.001  # of its pixels: so many may have more
STRIDE = 4  # pixels between those that are looked at

RESIDUAL = 90.0  # grey levels that a region may differ from the transform of all
AROUND = 0.06  # of the longer side: how far the colours of one region are evened out
LEAST = 50  # pixels' worth of evidence


def match_greyness(scene: Scene) -> Scene:
    """The scene, its references without colour where the target has none: a black and white photo stays one."""
    known = scene.target[::STRIDE, ::STRIDE][~scene.hole[::STRIDE, ::STRIDE]].astype(np.int16)
    if not known.size or (np.ptp(known, axis=1) > TINT).mean() > TINTED:
        return scene
    grey = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) for photo in scene.references)
    return replace(scene, references=tuple(np.asarray(cv2.cvtColor(one, cv2.COLOR_GRAY2RGB), np.uint8) for one in grey))


def fit_regions(
    warped: Photo, target: Photo, weight: Weight, valid: Weight, *, most: float = RESIDUAL
) -> RegionField | None:
    """What each colour region of a warped reference (h, w, 3) still lacks to the target, (h, w, 3) grey levels each.

    So sky is corrected by sky and stone by stone, and a grey reference gets the colours of what surrounds the hole.

    Args:
        warped: in the colours of `fit_colour`.
        weight: (h, w), how surely a known pixel shows the same thing in both.
        valid: (h, w), 1 where the reference has a pixel.
        most: grey levels that a region is changed by; with much more an unrelated reference can be made to fit.

    Returns:
        None where too little is known.
    """
    if weight.sum() < LEAST:
        return None
    regions = find_regions(warped, valid > 0)
    residual = np.clip(target.astype(np.float32) - warped, -most, most)
    return spread_by_region(regions, warped, residual, weight, reach=AROUND * max(weight.shape))


def fit_colour(warped: Photo, target: Photo, weight: Weight) -> ColourTransform:
    """The colours of a warped reference (h, w, 3) brought to the target's where `weight` (h, w) is over 0.

    Least squares, reweighted against what does not show the same in both; near to a gain a channel unless many
    pixels say otherwise. Where that is pale, sky and stone may have changed places in brightness, so that no change
    fits both; then it is fitted within colour regions, and `fit_regions` brings each to its own.
    """
    where = np.flatnonzero(weight > 0)
    if len(where) < 50:
        return IDENTITY
    chosen = np.unravel_index(where[:: len(where) // SAMPLES + 1], weight.shape)
    x, y, say = warped[chosen].astype(np.float64), target[chosen].astype(np.float64), weight[chosen].astype(np.float64)
    transform = _fit_robustly(x, y, say, np.ones((len(x), 1), np.float32))
    if np.trace(transform.matrix) / 3 > PALE:
        return transform
    return _fit_robustly(x, y, say, find_regions(warped, weight > 0).memberships(warped[chosen][None])[0])


def _fit_robustly(x: Matrix, y: Matrix, weight: Vector, members: Field) -> ColourTransform:
    """`fit_colour` of colours x (N, 3) to y by how they differ from the means of K regions, `members` (N, K)."""
    exposure = _exposure(_subtract_means(x, weight, members), _subtract_means(y, weight, members), weight)
    x = x * exposure
    matrix, robust = np.eye(3), weight
    for _ in range(ROUNDS):
        centred_x, centred_y = _subtract_means(x, robust, members), _subtract_means(y, robust, members)
        matrix = _fit_matrix(centred_x, centred_y, robust / robust.sum())
        error = np.abs(centred_y - centred_x @ matrix.T).mean(1)
        robust = weight / (1 + (error / max(2.0, _weighted_median(error, weight))) ** 2)
    mean_x, mean_y = (np.average(one, axis=0, weights=robust) for one in (x, y))
    return ColourTransform(matrix * exposure, mean_y - matrix @ mean_x)


def _subtract_means(values: Matrix, weight: Vector, members: Field) -> Matrix:
    """Colours (N, 3) less the mean of their regions."""
    say = members * weight[:, None]
    means = say.T @ values / np.maximum(say.sum(0), 1e-9)[:, None]
    return np.asarray(values - members @ means, np.float64)


def _exposure(x: Matrix, y: Matrix, weight: Vector) -> float:
    """The gain by which centred colours x (N, 3) vary as y do where it is far from 1, since fits stay near 1."""
    spread = [np.average(one**2, axis=0, weights=weight).sum() for one in (x, y)]
    gain = float(np.sqrt(max(spread[1], 1.0) / max(spread[0], 1.0)))
    low, high = SAME_LIGHT
    return 1.0 if low < gain < high else float(np.clip(gain, *GAIN))


def _fit_matrix(x: Matrix, y: Matrix, weight: Vector) -> Matrix:
    """A common gain, gains a channel near it, then the matrix near them that explains the rest."""
    cross, square = (y * weight[:, None]).T @ x, (x * weight[:, None]).T @ x
    own, common = np.diag(square), (np.trace(cross) + 3 * NOISE) / (np.trace(square) + 3 * NOISE)
    gain = (np.diag(cross) + BALANCE * common) / (own + BALANCE)
    gains = np.diag(np.clip(gain, *GAIN))
    ridge = MIXING * np.eye(3)
    return np.asarray(np.linalg.solve(square + ridge, (cross + gains @ ridge).T).T)


def _weighted_median(values: Vector, weight: Vector) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][int(np.searchsorted(total, total[-1] / 2))])
