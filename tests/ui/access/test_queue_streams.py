"""An event that comes while a stream of gradio's queue ends waits until the page has let go of it."""

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from ui.access.queue_streams import PATIENCE, QueueStreams

END = b'data: {"msg":"close_stream","event_id":null}\n\n'


class OneStream:
    """Gradio's application with a reader of one session, whose stream ends at once."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.pushed: list[str] = []
        self.sent: list[Message] = []
        self.ends, self.leaves = asyncio.Event(), asyncio.Event()
        self._queue = SimpleNamespace(push=self._push)
        self._streams = QueueStreams(self._app, self._queue, patience)

    async def read(self, path: str = "/gradio_api/queue/data") -> None:
        scope = {"type": "http", "path": path, "query_string": b"session_hash=mine"}
        await self._streams(scope, self._receive, self._send)

    def join(self, session: str) -> Coroutine[Any, Any, None]:
        return self._queue.push(body=SimpleNamespace(session_hash=session), request=None)  # type: ignore[no-any-return]

    async def _push(self, body: Any, request: Any) -> None:
        self.pushed.append(body.session_hash)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": END, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if END in message.get("body", b""):
            self.ends.set()

    async def _receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def test_an_event_waits_until_the_reader_has_let_go() -> None:
    async def steps() -> None:
        one = OneStream()
        reading = asyncio.create_task(one.read())
        await one.ends.wait()
        joining = asyncio.create_task(one.join("mine"))
        await one.join("another")
        assert one.pushed == ["another"] and one.sent[-1]["more_body"]
        one.leaves.set()
        await asyncio.gather(reading, joining)
        assert one.pushed == ["another", "mine"] and not one.sent[-1].get("more_body", False)
        await one.join("mine")
        assert one.pushed == ["another", "mine", "mine"]

    asyncio.run(steps())


def test_a_reader_who_stays_is_not_waited_for_for_ever() -> None:
    async def steps() -> None:
        one = OneStream(patience=0.0)
        await one.read()
        await one.join("mine")
        assert one.pushed == ["mine"] and not one.sent[-1].get("more_body", False)

    asyncio.run(steps())


def test_other_answers_end_as_they_did() -> None:
    async def steps() -> None:
        one = OneStream()
        await one.read("/gradio_api/info")  # nobody leaves: it would wait
        assert len(one.sent) == 3

    asyncio.run(steps())
