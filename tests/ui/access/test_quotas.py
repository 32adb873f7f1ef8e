"""How much may be sent, tried on the middleware alone; test_server.py tries the started server."""

import asyncio
import json
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from ui.access import bodies, quotas
from ui.access.bodies import Refused
from ui.access.quotas import Ledger, Limits, Quota

ADDRESSES = ["http://evil.example/a.png", "https://169.254.169.254/", "HTTP://x/", " http://x/", "file:///etc/passwd"]


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes that arrived."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await PlainTextResponse(str(size))(scope, receive, send)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    yield TestClient(Limits(_echo, Ledger(tmp_path, Quota(visitor=3000, spare=0)), lambda scope: "someone"))


def _parts(count: int, data: bytes = b"x") -> tuple[bytes, dict[str, str]]:
    part = b'--mark\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + data + b"\r\n"
    return part * count + b"--mark--\r\n", {"content-type": "multipart/form-data; boundary=mark"}


def test_reads_and_small_writes_pass(client: TestClient) -> None:
    assert client.get("/").text == "0"
    assert client.post("/gradio_api/queue/join", json={"data": [1]}).status_code == 200
    assert client.post("/gradio_api/upload", content=b"abc").text == "3"


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/upload", "/gradio_api/queue/join", "/login"])
def test_too_large_a_body_is_not_read(client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(quotas, "MAX_BODY", 10)
    monkeypatch.setattr(bodies, "MAX_CALL", 10)
    monkeypatch.setattr(bodies, "MAX_STROKES", 0)
    assert client.post(path, content=b"x" * 10).text == "10"
    assert client.post(path, content=b"x" * 11).status_code == 413
    assert client.post(path, headers={"content-length": "-5"}, content=b"x").status_code == 413
    assert client.post(path, headers={"content-length": "5"}, content=b"x" * 11).status_code == 413  # a lie


def test_an_upload_says_how_long_it_is(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"abc"

    assert client.post("/gradio_api/upload", content=pieces()).status_code == 411
    assert client.post("/gradio_api/queue/join", content=pieces()).text == "3"


@pytest.mark.parametrize("data", [b"x", b"\r\n--mar", b"x--mark\n"])
def test_files_of_one_upload_are_counted(tmp_path: Path, data: bytes) -> None:
    client = TestClient(Limits(_echo, Ledger(tmp_path, Quota(spare=0)), lambda scope: "someone"))
    body, headers = _parts(quotas.MAX_FILES, data)
    assert client.post("/gradio_api/upload", content=body, headers=headers).status_code == 200
    body, headers = _parts(quotas.MAX_FILES + 1, data)
    refused = client.post("/gradio_api/upload", content=body, headers=headers)
    assert (refused.status_code, refused.text) == (413, f"At most {quotas.MAX_FILES} files at once.")


def test_marks_torn_between_two_pieces_are_counted() -> None:
    body, _ = _parts(5)

    async def never() -> dict[str, object]:
        raise AssertionError

    async def ignore(message: object) -> None:
        return

    for size in (1, 2, 7, 64, 1000):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]

        async def receive(waiting: list[bytes] = pieces) -> dict[str, object]:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

        meter = quotas._UploadMeter(receive, ignore, mark=b"\r\n--mark")

        async def read(meter: quotas._UploadMeter = meter, count: int = len(pieces)) -> None:
            for _ in range(count):
                await meter.receive()

        asyncio.run(read())
        assert meter._files == 6  # five, and the end


def test_a_visitor_has_a_quota_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, now = Ledger(tmp_path, Quota(visitor=100, spare=0)), 0.0
    monkeypatch.setattr("ui.access.quotas.time.monotonic", lambda: now)
    ledger.admit("one", 60)
    with pytest.raises(Refused, match="in a day") as refused:
        ledger.admit("one", 60)
    assert refused.value.status == 413
    ledger.admit("another", 60)
    now = quotas.DAY + 1
    ledger.admit("one", 60)


@pytest.mark.parametrize("quota", [Quota(total=50, spare=0), Quota(spare=2**62)])
def test_the_server_keeps_room(tmp_path: Path, quota: Quota) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "upload").write_bytes(b"x" * 40)
    with pytest.raises(Refused, match="no room") as refused:
        Ledger(tmp_path, quota).admit("one", 20)
    assert refused.value.status == 507


def test_room_is_made_by_sweeping_old_uploads(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"x" * 40)
    Ledger(tmp_path, Quota(total=50, spare=0), sweep=old.unlink).admit("one", 20)
    assert not old.exists()


def test_a_folder_that_vanishes_meanwhile_is_no_crash(tmp_path: Path, vanishing: str) -> None:
    (tmp_path / vanishing).mkdir()
    Ledger(tmp_path, Quota(spare=0)).admit("one", 20)


