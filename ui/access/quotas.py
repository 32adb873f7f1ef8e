"""How much may be written here at once, in a day and in all, and which bodies are not even looked into.

Gradio limits the size of one file and nothing else. `Limits` stands before it; what it looks for in a body, `bodies`
says.
"""

import asyncio
import contextlib
import os
import re
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realfill.sentences import Sentence

from ..language.catalogue import retell
from .bodies import BACKGROUND, Refused, check_body, max_length

MAX_FILE = 256 * 2**20  # bytes of one uploaded file: a 50-megapixel photo at 16 bit fits
MAX_BODY = 2 * MAX_FILE  # bytes of one upload
MAX_FILES = 16  # files of one upload: a scene has seven
DAY = 24 * 3600.0
_ACCOUNT: ContextVar["Account | None"] = ContextVar("account", default=None)  # of the present request
UPLOAD = re.compile(r"(/gradio_api)?/upload/?")
_READER = ThreadPoolExecutor(1, thread_name_prefix="bodies")  # one large body at a time, beside the event loop
_MARK = re.compile(rb'boundary="?([^";,]+)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Quota:
    """Bytes of files: for one visitor and one address in a day, in all at once, and what must stay free on the disk.

    And runs in a day: of one visitor, from one address, in all. Whoever shares an address shares its part, so that is
    wider; a visitor is given for the asking, so it is what holds.
    """

    visitor: int = 4 * 2**30
    total: int = 20 * 2**30
    spare: int = 2**30
    address: int = 12 * 2**30
    visitor_runs: int = 12
    address_runs: int = 36
    total_runs: int = 360


@dataclass(frozen=True)
class _Booking:
    time: float  # of the monotonic clock
    names: tuple[str, ...]  # whom it counts for
    size: int  # in bytes
    runs: int


class Ledger:
    """What was uploaded, unpacked, kept or made for somebody, by whom and when.

    `folder` is where all that lies; `sweep` removes what is old from it.
    """

    def __init__(self, folder: Path, quota: Quota = Quota(), sweep: Callable[[], None] = lambda: None) -> None:
        self._folder, self._quota, self._sweep = folder, quota, sweep
        self._bookings: deque[_Booking] = deque()  # of the last day
        self._sums: Counter[tuple[str, str]] = Counter()  # what they come to: bytes and runs by whom they count for
        self._guard = threading.Lock()

    def admit(self, visitor: str, size: int, *, address: str = "", runs: int = 0) -> None:
        """Books bytes, and runs, before they are read or written. An empty address counts for nobody.

        Raises:
            Refused: 413 or 429 for what the visitor or the address may take, 507 where the server has no room.
        """
        with self._guard:
            now = time.monotonic()
            self._forget(now - DAY)
            self._check_day(visitor, address, size, runs)
            if not self._fits(size):
                self._sweep()
                if not self._fits(size):
                    raise Refused(507, "The server has no room for more files at the moment; try again later.")
            names = (f"visitor {visitor}", *([f"address {address}"] if address else []), "all")
            booking = _Booking(now, names, size, runs)
            self._bookings.append(booking)
            self._add(booking, 1)

    def _check_day(self, visitor: str, address: str, size: int, runs: int) -> None:
        quota = self._quota
        limits = [(f"visitor {visitor}", "", quota.visitor, quota.visitor_runs)]
        if address:
            limits.append((f"address {address}", Sentence(" from your address"), quota.address, quota.address_runs))
        for name, where, most_bytes, most_runs in limits:
            if self._sums[name, "bytes"] + size > most_bytes:
                gigabytes = most_bytes / 2**30
                raise Refused(
                    413,
                    "More than {gigabytes} GB of files in a day{where}; come back tomorrow.",
                    gigabytes=f"{gigabytes:.3g}",
                    where=where,
                )
            if runs and self._sums[name, "runs"] + runs > most_runs:
                raise Refused(
                    429, "More than {most} projects in a day{where}; come back tomorrow.", most=most_runs, where=where
                )
        if runs and self._sums["all", "runs"] + runs > quota.total_runs:
            raise Refused(
                429, "More than {most} projects of all visitors in a day; come back tomorrow.", most=quota.total_runs
            )

    def _forget(self, before: float) -> None:
        while self._bookings and self._bookings[0].time < before:
            self._add(self._bookings.popleft(), -1)

    def _add(self, booking: "_Booking", sign: int) -> None:
        for name in booking.names:
            for kind, count in (("bytes", booking.size), ("runs", booking.runs)):
                self._sums[name, kind] += sign * count
                if not self._sums[name, kind]:
                    del self._sums[name, kind]  # or every visitor there ever was would stay

    def _fits(self, size: int) -> bool:
        free = shutil.disk_usage(self._folder).free
        return free - size >= self._quota.spare and self._used_bytes() + size <= self._quota.total

    def _used_bytes(self) -> int:
        sizes = 0
        for place, _, names in os.walk(self._folder):  # unlike `rglob` it passes over a folder that vanishes meanwhile
            for name in names:
                with contextlib.suppress(OSError):  # being moved or swept at this moment
                    sizes += os.lstat(os.path.join(place, name)).st_size
        return sizes


@dataclass(frozen=True)
class Account:
    """Whom a request counts for, in a ledger: a visitor and, where it counts too, an address."""

    ledger: Ledger
    visitor: str
    address: str = ""

    def admit(self, size: int) -> None:
        """Books bytes.

        Raises:
            Refused: as `Ledger.admit`.
        """
        self.ledger.admit(self.visitor, size, address=self.address)


def admit(size: int) -> None:
    """Books bytes that the answer to the present request is about to write; outside of a request nothing.

    Not for handlers of gradio's queue, which run outside the request's own context.

    Raises:
        Refused: as `Ledger.admit`.
    """
    if (account := _ACCOUNT.get()) is not None:
        account.admit(size)


def visitor() -> str:
    """Whose quota the present request counts for; empty outside of one. Not for handlers of gradio's queue, either."""
    account = _ACCOUNT.get()
    return "" if account is None else account.visitor


class Limits:
    """ASGI middleware: uploads by size, number and quota; of other writes, size and the paths in them."""

    def __init__(
        self,
        app: ASGIApp,
        ledger: Ledger,
        who: Callable[[MutableMapping[str, Any]], str],
        where: Callable[[MutableMapping[str, Any]], str] = lambda scope: "",
    ) -> None:
        """`who` and `where` name the visitor and the address of a request, for the ledger."""
        self._app, self._ledger, self._who, self._where = app, ledger, who, where

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the refused, hands on the others."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        account = Account(self._ledger, self._who(scope), self._where(scope))
        _ACCOUNT.set(account)
        try:
            if UPLOAD.fullmatch(scope["path"]):
                await self._upload(account, scope, receive, send)
            else:
                await self._app(scope, await _check_body(scope, receive), send)
        except Refused as refusal:
            await answer(send, refusal.status, refusal.sentence)

    async def _upload(self, account: Account, scope: Scope, receive: Receive, send: Send) -> None:
        length = _length(scope, MAX_BODY)
        if length is None:  # without it nobody knows whether it fits
            raise Refused(411, "An upload must say how long it is.")
        await asyncio.to_thread(account.admit, length)
        metered = _UploadMeter(receive, send, mark=_boundary(scope))
        try:
            await self._app(scope, metered.receive, metered.send)
        except Exception:
            if metered.refusal is None:
                raise
        if metered.refusal is not None and not metered.answered:
            raise metered.refusal


class _UploadMeter:
    """Counts bytes and files of an upload while it is read; past a limit it ends, and the answer is a refusal."""

    def __init__(self, receive: Receive, send: Send, *, mark: bytes) -> None:
        self._receive, self._send, self._mark = receive, send, mark
        self._size = self._files = 0
        self._rest = b"\r\n"  # the first mark has no line before it
        self.refusal: Refused | None = None
        self.answered = False

    async def receive(self) -> Message:
        """The next piece, or the end of the connection as far as the reader is concerned."""
        message = await self._receive()
        body = message.get("body", b"")
        self._size += len(body)
        seen = self._rest + body
        self._files += seen.count(self._mark) if self._mark else 0
        self._rest = seen[-(len(self._mark) - 1) :] if self._mark else b""
        if self._size > MAX_BODY:
            self.refusal = Refused(413, "That is too much at once.")
        elif self._files > MAX_FILES + 1:  # the last mark is the end
            self.refusal = Refused(413, "At most {most} files at once.", most=MAX_FILES)
        return message if self.refusal is None else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Passes an answer on, unless the upload is refused by now."""
        if self.refusal is None:
            self.answered = True
            await self._send(message)


async def answer(send: Send, status: int, sentence: str) -> None:
    """Sends a sentence as the whole answer."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": retell(sentence).encode()})


async def _check_body(scope: Scope, receive: Receive) -> Receive:
    """`receive` with the body read in full and found harmless."""
    most = max_length(scope["path"])
    _length(scope, most)
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return receive
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(body) > most:
            raise Refused(413, "That is too much at once.")
    whole = bytes(body)
    if len(whole) > BACKGROUND:
        await asyncio.get_running_loop().run_in_executor(_READER, check_body, whole)
    else:
        check_body(whole)
    waiting: list[Message] = [{"type": "http.request", "body": whole, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _length(scope: Scope, most: int) -> int | None:
    value = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), None)
    if value is None:
        return None
    if not value.isdigit() or int(value) > most:
        raise Refused(413, "That is too much at once.")
    return int(value)


def _boundary(scope: Scope) -> bytes:
    """What stands between the parts of a multipart body; empty where it is none."""
    kind = next((value for name, value in scope["headers"] if name.lower() == b"content-type"), b"")
    mark = _MARK.search(kind)
    return b"\r\n--" + mark[1].strip() if mark else b""
