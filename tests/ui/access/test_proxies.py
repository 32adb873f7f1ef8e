from typing import Any

from ui.access.proxies import read_proxy_headers

TOLD = [
    (b"Host", b"fill.example.org"),
    (b"X-Forwarded-For", b"6.6.6.6, 10.0.0.1"),
    (b"x-forwarded-for", b"10.0.0.2"),
    (b"x-forwarded-host", b"evil.example"),
    (b"x-forwarded-proto", b"http, HTTPS"),
    (b"x-forwarded-prefix", b"/evil"),
    (b"forwarded", b"for=6.6.6.6"),
    (b"x-real-ip", b"6.6.6.6"),
    (b"origin", b"https://fill.example.org"),
]
SCOPE: dict[str, Any] = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 4711), "headers": TOLD}


def test_a_client_is_who_connects_whatever_it_says() -> None:
    plain = read_proxy_headers(SCOPE, trusted=False)
    assert (plain["client"], plain["scheme"]) == (("127.0.0.1", 4711), "http")
    assert plain["headers"] == [(b"Host", b"fill.example.org")]
    assert SCOPE["headers"] == TOLD


def test_behind_a_proxy_it_is_whom_the_proxy_itself_has_seen() -> None:
    plain = read_proxy_headers(SCOPE, trusted=True)
    assert (plain["client"], plain["scheme"]) == (("10.0.0.2", 0), "https")
    assert plain["headers"] == [(b"Host", b"fill.example.org"), (b"x-forwarded-proto", b"https")]


def test_a_proxy_that_says_nothing_changes_nothing() -> None:
    bare = {**SCOPE, "headers": TOLD[:1]}
    assert read_proxy_headers(bare, trusted=True) == bare
    odd = {**SCOPE, "headers": [(b"x-forwarded-proto", b"javascript")]}
    assert read_proxy_headers(odd, trusted=True) == {**SCOPE, "headers": []}
