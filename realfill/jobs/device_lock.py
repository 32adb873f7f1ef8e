"""One run at a time on a device, for all processes of a user."""

import contextlib
import getpass
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from realfill.errors import RunBusy
from realfill.jobs.queue import FOREVER
from realfill.locks import Lock


@contextlib.contextmanager
def hold_device(name: str, *, check: Callable[[], None], waits: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds a device, such as "cuda" or "cpu", for this process alone, among all of this user on this machine.

    Where it is taken, `waits` is called once and then `check` between tries, which may raise to give up.
    Without `waits` a taken device is an error.

    Raises:
        RunBusy: the device is taken and `waits` is None.
    """
    lock = Lock(_device_file(name))
    if not lock.acquire():
        if waits is None:
            raise RunBusy("Another RealFill run is using the device {name}; wait for it or stop it first.", name=name)
        waits()
        lock.acquire(patience=FOREVER, check=check)
    try:
        yield
    finally:
        lock.release()


def _device_file(name: str) -> Path:
    """REALFILL_LOCKS moves the lock files, for tests and for machines without a common temporary folder."""
    folder = Path(os.environ.get("REALFILL_LOCKS") or tempfile.gettempdir())
    name = "cuda:0" if name == "cuda" else name  # the same device by two names
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") if name.startswith("cuda") else ""
    with contextlib.suppress(OSError, KeyError, ImportError):
        visible = f"{getpass.getuser()}-{visible}"  # another user's lock file could not be opened
    return folder / f"realfill-{re.sub(r'[^A-Za-z0-9]+', '-', f'{visible}-{name}').strip('-')}.lock"
