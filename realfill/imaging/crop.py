"""Crops: how a photo becomes the working size, and the exact way back. The only resizing there is.

Coordinates: x = 0 is the centre of the leftmost pixel, so pixel i covers [i - 0.5, i + 0.5]. Boxes are in
edge coordinates: left = 0 is the photo's left edge. The paper leaves crop and size open; chosen here: the
hole with context around it, at the base's own area, in the photo's own aspect.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill.arrays import Hole, Photo
from realfill.imaging.holes import bounding_box

Points = npt.NDArray[np.float64]  # (K, 2) or any list of positions
Box = tuple[float, float, float, float]

LEAST_MARGIN = 0.075  # of the hole's sides on every side, so that the crop is at least 15 % longer
MOST_ENLARGED = 2.0  # a small hole's crop is not enlarged more than this while the photo has room around it
MOST_BEYOND = 16  # times the photo's longest side; a crop's own aspect needs less
MOST_PIXELS = 2**26  # of a photo; decoding takes fewer
WORTHWHILE = 1.5  # times a window's side: a photo that is not larger is looked at as a whole
ASPECT = 3.0  # longest working side over the shortest


@dataclass(frozen=True)
class CropTransform:
    """A box of a photo, seen at the working size.

    The box may reach beyond the photo; what lies there counts as hole.
    """

    box: Box  # left, top, width, height in photo pixels
    width: int  # working size
    height: int
    photo_width: int
    photo_height: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The crop that `to_json` wrote.

        Raises:
            ValueError: it is none that a photo could have; a file that was changed by hand must not cost gigabytes.
        """
        try:
            crop = cls(**{**data, "box": tuple(data["box"])})
            crop._check_bounds()
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a crop: {error}") from error
        return crop

    def to_json(self) -> dict[str, Any]:
        """What run.json and draft.json hold of a crop: its fields by name."""
        return asdict(self)

    @property
    def scale(self) -> float:
        """Working pixels for one photo pixel; below 1 the photo is shrunk."""
        return self.width / self.box[2]

    def crop_photo(self, photo: Photo) -> Photo:
        """The box of a photo (photo_height, photo_width, 3) as (height, width, 3).

        Shrinking averages areas, so a working pixel depends on nothing outside its own footprint; enlarging is
        cubic. Beyond the photo its edge pixels go on.
        """
        self._check_shape(photo.shape[:2], (self.photo_height, self.photo_width))
        return _resample(photo, self.box, self.width, self.height)

    def crop_hole(self, hole: Hole) -> Hole:
        """The box of a hole as (height, width): missing where the footprint touches a missing pixel, or no photo."""
        self._check_shape(hole.shape, (self.photo_height, self.photo_width))
        left, top, width, height = self.box
        rows = _mark_touched(hole, _edges(top, height, self.height))
        return np.ascontiguousarray(_mark_touched(rows.T, _edges(left, width, self.width)).T)

    def outside_photo(self) -> Hole:
        """(height, width) bool: working pixels whose centre lies beyond the photo; they never reach the result."""
        left, top, width, height = self.box
        x = left + (np.arange(self.width) + 0.5) * (width / self.width)
        y = top + (np.arange(self.height) + 0.5) * (height / self.height)
        outside: Hole = ((y < 0) | (y > self.photo_height))[:, None] | ((x < 0) | (x > self.photo_width))
        return outside

    def fillable_hole(self, hole: Hole) -> Hole:
        """(height, width) bool: what of a hole the result shows, `crop_hole` without what lies beyond the photo."""
        return self.crop_hole(hole) & ~self.outside_photo()

    def uncrop_photo(self, working: Photo) -> Photo:
        """A working picture (height, width, 3) laid into a black frame (photo_height, photo_width, 3)."""
        self._check_shape(working.shape[:2], (self.height, self.width))
        frame = np.zeros((self.photo_height, self.photo_width, 3), np.uint8)
        x0, y0, x1, y1 = self._covered_pixels()
        if x1 <= x0 or y1 <= y0:
            return frame
        left, top, width, height = self.box
        across, down = self.width / width, self.height / height
        box = ((x0 - left) * across, (y0 - top) * down, (x1 - x0) * across, (y1 - y0) * down)
        frame[y0:y1, x0:x1] = _resample(working, box, x1 - x0, y1 - y0)
        return frame

    def covered_hole(self) -> Hole:
        """(photo_height, photo_width) bool: photo pixels whose centre the box holds; `uncrop_photo` fills these."""
        inside = np.zeros((self.photo_height, self.photo_width), np.bool_)
        x0, y0, x1, y1 = self._covered_pixels()
        inside[y0 : max(y0, y1), x0 : max(x0, x1)] = True
        return inside

    def to_photo(self, xy: npt.ArrayLike) -> Points:
        """Points (K, 2) of the working picture in the photo, both as pixel-centre coordinates x, y."""
        left, top, width, height = self.box
        step = np.array([width / self.width, height / self.height])
        points: Points = (np.asarray(xy, np.float64) + 0.5) * step + np.array([left, top]) - 0.5
        return points

    def to_working(self, xy: npt.ArrayLike) -> Points:
        """Points (K, 2) of the photo in the working picture; undoes `to_photo`."""
        left, top, width, height = self.box
        step = np.array([width / self.width, height / self.height])
        points: Points = (np.asarray(xy, np.float64) + 0.5 - np.array([left, top])) / step - 0.5
        return points

    def _covered_pixels(self) -> tuple[int, int, int, int]:
        left, top, width, height = self.box
        first_x, last_x = _snap(np.array([left, left + width]) - 0.5)
        first_y, last_y = _snap(np.array([top, top + height]) - 0.5)
        return (
            max(0, math.ceil(first_x)),
            max(0, math.ceil(first_y)),
            min(self.photo_width, math.ceil(last_x)),
            min(self.photo_height, math.ceil(last_y)),
        )

    def _check_bounds(self) -> None:
        sides = (self.width, self.height, self.photo_width, self.photo_height)
        if any(type(side) is not int or side < 1 for side in sides) or len(self.box) != 4:
            raise ValueError("not a crop: its sides are no numbers of pixels")
        if self.width * self.height > MOST_PIXELS or self.photo_width * self.photo_height > MOST_PIXELS:
            raise ValueError("not a crop: it is too large")
        longest = MOST_BEYOND * max(self.photo_width, self.photo_height)
        left, top, width, height = self.box
        if not (abs(left) <= longest and abs(top) <= longest and 0 < width <= longest and 0 < height <= longest):
            raise ValueError("not a crop: its box is not at the photo")

    def _check_shape(self, shape: tuple[int, ...], expected: tuple[int, int]) -> None:
        if tuple(shape) != expected:
            raise ValueError(f"an array of {shape} was given to a crop that expects {expected}")


