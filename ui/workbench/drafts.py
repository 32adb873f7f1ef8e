"""Instant drafts for the workbench: each is made by a process of its own (`realfill.cli.draft_process`), one at a time.

Nothing waits here: the browser asks again and again, and whoever asks moves the line on. A draft that nobody asks
for any more is given up, and so is one whose tab wants another. Once there are photos to compare, one process has its
libraries loaded and waits for the next draft, since that takes seconds.
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
from typing import IO, Any

from realfill import files
from realfill.errors import RealFillError, SceneError
from realfill.sentences import Sentence

from ..access import quotas, uploads, visitors
from ..access.visitors import current_visitor
from ..decoding import decoder
from ..language.catalogue import retell, translate
from ..runs import jobs
from .payload import Payload, scene_inputs

COMMAND = (sys.executable, "-m", "realfill.cli.draft_process")  # the scene's folder and the file to make come last
WAIT = "--wait"  # instead of these: they come on standard input
LONGEST = 180.0  # seconds that one draft may take
FORGOTTEN = 20.0  # seconds without a question after which a draft is given up
MOST_LIVE = 12  # drafts of all tabs that wait or are made
MOST_OF_ONE = 2  # of one visitor of a Space
REMEMBERED = 48  # finished drafts, for undo and for who asks twice
GONE = Sentence("This draft is not there any more; ask for it again.")
FAILED = Sentence("The draft could not be made; the server's log says more.")
_log = logging.getLogger("realfill.page")

Answer = dict[str, Any]


@dataclass(eq=False)
class _DraftRequest:
    """One draft that a tab asked for. It is over when `process` has ended."""

    token: str
    key: str  # of what is drafted
    owner: tuple[str, str]  # visitor and tab
    place: Path
    file: str  # the name of the picture for download
    process: "subprocess.Popen[bytes] | None" = None
    waited: bool = False  # the process was there before
    over: bool = False
    began: float = 0.0
    asked: float = field(default_factory=time.monotonic)

    def is_given_up(self, now: float) -> bool:
        """Whether nobody asks for it any more, or its process takes too long."""
        return now - self.asked > FORGOTTEN or self.is_late(now)

    def is_late(self, now: float) -> bool:
        """Whether its process takes too long."""
        return bool(self.began) and now - self.began > LONGEST


class DraftQueue:
    """The drafts that are waiting, being made, or remembered."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._guard = threading.Lock()
        self._requests: OrderedDict[str, _DraftRequest] = OrderedDict()  # by token, in the order asked for
        self._made: OrderedDict[str, Path] = OrderedDict()
        self._waiting: subprocess.Popen[bytes] | None = None  # for the next draft

    def prepare(self) -> None:
        """Has a process wait for the next draft with its libraries loaded, where none does or is at work."""
        with self._guard:
            if not any(request.process is not None and not request.over for request in self._requests.values()):
                self._prepare()

    def begin(self, payload: Payload, tab: str) -> Answer:
        """Puts the draft of a scene into the line, in place of the tab's earlier one; returns what `look` needs.

        Raises:
            SceneError: the scene lacks something, or too many drafts are waiting.
            DiskFull, RunError: there is no room for it.
        """
        if payload.variants:
            raise SceneError("A draft needs known pixels around what is missing; choose “What I mark” for one.")
        owner = (current_visitor(), tab)
        self._give_up_earlier(owner)
        inputs, _ = scene_inputs(payload)
        key = _key(payload)
        place, file = uploads.place("drafted", secrets.token_hex(16)), f"{_stem(payload)}-draft.png"
        request = _DraftRequest(secrets.token_urlsafe(16), key, owner, place, file)
        with self._guard:
            known = self._made.get(key)
        if known is not None and (known / "words.json").is_file():
            request.place, request.over = known, True
        else:
            quotas.admit(sum(path.stat().st_size for path in (*inputs.references, inputs.target)))
            decoder.assemble(request.place / "scene", inputs.references, inputs.target, inputs.mask)
        with self._guard:
            self._requests[request.token] = request
        self._move_on()
        return {"draft": request.token}

    def look(self, token: str) -> Answer:
        """How far a draft is: {"state": "waiting", "before"}, "working", or "shown" with its pictures' files.

        "whole" is the picture for download, None until it is written; once "over" nothing follows.

        Raises:
            SceneError: it is not there any more, or could not be made.
        """
        with self._guard:
            request = self._requests.get(token)
        if request is None:
            raise SceneError(GONE)
        request.asked = time.monotonic()
        self._move_on()
        report = files.read_json(request.place / "words.json")
        if report is not None:
            return _answer(request, report)
        if request.over:
            raise SceneError(FAILED)
        if request.process is not None:
            return {"state": "working"}
        with self._guard:
            line = [one.token for one in self._requests.values() if not one.over]
        return {"state": "waiting", "before": line.index(token) if token in line else 0}

    def drop(self, token: str) -> None:
        """Gives a draft up, where there is one of that name."""
        with self._guard:
            request = self._requests.pop(token, None)
            if request is not None:
                _end(request)
        self._move_on()

    def close(self) -> None:
        """Ends all its processes."""
        with self._guard:
            for request in self._requests.values():
                _end(request)
            if self._waiting is not None:
                self._waiting.kill()
                self._waiting.communicate()  # also closes what it was to be told by

    def _give_up_earlier(self, owner: tuple[str, str]) -> None:
        with self._guard:
            for request in [one for one in self._requests.values() if one.owner == owner]:
                del self._requests[request.token]
                _end(request)
            live = [one for one in self._requests.values() if not one.over]
        if visitors.is_space() and sum(one.owner[0] == owner[0] for one in live) >= MOST_OF_ONE:
            raise SceneError("You have {most} drafts in work in other tabs; wait for one of them.", most=MOST_OF_ONE)
        if len(live) >= MOST_LIVE:
            raise SceneError("Many drafts are being made at the moment; try again in a minute.")

    def _move_on(self) -> None:
        """Ends what nobody wants, notes what has ended, and starts the next."""
        with self._guard:
            now = time.monotonic()
            for request in list(self._requests.values()):
                if request.process is not None and not request.over and request.process.poll() is not None:
                    if request.waited and not (request.place / "words.json").is_file():
                        self._start(request)  # it had ended before it was told
                    else:
                        self._finish(request)
                        self._prepare()
                elif not request.over and request.is_late(now) and (request.place / "words.json").is_file():
                    _kill(request)  # what was proposed in time is there
                    self._finish(request)
                elif not request.over and request.is_given_up(now):
                    _end(request)
                    del self._requests[request.token]
                elif request.over and now - request.asked > 10 * FORGOTTEN:
                    del self._requests[request.token]
            live = [request for request in self._requests.values() if not request.over]
            if live and not any(request.process is not None for request in live):
                self._start(live[0])

    def _start(self, request: _DraftRequest) -> None:
        given = [str(request.place / "scene"), str(request.place / request.file)]
        waiting, self._waiting = self._waiting, None
        request.process = waiting
        request.waited = waiting is not None and _tell(waiting, given)
        if not request.waited:
            with (request.place / "log.txt").open("wb") as log:
                request.process = _run([*self._command, *given], subprocess.DEVNULL, log)
        request.began = time.monotonic()

    def _prepare(self) -> None:
        if self._waiting is None or self._waiting.poll() is not None:
            self._waiting = _run([*self._command, WAIT], subprocess.PIPE, subprocess.DEVNULL)

    def _finish(self, request: _DraftRequest) -> None:
        """Notes that a draft's process has ended."""
        request.over = True
        files.remove_folder(request.place / "scene")
        if not (request.place / "words.json").is_file():
            said = (request.place / "log.txt").read_text(errors="replace")[-2000:]
            _log.error("a draft's process ended with %s: %s", request.process and request.process.returncode, said)
            return
        self._made[request.key] = request.place
        if len(self._made) > REMEMBERED:  # a tab that still shows it has the pictures, and asks anew for the file
            _remove(self._made.popitem(last=False)[1])


