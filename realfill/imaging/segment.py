"""Marking by pointing: the object in a box, at a point or under rough marks, by GrabCut (Rother et al., SIGGRAPH 2004;
`cv2.grabCut`).

All look at a part of the photo at a small size, so that the photo's own size hardly counts.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.imaging.holes import bounding_box

LONGEST = 512  # pixels of the part that is looked at
AROUND = 0.35  # what is looked at beside the box, as a share of its sides: the background's colours come from there
ROUNDS = 4
MARKED_ROUNDS = 2  # where a person has said what is meant
GROWN = 0.006  # how far the object is grown, as a share of the photo's longest side: shadows and halos betray a removal
REACHES = (0.2, 0.4, 0.7, 1.2)  # sides of what is looked at round a point, as shares of the photo's longest side
SMALL = 256  # pixels of what is looked at round a point, where several surroundings are tried
ALIKE = 2.5  # standard deviations within which a colour is that at the point
LEAST_GAIN = 8  # times the point's own disc that an object has at least
CUT_OFF = 0.06  # share of the border of what is looked at from which on the object does not end within
MOST_PARTS = 12  # rough marks that are fitted each by itself

_Labels = npt.NDArray[np.uint8]


def mark_object(photo: Photo, box: tuple[int, int, int, int]) -> Hole:
    """The hole (H, W) of what stands out in a box (left, top, right, bottom; exclusive) of a photo (H, W, 3).

    It is grown a little. Empty where nothing stands out. Equal for equal arguments.
    """
    left, top, right, bottom = box
    part = _look(photo, box, AROUND)
    labels = np.full(part.small.shape[:2], cv2.GC_BGD, np.uint8)
    labels[part.rows(top, bottom), part.columns(left, right)] = cv2.GC_PR_FGD
    return part.place(_cut(part.small, labels))


def mark_at(photo: Photo, x: int, y: int) -> Hole:
    """The hole (H, W) of the thing at a point of a photo (H, W, 3), in the smallest surroundings in which it ends.

    It is grown a little. Equal for equal arguments.
    """
    longest, best = max(photo.shape[:2]), None
    for reach in REACHES:
        half = round(reach * longest / 2)
        part = _look(photo, (x - half, y - half, x + half, y + half), 0.0, longest=SMALL)
        at = int((x - part.left) * part.scale), int((y - part.top) * part.scale)
        labels, band = _label_point(part.small, at)
        seed = int((labels == cv2.GC_FGD).sum())
        found = _component(_cut(part.small, labels), at)
        border = np.concatenate([found[band], found[-band - 1], found[:, band], found[:, -band - 1]])
        if best is None or found.sum() > LEAST_GAIN * seed:
            best = part, found
            if found.sum() > LEAST_GAIN * seed and border.mean() < CUT_OFF:
                break
    assert best is not None
    return best[0].place(best[1])


def _label_point(small: Photo, at: tuple[int, int]) -> tuple[_Labels, int]:
    """What GrabCut begins with round a point (x, y), and how wide the border is that counts as background.

    Probably of the object is what lies near, and what is coloured as the point is and hangs together with it.
    """
    height, width = small.shape[:2]
    side = max(height, width)
    band, near = max(2, round(0.03 * side)), np.zeros((height, width), np.uint8)
    cv2.circle(near, at, max(3, round(0.04 * side)), 1, -1)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    seen = lab[near > 0]
    spread = np.maximum(seen.std(0), 6.0)
    alike = (((lab - seen.mean(0)) / spread) ** 2).sum(2) < ALIKE**2
    alike = _component((alike | (near > 0)).astype(np.uint8), at) > 0
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    cv2.circle(labels, at, round(0.12 * side), int(cv2.GC_PR_FGD), -1)
    labels[alike] = cv2.GC_PR_FGD
    labels[:band] = labels[-band:] = labels[:, :band] = labels[:, -band:] = cv2.GC_BGD
    cv2.circle(labels, at, max(2, round(0.015 * side)), int(cv2.GC_FGD), -1)
    return labels, band


def fit_to_edges(photo: Photo, marks: Hole) -> Hole:
    """Rough marks (H, W) on a photo (H, W, 3), each fitted to the edges of what it lies on.

    It is grown a little, as an object that was pointed at. A mark under which nothing stands out stays as it is.
    """
    count, numbers = cv2.connectedComponents(marks.astype(np.uint8))
    fitted = np.zeros_like(marks)
    for number in range(1, count):
        mark = numbers == number
        found = _fit_one(photo, mark) if count <= MOST_PARTS else mark
        fitted |= found if found.any() else mark
    return fitted


def _fit_one(photo: Photo, mark: Hole) -> Hole:
    part = _look(photo, bounding_box(mark), AROUND)
    height, width = part.small.shape[:2]
    inside = cv2.resize(part.cut(mark).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    if not inside.any() or inside.all():
        return mark
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    labels = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[away > 0.5 * AROUND * max(height, width) / (1 + 2 * AROUND)] = cv2.GC_BGD
    labels[depth > 0.6 * depth.max()] = cv2.GC_FGD
    return part.place(_cut(part.small, labels, MARKED_ROUNDS))


@dataclass(frozen=True)
class _Part:
    """A part of a photo, at `scale` of its size."""

    small: Photo
    left: int
    top: int
    right: int
    bottom: int
    scale: float
    height: int  # of the photo
    width: int

    def rows(self, top: int, bottom: int) -> slice:
        """The rows of `small` that show these of the photo."""
        return slice(round((top - self.top) * self.scale), round((bottom - self.top) * self.scale))

    def columns(self, left: int, right: int) -> slice:
        """The columns of `small` that show these of the photo."""
        return slice(round((left - self.left) * self.scale), round((right - self.left) * self.scale))

    def cut(self, hole: Hole) -> Hole:
        """The part's own piece of a hole of the photo."""
        return hole[self.top : self.bottom, self.left : self.right]

    def place(self, found: _Labels) -> Hole:
        """What was found in `small`, in the photo and grown."""
        hole = np.zeros((self.height, self.width), np.bool_)
        if found.any():
            grown = grow_object(found, self.scale * max(self.height, self.width)).astype(np.uint8)
            size = (self.right - self.left, self.bottom - self.top)
            hole[self.top : self.bottom, self.left : self.right] = cv2.resize(grown, size) > 0
        return hole


