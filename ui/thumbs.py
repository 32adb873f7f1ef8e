"""Small pictures made beside the page's answers: who asks gets what is there, the rest is made meanwhile."""

import urllib.parse
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from realfill.errors import RealFillError
from ui import uploads

REMEMBERED = 4096
BROKEN = "about:blank"  # of a picture that cannot be read; it is not asked for again


def url(path: str | Path) -> str:
    """The address, relative to the page's own, of a file in the private folder."""
    return "gradio_api/file=" + urllib.parse.quote(str(path))


class Thumbs:
    """Thumbnails by picture file and its state; one thread makes them, in the order asked for."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="thumbs")
        self._known: OrderedDict[tuple[str, int, int], Future[str]] = OrderedDict()

    def url(self, path: Path, longest: int = uploads.THUMB) -> str:
        """The address of a small picture of `path`; empty while it is being made."""
        try:
            state = path.stat()
        except OSError:  # being replaced at this moment
            return ""
        key = (str(path), state.st_mtime_ns, longest)
        made = self._known.get(key)
        if made is None or (made.done() and not made.exception() and not Path(made.result()).exists()):
            made = self._known[key] = self._pool.submit(uploads.thumbnail, path, longest)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if not made.done():
            return ""
        error = made.exception()
        if error is None:
            return url(made.result())
        if not isinstance(error, (RealFillError, OSError)):
            raise error
        return BROKEN
