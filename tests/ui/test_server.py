"""Who may talk to the server, tried on the guard alone and on the started page."""

import http.client
import json
import secrets
import socket
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from tests.ui.conftest import Server
from ui import server as wrapper
from ui.server import Guard

OWN = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        await PlainTextResponse(str(size))(scope, receive, send)

    hosts, any_address = wrapper.allowed_hosts("127.0.0.1")
    yield TestClient(Guard(read_all, hosts, any_address=any_address), base_url=OWN)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.0.0.1"])
def test_own_hosts_are_answered(guarded: TestClient, host: str) -> None:
    assert guarded.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost@evil.example", "", "10.1.2.3", "[::2]"],
)
def test_foreign_hosts_get_400(guarded: TestClient, host: str) -> None:
    assert guarded.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:7861", "http://localhost:7860", ""]
)
def test_writes_from_foreign_origins_get_403(guarded: TestClient, origin: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert guarded.request(method, "/", headers={"origin": origin}).status_code == 403


def test_writes_from_the_page_and_from_programs_pass(guarded: TestClient) -> None:
    assert guarded.post("/", headers={"origin": OWN}, content=b"abc").text == "3"
    assert guarded.post("/", content=b"abc").text == "3"
    assert guarded.get("/", headers={"origin": "http://evil.example"}).status_code == 200


def test_a_cross_site_form_without_origin_gets_403(guarded: TestClient) -> None:
    assert guarded.post("/", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_too_large_a_body_is_not_read(guarded: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper, "MAX_BODY", 10)
    assert guarded.post("/", content=b"x" * 10).text == "10"
    assert guarded.post("/", content=b"x" * 11).status_code == 413
    assert guarded.post("/", headers={"content-length": "-5"}, content=b"x").status_code == 413


def test_a_server_for_the_network_answers_to_addresses_but_not_to_foreign_names() -> None:
    hosts, any_address = wrapper.allowed_hosts("0.0.0.0")
    client = TestClient(Guard(PlainTextResponse("yes"), hosts, any_address=any_address))
    for host in ("192.168.1.5:7860", "[fe80::1]:7860", "localhost:7860", socket.gethostname()):
        assert client.get("/", headers={"host": host}).status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_a_space_answers_to_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_HOST", "me-realfill.hf.space")
    assert "me-realfill.hf.space" in wrapper.allowed_hosts("0.0.0.0")[0]


# ── the started page ──


def ask(
    server: Server, method: str, path: str, *, headers: Mapping[str, str] = {}, body: bytes = b""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def upload(server: Server, data: bytes, headers: Mapping[str, str] = {}, name: str = "a.png") -> tuple[int, bytes]:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--x--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return ask(server, "POST", "/gradio_api/upload", headers={**kind, **headers}, body=body)


def call(server: Server, number: int, data: list[Any]) -> str:
    """All that a handler, called by its number as the page does it, sends back."""
    session = secrets.token_hex(6)
    body = json.dumps({"data": data, "fn_index": number, "session_hash": session}).encode()
    status, answer = ask(
        server, "POST", "/gradio_api/queue/join", headers={"Content-Type": "application/json"}, body=body
    )
    if status != 200:
        return answer.decode()
    lines: list[str] = []
    with urllib.request.urlopen(f"{server.url}gradio_api/queue/data?session_hash={session}", timeout=30) as stream:
        for line in stream:
            lines.append(line.decode())
            if "process_completed" in lines[-1] or "close_stream" in lines[-1]:
                break
    return "".join(lines)


def config(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(server, "GET", "/config")[1])
    return found


def test_evil_host_and_origin_at_the_real_server(server: Server) -> None:
    assert ask(server, "GET", "/config", headers={"Host": "evil.example"})[0] == 400
    assert upload(server, b"x", {"Origin": "http://evil.example"})[0] == 403
    assert upload(server, b"x", {"Origin": "null"})[0] == 403
    assert upload(server, b"x", {"Origin": server.url.rstrip("/")})[0] == 200
    assert upload(server, b"x")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        "app.py",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/dev/zero",
    ],
)
def test_files_of_the_server_are_not_served(server: Server, path: str) -> None:
    for route in ("/gradio_api/file=", "/file=", "/static/", "/assets/"):
        status, answer = ask(server, "GET", route + path)
        assert status in (400, 403, 404), (route, path)
        assert b"root:" not in answer


def test_the_runs_folder_is_not_served(server: Server) -> None:
    secret = server.runs_dir / "20260101-000000-secret" / "run.json"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text('{"schema": "none"}')
    assert ask(server, "GET", f"/gradio_api/file={str(secret).replace(' ', '%20')}")[0] == 403


def test_no_handler_takes_a_path_that_was_not_uploaded(server: Server, tmp_path: Path) -> None:
    """Each handler that takes a file gets forged ones, marked as uploads and not."""
    secret = tmp_path / "secret.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(secret)
    found = config(server)
    kinds = {component["id"]: component["type"] for component in found["components"]}
    tried = 0
    for dependency in found["dependencies"]:
        inputs = [kinds[number] for number in dependency["inputs"]]
        if inputs not in (["file"], ["gallery"]):
            continue
        for path in ("/etc/passwd", str(secret), f"{secret.parent}/../{secret.parent.name}/secret.png"):
            for file in ({"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.png"}):
                given: Any = file if inputs == ["file"] else [{"image": file, "caption": None}]
                answer = call(server, dependency["id"], [given])
                assert '"success":false' in answer or '"data":[[]]' in answer, answer
                assert "secret.png" not in answer
                assert "root:" not in answer
                tried += 1
    assert tried >= 12


def test_an_upload_with_a_wandering_name_stays_in_the_folder(server: Server) -> None:
    status, answer = upload(server, b"x", name="../../../x.png")
    assert status == 200
    assert ".." not in json.loads(answer)[0]


def test_a_forged_run_id_is_a_sentence(server: Server) -> None:
    found = config(server)
    kinds = {component["id"]: component["type"] for component in found["components"]}
    resume = next(
        dependency
        for dependency in found["dependencies"]
        if [kinds[number] for number in dependency["inputs"]] == ["textbox"] and len(dependency["outputs"]) > 5
    )
    for run_id in ("../..", "..", ".", "/etc", "a/b", "x" * 300, "a\0b", ""):
        answer = call(server, resume["id"], [run_id])
        assert "There is no such run here" in answer
        assert str(server.runs_dir) not in answer


def test_nothing_is_a_public_endpoint(server: Server) -> None:
    found = json.loads(ask(server, "GET", "/gradio_api/info")[1])
    assert found == {"named_endpoints": {}, "unnamed_endpoints": {}}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_servers_process_has_no_torch(server: Server) -> None:
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "torch" not in mapped
    assert "cv2" in mapped  # the file does say what is loaded


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_listens_on_this_machine_only(server: Server) -> None:
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    mine = [address for address in listening if int(address.partition(":")[2], 16) == server.port]
    assert mine == [f"0100007F:{server.port:04X}"]
