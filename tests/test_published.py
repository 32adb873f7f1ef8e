"""Files that others publish: kept where torch keeps them, fetched whole or not at all, gone on with."""

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from realfill.errors import WeightsError
from realfill.published import SAM, Published, fetch, kept_path

DATA = bytes(range(256)) * 4000


class _Server(BaseHTTPRequestHandler):
    """Serves DATA, from where it is asked to."""

    def do_GET(self) -> None:
        begin = int(self.headers.get("Range", "bytes=0-").partition("=")[2].rstrip("-"))
        self.send_response(206 if begin else 200)
        self.end_headers()
        self.server.asked.append(begin)  # type: ignore[attr-defined]
        self.wfile.write(DATA[begin:])

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    made.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def file(server: ThreadingHTTPServer) -> Published:
    url = f"http://127.0.0.1:{server.server_port}/file"
    return Published("A file", "a.bin", len(DATA), hashlib.sha256(DATA).hexdigest(), (url,))


def test_it_is_fetched_once_with_progress(file: Published, server: ThreadingHTTPServer) -> None:
    told: list[int] = []
    path = fetch(file, lambda done, total, speed: told.append(done))
    assert path == kept_path(file) and path.read_bytes() == DATA
    assert told == sorted(told) and told[-1] == len(DATA)
    assert fetch(file) == path and server.asked == [0]  # type: ignore[attr-defined]


def test_a_download_that_was_ended_goes_on(file: Published, server: ThreadingHTTPServer) -> None:
    class Ended(Exception):
        pass

    def end(done: int, total: int, speed: float) -> None:
        raise Ended

    with pytest.raises(Ended):
        fetch(file, end)
    assert not kept_path(file).exists()
    assert fetch(file).read_bytes() == DATA
    assert server.asked[0] == 0 and server.asked[1] > 0  # type: ignore[attr-defined]


def test_what_is_damaged_or_cannot_be_had_is_a_sentence(file: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="came damaged"):
        fetch(dataclasses.replace(file, sha256="0" * 64))
    assert list(kept_path(file).parent.iterdir()) == []
    with pytest.raises(WeightsError, match=r"cannot be fetched \(127\.0\.0\.1"):
        fetch(dataclasses.replace(file, urls=("http://127.0.0.1:9/",)))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="forbids"):
        fetch(file)


def test_it_is_kept_where_torch_keeps_such_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    for variables in ({"TORCH_HOME": str(tmp_path / "a")}, {"XDG_CACHE_HOME": str(tmp_path / "b")}, {}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert kept_path(SAM) == Path(torch.hub.get_dir()) / "checkpoints" / SAM.name
