"""A name server that is silent is asked once, and nobody waits for it longer than the limit."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from realfill import network
from realfill.network import NameServer

Resolver = Callable[..., object]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Resolver], list[str]]]:
    """Puts a resolver in the system's place; which hosts it was asked for. The real one asks the machine's network."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def install(resolver: Resolver) -> list[str]:
        hosts: list[str] = []

        def getaddrinfo(host: str, *rest: object, **options: object) -> object:
            hosts.append(host)
            return resolver()

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return hosts

    yield install


def test_a_silent_one_is_asked_once(asked: Callable[[Resolver], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    ended, server = threading.Event(), NameServer()
    hosts = asked(ended.wait)
    monkeypatch.setattr(network, "TIMEOUT", 0.01)
    for host in ("one.example", "two.example", "one.example"):
        with pytest.raises(TimeoutError, match="name server does not answer"):
            server.check_host(host)
    assert hosts == ["one.example"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + network.REMEMBERED + 1)
    with pytest.raises(TimeoutError):
        server.check_host("three.example")
    assert hosts == ["one.example", "three.example"]
    ended.set()


@pytest.mark.parametrize(("number", "times"), [(socket.EAI_AGAIN, 1), (socket.EAI_NONAME, 2)])
def test_that_nobody_answers_is_remembered_and_an_unknown_name_is_not(
    asked: Callable[[Resolver], list[str]], number: int, times: int
) -> None:
    def refuse() -> None:
        raise socket.gaierror(number, "as the system says it")

    server, hosts = NameServer(), asked(refuse)
    for _ in range(2):
        with pytest.raises(OSError, match=r"as the system says it|does not answer"):
            server.check_host("one.example")
    assert len(hosts) == times


def test_a_known_name_is_no_error_and_a_proxy_asks_for_itself(
    asked: Callable[[Resolver], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, hosts = NameServer(), asked(list)
    server.check_host("one.example")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    server.check_host("two.example")
    assert hosts == ["one.example"]
