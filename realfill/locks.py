"""Locks between processes, with a heartbeat: who holds one is known even after a kill -9.

The operating system frees a lock with its process. The lock file's modification time is the heartbeat,
renewed by a thread, for readers that want to know how long ago the holder was last alive. filelock locks the
open file (flock, LockFileEx); opening it stays ours, since `filelock.FileLock` would go on with a marker file,
which outlives a kill, where a disk knows no locks.

Machines that share a disk may not see one another's locks (NFS with `nolock` or `local_lock=flock`). So the file also
names its holder: one on another machine whose heart beats holds the lock, whatever the disk says, and a holder whose
name was written over has lost it (`is_ours`).
"""

import contextlib
import os
import platform
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import lock_descriptor

from realfill import files
from realfill.errors import RealFillError, RunError
from realfill.files import speak_refusals

BEAT = 3.0  # seconds between heartbeats
STALE = 15.0  # a heartbeat older than this many seconds means that the holder is gone
HOST = platform.node()
_PAUSE = 0.1  # seconds between tries
_LONGEST_NAME = 512  # bytes of a holder's name


class Lock:
    """One holder at a time, on this machine, for the file `path`. Not for threads: one object, one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        self._end = threading.Event()
        self._name = f"{HOST} {os.getpid()} {secrets.token_hex(8)}".encode()

    @property
    def is_held(self) -> bool:
        """Whether this very object holds the lock."""
        return self._handle is not None

    def is_ours(self) -> bool:
        """Whether this object holds the lock and nobody on another machine has taken it since."""
        return self._handle is not None and _read_name(self._handle) in (self._name, b"")

    def acquire(self, *, patience: float = 0.5, check: Callable[[], None] | None = None) -> bool:
        """Takes the lock; tries for `patience` seconds, since `is_free` holds it for a moment too.

        `check` is called between tries and may raise to give up. Returns whether the lock is held now.

        Raises:
            RunError, DiskFull: the lock file cannot be made, or its disk knows no locks.
        """
        if self.is_held:
            return True
        until = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= until:
                return False
            if check is not None:
                check()
            time.sleep(_PAUSE)
        self._write_name()
        self._end = threading.Event()
        threading.Thread(target=_beat, args=(self.path, self._end), name="heartbeat", daemon=True).start()
        return True

    def release(self) -> None:
        """Gives the lock back; nothing happens where it is not held.

        The heartbeat ends with it, so that nobody takes who has just gone for alive.
        """
        self._end.set()
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.utime(self.path, (0, 0))
            os.close(self._handle)
            self._handle = None

    def is_free(self) -> bool:
        """Whether nobody holds the lock, this object included.

        Raises:
            RunError, DiskFull: as `acquire`.
        """
        if self.is_held:
            return False
        if not self.path.exists():
            return True
        if not self._try():
            return False
        self.release()
        return True

    def age(self) -> float:
        """Seconds since the last heartbeat: very many where the lock was given back, infinite where there was none."""
        try:
            return time.time() - self.path.stat().st_mtime
        except OSError:
            return float("inf")

    def _try(self) -> bool:
        with speak_refusals(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            locked = lock_descriptor(handle, blocking=False)
        except OSError as error:
            os.close(handle)
            raise RunError(
                "Nothing can be locked in {parent} ({reason}); put the runs, or by REALFILL_LOCKS the "
                "locks of the devices, on another disk.",
                parent=self.path.parent,
                reason=error.strerror or error,
            ) from error
        if locked and not self._is_held_elsewhere(handle):
            self._handle = handle
            return True
        os.close(handle)
        return False

    def _is_held_elsewhere(self, handle: int) -> bool:
        """Whether a process on another machine holds the lock that the disk has given to us as well."""
        host, beat = _read_name(handle).split(b" ")[0], os.fstat(handle).st_mtime
        if beat == 0 or host in (b"", HOST.encode()):
            return False
        with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=self.path.parent) as now:
            return abs(os.fstat(now.fileno()).st_mtime - beat) <= STALE  # by the clock of the disk, as the beats are
        return abs(time.time() - beat) <= STALE

    def _write_name(self) -> None:
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            os.utime(self.path)
        with contextlib.suppress(OSError):  # on a full disk the lock stays nameless, and is held all the same
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, self._name)
            os.fsync(self._handle)


def find_disk_trouble(folder: Path) -> str:
    """Why a disk cannot keep runs, "" where it can: one is written, synced, renamed, appended to, locked there."""
    probe, lock = folder / f".probe-{secrets.token_hex(6)}", Lock(folder / f".probe-{secrets.token_hex(6)}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for text in ("first", "second"):
            files.write_bytes(probe, text.encode())
        files.append_line(probe, "third")
        if probe.read_bytes() != b"second\nthird\n":
            return "what is renamed or appended does not come back"
        return "" if lock.acquire() else "a lock that nobody holds is not given"
    except (OSError, RealFillError) as error:
        return str(error)
    finally:
        lock.release()
        for path in (probe, lock.path):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _read_name(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, _LONGEST_NAME)


def _beat(path: Path, end: threading.Event) -> None:
    while not end.wait(BEAT):
        with contextlib.suppress(OSError):  # a deleted folder needs no heartbeat
            os.utime(path)
