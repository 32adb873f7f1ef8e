"""What was painted, between browser and server: a hole as the lengths of its runs.

Row by row, the first run is known pixels (its length may be 0), then missing, then known, and so on. Each length
is a LEB128 number (seven bits a byte, lowest first), and the bytes are base64. A brush's mask of three megapixels
has some kilobytes, and what comes in can not be larger than it says.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole
from realfill.errors import SceneError
from realfill.sentences import Sentence

from ..access.bodies import MAX_STROKES

LONGEST = 2048  # pixels of the painted mask's longest side; the canvas paints at this size and it is enlarged
TOUCHED = 0.3  # of a small mask's pixel must be missing for it to be: thin lines stay visible
_WRONG = Sentence("What was painted did not arrive whole; reload the page, your scene is kept.")


def encode(hole: Hole) -> dict[str, Any]:
    """A hole (H, W) as {"height", "width", "runs"}."""
    flat = hole.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    lengths = np.diff(bounds)
    if flat.size and flat[0]:
        lengths = np.concatenate([[0], lengths])
    height, width = hole.shape
    return {"height": height, "width": width, "runs": base64.b64encode(_pack_lengths(lengths)).decode()}


def decode(value: Any) -> Hole:
    """The hole (H, W) that `encode`, or the browser, wrote.

    Raises:
        SceneError: it is anything else, or larger than the canvas makes it.
    """
    if not isinstance(value, Mapping):
        raise SceneError(_WRONG)
    height, width, text = value.get("height"), value.get("width"), value.get("runs")
    sides = [side for side in (height, width) if type(side) is int and 0 < side <= LONGEST]
    if len(sides) < 2 or not isinstance(text, str) or len(text) > MAX_STROKES:
        raise SceneError(_WRONG)
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise SceneError(_WRONG) from error
    lengths = _unpack_lengths(data)
    if int(lengths.sum()) != sides[0] * sides[1]:
        raise SceneError(_WRONG)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(sides[0], sides[1])


def reduce_mask(hole: Hole) -> Hole:
    """A hole (H, W) at the size at which the canvas paints."""
    scale = LONGEST / max(hole.shape)
    if scale >= 1:
        return hole
    size = (max(1, round(hole.shape[1] * scale)), max(1, round(hole.shape[0] * scale)))
    return np.asarray(cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= TOUCHED)


def enlarge_mask(hole: Hole, height: int, width: int) -> Hole:
    """A painted hole at the target's size (height, width), with smooth outlines.

    Raises:
        SceneError: it was painted on a picture of another shape.
    """
    if hole.shape == (height, width):
        return hole
    scale = max(hole.shape) / max(height, width)
    if max(abs(hole.shape[0] - height * scale), abs(hole.shape[1] - width * scale)) > 1.5:
        raise SceneError("The mask was painted on another photo than the target; paint it again.")
    share = cv2.resize(hole.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(share >= 0.5, np.bool_)


def _pack_lengths(lengths: npt.NDArray[np.int64]) -> bytes:
    """Lengths below 2**28 as LEB128."""
    groups = (lengths[:, None] >> np.array([0, 7, 14, 21])) & 0x7F
    count = 1 + (lengths[:, None] >= np.array([1 << 7, 1 << 14, 1 << 21])).sum(1)
    place = np.arange(4)
    data = groups | np.where(place < count[:, None] - 1, 0x80, 0)
    packed = np.asarray(data[place < count[:, None]], np.uint8)
    return packed.tobytes()


def _unpack_lengths(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise SceneError(_WRONG)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if int((ends - starts).max()) > 3:
        raise SceneError(_WRONG)
    place = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    return np.add.reduceat((data.astype(np.int64) & 0x7F) << (7 * place), starts)
