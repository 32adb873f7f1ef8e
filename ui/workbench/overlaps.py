"""The quiet look at how much references and target share: one at a time, remembered by what the files hold."""

import functools
import hashlib
import threading
from pathlib import Path

from realfill.matching import overlap
from realfill.matching.overlap import count_shared
from realfill.matching.rootsift import Keypoints

from ..decoding import decoder

REMEMBERED = 64  # photos whose points are kept: 1.5 MB each at most


class Overlaps:
    """Counts of shared points. One is counted at a time, so that a page with five references leaves cores free."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[str, Path] = {}
        self._points = functools.lru_cache(maxsize=REMEMBERED)(self._look)
        self._counts: dict[tuple[str, str], int] = {}

    def count_points(self, reference: Path, target: Path) -> int:
        """How many points of the target photo are found in the reference.

        Raises:
            SceneError: one of the files is not a photo that can be used.
        """
        one, other = _content(reference), _content(target)
        with self._guard:
            if (one, other) not in self._counts:
                self._held = {one: reference, other: target}
                self._counts[one, other] = count_shared(self._points(one), self._points(other))
                while len(self._counts) > REMEMBERED**2:
                    del self._counts[next(iter(self._counts))]
            return self._counts[one, other]

    def is_same(self, reference: Path, target: Path) -> bool:
        """Whether both files hold the very same bytes."""
        return _content(reference) == _content(target)

    def is_little(self, count: int) -> bool:
        """Whether a reference that shares so much may show another place."""
        return overlap.is_little(count)

    def _look(self, content: str) -> Keypoints:
        return decoder.find_keypoints(self._held[content])


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
