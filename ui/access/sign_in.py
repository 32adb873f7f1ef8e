"""Signing in with a password: who has done so, and how often somebody may guess."""

import hmac
import time
from collections import deque
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from fastapi import HTTPException
from starlette.types import Scope

TRIES, MINUTE = 10, 60.0  # wrong passwords of one address or for one user, and in which time
TOO_MANY = "Too many tries; wait a minute."


class Attempts:
    """How often something was tried in the last minute, by name."""

    def __init__(self, most: int = TRIES, period: float = MINUTE) -> None:
        self._most, self._period = most, period
        self._times: dict[str, deque[float]] = {}

    def add(self, name: str) -> None:
        """Notes a try."""
        now = time.monotonic()
        self._times = {who: times for who, times in self._times.items() if now - times[-1] < self._period}
        self._times.setdefault(name, deque(maxlen=self._most)).append(now)

    def are_used_up(self, name: str) -> bool:
        """Whether it was tried as often as it may be."""
        times = self._times.get(name, deque())
        return len(times) == self._most and time.monotonic() - times[0] < self._period


def password_check(users: Mapping[str, str]) -> Callable[[str, str], bool]:
    """Whether a password is a user's own, as gradio asks; wrong ones are counted for each user, from wherever.

    The check raises HTTPException 429 when there were too many, for the right password too: else the answer would
    tell it. So who keeps guessing for somebody keeps them out meanwhile, and guesses 600 words an hour.
    """
    wrong = Attempts()

    def check(user: str, password: str) -> bool:
        if wrong.are_used_up(user):
            raise HTTPException(429, TOO_MANY)
        known = hmac.compare_digest(users.get(user, "").encode(), password.encode()) and user in users
        if user in users and not known:
            wrong.add(user)
        return known

    return check


def signed_in_check(app: Any) -> Callable[[Scope], bool]:
    """Whether a request bears the cookie of somebody who has signed in at gradio's application `app`.

    Gradio asks itself on most routes, and not on /cancel, /reset, /heartbeat and /app_id.
    """
    names = [f"{prefix}{app.cookie_id}" for prefix in ("access-token-", "access-token-unsecure-")]

    def check(scope: Scope) -> bool:
        line = b"; ".join(value for name, value in scope["headers"] if name.lower() == b"cookie").decode("latin-1")
        try:
            cookies = SimpleCookie(line)
        except CookieError:
            return False
        return any(name in cookies and cookies[name].value in app.tokens for name in names)

    return check
