"""Smooth fields from values that are known in some pixels only."""

import cv2
import numpy as np

from realfill.arrays import Field, Weight

TAIL = 0.25  # what a Gaussian of double width weighs against the narrower one


def spread_smoothly(values: Field, weight: Weight, *, reach: float) -> Field:
    """The weighted mean of `values` (h, w[, C]) around each pixel, `weight` (h, w), over ever wider Gaussians.

    The narrowest is `reach` pixels wide; wider ones count little where it finds anything, and alone where it
    does not, so a pixel takes after the nearest known ones. Pixels that nothing reaches get 0.
    """
    deep = values if values.ndim == 3 else values[:, :, None]
    stack = np.dstack([deep * weight[:, :, None], weight]).astype(np.float32)
    total, share = np.zeros_like(stack), 1.0
    while True:
        total += share * np.atleast_3d(_blur(stack, reach))
        share *= TAIL * 0.1
        reach *= 2
        if reach > max(weight.shape):
            break
    mean = total[:, :, :-1] / np.maximum(total[:, :, -1:], 1e-12)
    return np.asarray(mean[:, :, 0] if values.ndim == 2 else mean, np.float32)


def _blur(stack: Field, reach: float) -> Field:
    """A Gaussian blur that shrinks wide ones first; beyond the edge there is nothing."""
    factor = max(1, int(reach / 3))
    height, width = stack.shape[:2]
    size = max(1, round(width / factor)), max(1, round(height / factor))
    channels = []
    for channel in cv2.split(stack):
        small = cv2.resize(channel, size, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), reach * size[0] / width, borderType=cv2.BORDER_CONSTANT)
        channels.append(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray(np.dstack(channels), np.float32)


def window_mean(values: Field, weight: Weight, side: int) -> tuple[Field, Weight]:
    """Mean of values (h, w) over a box of `side` pixels where `weight` (h, w) is, and the share of weight there."""
    share = cv2.blur(weight, (side, side), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(values * weight, (side, side), borderType=cv2.BORDER_CONSTANT) / np.maximum(share, 1e-6)
    return np.asarray(mean, np.float32), np.asarray(share, np.float32)
