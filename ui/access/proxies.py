"""Whom a request comes from: what a proxy says about it, where one is in front, and the connection itself elsewhere."""

from collections.abc import Iterable

from starlette.types import Scope

_FORWARDED = (b"forwarded", b"x-forwarded-", b"x-real-ip")


def read_proxy_headers(scope: Scope, *, trusted: bool) -> Scope:
    """The request as the person behind the proxy made it; anybody's headers of that kind are dropped, unread.

    Where they are trusted, `client` is the last address of X-Forwarded-For (the one that the proxy itself has seen)
    and the scheme that of X-Forwarded-Proto, which stays for gradio. X-Forwarded-Host goes always: a proxy hands on
    `Host`. `Origin` goes too: gradio writes CORS headers for it, and no other site's page has anything to read here.
    """
    headers = [(name, value) for name, value in scope["headers"] if not _is_dropped(name.lower())]
    plain: Scope = {**scope, "headers": headers}
    if not trusted:
        return plain
    if hop := _last(scope, b"x-forwarded-for"):
        plain["client"] = (hop, 0)
    if (scheme := _last(scope, b"x-forwarded-proto")) in ("http", "https"):
        plain["scheme"] = scheme
        headers.append((b"x-forwarded-proto", scheme.encode()))
    return plain


def _is_dropped(name: bytes) -> bool:
    return name == b"origin" or name.startswith(_FORWARDED)


def _last(scope: Scope, wanted: bytes) -> str:
    """The last entry of a header that is a list; empty where there is none."""
    lines: Iterable[bytes] = (value for name, value in scope["headers"] if name.lower() == wanted)
    return b",".join(lines).decode("latin-1").rpartition(",")[2].strip().lower()
