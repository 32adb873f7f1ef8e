"""A click is not lost between two streams of gradio's queue.

The page hears of its events by one stream for all, which gradio's server closes with a message when no event is left.
An event that comes while this message is on its way finds the stream open in the page, which then opens no other and
never hears of it again. Here such an event waits until the page has let go of the stream.
"""

import asyncio
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .routes import API

PATIENCE = 5.0  # seconds that a reader may take to let go of a stream that has ended
PROXIED = 0.5  # and where a proxy is between: it may keep the connection when its reader has gone
_STREAM = f"{API}/queue/data"
_LAST = b'"msg":"close_stream"'


class QueueStreams:
    """ASGI middleware round gradio's application: which sessions' streams are being closed."""

    def __init__(self, app: ASGIApp, queue: Any, patience: float = PATIENCE) -> None:
        """`queue` is the page's `gradio.queueing.Queue`, whose `push` is made to wait, `patience` seconds at most."""
        self._app, self._patience = app, patience
        self._closing: dict[str, asyncio.Event] = {}
        push = queue.push

        async def push_between_streams(body: Any, *arguments: Any, **options: Any) -> Any:
            if closing := self._closing.get(body.session_hash or ""):
                await closing.wait()
            return await push(body, *arguments, **options)

        queue.push = push_between_streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on; a stream whose last message was sent ends when its reader has gone."""
        if scope["type"] != "http" or scope["path"] != _STREAM:
            return await self._app(scope, receive, send)
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        closed, ending = asyncio.Event(), False

        async def send_until_the_end(message: Message) -> None:
            nonlocal ending
            if _LAST in message.get("body", b""):
                ending, self._closing[session] = True, closed
            if not ending or message.get("more_body", False):
                await send(message)

        try:
            await self._app(scope, receive, send_until_the_end)
            if ending:
                await self._wait_for_leaving(receive)
                await send({"type": "http.response.body", "body": b""})
        finally:
            closed.set()
            if self._closing.get(session) is closed:
                del self._closing[session]

    async def _wait_for_leaving(self, receive: Receive) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass  # a reader that reads on: it may have what it asks for
