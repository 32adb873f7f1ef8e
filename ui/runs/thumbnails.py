"""Small pictures made beside the page's answers: who asks gets what is there, the rest is made meanwhile."""

import time
import urllib.parse
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from realfill.errors import RealFillError
from realfill.jobs.call_pool import PoolBusy

from ..access import uploads
from ..decoding import decoder

REMEMBERED = 4096
AGAIN = 5.0  # seconds until one that the disk refused is tried once more
BROKEN = "about:blank"  # of a picture that cannot be read; it is not asked for again


def url(path: str | Path) -> str:
    """The address, relative to the page's own, of a file in the private folder."""
    return "gradio_api/file=" + urllib.parse.quote(str(path))


@dataclass(frozen=True)
class _ThumbnailJob:
    """One thumbnail that was asked for, and what became of it."""

    address: Future[str]
    asked: float = field(default_factory=time.monotonic)

    def is_refused(self) -> bool:
        """Whether the disk refused, which may pass: it is full, or the file is being replaced; or nobody had time."""
        error = self.address.exception() if self.address.done() else None
        cause = None if error is None else error.__cause__
        # Pillow says by an OSError, too, that a picture is damaged; those have no number
        return isinstance(error, (OSError, PoolBusy)) or (isinstance(cause, OSError) and cause.errno is not None)

    def needs_remake(self) -> bool:
        """Whether it has to be made once more."""
        if not self.address.done():
            return False
        if self.address.exception() is None:
            return not Path(self.address.result()).exists()
        return self.is_refused() and time.monotonic() - self.asked >= AGAIN


class Thumbnails:
    """Thumbnails by picture file and its state; one thread makes them, in the order asked for."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="thumbnails")
        self._known: OrderedDict[tuple[str, int, int], _ThumbnailJob] = OrderedDict()

    def url(self, path: Path, longest: int = uploads.THUMBNAIL) -> str:
        """The address of a small picture of `path`; empty while it is being made, or the disk refuses it."""
        try:
            state = path.stat()
        except OSError:  # being replaced at this moment
            return ""
        key = (str(path), state.st_mtime_ns, longest)
        job = self._known.get(key)
        if job is None or job.needs_remake():
            job = self._known[key] = _ThumbnailJob(self._pool.submit(decoder.thumbnail, path, longest))
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if not job.address.done() or job.is_refused():
            return ""
        error = job.address.exception()
        if error is None:
            return url(job.address.result())
        if not isinstance(error, RealFillError):
            raise error
        return BROKEN
