"""Marking by pointing with SAM 2.1, where its weights are here: by a process of its own, since it needs torch."""

import secrets
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from realfill import published
from realfill.jobs.call_pool import Bounds, CallPool

from ..access import uploads
from ..workbench import mask_rle
from ..workbench.mask_rle import reduce_mask
from .decoder import ROOT

SECONDS = 60.0  # of processor time: the first look at a photo
IDLE = 600.0  # seconds without a question after which the process may go
COMMAND = (sys.executable, "-m", "realfill.cli.point_process")


class Pointing:
    """The process, and when it was asked last."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._pool = CallPool(command, ROOT, Bounds(processes=1, memory=6 * 2**30))
        self._asked = 0.0

    def mark(self, target: Path, box: tuple[int, int, int, int]) -> dict[str, Any] | None:
        """What is in a box of a photo, or at a point, as painted strokes; None: nothing.

        Raises:
            SceneError, WeightsError: photo or weights cannot be used.
        """
        self._asked = time.monotonic()
        out = uploads.place("pointed", secrets.token_hex(16)) / "hole.npz"
        try:
            asked = {"target": str(target), "box": list(box), "out": str(out)}
            if not self._pool.call("mark", asked, subject=target.name, seconds=SECONDS)["found"]:
                return None
            with np.load(out, allow_pickle=False) as arrays:
                height, width = (int(side) for side in arrays["shape"])
                hole = np.unpackbits(arrays["hole"], count=height * width).reshape(height, width).astype(np.bool_)
            return mask_rle.encode(reduce_mask(hole))
        finally:
            out.unlink(missing_ok=True)

    def rest(self) -> None:
        """Ends the process where nobody has asked for a while: it holds a gigabyte of memory."""
        if time.monotonic() - self._asked > IDLE:
            self._pool.close()


POINTING = Pointing()  # one for the server


def is_here() -> bool:
    """Whether the weights are on this machine."""
    return published.kept_path(published.SAM).is_file()
