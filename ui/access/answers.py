"""How answers leave the server: with the headers that all of them have, the page with its nonce, files as files."""

import gzip
import re

from starlette.types import Message, Scope, Send

from ..language.catalogue import translate_page
from . import visitors
from .content_policy import file_policy, mark_scripts, new_nonce, page_policy
from .routes import FILE

Headers = list[tuple[bytes, bytes]]

# What a browser may show of a file; everything else it saves. A picture that holds markup stays a picture: nosniff.
_SHOWN = re.compile(rb"(image/(png|jpeg|webp|gif|avif|bmp)|video/[a-z0-9-]+|audio/[a-z0-9-]+)", re.IGNORECASE)
# For a part of a file gradio sends the headers of the request back, whatever they are.
_OF_A_FILE = frozenset(
    b"content-length content-range content-encoding accept-ranges etag last-modified vary cache-control".split()
)


class AnswerSender:
    """Sends the answer to one HTTP request."""

    def __init__(self, scope: Scope, send: Send, scripts: str = "") -> None:
        """`scripts`: sources, as a content policy lists them, of the scripts that the page adds to itself."""
        self._send, self._scope = send, scope
        self.has_started = False
        space, self._nonce = visitors.is_space(), new_nonce()
        self._is_page = scope["path"] == "/" and scope["method"] == "GET"
        self._is_file = scope["path"].startswith(FILE)
        policy = page_policy(self._nonce, scripts, space=space) if self._is_page else file_policy(space=space)
        self._headers: Headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),  # addresses name projects
            (b"content-security-policy", policy.encode()),
        ]
        if self._is_page and space and not visitors.visitor_id(scope):
            self._headers.append((b"set-cookie", visitors.new_cookie().encode()))
        self._start: Message | None = None  # of a page whose body is being gathered
        self._body = bytearray()

    def readable_scope(self) -> Scope:
        """The request as the application gets it: the page is not packed there, for its scripts are marked here."""
        if not self._is_page:
            return self._scope
        headers = [(name, value) for name, value in self._scope["headers"] if name.lower() != b"accept-encoding"]
        return {**self._scope, "headers": headers}

    async def send(self, message: Message) -> None:
        """Passes a message on, or keeps it until the page is whole."""
        if message["type"] == "http.response.start":
            self.has_started = True
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            headers = as_file(headers) if self._is_file and message["status"] < 300 else headers
            message = {**message, "headers": [*headers, *self._headers]}
            if self._is_page and any(name == b"content-type" and b"text/html" in value for name, value in headers):
                self._start = message
                return
        elif self._start is not None:
            await self._gather(self._start, message)
            return
        await self._send(message)

    async def _gather(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body, headers = mark_scripts(translate_page(bytes(self._body)), self._nonce), start["headers"]
        headers = [(name, value) for name, value in headers if name not in (b"content-length", b"cache-control")]
        headers.append((b"cache-control", b"no-cache"))  # a nonce is used once
        if any(name.lower() == b"accept-encoding" and b"gzip" in value for name, value in self._scope["headers"]):
            body = gzip.compress(body, 5)
            headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def as_file(headers: Headers) -> Headers:
    """The headers of a file's answer: a picture is shown, everything else is saved as it is, HTML and SVG too."""
    kind = [value for name, value in headers if name == b"content-type"][-1:] or [b""]
    placed = [value for name, value in headers if name == b"content-disposition"][-1:] or [b""]
    plain = [(name, value) for name, value in headers if name in _OF_A_FILE]
    if _SHOWN.fullmatch(kind[0].partition(b";")[0].strip()):
        return [*plain, (b"content-type", kind[0]), (b"content-disposition", placed[0] or b"inline")]
    named = placed[0] if placed[0].startswith(b"attachment") else b"attachment"
    return [*plain, (b"content-type", b"application/octet-stream"), (b"content-disposition", named)]
