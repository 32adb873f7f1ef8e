"""Before and after as one short animation to share: a wipe across the photo and back, for ever."""

import io

import numpy as np
from PIL import Image

from realfill.arrays import Photo

LONGEST = 960  # longest side in pixels
STEPS = 14  # pictures of a wipe in one direction
STEP, BEFORE, AFTER = 60, 900, 1800  # milliseconds that a picture of the wipe, and each end, is shown
_EDGE = 2  # pixels of the white line between before and after


def wipe(before: Photo, after: Photo, share: float) -> Photo:
    """`before` (H, W, 3), with `after` shown in its left `share`, 0..1, and a white line between both."""
    width = before.shape[1]
    edge = round(width * share)
    picture = np.concatenate([after[:, :edge], before[:, edge:]], axis=1)
    if 0 < edge < width:
        picture[:, max(0, edge - _EDGE // 2) : edge + _EDGE // 2] = 255
    return picture


def encode_wipe(before: Photo, after: Photo) -> bytes:
    """An animated WebP of two photos (H, W, 3) of one size that shows `before`, wipes to `after`, and back."""
    across = [(index + 1) / (STEPS + 1) for index in range(STEPS)]
    shares = [0.0, *across, 1.0, *reversed(across)]
    times = [BEFORE, *[STEP] * STEPS, AFTER, *[STEP] * STEPS]
    first, *others = [Image.fromarray(wipe(before, after, share)) for share in shares]
    into = io.BytesIO()
    first.save(into, "WEBP", save_all=True, append_images=others, duration=times, loop=0, quality=80, method=2)
    return into.getvalue()
