"""Weights of bases and of what marks by pointing: what is on this machine, fetched, cancelled, removed.

Fetching is another process' (`realfill.cli.fetch_process`), which may be killed at any moment: what came stays, and the
next one goes on.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from realfill import files, published
from realfill.bases import BASES, base_facts, sources
from realfill.errors import OptionError, RunBusy
from realfill.published import SAM
from realfill.sentences import Sentence

from ..language.catalogue import translate, translate_measures
from ..runs import jobs

COMMAND = (sys.executable, "-m", "realfill.cli.fetch_process")  # the base's name comes last
POINTER = "sam2.1-tiny"  # what `realfill.cli.fetch_process` calls it
BROKEN_OFF = Sentence("The download ended unexpectedly; fetch it again, it goes on from there.")
State = Literal["embedded", "here", "partly", "absent"]


@dataclass(frozen=True)
class Weights:
    """The weights of a base. `bytes` are those on the disk, `gigabytes` what all of it takes."""

    name: str
    note: str
    state: State
    bytes: int
    gigabytes: float


def list_weights() -> list[Weights]:
    """The bases that have a name and what marks by pointing, and how much of each is on this machine."""
    return [*(_look(name) for name in BASES), _look_at_sam()]


def _look_at_sam() -> Weights:
    path = published.kept_path(SAM)
    place = path if path.is_file() else published.partial_path(SAM)
    here = place.stat().st_size if place.is_file() else 0
    note = translate("Marks whole things by pointing at them · Apache-2.0")
    return Weights(POINTER, note, "here" if path.is_file() else "partly" if here else "absent", here, SAM.size / 1e9)


def _look(name: str) -> Weights:
    base, note = BASES[name], translate_measures(" · ".join(map(translate, base_facts(name))))
    if base.is_embedded:
        return Weights(name, note, "embedded", 0, base.gigabytes)
    places = [_cache_folder(source) for source in sources(name)]
    here = sum(_blob_bytes(place) for place in places)
    whole = all(_is_whole(place) for place in places)
    return Weights(name, note, "here" if whole else "partly" if here else "absent", here, base.gigabytes)


def _cache_folder(source: str) -> Path:
    """Where the hub's library keeps a repository."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{source.replace('/', '--')}"


def _blob_bytes(place: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(path.stat().st_size for path in (place / "blobs").iterdir() if path.is_file())
    return 0


def _is_whole(place: Path) -> bool:
    """Whether a snapshot is there and no download of it was cut off."""
    with contextlib.suppress(OSError):
        unfinished = [path for path in (place / "blobs").iterdir() if path.suffix in (".partial", ".incomplete")]
        return not unfinished and any((place / "snapshots").glob("*/model_index.json"))
    return False


def remove_weights(name: str, used: Sequence[str]) -> None:
    """Removes the weights of a base from this machine; they can be fetched again. `used`: bases of runs in work.

    Raises:
        OptionError: there is no such base, or it comes with the project.
        RunBusy: a run in work needs it.
        RunError: a file of it cannot be removed.
    """
    if name == POINTER:
        for place in (published.kept_path(SAM), published.partial_path(SAM)):
            with files.speak_refusals(place):
                place.unlink(missing_ok=True)
        return
    base = BASES.get(name)
    if base is None or base.is_embedded:
        raise OptionError("There are no such weights to remove.")
    if name in used:
        raise RunBusy("A project that waits or is in work needs {name}; stop it first.", name=name)
    for source in sources(name):
        files.remove_folder(_cache_folder(source))


class Downloads:
    """The downloads that were asked for on the page, one process each."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)
        self._guard = threading.Lock()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._said: dict[str, dict[str, Any]] = {}

    def begin(self, name: str) -> None:
        """Fetches the weights of a base, unless that is under way already.

        Raises:
            OptionError: there is no such base to fetch.
        """
        if name != POINTER and (name not in BASES or BASES[name].is_embedded):
            raise OptionError("There are no such weights to fetch.")
        with self._guard:
            if self._is_live(name):
                return
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            process = subprocess.Popen(
                [*self._command, name], cwd=jobs.ROOT, stdin=nothing, stdout=pipe, stderr=nothing, text=True
            )
            self._processes[name], self._said[name] = process, {}
        threading.Thread(target=self._listen, args=(name, process), name="download", daemon=True).start()

    def cancel(self, name: str) -> None:
        """Ends a download; what came of it stays for the next one."""
        with self._guard:
            if self._is_live(name):
                self._processes[name].kill()
                self._processes[name].wait()
            self._said.pop(name, None)

    def look(self) -> dict[str, dict[str, Any]]:
        """By base, what its download said last: {} at first, {"done", "total", "speed"}, {"over"} or {"error"}."""
        with self._guard:
            return dict(self._said)

    def is_live(self, name: str) -> bool:
        """Whether a base is being fetched."""
        with self._guard:
            return self._is_live(name)

    def _is_live(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def _listen(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        said: dict[str, Any] = {}
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                self._note(name, process, said)
        process.wait()
        process.stdout.close()
        if "over" not in said and "error" not in said:
            self._note(name, process, {"error": BROKEN_OFF})

    def _note(self, name: str, process: "subprocess.Popen[str]", said: dict[str, Any]) -> None:
        with self._guard:  # one that was cancelled says nothing any more
            if name in self._said and self._processes.get(name) is process:
                self._said[name] = said
