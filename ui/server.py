"""The web server round the page: who may talk to it, and how much at once.

Gradio alone answers any Host (DNS rebinding) and takes uploads from other sites' pages; `Guard` does not.
"""

import ipaddress
import os
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import theme

MAX_FILE = 256 * 2**20  # bytes of one uploaded file: a 50-megapixel photo at 16 bit fits
MAX_BODY = 2 * MAX_FILE  # bytes of one request
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware: a foreign Host gets 400, a write from a foreign Origin 403, too large a body 413."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], *, any_address: bool = False) -> None:
        """`hosts` are names without port. `any_address` also lets in every literal IP address.

        An address cannot be rebound, so that is safe when the server listens to a network.
        """
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the refused, hands on the others."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope.get("method", "GET"), headers)
        if refusal is not None:
            await _answer(scope, send, *refusal)
            return
        await self._app(scope, _limited(receive, MAX_BODY), send)

    def _refusal(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._knows(host):
            return 400, "This address is not one of this server's."
        if method not in _READS:
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2].lower() != host.lower():
                return 403, "Another site's page may not write here."
            if origin is None and headers.get("sec-fetch-site") == "cross-site":
                return 403, "Another site's page may not write here."
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > MAX_BODY:
                return 413, "That is too much at once."
        return None

    def _knows(self, host: str) -> bool:
        name = host_name(host)
        return name in self._hosts or (self._any_address and _is_address(name))


def host_name(host: str) -> str:
    """`Host` header or address without its port and brackets: "[::1]:7860" → "::1"."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def allowed_hosts(host: str) -> tuple[set[str], bool]:
    """Names under which a server bound to `host` answers, and whether every literal address is fine too."""
    names = {"localhost", "127.0.0.1", "::1", host.lower()}
    names |= {name.strip().lower() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip()}
    if is_loopback(host):
        return names, False
    return names | {socket.gethostname().lower(), socket.getfqdn().lower()}, True


def build(page: gr.Blocks, host: str, port: int) -> ASGIApp:
    """The page as a guarded ASGI application."""
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        inner,
        page,
        path="/",
        server_name=host,
        server_port=port,
        allowed_paths=[],
        show_error=False,
        max_file_size=MAX_FILE,
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
    hosts, any_address = allowed_hosts(host)
    return Guard(inner, hosts, any_address=any_address)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive`, ending the request where its body, whatever its headers say, grows past `limit` bytes."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > limit else message

    return counted


async def _answer(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers: list[Any] = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
