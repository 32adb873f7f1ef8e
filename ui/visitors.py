"""Who is asking. On a Space each visitor has runs of their own; elsewhere all who reach the page share them.

A visitor is the signed-in user, or whoever shows an unguessable id: in a cookie that `server.Guard` sets, or
in the header `x-realfill-visitor` for programs. Runs hold a hash of it, so a run folder gives nothing away.
"""

import hashlib
import os
import re
import secrets
from collections.abc import MutableMapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from typing import Any

COOKIE = "realfill-visitor"
HEADER = "x-realfill-visitor"
NOBODY = ""
_SHAPE = re.compile(r"[A-Za-z0-9_-]{22,64}")
_SCOPE: ContextVar[MutableMapping[str, Any] | None] = ContextVar("scope", default=None)


def on_space() -> bool:
    """Whether this is a Hugging Face Space, where strangers share one server."""
    return bool(os.environ.get("SPACE_ID"))


def current() -> str:
    """The owner of what the request that is being answered makes, and of what it may see.

    `NOBODY` where runs are shared, and for a browser on a Space that keeps no cookie.
    """
    from gradio.context import LocalContext

    if not on_space():
        return NOBODY
    request = LocalContext.request.get(None)  # work from gradio's queue runs outside the request's own context
    scope = getattr(getattr(request, "request", None), "scope", None) or _SCOPE.get()
    return NOBODY if scope is None else owner(scope)


def owner(scope: MutableMapping[str, Any]) -> str:
    """The owner's name in run folders, 32 hex digits, for an ASGI request; `NOBODY` without any id."""
    user = ((scope.get("session") or {}).get("oauth_info") or {}).get("userinfo", {}).get("preferred_username")
    who = f"user:{user}" if user else visitor_id(scope)
    return hashlib.sha256(who.encode()).hexdigest()[:32] if who else NOBODY


def visitor_id(scope: MutableMapping[str, Any]) -> str:
    """The id that a request shows, from header or cookie; empty where there is none of the right shape."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    try:
        kept = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
    except CookieError:
        kept = None
    for shown in (headers.get(HEADER.encode(), ""), "" if kept is None else kept.value):
        if _SHAPE.fullmatch(shown):
            return shown
    return ""


def new_cookie() -> str:
    """A Set-Cookie line with a new id. A Space's page stands in a frame of another site, hence `None`."""
    return (
        f"{COOKIE}={secrets.token_urlsafe(24)}; Max-Age=31536000; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"
    )


def enter(scope: MutableMapping[str, Any]) -> None:
    """Notes the request that this task answers."""
    _SCOPE.set(scope)
