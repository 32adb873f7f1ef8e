"""Marking by SAM 2.1 through its process: what comes back, and what happens without it."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill import published
from ui.access import uploads
from ui.decoding import pointing
from ui.decoding.pointing import Pointing
from ui.errors import answer_errors
from ui.workbench import endpoints, mask_rle

# Stands in for the network: the box itself is the thing, and a point is nothing.
CODE = """
import sys
import numpy as np
from realfill.jobs import call_server

def mark(target, box, out):
    left, top, right, bottom = box
    hole = np.zeros((90, 140), np.bool_)
    hole[top:bottom, left:right] = True
    np.savez_compressed(out, hole=np.packbits(hole), shape=hole.shape)
    return {"found": bool(hole.any())}

call_server.serve({"mark": mark}, int(sys.argv[1]))
"""


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Pointing:
    made = Pointing((sys.executable, "-c", CODE))
    monkeypatch.setattr(pointing, "POINTING", made)
    return made


def test_the_page_asks_the_process_where_the_weights_are_here(
    process: Pointing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    target = uploads.place("brought", "one") / "target.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (140, 90), (90, 120, 90)).save(target)
    assert not pointing.is_here()
    asked = {"target": str(target), "box": [20, 10, 100, 80]}
    ask = answer_errors(endpoints.mark_object)
    assert "Nothing stands out" in ask(asked)["error"]  # by GrabCut: the photo is of one colour
    path = published.kept_path(published.SAM)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    answer = ask(asked)
    hole = np.zeros((90, 140), np.bool_)
    hole[10:80, 20:100] = True
    assert answer["by"] == "sam" and np.array_equal(mask_rle.decode(answer["strokes"]), hole)
    assert "Nothing stands out" in ask(asked | {"box": [20, 10, 20, 10]})["error"]
    assert not list(uploads.folder().rglob("hole.npz"))


def test_the_process_ends_when_nobody_asked_for_a_while(process: Pointing, tmp_path: Path) -> None:
    Image.new("RGB", (140, 90)).save(tmp_path / "a.png")
    assert process.mark(tmp_path / "a.png", (0, 0, 10, 10)) is not None
    process.rest()
    assert process._pool._idle
    process._asked = time.monotonic() - 2 * pointing.IDLE
    process.rest()
    assert not process._pool._idle
    assert process.mark(tmp_path / "a.png", (0, 0, 10, 10)) is not None  # and starts again
    process._pool.close()
