"""Who is let in: names under which the server answers, and passwords."""

import ipaddress
import os
import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realfill.errors import OptionError

SHORTEST = 8  # characters of a password
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:@/\\?#\[\]]+))(?::\d{1,5})?")


@dataclass(frozen=True)
class Door:
    """Who is let in: `hosts` are names without port, `users` passwords by user (none: nobody has to sign in).

    `any_address` also lets in every literal IP address: that cannot be rebound, so it is safe when the server
    listens to a network. `proxied`: a proxy stands before the server, and what it says about a request is believed.
    """

    hosts: Collection[str]
    any_address: bool = False
    proxied: bool = False
    users: Mapping[str, str] = field(default_factory=dict)


def host_name(host: str) -> str:
    """A `Host` header without its port and brackets: "[::1]:7860" → "::1"; empty where it is none (RFC 9110, 7.2)."""
    parts = _HOST.fullmatch(host.strip().lower())
    return "" if parts is None else parts[1] or parts[2]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def make_door(host: str, users: Mapping[str, str] | None = None, public_name: str = "") -> Door:
    """Who is let in by a server bound to `host`; `public_name` is the one that its proxy has, if there is a proxy."""
    known = users or {}
    names = {"localhost", "127.0.0.1", "::1"}
    names |= {name.strip().lower() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip()}
    if os.environ.get("SPACE_ID"):
        return Door(names, proxied=True, users=known)
    names |= {name.lower() for name in (host, public_name) if name}
    proxied = bool(public_name)
    if is_loopback(host):
        return Door(names, proxied=proxied, users=known)
    names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return Door(names, any_address=True, proxied=proxied, users=known)


def read_users(text: str) -> dict[str, str]:
    """Passwords by user, from `USER:PASSWORD` or a file with such lines.

    Raises:
        OptionError: neither, or a password that is too short.
    """
    users = {}
    for line in _lines(text):
        user, colon, password = line.strip().partition(":")
        if not user or not colon:
            raise OptionError("--auth takes USER:PASSWORD, or the name of a file with such lines.")
        if len(password) < SHORTEST:
            raise OptionError(f"The password of {user} in --auth is too short; give at least {SHORTEST} characters.")
        users[user] = password
    if not users:
        raise OptionError("--auth names an empty file; write lines like USER:PASSWORD into it.")
    return users


def _lines(text: str) -> list[str]:
    """The lines of the file that `text` names, or `text` itself."""
    try:
        whole = Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return [text]
    return [line for line in whole.splitlines() if line.strip()]


def is_address(name: str) -> bool:
    """Whether a host name is a literal IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
