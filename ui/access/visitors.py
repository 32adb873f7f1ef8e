"""Who is asking. On a Space each visitor has runs of their own; elsewhere all who reach the page share them.

A visitor is the signed-in user, or whoever shows an id that this server made: in a cookie that it sets with the page,
or in the header `x-realfill-visitor` for programs, which take it from that cookie. The id bears a signature, so that
nobody makes up visitors of their own. Runs hold a hash of it, so a run folder gives nothing away.
"""

import functools
import hashlib
import hmac
import importlib.util
import ipaddress
import os
import re
import secrets
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from realfill import files

COOKIE = "realfill-visitor"
HEADER = "x-realfill-visitor"
NOBODY = ""
SIGN_IN = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")
KEY = ".visitors.key"  # beside the runs: whose they are is told by it
_KEY_BYTES = 32
_SHAPE = re.compile(r"([A-Za-z0-9_-]{32})\.([0-9a-f]{64})")
_keys: list[bytes] = [secrets.token_bytes(_KEY_BYTES)]  # the last one signs; this one until `load_key`
_SCOPE: ContextVar[MutableMapping[str, Any] | None] = ContextVar("scope", default=None)


def is_space() -> bool:
    """Whether this is a Hugging Face Space, where strangers share one server."""
    return bool(os.environ.get("SPACE_ID"))


def is_zero_gpu() -> bool:
    """Whether this Space has a GPU for single calls of this process alone."""
    return is_space() and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def can_sign_in() -> bool:
    """Whether this is a Space with `hf_oauth: true`: it hands over what signing in takes, and installs the library."""
    configured = is_space() and all(os.environ.get(name) for name in SIGN_IN)
    return configured and all(importlib.util.find_spec(name) for name in ("authlib", "itsdangerous"))


def load_key(runs_dir: Path) -> None:
    """Signs with the key that lies beside the runs from now on; it is made at the first start.

    Raises:
        DiskFull, RunError: it can be neither read nor made.
    """
    path = runs_dir / KEY
    if not path.is_file() or path.stat().st_size != _KEY_BYTES:
        files.write_bytes(path, secrets.token_bytes(_KEY_BYTES), mode=0o600)
    _keys[:] = [path.read_bytes()]


def new_id() -> str:
    """An id of a visitor who has none yet."""
    token = secrets.token_urlsafe(24)
    return f"{token}.{_sign(token)}"


def _sign(token: str) -> str:
    return hmac.new(_keys[-1], token.encode(), hashlib.sha256).hexdigest()


def _is_ours(shown: str) -> bool:
    parts = _SHAPE.fullmatch(shown)
    return parts is not None and hmac.compare_digest(_sign(parts[1]), parts[2])


def network(scope: MutableMapping[str, Any]) -> str:
    """Where a request comes from, as it is counted: an IPv4 address, or the /64 of an IPv6 one, all of which is one's.

    On a Space it is what its proxy has seen (`proxies.read_proxy_headers`).
    """
    shown = str((scope.get("client") or ("",))[0])
    try:
        address = ipaddress.ip_address(shown)
    except ValueError:
        return shown
    return shown if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def current_network() -> str:
    """Where the request that is being answered comes from."""
    return network(_scope())


def current_visitor() -> str:
    """The owner of what the request that is being answered makes.

    `NOBODY` where runs are shared, and for a browser on a Space that keeps no cookie.
    """
    return next(iter(known_owners()), NOBODY)


def known_owners() -> list[str]:
    """The owners whose runs the request that is being answered may see, its own first.

    Who signs in still sees what the same browser made before.
    """
    return owners(_scope()) if is_space() else []


def user() -> str:
    """The name of who is signed in; empty where nobody is."""
    return _user(_scope()) if is_space() else ""


def hub_token() -> str:
    """The token with which Hugging Face knows who is signed in; empty where nobody is, or it is no longer good."""
    info = (_scope().get("session") or {}).get("oauth_info") or {}
    good = is_space() and float(info.get("expires_at") or float("inf")) > time.time()
    return str(info.get("access_token") or "") if good else ""


def owner(scope: MutableMapping[str, Any]) -> str:
    """The owner's name in run folders, 32 hex digits, for an ASGI request; `NOBODY` without any id."""
    return next(iter(owners(scope)), NOBODY)


def owners(scope: MutableMapping[str, Any]) -> list[str]:
    """The names of a request in run folders: the signed-in user's, then the browser's."""
    signed = _user(scope)
    shown = [f"user:{signed}" if signed else "", visitor_id(scope)]
    return [hashlib.sha256(who.encode()).hexdigest()[:32] for who in shown if who]


def _user(scope: MutableMapping[str, Any]) -> str:
    info = ((scope.get("session") or {}).get("oauth_info") or {}).get("userinfo") or {}
    return str(info.get("preferred_username") or "")


def _scope() -> MutableMapping[str, Any]:
    """The request that is being answered; empty outside of one."""
    from gradio.context import LocalContext

    request = LocalContext.request.get(None)  # work from gradio's queue runs outside the request's own context
    scope: MutableMapping[str, Any] | None = getattr(getattr(request, "request", None), "scope", None)
    return scope or _SCOPE.get() or {}


def current_header(name: str) -> str:
    """A header, by its name in lower case, of the request that is being answered; empty where it has none."""
    return _header(_scope(), name)


def current_cookie(name: str) -> str:
    """A cookie of the request that is being answered; empty where it has none."""
    return _cookie(_scope(), name)


def _header(scope: MutableMapping[str, Any], name: str) -> str:
    known = {key.lower(): value for key, value in scope.get("headers", ())}
    value: bytes = known.get(name.encode(), b"")
    return value.decode("latin-1")


def _cookie(scope: MutableMapping[str, Any], name: str) -> str:
    return _read_cookie(_header(scope, "cookie"), name)


@functools.lru_cache(maxsize=256)
def _read_cookie(header: str, name: str) -> str:
    try:
        kept = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if kept is None else kept.value


def visitor_id(scope: MutableMapping[str, Any]) -> str:
    """The id that a request shows, from header or cookie; empty where there is none that this server made."""
    return next(filter(_is_ours, (_header(scope, HEADER), _cookie(scope, COOKIE))), "")


def new_cookie() -> str:
    """A Set-Cookie line with a new id. A Space's page stands in a frame of another site, hence `None`."""
    return f"{COOKIE}={new_id()}; Max-Age=31536000; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"


def enter(scope: MutableMapping[str, Any]) -> None:
    """Notes the request that this task answers."""
    _SCOPE.set(scope)
