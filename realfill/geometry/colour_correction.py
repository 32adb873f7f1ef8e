"""Exposure and colour of a laid reference, brought to the target's on what both show."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realfill.arrays import Photo

Weight = npt.NDArray[np.float32]  # (h, w)
Values = npt.NDArray[np.float64]

GAIN = (0.4, 2.5)  # a channel is never changed more
NOISE = 100.0  # variance in grey levels squared: a flat patch has no say in the gain
BALANCE = 400.0  # the same for a gain of each channel's own instead of the common one
MIXING = 3000.0  # the same for the mixing of channels: only clear evidence, such as a grey target, brings it about
ROUNDS = 6
SAMPLES = 6000  # pixels looked at, at most


@dataclass(frozen=True, eq=False)
class Colour:
    """An affine change of colours: out = matrix · in + offset."""

    matrix: Values  # (3, 3)
    offset: Values  # (3,), grey levels

    def apply(self, photo: Photo) -> Photo:
        """The photo (h, w, 3) in the new colours."""
        changed = photo.astype(np.float32) @ self.matrix.T.astype(np.float32) + self.offset.astype(np.float32)
        return np.rint(np.clip(changed, 0, 255)).astype(np.uint8)


SAME = Colour(np.eye(3), np.zeros(3))


def fit_colour(laid: Photo, target: Photo, weight: Weight) -> Colour:
    """The colours of a laid reference (h, w, 3) brought to the target's where `weight` (h, w) is over 0.

    Least squares, reweighted against what does not show the same in both; near to a gain a channel unless many
    pixels say otherwise.
    """
    where = np.flatnonzero(weight > 0)
    if len(where) < 50:
        return SAME
    chosen = np.unravel_index(where[:: len(where) // SAMPLES + 1], weight.shape)
    x, y, say = laid[chosen].astype(np.float64), target[chosen].astype(np.float64), weight[chosen].astype(np.float64)
    matrix, offset, robust = np.eye(3), np.zeros(3), say
    for _ in range(ROUNDS):
        mean_x, mean_y = np.average(x, axis=0, weights=robust), np.average(y, axis=0, weights=robust)
        matrix = _matrix((x - mean_x), (y - mean_y), robust / robust.sum())
        offset = mean_y - matrix @ mean_x
        error = np.abs(y - x @ matrix.T - offset).mean(1)
        robust = say / (1 + (error / max(2.0, _median(error, say))) ** 2)
    return Colour(matrix, offset)


def _matrix(x: Values, y: Values, weight: Values) -> Values:
    """A common gain, gains a channel near it, then the matrix near them that explains the rest."""
    cross, square = (y * weight[:, None]).T @ x, (x * weight[:, None]).T @ x
    own, common = np.diag(square), (np.trace(cross) + 3 * NOISE) / (np.trace(square) + 3 * NOISE)
    gain = (np.diag(cross) + BALANCE * common) / (own + BALANCE)
    gains = np.diag(np.clip(gain, *GAIN))
    ridge = MIXING * np.eye(3)
    return np.asarray(np.linalg.solve(square + ridge, (cross + gains @ ridge).T).T)


def _median(values: Values, weight: Values) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][int(np.searchsorted(total, total[-1] / 2))])