def crop_whole(photo_height: int, photo_width: int, *, size: int, multiple: int) -> CropTransform:
    """The whole photo at an area of about size², sides multiples of `multiple`.

    The aspect is kept: the box reaches a little beyond the photo instead, evenly on both sides.
    """
    return _fit_box((0.0, 0.0, float(photo_width), float(photo_height)), photo_height, photo_width, size, multiple)


def crop_longest(photo_height: int, photo_width: int, *, longest: int) -> CropTransform:
    """The whole photo with its longest side at most `longest`, to whole pixels; never enlarged."""
    scale = min(1.0, longest / max(photo_height, photo_width))
    width, height = max(1, round(photo_width * scale)), max(1, round(photo_height * scale))
    return CropTransform((0.0, 0.0, float(photo_width), float(photo_height)), width, height, photo_width, photo_height)


def crop_window(hole: Hole, *, longest: int, context: float) -> CropTransform:
    """The hole and what surrounds it, its longest side at most `longest`, to whole pixels; never enlarged.

    The window is `context` times the longer side of the hole's bounding box, and `longest` photo pixels at least,
    moved into the photo; the whole photo where that is not much larger. So the hole of a long panorama is seen at a
    size at which there is something to see.

    Raises:
        ValueError: the hole (H, W) is empty.
    """
    height, width = hole.shape
    left, top, right, bottom = bounding_box(hole)
    side = math.ceil(max(longest, context * max(right - left, bottom - top)))
    if max(height, width) <= WORTHWHILE * side:
        return crop_longest(height, width, longest=longest)
    wide, high = min(side, width), min(side, height)
    x, y = round(_place(left, right - left, wide, width)), round(_place(top, bottom - top, high, height))
    fit = crop_longest(high, wide, longest=longest)
    return CropTransform((float(x), float(y), float(wide), float(high)), fit.width, fit.height, width, height)


def crop_around(hole: Hole, *, size: int, multiple: int, context: float) -> CropTransform:
    """The hole's bounding box with `context` × its sides on every side, at an area of about size².

    Every side gets at least 7.5 % where the photo has it. The crop stays in the photo where there is room and
    grows to the exact aspect of the working size; it also grows where a small hole would be enlarged more than
    twice. It holds every hole pixel.

    Raises:
        ValueError: the hole (H, W) is empty.
    """
    return crop_around_box(bounding_box(hole), *hole.shape, size=size, multiple=multiple, context=context)


