"""Instant drafts for the workbench: each is made by a process of its own (`realfill.cli.draft_process`), one at a time.

Nothing waits here: the browser asks again and again, and whoever asks moves the line on. A draft that nobody asks
for any more is given up, and so is one whose tab wants another.
"""

import contextlib
import hashlib
import json
import logging
import re
import secrets
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realfill import files
from realfill.errors import RealFillError, SceneError
from realfill.scene import scene

from ..access import quotas, uploads, visitors
from ..access.visitors import current_visitor
from ..runs import jobs
from .payload import Payload, scene_inputs

COMMAND = (sys.executable, "-m", "realfill.cli.draft_process")  # the scene's folder and the file to make come last
LONGEST = 180.0  # seconds that one draft may take
FORGOTTEN = 20.0  # seconds without a question after which a draft is given up
MOST_LIVE = 12  # drafts of all tabs that wait or are made
MOST_OF_ONE = 2  # of one visitor of a Space
REMEMBERED = 48  # finished drafts, for undo and for who asks twice
GONE = "This draft is not there any more; ask for it again."
FAILED = "The draft could not be made; the server's log says more."
_log = logging.getLogger("realfill.page")

Answer = dict[str, Any]


@dataclass(eq=False)
class _Work:
    """One draft that a tab asked for. It is over when `process` has ended."""

    token: str
    key: str  # of what is drafted
    owner: tuple[str, str]  # visitor and tab
    place: Path
    file: str  # the name of the picture for download
    process: "subprocess.Popen[bytes] | None" = None
    over: bool = False
    began: float = 0.0
    asked: float = field(default_factory=time.monotonic)


class Drafting:
    """The drafts that are waiting, being made, or remembered."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._guard = threading.Lock()
        self._works: OrderedDict[str, _Work] = OrderedDict()  # by token, in the order asked for
        self._made: OrderedDict[str, Path] = OrderedDict()

    def begin(self, given: Payload, tab: str) -> Answer:
        """Puts the draft of a scene into the line, in place of the tab's earlier one; returns what `look` needs.

        Raises:
            SceneError: the scene lacks something, or too many drafts are waiting.
            DiskFull, RunError: there is no room for it.
        """
        if given.variants:
            raise SceneError("A draft needs known pixels around what is missing; choose “What I mark” for one.")
        owner = (current_visitor(), tab)
        self._give_up_earlier(owner)
        inputs, _ = scene_inputs(given)
        key = _key(given)
        place, file = uploads.place("drafted", secrets.token_hex(16)), f"{_stem(given)}-draft.png"
        work = _Work(secrets.token_urlsafe(16), key, owner, place, file)
        with self._guard:
            known = self._made.get(key)
        if known is not None and (known / "words.json").is_file():
            work.place, work.over = known, True
        else:
            quotas.admit(sum(path.stat().st_size for path in (*inputs.references, inputs.target)))
            scene.assemble(work.place / "scene", inputs.references, inputs.target, inputs.mask)
        with self._guard:
            self._works[work.token] = work
        self._move_on()
        return {"draft": work.token}

    def look(self, token: str) -> Answer:
        """How far a draft is: {"state": "waiting", "before"}, "working", or "shown" with its pictures' files.

        "whole" is the picture for download, None until it is written; once "over" nothing follows.

        Raises:
            SceneError: it is not there any more, or could not be made.
        """
        with self._guard:
            work = self._works.get(token)
        if work is None:
            raise SceneError(GONE)
        work.asked = time.monotonic()
        self._move_on()
        words = files.read_json(work.place / "words.json")
        if words is not None:
            return _answer(work, words)
        if work.over:
            raise SceneError(FAILED)
        if work.process is not None:
            return {"state": "working"}
        with self._guard:
            line = [one.token for one in self._works.values() if not one.over]
        return {"state": "waiting", "before": line.index(token) if token in line else 0}

    def drop(self, token: str) -> None:
        """Gives a draft up, where there is one of that name."""
        with self._guard:
            work = self._works.pop(token, None)
            if work is not None:
                _end(work)
        self._move_on()

    def _give_up_earlier(self, owner: tuple[str, str]) -> None:
        with self._guard:
            for work in [one for one in self._works.values() if one.owner == owner]:
                del self._works[work.token]
                _end(work)
            live = [one for one in self._works.values() if not one.over]
        if visitors.on_space() and sum(one.owner[0] == owner[0] for one in live) >= MOST_OF_ONE:
            raise SceneError(f"You have {MOST_OF_ONE} drafts in work in other tabs; wait for one of them.")
        if len(live) >= MOST_LIVE:
            raise SceneError("Many drafts are being made at the moment; try again in a minute.")

    def _move_on(self) -> None:
        """Ends what nobody wants, notes what has ended, and starts the next."""
        with self._guard:
            now = time.monotonic()
            for work in list(self._works.values()):
                if work.process is not None and not work.over and work.process.poll() is not None:
                    self._finish(work)
                elif not work.over and (now - work.asked > FORGOTTEN or (work.began and now - work.began > LONGEST)):
                    _end(work)
                    del self._works[work.token]
                elif work.over and now - work.asked > 10 * FORGOTTEN:
                    del self._works[work.token]
            live = [work for work in self._works.values() if not work.over]
            if live and not any(work.process is not None for work in live):
                self._start(live[0])

    def _start(self, work: _Work) -> None:
        command = [*self._command, str(work.place / "scene"), str(work.place / work.file)]
        with (work.place / "log.txt").open("wb") as log:
            work.process = subprocess.Popen(command, cwd=jobs.ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        work.began = time.monotonic()

    def _finish(self, work: _Work) -> None:
        """Notes that a draft's process has ended."""
        work.over = True
        files.remove_folder(work.place / "scene")
        if not (work.place / "words.json").is_file():
            said = (work.place / "log.txt").read_text(errors="replace")[-2000:]
            _log.error("a draft's process ended with %s: %s", work.process and work.process.returncode, said)
            return
        self._made[work.key] = work.place
        if len(self._made) > REMEMBERED:  # a tab that still shows it has the pictures, and asks anew for the file
            _remove(self._made.popitem(last=False)[1])