def _run(command: Sequence[str], given: int, said: "IO[bytes] | int") -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, cwd=jobs.ROOT, stdin=given, stdout=said, stderr=said)


def _tell(process: "subprocess.Popen[bytes]", given: Sequence[str]) -> bool:
    """Tells a process that waits what to draft; False where it has ended."""
    assert process.stdin is not None
    try:
        with process.stdin as line:
            line.write(json.dumps(given).encode() + b"\n")
    except OSError:
        process.wait()
    return process.poll() is None


def _end(request: _DraftRequest) -> None:
    """Kills a draft's process and removes its files, unless it is finished."""
    if request.over:
        return
    request.over = True
    _kill(request)
    _remove(request.place)


def _kill(request: _DraftRequest) -> None:
    if request.process is not None and request.process.poll() is None:
        request.process.kill()
        request.process.wait()


def _remove(place: Path) -> None:
    with contextlib.suppress(RealFillError, OSError):  # Windows may hold a file a moment longer; it is swept tomorrow
        files.remove_folder(place)


def _key(payload: Payload) -> str:
    """Of everything that a draft is made of; photos count by path and state."""
    photos = [*payload.references, *(path for path in (payload.target, payload.mask) if path is not None)]
    states = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in photos]
    return hashlib.sha256(json.dumps([payload.to_json(), states]).encode()).hexdigest()


