"""A hub of our own on this machine: what huggingface.co answers for one repository, ranges included."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

COMMIT = "c" * 40


class Hub:
    """The files of a repository, and which bytes of them were asked for."""

    def __init__(self, name: str, files: Mapping[str, bytes], *, large: int) -> None:
        self.name, self.files, self.large = name, dict(files), large
        self.ranges: list[tuple[str, str]] = []  # file and range of every answer with content
        self.is_gated = False

    def sibling(self, name: str) -> dict[str, Any]:
        """A file as the hub's API lists it."""
        data = self.files[name]
        known: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
        if len(data) >= self.large:
            sha256 = hashlib.sha256(data).hexdigest()
            known["lfs"] = {"sha256": sha256, "oid": sha256, "size": len(data), "pointerSize": 130}
        return known

    def etag(self, name: str) -> str:
        """What names a file's content."""
        known = self.sibling(name)
        return str(known["lfs"]["sha256"] if "lfs" in known else known["blobId"])


@contextmanager
def serve(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has huggingface_hub ask this hub inside the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            if hub.is_gated:
                headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted."}
                self.send(403, b"{}", headers, body)
            elif path.startswith(f"/api/models/{hub.name}"):
                siblings = [hub.sibling(name) for name in hub.files]
                data = {"id": hub.name, "modelId": hub.name, "sha": COMMIT, "siblings": siblings}
                if "/tree/" in path:
                    tree = [{**hub.sibling(name), "type": "file", "path": name} for name in hub.files]
                    self.send(200, json.dumps([{**one, "oid": one["blobId"]} for one in tree]).encode(), {}, body)
                else:
                    self.send(200, json.dumps(data).encode(), {"Content-Type": "application/json"}, body)
            elif (name := path.partition("/resolve/")[2].partition("/")[2]) in hub.files:
                self.send_file(name, body)
            else:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)

        def send_file(self, name: str, body: bool) -> None:
            data, asked = hub.files[name], self.headers.get("Range", "")
            headers = {"ETag": f'"{hub.etag(name)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            if asked:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if body:
                hub.ranges.append((name, asked))
            self.send(206 if asked else 200, data[start:], headers, body)

        def send(self, status: int, data: bytes, headers: Mapping[str, str], body: bool) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