def test_what_an_answer_writes_counts_for_who_asked(tmp_path: Path) -> None:
    async def unpack(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(quotas.admit, 2000)  # as gradio calls functions: in a thread
        await PlainTextResponse(quotas.visitor())(scope, receive, send)

    def who(scope: MutableMapping[str, Any]) -> str:
        return str(scope["query_string"].decode())

    client = TestClient(Limits(unpack, Ledger(tmp_path, Quota(visitor=3000, spare=0)), who))
    assert client.post("/gradio_api/component_server?one").text == "one"
    refused = client.post("/gradio_api/component_server?one")
    assert (refused.status_code, refused.text) == (
        413,
        "More than 2.79e-06 GB of files in a day; come back tomorrow.",
    )
    assert client.post("/gradio_api/upload?one", content=b"x" * 1001).status_code == 413  # it is one account
    assert client.post("/gradio_api/component_server?another").text == "another"


def test_outside_of_a_request_nothing_is_booked() -> None:
    quotas.admit(2**62)
    assert quotas.visitor() == ""


def test_the_quota_is_said_in_a_sentence(client: TestClient) -> None:
    assert client.post("/gradio_api/upload", content=b"x" * 2000).status_code == 200
    refused = client.post("/gradio_api/upload", content=b"x" * 2000)
    assert refused.status_code == 413
    assert refused.text.endswith("come back tomorrow.")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_an_address_in_the_place_of_a_path_is_refused(client: TestClient, address: str, encoding: str) -> None:
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    for data in ([file], [[{"image": file}]], {"deep": [1, {"er": file}]}):
        body = json.dumps({"data": data}).encode(encoding)
        for path in ("/gradio_api/queue/join", "/gradio_api/call/export", "/run/predict"):
            refused = client.post(path, content=body, headers={"content-type": "application/json"})
            assert (refused.status_code, "uploaded" in refused.text) == (403, True)


def test_neither_twins_nor_escapes_hide_an_address(client: TestClient) -> None:
    for body in (
        b'{"path": "http://evil.example/", "path": "/fine"}',
        b'{"p\\u0061th": "http://evil.example/"}',
        b'{"path": "\\u0068ttp://evil.example/"}',
    ):
        assert client.post("/gradio_api/queue/join", content=body).status_code == 403


@pytest.mark.parametrize(
    "data", [{"path": "/tmp/a b:c.png", "url": "http://127.0.0.1/file=/tmp/a"}, {"path": "C:\\a.png"}, {"path": 3}, "x"]
)
def test_other_json_passes(client: TestClient, data: object) -> None:
    assert client.post("/gradio_api/queue/join", json={"data": [data]}).status_code == 200


def test_json_of_a_thousand_levels_is_a_sentence(client: TestClient) -> None:
    refused = client.post("/gradio_api/queue/join", content=b"[" * 200_000)
    assert (refused.status_code, refused.text) == (400, "That is nested too deeply.")


def test_a_large_body_is_looked_at_beside_the_event_loop(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[str]()
    monkeypatch.setattr(quotas, "check_body", lambda body: threads.append(threading.current_thread().name))
    for size in (bodies.BACKGROUND, bodies.BACKGROUND + 1):
        assert client.post("/gradio_api/queue/join", content=b"x" * size).text == str(size)
    assert [name.startswith("bodies") for name in threads] == [False, True]


def test_runs_are_counted_by_visitor_by_address_and_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota, now = Quota(spare=0, visitor_runs=2, address_runs=3, total_runs=4), 0.0
    ledger = Ledger(tmp_path, quota)
    monkeypatch.setattr("ui.access.quotas.time.monotonic", lambda: now)
    for visitor in ("one", "one", "two"):
        ledger.admit(visitor, 1, address="here", runs=1)
    with pytest.raises(Refused, match="More than 2 projects in a day; come back") as refused:
        ledger.admit("one", 1, address="there", runs=1)
    assert refused.value.status == 429
    with pytest.raises(Refused, match="More than 3 projects in a day from your address"):
        ledger.admit("three", 1, address="here", runs=1)  # another visitor is to be had for the asking
    ledger.admit("three", 1, address="here")  # bytes alone are no run
    ledger.admit("three", 1, address="there", runs=1)
    with pytest.raises(Refused, match="More than 4 projects of all visitors"):
        ledger.admit("four", 1, address="elsewhere", runs=1)
    now = quotas.DAY + 1
    ledger.admit("one", 1, address="here", runs=1)
    assert len(ledger._sums) == 6  # nothing is left of who came yesterday


def test_bytes_are_counted_by_address_too(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, Quota(visitor=100, address=150, spare=0))
    ledger.admit("one", 90, address="here")
    with pytest.raises(Refused, match="in a day from your address"):
        ledger.admit("two", 90, address="here")
    ledger.admit("two", 90, address="there")
    ledger.admit("two", 10)


def test_uploads_of_many_visitors_from_one_address_are_one_account(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, Quota(visitor=3000, address=4000, spare=0))
    client = TestClient(Limits(_echo, ledger, lambda scope: str(scope["query_string"]), lambda scope: "here"))
    assert client.post("/gradio_api/upload?one", content=b"x" * 2500).status_code == 200
    assert client.post("/gradio_api/upload?two", content=b"x" * 2500).status_code == 413