def _stem(payload: Payload) -> str:
    """What the picture for download is called: as the scene, or as the target's file."""
    name = payload.name or (payload.target.stem if payload.target is not None else "")
    return re.sub(r"[^\w -]+", "-", name).strip(" -_")[:60] or "scene"


def _answer(request: _DraftRequest, report: dict[str, Any]) -> Answer:
    """What the browser shows of a finished draft.

    Raises:
        SceneError: the process refused the scene, with its reason.
    """
    if "error" in report:
        raise SceneError(str(report["error"]))
    best, *others = [_proposal(request.place, one, report) for one in report["proposals"]]
    coming = 0 if request.over else max(0, report["count"] - 1 - len(others))
    return {"state": "shown", **best, "others": others, "coming": coming, "over": request.over}


def _proposal(place: Path, one: dict[str, Any], report: dict[str, Any]) -> Answer:
    """What the browser shows of one proposal of a draft."""
    whole = place / one["whole"]
    return {
        "picture": str(place / one["shown"]),
        "overlay": str(place / one["confidence"]),
        "vouched": one["vouched"],
        "held_back": bool(report["reason"]),
        "sentence": sentence(report["reason"], one["vouched"], [n + 1 for n in report["references"]], one["textured"]),
        "whole": str(whole) if whole.is_file() else None,
    }


def sentence(reason: str, vouched: float, references: Sequence[int], textured: bool) -> str:
    """What there is to say of a proposal: how much of it references show, or why none does.

    Args:
        references: numbers as a person counts them, best first.
        textured: whether what none shows is made of the scene's texture.
    """
    rest = translate("made of the scene's texture") if textured else translate("a guess")
    share = round(100 * vouched)
    if reason:
        return retell(reason)
    if not references or share == 0:
        return translate("No reference shows it; it is {rest}.", rest=rest)
    *others, last = [str(number) for number in references]
    places = {"numbers": ", ".join(others), "last": last, "share": share, "rest": rest}
    if share >= 100 and others:
        return translate("References {numbers} and {last} show all of it.", **places)
    if share >= 100:
        return translate("Reference {last} shows all of it.", **places)
    if others:
        return translate("References {numbers} and {last} show {share} % of it; the rest is {rest}.", **places)
    return translate("Reference {last} shows {share} % of it; the rest is {rest}.", **places)
