"""Small JPEGs for the report; made once, since the pictures they show do not change under their name."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.imaging.photo import read_photo

LONGEST = 360  # pixels
_QUALITY = 85


def thumbnail(photo: Photo) -> bytes:
    """A photo as JPEG with its longest side at 360 pixels at most."""
    height, width = photo.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])  # BGR for this call only
    return bytes(data.tobytes())


def draw_hole(photo: Photo, hole: Hole) -> Photo:
    """A photo with its known part lightened, so that the eye goes to what was filled (as in Fig. 5)."""
    light = np.uint8(140) + photo // np.uint8(255 // 115 + 1)
    return np.where(hole[..., None], photo, light)


def cut_hole(photo: Photo, hole: Hole) -> Photo:
    """A photo with its hole in white."""
    return np.where(hole[..., None], np.uint8(255), photo)


def make_thumbnail(picture: Path, thumb: Path, change: Callable[[Photo], Photo]) -> None:
    """The thumbnail of a picture file after `change`, made where it is missing or older than the picture."""
    if thumb.is_file() and thumb.stat().st_mtime_ns >= picture.stat().st_mtime_ns:
        return
    files.write_bytes(thumb, thumbnail(change(read_photo(picture))))
