"""What this machine has and what of it is in use: disk, memory, GPUs. No torch; NVIDIA's own program is asked."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_REMEMBERED = 1.5  # seconds for which an answer about GPUs serves everybody
_PATIENCE = 5.0  # seconds that NVIDIA's program may take
_QUERY = ("nvidia-smi", "--query-gpu=name,memory.used,memory.total,utilization.gpu", "--format=csv,noheader,nounits")
_MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """A GPU: bytes of its memory, and how busy it is, 0..1."""

    name: str
    used: int
    total: int
    busy: float


@dataclass(frozen=True)
class Live:
    """What changes from second to second. Memory is in bytes, `processor` is 0..1 of all cores."""

    memory_used: int
    memory_total: int
    processor: float
    gpus: list[Gpu]


class Meter:
    """Looks at memory, processor and GPUs."""

    def __init__(self, query: tuple[str, ...] = _QUERY) -> None:
        self._query = query
        self._guard = threading.Lock()
        self._gpus: list[Gpu] = []
        self._asked = float("-inf")
        psutil.cpu_percent()  # it tells of the time since it was asked before, and nothing the first time

    def look(self) -> Live:
        """How it is now."""
        memory = psutil.virtual_memory()
        used = int(memory.total - memory.available)
        return Live(used, int(memory.total), psutil.cpu_percent() / 100, self._look_at_gpus())

    def _look_at_gpus(self) -> list[Gpu]:
        with self._guard:  # many tabs cost one question
            if time.monotonic() - self._asked > _REMEMBERED:
                self._gpus = _ask_gpus(self._query)
                self._asked = time.monotonic()
            return self._gpus


def _ask_gpus(query: tuple[str, ...]) -> list[Gpu]:
    """The NVIDIA GPUs of this machine; none where the program is not there or does not answer."""
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [gpu for line in said.splitlines() if (gpu := _read_gpu(line)) is not None]


def _read_gpu(line: str) -> Gpu | None:
    """`NVIDIA L4, 512, 23034, 7` as the program writes it; "[N/A]" where it does not know counts as 0."""
    parts = [part.strip() for part in line.rsplit(",", 3)]
    if len(parts) != 4:
        return None
    used, total, busy = (int(part) if part.isdecimal() else 0 for part in parts[1:])
    return Gpu(parts[0], used * _MIB, total * _MIB, busy / 100)


def folder_bytes(folders: Iterable[Path]) -> dict[str, int]:
    """Bytes on the disk of each folder, by its name; a file that several share counts for the first alone."""
    seen: set[tuple[int, int]] = set()
    sizes = {}
    for folder in folders:
        sizes[folder.name] = 0
        for path in folder.rglob("*"):
            try:
                state = path.lstat()
            except OSError:  # deleted at this moment
                continue
            if (state.st_dev, state.st_ino) in seen:
                continue
            if state.st_nlink > 1:
                seen.add((state.st_dev, state.st_ino))
            sizes[folder.name] += state.st_size
    return sizes


def free_bytes(folder: Path) -> tuple[int, int]:
    """Bytes that are free on the disk of a folder, and all that it has."""
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total
