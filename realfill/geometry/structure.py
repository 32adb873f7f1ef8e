"""How far two pictures are alike in structure, at a small size and whatever their light."""

from collections.abc import Callable

import cv2
import numpy as np

from realfill.arrays import Field, Photo

SIDE = 256  # longest side at which pictures are compared: a shift of a pixel or two of 1024 is forgiven
WINDOW = 11  # pixels there over which structure is compared
STRUCTURE = (0.03 * 255) ** 2  # SSIM's second constant: where nothing varies, pictures agree
NOISE = 3.0  # grey levels that say nothing of structure


def structure_similarity(one: Photo, other: Photo) -> Field:
    """(h, w) -1..1: SSIM without its first factor (Wang et al. 2004), so that other light is forgiven."""
    height, width = one.shape[:2]
    size = scoring_size(one.shape)
    first, second = (
        cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
        for photo in (one, other)
    )
    window = (WINDOW, WINDOW)
    mean_first, mean_second = cv2.blur(first, window), cv2.blur(second, window)
    variance = cv2.blur(first**2, window) - mean_first**2 + cv2.blur(second**2, window) - mean_second**2
    covariance = cv2.blur(first * second, window) - mean_first * mean_second
    similarity = (2 * covariance + STRUCTURE) / (np.maximum(variance, 0) + STRUCTURE)
    return np.asarray(cv2.resize(similarity, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def structure_correlation(one: Photo, other: Photo) -> Field:
    """(h, w) 0..1: normalised cross-correlation of two small pictures (h, w, 3) in a window; no gain changes it.

    Near 0 where either is flat: two skies are alike whatever they are.
    """
    window = (WINDOW, WINDOW)
    first, second = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) for photo in (one, other))
    return np.clip(correlate(first, second, lambda values: np.asarray(cv2.blur(values, window), np.float32)), 0, 1)


def correlate(one: Field, other: Field, mean: Callable[[Field], Field]) -> Field:
    """(h, w): normalised cross-correlation of grey levels (h, w) by a `mean` around each pixel; NOISE says nothing."""
    mean_one, mean_other = mean(one), mean(other)
    spread_one = np.maximum(mean(one * one) - mean_one**2, 0) + NOISE**2
    spread_other = np.maximum(mean(other * other) - mean_other**2, 0) + NOISE**2
    covariance = mean(one * other) - mean_one * mean_other
    return np.asarray(covariance / np.sqrt(spread_one * spread_other), np.float32)


def shrink(photo: Photo) -> Photo:
    """A picture (H, W, 3) with its longest side at SIDE."""
    return np.asarray(cv2.resize(photo, scoring_size(photo.shape), interpolation=cv2.INTER_AREA), np.uint8)


def scoring_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of a picture (H, W) with its longest side at SIDE."""
    scale = min(1.0, SIDE / max(shape[:2]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
