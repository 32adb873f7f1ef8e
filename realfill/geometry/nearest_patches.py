"""The nearest of many patches, compared in their principal components."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from realfill.arrays import Indices

CHUNK = 1 << 21  # distances that are computed at once: they stay in the processor's cache

Patches = npt.NDArray[np.float32]  # (N, values)


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Along which patches vary most."""

    mean: Patches  # (D,)
    axes: Patches  # (D, count)

    @classmethod
    def fit(cls, patches: Patches, count: int) -> Self:
        """Those of patches (N, D), N at least 1."""
        mean = patches.mean(0)
        centred = patches - mean
        _, axes = np.linalg.eigh(centred.T @ centred)
        return cls(mean, axes[:, -count:])

    def project(self, patches: Patches) -> Patches:
        """Patches (N, D) along the axes, (N, count)."""
        return np.asarray((patches - self.mean) @ self.axes, np.float32)


def find_nearest(points: Patches, places: Patches) -> Indices:
    """For each point (N, D) the number of the place (M, D) nearest to it; M is 1 at least.

    |p - q|² without its part |p|², which is equal for all places, is one product: (p, 1) · (-2 q, |q|²).
    """
    table = np.concatenate([-2 * places.T, (places**2).sum(1)[None]])
    asked = np.concatenate([points, np.ones((len(points), 1), np.float32)], 1)
    rows = max(1, CHUNK // len(places))
    distances = np.empty((rows, len(places)), np.float32)
    nearest = np.empty(len(points), np.intp)
    for start in range(0, len(points), rows):
        chunk = asked[start : start + rows]
        nearest[start : start + rows] = np.matmul(chunk, table, out=distances[: len(chunk)]).argmin(1)
    return nearest
