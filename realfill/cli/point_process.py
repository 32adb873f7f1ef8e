"""`python -m realfill.cli.point_process MEMORY`: marks by pointing with SAM 2.1, for the page, which imports no torch.

MEMORY is in bytes. The other end is `realfill.jobs.call_pool`.
"""

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realfill import published
from realfill.arrays import Photo
from realfill.errors import WeightsError
from realfill.garbage import collect_rarely
from realfill.imaging.photo import read_photo
from realfill.jobs import call_server

if TYPE_CHECKING:
    from realfill.models.pointing import Pointer


def main(arguments: Sequence[str]) -> None:
    """Serves the calls of whoever started it."""
    collect_rarely()
    import realfill.models.pointing  # noqa: F401  what it takes by itself is not counted

    if hasattr(os, "nice"):
        os.nice(5)
    call_server.serve({"mark": mark}, int(arguments[0]))


def mark(target: str, box: Sequence[int], out: str) -> dict[str, Any]:
    """Writes the hole of what is in a box, or at a point, of a photo to a file: {"found": whether it holds anything}.

    Raises:
        SceneError, WeightsError: photo or weights cannot be read.
    """
    left, top, right, bottom = box
    key = target, Path(target).stat().st_mtime_ns
    hole = _load_pointer().mark(_read(*key), (left, top, right, bottom), key)
    np.savez_compressed(out, hole=np.packbits(hole), shape=hole.shape)
    return {"found": bool(hole.any())}


@functools.cache
def _load_pointer() -> "Pointer":
    from realfill.models.pointing import Pointer

    path = published.kept_path(published.SAM)
    if not path.is_file():
        raise WeightsError("{title} is not on this machine; fetch it first.", title=published.SAM.title)
    return Pointer(path)


@functools.lru_cache(maxsize=1)
def _read(path: str, changed: int) -> Photo:
    return read_photo(Path(path))


if __name__ == "__main__":
    main(sys.argv[1:])
