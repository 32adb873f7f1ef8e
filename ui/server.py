"""The web server round the page: who may talk to it, and about what.

Gradio alone answers any Host (DNS rebinding), takes uploads from other sites' pages and offers routes that this
page never uses, among them ones that fetch addresses; `Guard` does not. How much may be sent, `access.quotas` says.
"""

import hmac
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import theme
from .access import quotas, uploads, visitors
from .access.hosts import Door, host_name, is_address, make_door
from .access.quotas import Ledger, Limits, Refused

QUEUE = 64  # handlers that wait at once; further ones are told that the queue is full
TRIES, MINUTE = 10, 60.0  # wrong passwords of one address, and in which time
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# What gradio offers and this page does not use: proxies, editors, histories, monitors.
_UNUSED = re.compile(
    r"/(gradio_api/)?(file=\s*[a-z]{2,}:|proxy=|vibe|undo-vibe|process_recording|run-history|runs\b|deep_link"
    r"|monitoring|profiling|stream/|dev/|workflow|custom_component/)",
    re.IGNORECASE,
)
_FRAMES_ON_SPACE = "'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
_log = logging.getLogger("realfill.server")


class Guard:
    """ASGI middleware: a foreign Host gets 400, a write from a foreign Origin 403, an unused route 404."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._hosts = {host.lower() for host in door.hosts}
        self._any_address = door.any_address
        self._tries: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the refused, hands on the others."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        speaker = _Speaker(scope, send)
        try:
            self._check(scope)
            visitors.enter(scope)
            await self._app(scope, receive, speaker.send)
        except Refused as refusal:
            await _refuse(scope, speaker.send, refusal)
        except Exception:
            _log.exception("a request failed")
            if not speaker.started:
                await _refuse(scope, speaker.send, Refused(500, "A defect of RealFill; the server's log says more."))

    def _check(self, scope: Scope) -> None:
        method, path = scope.get("method", "GET"), scope["path"]
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._knows(host):
            raise Refused(400, "This address is not one of this server's.")
        if _UNUSED.match(path):
            raise Refused(404, "There is no such page here.")
        if method in _READS:
            return
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
        if foreign or (origin is None and headers.get("sec-fetch-site") == "cross-site"):
            raise Refused(403, "Another site's page may not write here.")
        if path.rstrip("/") == "/login":
            self._count((scope.get("client") or ("", 0))[0])

    def _knows(self, host: str) -> bool:
        name = host_name(host)
        return name in self._hosts or (self._any_address and is_address(name))

    def _count(self, address: str) -> None:
        """Slows down who guesses passwords."""
        now = time.monotonic()
        self._tries = {who: times for who, times in self._tries.items() if times and now - times[-1] < MINUTE}
        tries = self._tries.setdefault(address, deque(maxlen=TRIES))
        if len(tries) == TRIES and now - tries[0] < MINUTE:
            raise Refused(429, "Too many tries; wait a minute.")
        tries.append(now)


class _Speaker:
    """Sends answers with the headers that every one of them has."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self.started = False
        space = visitors.is_space()
        frames = _FRAMES_ON_SPACE if space else "'self'"
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),  # addresses name projects
            (b"content-security-policy", f"frame-ancestors {frames}".encode()),
        ]
        if space and scope["type"] == "http" and scope["path"] == "/" and not visitors.visitor_id(scope):
            self._headers.append((b"set-cookie", visitors.new_cookie().encode()))

    async def send(self, message: Message) -> None:
        """Passes a message on."""
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        await self._send(message)


def build(page: gr.Blocks, host: str, port: int, users: Mapping[str, str] | None = None) -> ASGIApp:
    """The page as a guarded ASGI application."""
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    page.queue(max_size=QUEUE, default_concurrency_limit=4)
    gr.mount_gradio_app(
        inner,
        page,
        path="/",
        server_name=host,
        server_port=port,
        auth=_signer(users) if users else None,
        allowed_paths=[],
        show_error=False,
        max_file_size=quotas.MAX_FILE,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        pwa=False,
        favicon_path=str(Path(__file__).with_name("icon.svg")),
        theme=theme.theme(),
        css=theme.CSS,
        head=theme.HEAD,
    )
    page.has_launched = True  # mounting leaves it False, and gradio then takes any path as an upload
    return Guard(Limits(inner, Ledger(uploads.folder(), sweep=uploads.sweep), _quota_owner), make_door(host, users))


def _signer(users: Mapping[str, str]) -> Callable[[str, str], bool]:
    def knows(user: str, password: str) -> bool:
        return hmac.compare_digest(users.get(user, "").encode(), password.encode()) and user in users

    return knows


def _quota_owner(scope: Any) -> str:
    """Whose quota an upload counts for: the visitor's on a Space, else the address'."""
    return (visitors.owner(scope) if visitors.is_space() else "") or str((scope.get("client") or ("",))[0])


async def _refuse(scope: Scope, send: Send, refusal: Refused) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await quotas.answer(send, refusal.status, refusal.sentence)
