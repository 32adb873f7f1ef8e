"""Unsharp masking by as much as is known to be missing, so that a mean of pictures is as crisp as they are.

A mean of pictures that do not lie exactly over one another is smooth: a regression of colours is one, and so is what
overlapping patches say of a pixel. What is lost is mostly in the finest scales, which weigh little in the error and
much in the look; there the strength is known, since it is that of the pictures the mean was made of.
"""

import cv2
import numpy as np

from realfill.arrays import Field, Photo

FINE = 3.0  # pixels: standard deviation of the Gaussian that separates the finest texture from the rest
WINDOW = 25  # pixels over which its strength is told
NOISE = 1.5  # grey levels that nobody sees
MOST = 4.0  # times: more would show noise and compression


def fine_energy(photo: Photo) -> Field:
    """The mean square (h, w) of the luma of a photo's fine part around each pixel, in grey levels squared."""
    return np.asarray(cv2.blur(_fine_luma(photo) ** 2, (WINDOW, WINDOW)), np.float32)


def fine_gain(wanted: Field | np.float32, found: Field | np.float32) -> Field:
    """By how much to multiply a fine part so that its energy (h, w) becomes the wanted one: 1 to MOST."""
    return np.asarray(np.clip(np.sqrt((wanted + NOISE**2) / (found + NOISE**2)), 1, MOST), np.float32)


def sharpen_to(photo: Photo, wanted: Field) -> Photo:
    """The photo (h, w, 3) with a fine part at least as strong as `wanted` (h, w), its `fine_energy`; 0: as it is.

    Of the luma alone: coloured fringes are not to become stronger.
    """
    more = _fine_luma(photo) * (fine_gain(wanted, fine_energy(photo)) - 1)
    return np.asarray(np.rint(np.clip(photo + more[..., None], 0, 255)), np.uint8)


def _fine_luma(photo: Photo) -> Field:
    luma = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), FINE), np.float32)