def _end(work: _Work) -> None:
    """Kills a draft's process and removes its files, unless it is finished."""
    if work.over:
        return
    work.over = True
    if work.process is not None and work.process.poll() is None:
        work.process.kill()
        work.process.wait()
    _remove(work.place)


def _remove(place: Path) -> None:
    with contextlib.suppress(RealFillError, OSError):  # Windows may hold a file a moment longer; it is swept tomorrow
        files.remove_folder(place)


def _key(given: Payload) -> str:
    """Of everything that a draft is made of; photos count by path and state."""
    photos = [*given.references, *(path for path in (given.target, given.mask) if path is not None)]
    states = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in photos]
    return hashlib.sha256(json.dumps([given.wire(), states]).encode()).hexdigest()


def _stem(given: Payload) -> str:
    """What the picture for download is called: as the scene, or as the target's file."""
    name = given.name or (given.target.stem if given.target is not None else "")
    return re.sub(r"[^\w -]+", "-", name).strip(" -_")[:60] or "scene"


def _answer(work: _Work, words: dict[str, Any]) -> Answer:
    """What the browser shows of a finished draft.

    Raises:
        SceneError: the process refused the scene, with its reason.
    """
    if "error" in words:
        raise SceneError(str(words["error"]))
    whole, place = work.place / work.file, work.place
    shown = {"picture": str(place / words["shown"]), "overlay": str(place / words["confidence"])}
    held_back = bool(words["reason"])
    return {
        "state": "shown",
        **shown,
        "vouched": 0.0 if held_back else words["vouched"],
        "held_back": held_back,
        "sentence": sentence(words["reason"], words["vouched"], [one + 1 for one in words["references"]]),
        "whole": str(whole) if whole.is_file() else None,
        "over": work.over,
    }


def sentence(reason: str, vouched: float, references: Sequence[int]) -> str:
    """What there is to say of a draft: how much of it references vouch for, or why it held back.

    `references` are numbers as a person counts them, best first.
    """
    if reason:
        return reason
    said = [str(number) for number in references]
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    source = f"reference {listed} vouches" if len(said) == 1 else f"references {listed} vouch"
    share = round(100 * vouched)
    if share >= 100:
        return f"{source} for all of it.".capitalize()
    return f"{source} for {share} % of it; the rest is a guess.".capitalize()
