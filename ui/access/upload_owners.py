"""Whose an upload is: where visitors have projects of their own, only who sent a file may fetch it by its path."""

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .quotas import UPLOAD, answer
from .routes import FILE

MOST = 20_000  # uploads that are remembered; an older one is protected by its path alone, which nobody can guess


class UploadOwners:
    """ASGI middleware: remembers the paths that answers to uploads name, and knows them not for anybody else.

    `who` names the visitor of a request; empty where visitors share everything, and nothing is remembered then.
    """

    def __init__(self, app: ASGIApp, who: Callable[[MutableMapping[str, Any]], str]) -> None:
        self._app, self._who = app, who
        self._owners: OrderedDict[str, set[str]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what is another's, hands on everything else."""
        visitor = self._who(scope) if scope["type"] == "http" else ""
        if not visitor:
            await self._app(scope, receive, send)
        elif scope["method"] == "POST" and UPLOAD.fullmatch(scope["path"]):
            await self._app(scope, receive, self._remember(visitor, send))
        elif self._is_anothers(scope["path"], visitor):
            await answer(send, 404, "There is no such file here.")
        else:
            await self._app(scope, receive, send)

    def _is_anothers(self, path: str, visitor: str) -> bool:
        owners = self._owners.get(os.path.normpath(path.removeprefix(FILE))) if path.startswith(FILE) else None
        return owners is not None and visitor not in owners

    def _remember(self, visitor: str, send: Send) -> Send:
        """`send` that looks at the answer of an upload, a JSON list of paths."""
        body = bytearray()

        async def look(message: Message) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    with contextlib.suppress(ValueError):  # a refusal is a sentence
                        self._note(visitor, json.loads(bytes(body)))
            await send(message)

        return look

    def _note(self, visitor: str, paths: object) -> None:
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str):
                # the same bytes under the same name are one file for all who sent them
                self._owners.setdefault(os.path.normpath(path), set()).add(visitor)
                self._owners.move_to_end(os.path.normpath(path))
        while len(self._owners) > MOST:
            self._owners.popitem(last=False)
