"""The web server round the page: who may talk to it, and about what.

Gradio alone answers any Host (DNS rebinding), takes uploads from other sites' pages, offers routes that this page
never uses, among them ones that fetch addresses, and lets any script run; `Guard` does not. How much may be sent,
`access.quotas` and `access.bodies` say.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio.routes import App
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import theme
from .access import quotas, uploads, visitors
from .access.answers import AnswerSender
from .access.bodies import Refused
from .access.content_policy import hash_scripts
from .access.hosts import Door, host_name, is_address, make_door
from .access.proxies import read_proxy_headers
from .access.queue_streams import PATIENCE, PROXIED, QueueStreams
from .access.quotas import Ledger, Limits
from .access.routes import SIGN_IN, is_open, is_served
from .access.sessions import SessionStates
from .access.sign_in import TOO_MANY, Attempts, password_check, signed_in_check
from .access.unread import UnreadAnswers, keep_expiring
from .access.upload_owners import UploadOwners

QUEUE = 64  # handlers that wait at once; further ones are told that the queue is full
LOOK = 0.02  # seconds between gradio's looks at its queue: its own 1 ms keeps a twelfth of a core busy with nothing
SESSIONS = 500  # browsers whose state is kept; an older one's begins anew
_READS = frozenset({"GET", "HEAD"})
_log = logging.getLogger("realfill.server")


class Guard:
    """ASGI middleware: a foreign Host gets 400, a write from a foreign Origin 403, a route that is not used 404."""

    def __init__(
        self, app: ASGIApp, door: Door, has_signed_in: Callable[[Scope], bool] | None = None, scripts: str = ""
    ) -> None:
        """`has_signed_in`: None where nobody has to; `scripts`: of the page's head, as `hash_scripts` gives them."""
        self._app, self._has_signed_in, self._scripts = app, has_signed_in, scripts
        self._hosts = {host.lower() for host in door.hosts}
        self._any_address, self._proxied = door.any_address, door.proxied
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the refused, hands on the others."""
        if scope["type"] == "websocket":  # the page has none
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = read_proxy_headers(scope, trusted=self._proxied)
        sender = AnswerSender(plain, send, self._scripts)
        try:
            self._check_source(scope)
            self._check_route(plain)
            request = sender.readable_scope()
            visitors.enter(request)
            await self._app(request, receive, sender.send)
        except Refused as refusal:
            await quotas.answer(sender.send, refusal.status, refusal.sentence)
        except Exception:
            _log.exception("a request failed")
            if not sender.has_started:
                await quotas.answer(sender.send, 500, "A defect of RealFill; the server's log says more.")

    def _check_source(self, scope: Scope) -> None:
        """Refuses another name than ours, and what another site's page writes."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if len(hosts) != 1 or not self._knows(hosts[0]):
            raise Refused(400, "This address is not one of this server's.")
        if scope["method"] in _READS:
            return
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2].lower() != hosts[0].lower()
        if foreign or (origin is None and headers.get("sec-fetch-site") == "cross-site"):
            raise Refused(403, "Another site's page may not write here.")

    def _check_route(self, scope: Scope) -> None:
        """Refuses what the page does not use, what nobody may ask before signing in, and who guesses passwords."""
        method, path = scope["method"], scope["path"]
        if not is_served(method, path):
            raise Refused(404, "There is no such page here.")
        if self._has_signed_in is not None and not is_open(method, path) and not self._has_signed_in(scope):
            raise Refused(401, "Sign in first.")
        if method == "POST" and SIGN_IN.fullmatch(path):
            address = str((scope.get("client") or ("",))[0])
            if self._attempts.are_used_up(address):
                raise Refused(429, TOO_MANY)
            self._attempts.add(address)

    def _knows(self, host: str) -> bool:
        name = host_name(host)
        return name in self._hosts or (self._any_address and is_address(name))


def build(
    page: gr.Blocks, host: str, port: int, users: Mapping[str, str] | None = None, public_name: str = ""
) -> ASGIApp:
    """The page as a guarded ASGI application; `public_name` is the one that its proxy has, if there is a proxy."""
    page.queue(max_size=QUEUE, default_concurrency_limit=4)
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = LOOK
    page.state_session_capacity = SESSIONS
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_expire_answers(page))
    gr.mount_gradio_app(
        inner,
        page,
        path="/",
        server_name=host,
        server_port=port,
        auth=password_check(users) if users else None,
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
    limits = Limits(inner, Ledger(uploads.folder(), sweep=uploads.sweep), _quota_owner, _quota_address)
    mounted = next(route.app for route in inner.routes if isinstance(route, Mount) and isinstance(route.app, App))
    mounted.state_holder = SessionStates()
    mounted.state_holder.set_blocks(page)
    patience = PROXIED if public_name or visitors.is_space() else PATIENCE
    streams = Middleware(QueueStreams, queue=page._queue, patience=patience)
    mounted.user_middleware.append(streams)  # the innermost: nothing is packed yet
    has_signed_in = signed_in_check(mounted) if users else None
    guarded = UploadOwners(limits, _space_visitor)
    return Guard(guarded, make_door(host, users, public_name), has_signed_in, hash_scripts(theme.HEAD))


class WebServer(uvicorn.Server):
    """Serves the application until it is told to end, and then tells open streams that their readers are gone.

    A tab's heartbeat would otherwise hold the end up for fifteen seconds. Whom a request comes from, `Guard` says:
    uvicorn believes any local program.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._ending = app, asyncio.Event()
        super().__init__(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends open streams, and waits for the other answers."""
        self._ending.set()
        await super().shutdown(sockets)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = False  # what is being sent to us is still taken whole

        async def receive_until_the_end() -> Message:
            nonlocal is_read
            if scope["type"] != "http" or not is_read:
                message = await receive()
                is_read = not message.get("more_body", False)
                return message
            reading, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(self._ending.wait())
            try:
                await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
                return reading.result() if reading.done() else {"type": "http.disconnect"}
            finally:
                reading.cancel()
                ending.cancel()

        await self._app(scope, receive_until_the_end, send)


def _expire_answers(page: gr.Blocks) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        expiring = asyncio.create_task(keep_expiring(UnreadAnswers(page._queue)))
        yield
        expiring.cancel()

    return lifespan


def _quota_address(scope: Any) -> str:
    """The address that an upload counts for besides: on a Space, where a new visitor is to be had for the asking."""
    return visitors.network(scope) if visitors.is_space() else ""


def _space_visitor(scope: Any) -> str:
    """Whose an upload is on a Space; elsewhere who reaches the page shares what is there."""
    return visitors.owner(scope) if visitors.is_space() else ""


def _quota_owner(scope: Any) -> str:
    """Whose quota an upload counts for: the visitor's on a Space, else the address'."""
    return _space_visitor(scope) or str((scope.get("client") or ("",))[0])
