from pathlib import Path

import pytest

from realfill.errors import OptionError
from ui.access import hosts
from ui.access.hosts import make_door


def test_one_user_or_a_file_of_them(tmp_path: Path) -> None:
    assert hosts.read_users("ann:long enough:yes") == {"ann": "long enough:yes"}
    file = tmp_path / "users"
    file.write_text("ann:correct horse\n\nbob:battery staple\n")
    assert hosts.read_users(str(file)) == {"ann": "correct horse", "bob": "battery staple"}


@pytest.mark.parametrize(
    ("text", "words"), [("ann", "USER:PASSWORD"), (":secretsecret", "USER:PASSWORD"), ("ann:short", "too short")]
)
def test_what_is_no_user_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hosts.read_users(text)


def test_an_empty_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("\n")
    with pytest.raises(OptionError, match="empty"):
        hosts.read_users(str(tmp_path / "users"))


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("box", False)]
)
def test_loopback(host: str, local: bool) -> None:
    assert hosts.is_loopback(host) is local


def test_a_space_answers_to_its_own_name_and_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    monkeypatch.setenv("SPACE_HOST", "me-realfill.hf.space")
    found = make_door("0.0.0.0")
    assert set(found.hosts) == {"me-realfill.hf.space", "localhost", "127.0.0.1", "::1"}
    assert not found.any_address and found.proxied


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:7880", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:7860", "::1"),
        ("[::1]", "::1"),
        ("localhost:7880@evil.example", ""),
        ("user@localhost", ""),
        ("localhost:", ""),
        ("localhost:7880/", ""),
        ("localhost#:80", ""),
        ("[::1]evil.example", ""),
        ("::1", ""),
        ("", ""),
    ],
)
def test_a_host_is_a_name_and_perhaps_a_port(header: str, name: str) -> None:
    assert hosts.host_name(header) == name


def test_behind_a_proxy_the_public_name_is_known_and_elsewhere_no_proxy_is_believed() -> None:
    behind = make_door("127.0.0.1", {"ann": "secretsecret"}, "Fill.example.org")
    assert "fill.example.org" in behind.hosts and behind.proxied and not behind.any_address
    assert not make_door("127.0.0.1").proxied and not make_door("0.0.0.0").proxied
