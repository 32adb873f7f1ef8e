"""Uploads are fetched by who sent them, where visitors do not share projects; test_visitors.py tries the server."""

import json

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from ui.access import upload_owners
from ui.access.routes import FILE
from ui.access.upload_owners import UploadOwners

PLACE = "/private/abc/photo.png"


async def _files(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers an upload with the paths that its body asks for, and anything else with a word."""
    if scope["method"] == "POST":
        message = await receive()
        await PlainTextResponse(message["body"])(scope, receive, send)
    else:
        await PlainTextResponse("a file")(scope, receive, send)


def _who(scope: Scope) -> str:
    return next((value.decode() for name, value in scope["headers"] if name == b"who"), "")


@pytest.fixture
def client() -> TestClient:
    return TestClient(UploadOwners(_files, _who))


def _fetch(client: TestClient, who: str, path: str = PLACE) -> int:
    return int(client.get(f"{FILE}{path}", headers={"who": who}).status_code)


def test_an_upload_is_its_senders(client: TestClient) -> None:
    client.post("/gradio_api/upload", content=json.dumps([PLACE]), headers={"who": "ann"})
    assert _fetch(client, "ann") == 200
    assert _fetch(client, "bob") == _fetch(client, "bob", "/private/abc/../abc/photo.png") == 404
    assert _fetch(client, "bob", "/private/other.png") == 200  # not an upload: a thumbnail, a download
    client.post("/gradio_api/upload", content=json.dumps([PLACE]), headers={"who": "bob"})
    assert _fetch(client, "ann") == _fetch(client, "bob") == 200  # the same bytes: one file


def test_where_visitors_share_everything_uploads_are_shared_too(client: TestClient) -> None:
    client.post("/gradio_api/upload", content=json.dumps([PLACE]))
    assert _fetch(client, "") == 200


@pytest.mark.parametrize("body", ["That is too much at once.", "{}", "[1, null]"])
def test_a_refused_upload_names_no_files(client: TestClient, body: str) -> None:
    assert client.post("/gradio_api/upload", content=body, headers={"who": "ann"}).text == body
    assert _fetch(client, "bob") == 200


def test_what_is_remembered_is_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_owners, "MOST", 1)
    for path in (PLACE, "/private/second.png"):
        client.post("/gradio_api/upload", content=json.dumps([path]), headers={"who": "ann"})
    assert [_fetch(client, "bob"), _fetch(client, "bob", "/private/second.png")] == [200, 404]
