"""Marking by pointing: the object in a box, by GrabCut (Rother et al., SIGGRAPH 2004; `cv2.grabCut`)."""

import cv2
import numpy as np

from realfill.arrays import Hole, Photo

LONGEST = 512  # pixels of the part that is looked at
AROUND = 0.35  # what is looked at beside the box, as a share of its sides: the background's colours come from there
ROUNDS = 4
GROWN = 0.006  # how far the object is grown, as a share of the photo's longest side: shadows and halos betray a removal


def mark_object(photo: Photo, box: tuple[int, int, int, int]) -> Hole:
    """The hole (H, W) of what stands out in a box (left, top, right, bottom; exclusive) of a photo (H, W, 3).

    It is grown a little. Empty where nothing stands out. Equal for equal arguments.
    """
    height, width = photo.shape[:2]
    left, top, right, bottom = box
    across, down = round(AROUND * (right - left)) + 2, round(AROUND * (bottom - top)) + 2
    x0, y0, x1, y1 = max(0, left - across), max(0, top - down), min(width, right + across), min(height, bottom + down)
    part = np.ascontiguousarray(photo[y0:y1, x0:x1])
    scale = min(1.0, LONGEST / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else part
    found = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    rows = slice(round((top - y0) * scale), round((bottom - y0) * scale))
    columns = slice(round((left - x0) * scale), round((right - x0) * scale))
    found[rows, columns] = cv2.GC_PR_FGD
    hole = np.zeros((height, width), np.bool_)
    if (found == cv2.GC_PR_FGD).sum() < 16 or (found == cv2.GC_BGD).sum() < 16:
        return hole
    cv2.setRNGSeed(0)  # the colour models begin from random centres
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, found, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    object_ = np.isin(found, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    object_ = cv2.morphologyEx(object_, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # specks are no object
    if not object_.any():
        return hole
    large = cv2.resize(object_, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    reach = 2 * max(2, round(GROWN * max(height, width))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    hole[y0:y1, x0:x1] = cv2.dilate(large, kernel) > 0
    return hole
