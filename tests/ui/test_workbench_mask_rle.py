import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from realfill.errors import SceneError
from ui.access.bodies import MAX_STROKES
from ui.workbench import mask_rle
from ui.workbench.mask_rle import enlarge_mask, reduce_mask


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_a_hole_comes_back_as_it_was(hole: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    assert np.array_equal(mask_rle.decode(mask_rle.encode(hole)), hole)


@pytest.mark.parametrize("value", [False, True])
def test_long_runs_come_back(value: bool) -> None:
    hole = np.full((2048, 2048), value)
    hole[1000, 300:500] = not value
    packed = mask_rle.encode(hole)
    assert len(packed["runs"]) < 40
    assert np.array_equal(mask_rle.decode(packed), hole)


def wire(height: Any, width: Any, data: bytes) -> dict[str, Any]:
    return {"height": height, "width": width, "runs": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "given",
    [
        "data:image/png;base64,xx", [], {}, wire(2, 2, b""), wire(2, 2, b"\x05"), wire(2, 2, b"\x03"),
        wire(2, 2, b"\x84"), wire(2, 2, b"\xff\xff\xff\xff\x7f"), wire(2, 2, b"\x80" * 9 + b"\x00"),
        wire(0, 2, b"\x00"), wire(-2, -2, b"\x04"), wire(2049, 1, b"\x81\x10"), wire(2.0, 2, b"\x04"),
        wire(True, 4, b"\x04"), wire("2", 2, b"\x04"), wire(2, 2, b"\x04") | {"runs": "!!!"},
        wire(2, 2, b"\x04") | {"runs": None}, wire(2, 2, b"\x04") | {"runs": "é"},
        wire(2, 2, b"\x04") | {"runs": "A" * (MAX_STROKES + 4)},
    ],
)  # fmt: skip
def test_what_the_canvas_does_not_send_is_refused(given: Any) -> None:
    with pytest.raises(SceneError, match="reload the page"):
        mask_rle.decode(given)


def test_enlarging_keeps_the_place() -> None:
    small = np.zeros((30, 40), np.bool_)
    small[10:20, 5:15] = True
    large = enlarge_mask(small, 120, 160)
    rows, columns = np.flatnonzero(large.any(1)), np.flatnonzero(large.any(0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (40, 80, 20, 60)
    assert enlarge_mask(small, 30, 40) is small


def test_a_mask_of_another_photo_is_refused() -> None:
    with pytest.raises(SceneError, match="another photo"):
        enlarge_mask(np.ones((30, 40), np.bool_), 160, 120)


def test_reducing_keeps_thin_lines_and_the_place() -> None:
    hole = np.zeros((3000, 4096), np.bool_)
    hole[1000:1001, 200:3000] = True
    small = reduce_mask(hole)
    assert small.shape == (1500, 2048)
    assert small[500, 100:1500].all()
    assert small.sum() == 1400
    assert reduce_mask(small) is small
