"""What lists of runs need to know of each run, read again only where its files changed, and kept over restarts.

A folder of runs may have hundreds, and opening three files of each takes seconds where files are slow to open.
"""

import contextlib
import dataclasses
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from realfill import files
from realfill.errors import RealFillError, RunError
from realfill.runs.labels import Labels
from realfill.runs.run import parse_timestamp
from realfill.runs.status import RunFolder, State

NAME = ".index.json"
UNSAVED = 16  # runs that may be known and not be kept yet: the file is not written for every change
_FILES = ("run.json", "state.json", "labels.json")
Stamp = tuple[tuple[int, int, int], ...]  # of each file: when it was written, its size and its place on the disk


@dataclass(frozen=True)
class RunFacts:
    """What lists show of a run. `created` is in seconds since 1970; `owner` is empty where it is everybody's.

    `opens`: whether run.json and state.json can be read; state and time mean nothing where they cannot.
    """

    name: str
    owner: str
    opens: bool
    state: State = "stopped"
    created: float = 0.0
    ticket: int = 0  # by which queued runs are in order


@dataclass(frozen=True)
class _Entry:
    stamp: Stamp
    facts: RunFacts


_ENTRIES = TypeAdapter(dict[str, _Entry])


class RunIndex:
    """The facts of the runs in one folder; `kept`: whether they lie in a file beside the runs."""

    def __init__(self, runs_dir: Path, *, kept: bool = True) -> None:
        self._path = runs_dir / NAME if kept else None
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry] | None = None
        self._unsaved = 0

    def facts(self, folder: Path) -> RunFacts:
        """The facts of a run as its files say them now. An unchanged one costs three `stat` calls.

        Raises:
            RunError: its labels cannot be read, so that nobody knows whose it is.
        """
        with self._guard:
            if self._entries is None:
                self._entries = self._load()
            entry, stamp = self._entries.get(folder.name), _stamp(folder)
            if entry is not None and entry.stamp == stamp and entry.facts.state != "running":  # its heart may stop
                return entry.facts
            fresh = _Entry(stamp, _read_facts(folder))
            self._entries[folder.name] = fresh
            self._unsaved += fresh != entry
            return fresh.facts

    def keep(self, folders: list[Path]) -> None:
        """Keeps what is known of these runs, all there are, where enough of it is new."""
        with self._guard:
            if self._path is None or self._unsaved < UNSAVED or self._entries is None:
                return
            names = {folder.name for folder in folders}
            self._entries = {name: entry for name, entry in self._entries.items() if name in names}
            plain = {name: dataclasses.asdict(entry) for name, entry in self._entries.items()}
            self._unsaved = 0
            with contextlib.suppress(RealFillError):  # on a full disk it is read from the runs again
                files.write_json(self._path, {"runs": plain})

    def _load(self) -> dict[str, _Entry]:
        if self._path is None:
            return {}
        try:
            kept = files.read_json(self._path) or {}
            return _ENTRIES.validate_python(kept.get("runs", {}))
        except (RealFillError, ValueError):  # of another version, or changed by hand
            return {}


def _stamp(folder: Path) -> Stamp:
    return tuple(_stamp_file(os.path.join(folder, name)) for name in _FILES)


def _stamp_file(path: str) -> tuple[int, int, int]:
    try:
        state = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (state.st_mtime_ns, state.st_size, state.st_ino)


def _read_facts(folder: Path) -> RunFacts:
    labels = Labels(folder)
    owner, name = str(labels.read().get("owner") or ""), labels.name
    try:
        data = files.read_json(folder / "run.json") or {}
        created = parse_timestamp(str(data.get("created")))
        status = RunFolder(folder).status()
        return RunFacts(name, owner, True, status.state, created, status.ticket)
    except (RunError, OSError, ValueError, OverflowError):
        return RunFacts(name, owner, opens=False)
