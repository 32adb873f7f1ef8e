"""The last pixels: dense flow between target and warped reference on known pixels, carried smoothly into the hole.

The flow is that of Kroeger et al., Fast Optical Flow using Dense Inverse Search (2016), by OpenCV.
"""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from realfill.arrays import Hole, Photo, Points, WarpMap, Weight
from realfill.geometry.alignment import Warp
from realfill.geometry.mesh_warp import fit_mesh
from realfill.geometry.warping import shift_map, warp_photo
from realfill.imaging.holes import distance_from_hole

STEP = 12  # pixels between samples of the flow
MOST = 10.0  # pixels; larger ones are mistakes at this stage
NEAR = 0.15  # of the longer side: flow farther from the hole says nothing about it
DECAY = 0.15  # of the shift away from known pixels: carried straight on it does more harm than good
CAP = 40.0  # grey levels of error that count at most: something else is there
BETTER = 0.8  # of the error without flow that is left with it


def refine_warp(warp: Warp, colour: Callable[[Photo], Photo], reference: Photo, target: Photo, hole: Hole) -> Warp:
    """The warp after dense flow on known pixels, where that makes it better.

    Args:
        colour: brings the reference (H, W, 3) to the target's colours.
        target: (h, w, 3); what earlier references have filled counts as known.
        hole: (h, w), True where nothing is known.
    """
    raw, valid = warp_photo(reference, warp.map)
    before = colour(raw)
    shift = _estimate_shift(target, hole, before, valid, warp.placed)
    if shift is None:
        return warp
    bent = shift_map(warp.map, shift)
    after = colour(warp_photo(reference, bent)[0])
    around = ~hole & (valid > 0) & (distance_from_hole(hole) < NEAR * max(hole.shape))
    before_error, after_error = (
        np.minimum(np.abs(picture[around].astype(np.float32) - target[around]).mean(1), CAP).mean()
        for picture in (before, after)
    )
    return replace(warp, map=bent) if after_error < before_error else warp


def _estimate_shift(target: Photo, hole: Hole, warped: Photo, valid: Weight, anchors: Points) -> WarpMap | None:
    """A shift (h, w, 2) in pixels of the frame after which the warped reference fits the known pixels better.

    Anchors, points (K, 2) in the hole, stay where they are, as far as the flow around allows.
    """
    seen = ~hole & (valid > 0)
    grey = [cv2.cvtColor(np.where(seen[:, :, None], photo, warped), cv2.COLOR_RGB2GRAY) for photo in (target, warped)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey[0], grey[1], None)
    x, y = np.meshgrid(np.arange(hole.shape[1], dtype=np.float32), np.arange(hole.shape[0], dtype=np.float32))
    after = cv2.remap(grey[1], x + flow[:, :, 0], y + flow[:, :, 1], cv2.INTER_LINEAR)
    error = [cv2.blur(np.abs(one.astype(np.float32) - grey[0]), (9, 9)) for one in (grey[1], after)]
    distance = distance_from_hole(hole)
    good = seen & (distance > 4) & (distance < NEAR * max(hole.shape)) & (np.linalg.norm(flow, axis=2) < MOST)
    good &= (error[1] < BETTER * error[0]) | (error[0] < 3)
    at = np.argwhere(good[STEP // 2 :: STEP, STEP // 2 :: STEP])[:, ::-1] * STEP + STEP // 2
    if len(at) < 20:
        return None
    shift = flow[at[:, 1], at[:, 0]].astype(np.float64)
    texture = error[0][at[:, 1], at[:, 0]]
    weight = np.where(texture > 2, 0.3, 0.05)
    first = np.concatenate([at.astype(np.float64), anchors])
    second = first + np.concatenate([shift, np.zeros_like(anchors)])
    weight = np.concatenate([weight, np.full(len(anchors), 0.5)])
    bent = fit_mesh(np.eye(3), first, second, weight, shape=(hole.shape[0], hole.shape[1]), slope=DECAY)
    return np.asarray(bent - np.dstack([x, y]), np.float32)
