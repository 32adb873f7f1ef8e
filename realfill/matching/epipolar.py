"""The fundamental matrix of two photos: what one camera movement says about pairs of their points, by OpenCV."""

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Flags, FundamentalMatrix


def fundamental_matrix(
    first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], away: float, *, sure: float, draws: int
) -> tuple[FundamentalMatrix, Flags] | None:
    """The matrix (3, 3) that explains most pairs of points, and which it explains (K,), by MAGSAC.

    Args:
        first, second: points (K, 2) of the two photos in pixels, K at least 8.
        away: pixels between a point and its epipolar line.
        sure: probability of having found the best matrix, at which the search ends.
        draws: samples at most.

    Returns:
        None where no matrix is found.
    """
    try:
        matrix, inlier = cv2.findFundamentalMat(first, second, cv2.USAC_MAGSAC, away, sure, draws)
    except cv2.error:  # OpenCV 5.0.0 asserts (`!model.empty()`) where all points but two or so lie on one plane
        return None
    if matrix is None or inlier is None or matrix.shape != (3, 3):
        return None
    return np.asarray(matrix, np.float64), np.asarray(inlier.ravel() > 0)