def crop_around_box(
    box: tuple[int, int, int, int], photo_height: int, photo_width: int, *, size: int, multiple: int, context: float
) -> CropTransform:
    """As `crop_around`, of a hole with the bounding box left, top, right, bottom (exclusive)."""
    left, top, right, bottom = box
    margin = max(context, LEAST_MARGIN)
    x0, x1 = max(0.0, left - margin * (right - left)), min(float(photo_width), right + margin * (right - left))
    y0, y1 = max(0.0, top - margin * (bottom - top)), min(float(photo_height), bottom + margin * (bottom - top))
    width, height = x1 - x0, y1 - y0
    grow = max(1.0, size / MOST_ENLARGED / math.sqrt(width * height))
    wider, higher = min(width * grow, float(photo_width)), min(height * grow, float(photo_height))
    grown = (_place(x0, width, wider, photo_width), _place(y0, height, higher, photo_height), wider, higher)
    return _fit_box(grown, photo_height, photo_width, size, multiple)


def _fit_box(box: Box, photo_height: int, photo_width: int, size: int, multiple: int) -> CropTransform:
    """Working sides for a box, and the box grown to exactly their aspect."""
    left, top, width, height = box
    aspect = min(max(width / height, 1 / ASPECT), ASPECT)
    working_width = max(1, round(size * math.sqrt(aspect) / multiple)) * multiple
    working_height = max(1, round(size / math.sqrt(aspect) / multiple)) * multiple
    wider = max(width, height * working_width / working_height)
    higher = max(height, width * working_height / working_width)
    left, top = _place(left, width, wider, photo_width), _place(top, height, higher, photo_height)
    return CropTransform((left, top, wider, higher), working_width, working_height, photo_width, photo_height)


def _place(start: float, length: float, longer: float, limit: int) -> float:
    """Where an interval begins once grown evenly to `longer`, moved into 0..limit where it has room there."""
    start -= (longer - length) / 2
    if longer <= limit:
        return min(max(start, 0.0), limit - longer)
    return (limit - longer) / 2


def _snap(values: Points) -> Points:
    """Rounds away the noise of float arithmetic, which would make a footprint touch one pixel more."""
    nearest = np.rint(values)
    return np.where(np.abs(values - nearest) < 1e-6, nearest, values)


def _edges(start: float, length: float, count: int) -> Points:
    """The count + 1 edges of `count` equal footprints."""
    return _snap(np.asarray(start + np.arange(count + 1) * (length / count), np.float64))


def _mark_touched(hole: npt.NDArray[np.bool_], edges: Points) -> npt.NDArray[np.bool_]:
    """Along the first axis: any of the rows that each footprint touches; rows beyond the array count as True."""
    rows = []
    for low, high in zip(np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int), strict=True):
        outside = low < 0 or high > len(hole)
        rows.append(np.ones(hole.shape[1], np.bool_) if outside else hole[low:high].any(0))
    return np.stack(rows)


def _resample(pixels: Photo, box: Box, width: int, height: int) -> Photo:
    """The box of (H, W, 3) pixels at width × height; beyond the pixels their edges go on."""
    left, top, box_width, box_height = box
    if width < box_width:
        rows = _average_rows(pixels, _edges(top, box_height, height))
        columns = _average_rows(np.ascontiguousarray(np.swapaxes(rows, 0, 1)), _edges(left, box_width, width))
        return np.rint(np.clip(np.swapaxes(columns, 0, 1), 0, 255)).astype(np.uint8)
    x0, x1 = _snap(np.array([left, left + box_width]))
    y0, y1 = _snap(np.array([top, top + box_height]))
    before_x, before_y = max(0, math.ceil(-x0)), max(0, math.ceil(-y0))
    after_x, after_y = max(0, math.ceil(x1 - pixels.shape[1])), max(0, math.ceil(y1 - pixels.shape[0]))
    padded = cv2.copyMakeBorder(pixels, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE)
    inner = (x0 + before_x, y0 + before_y, x1 + before_x, y1 + before_y)
    # Pillow, not OpenCV: its boxes may be fractional and its positions are not rounded to 1/32 pixel.
    return np.array(Image.fromarray(padded).resize((width, height), Image.Resampling.BICUBIC, inner))


def _average_rows(values: npt.NDArray[np.uint8] | npt.NDArray[np.float32], edges: Points) -> npt.NDArray[np.float32]:
    """Along the first axis: the mean over each footprint, with its first and last rows counted in part."""
    rows = []
    for start, end in itertools.pairwise(edges):
        low, high = math.floor(start), math.ceil(end)
        weights = np.ones(high - low, np.float32)
        weights[0] -= start - low
        weights[-1] -= high - end
        inside = low >= 0 and high <= len(values)
        block = values[low:high] if inside else values[np.clip(np.arange(low, high), 0, len(values) - 1)]
        rows.append(np.tensordot(weights / weights.sum(), block.astype(np.float32, copy=False), axes=1))
    return np.stack(rows)
