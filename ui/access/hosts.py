"""Who is let in: names under which the server answers, and passwords."""

import ipaddress
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realfill.errors import OptionError

SHORTEST = 8  # characters of a password


@dataclass(frozen=True)
class Door:
    """Who is let in: `hosts` are names without port, `users` passwords by user (none: nobody has to sign in).

    `any_address` also lets in every literal IP address: that cannot be rebound, so it is safe when the server
    listens to a network.
    """

    hosts: Collection[str]
    any_address: bool = False
    users: Mapping[str, str] = field(default_factory=dict)


def host_name(host: str) -> str:
    """`Host` header or address without its port and brackets: "[::1]:7860" → "::1"."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def make_door(host: str, users: Mapping[str, str] | None = None) -> Door:
    """Who is let in by a server bound to `host`."""
    names = {"localhost", "127.0.0.1", "::1"}
    names |= {name.strip().lower() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip()}
    if os.environ.get("SPACE_ID"):
        return Door(names, users=users or {})
    names.add(host.lower())
    if is_loopback(host):
        return Door(names, users=users or {})
    return Door(names | {socket.gethostname().lower(), socket.getfqdn().lower()}, any_address=True, users=users or {})


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