def grow_object(found: npt.NDArray[np.uint8 | np.bool_], longest: float) -> Hole:
    """An object, grown by the few pixels in which shadows and halos lie; `longest` is the whole photo's longest side.

    It is grown at the size at which it was found: a wide disc over many pixels takes seconds.
    """
    reach = 2 * max(2, round(GROWN * longest)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return np.asarray(cv2.dilate(found.astype(np.uint8), kernel) > 0)


def _look(photo: Photo, box: tuple[int, int, int, int], around: float, longest: int = LONGEST) -> _Part:
    """The part of a photo in a box and, on each side, `around` times its sides."""
    height, width = photo.shape[:2]
    left, top, right, bottom = box
    across, down = round(around * (right - left)) + 2, round(around * (bottom - top)) + 2
    x0, y0, x1, y1 = max(0, left - across), max(0, top - down), min(width, right + across), min(height, bottom + down)
    part = np.ascontiguousarray(photo[y0:y1, x0:x1])
    scale = min(1.0, longest / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else part
    return _Part(np.asarray(small), x0, y0, x1, y1, scale, height, width)


def _cut(small: Photo, labels: _Labels, rounds: int = ROUNDS) -> _Labels:
    """1 where the object is, after GrabCut from these labels; specks are no object."""
    is_object = (labels == cv2.GC_PR_FGD) | (labels == cv2.GC_FGD)
    if is_object.sum() < 16 or (~is_object).sum() < 16:
        return np.zeros(labels.shape, np.uint8)
    cv2.setRNGSeed(0)  # the colour models begin from random centres
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)


def _component(found: _Labels, at: tuple[int, int]) -> _Labels:
    """The connected part of what was found that holds a point (x, y)."""
    _, numbers = cv2.connectedComponents(found)
    x, y = min(max(at[0], 0), found.shape[1] - 1), min(max(at[1], 0), found.shape[0] - 1)
    number = numbers[y, x]
    return np.asarray((numbers == number) & (found > 0), np.uint8)
