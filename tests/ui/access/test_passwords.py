"""Guessing passwords, and who has signed in."""

from types import SimpleNamespace

import pytest
from fastapi import HTTPException

from ui.access import sign_in
from ui.access.sign_in import Attempts, password_check, signed_in_check

USERS = {"ann": "secretsecret", "bob": "batterystaple"}


def test_wrong_passwords_are_counted_for_each_user(monkeypatch: pytest.MonkeyPatch) -> None:
    now, check = 100.0, password_check(USERS)
    monkeypatch.setattr("ui.access.sign_in.time.monotonic", lambda: now)
    assert check("ann", "secretsecret") and not check("eve", "x") and not check("", "")
    assert [check("ann", f"guess {number}") for number in range(sign_in.TRIES)] == [False] * sign_in.TRIES
    for guess in ("another guess", "secretsecret"):
        with pytest.raises(HTTPException) as refused:
            check("ann", guess)
        assert refused.value.status_code == 429
    assert check("bob", "batterystaple")
    now += sign_in.MINUTE + 1
    assert check("ann", "secretsecret")


def test_right_passwords_and_unknown_users_are_not_counted() -> None:
    check = password_check(USERS)
    for _ in range(2 * sign_in.TRIES):
        assert check("ann", "secretsecret")
        assert not check("eve", "secretsecret")


def test_old_tries_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now, attempts = 0.0, Attempts(2, 10.0)
    monkeypatch.setattr("ui.access.sign_in.time.monotonic", lambda: now)
    for number in range(1000):
        attempts.add(str(number))
        now += 1
    assert len(attempts._times) <= 11


@pytest.mark.parametrize(
    ("cookie", "known"),
    [
        ("access-token-abc=token", True),
        ("a=b; access-token-unsecure-abc=token", True),
        ("access-token-abc=other", False),
        ("access-token-xyz=token", False),
        ("access-token-abc=; \x01=", False),
        ("", False),
    ],
)
def test_who_has_signed_in_bears_gradios_cookie(cookie: str, known: bool) -> None:
    app = SimpleNamespace(cookie_id="abc", tokens={"token": "ann"})
    assert signed_in_check(app)({"headers": [(b"Cookie", cookie.encode())]}) is known
