"""Who may talk to the server, tried on the guard alone and on the started page."""

import asyncio
import http.client
import json
import re
import secrets
import socket
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from realfill.scene import archive
from realfill.scene.archive import look_inside
from tests.ui.conftest import Server, serving
from ui import server as wrapper
from ui.access import bodies, quotas, sign_in, uploads
from ui.access.hosts import make_door
from ui.access.unread import UnreadAnswers
from ui.server import Guard
from ui.workbench.component import workbench

OWN = "http://127.0.0.1:7860"
JOIN = "/gradio_api/queue/join"
PATIENCE = 60  # seconds that a busy machine may need


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    yield TestClient(Guard(PlainTextResponse("yes"), make_door("127.0.0.1")), base_url=OWN)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.0.0.1"])
def test_own_hosts_are_answered(guarded: TestClient, host: str) -> None:
    assert guarded.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "localhost:7880@evil.example",
        "",
        "10.1.2.3",
        "[::2]",
    ],
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
    assert guarded.post(JOIN, headers={"origin": OWN}, content=b"abc").status_code == 200
    assert guarded.post(JOIN, content=b"abc").status_code == 200
    assert guarded.get("/", headers={"origin": "http://evil.example"}).status_code == 200


def test_a_cross_site_form_without_origin_gets_403(guarded: TestClient) -> None:
    assert guarded.post("/", headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1/",
        "/proxy=http://127.0.0.1/",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/file=HTTPS://evil.example/",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-edit/",
        "/gradio_api/run-history/records",
        "/gradio_api/deep_link",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/monitoring",
    ],
)
def test_what_the_page_never_uses_is_not_there(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == guarded.post(path).status_code == 404


def test_every_answer_says_how_it_may_be_used(guarded: TestClient) -> None:
    for answer in (guarded.get("/"), guarded.get("/", headers={"host": "evil.example"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["content-security-policy"].endswith("frame-ancestors 'self'")
        assert "default-src" in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers


def test_guessing_passwords_is_slow_whatever_a_client_says_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    client, now = TestClient(Guard(PlainTextResponse("no"), make_door("127.0.0.1")), base_url=OWN), 100.0
    monkeypatch.setattr("ui.access.sign_in.time.monotonic", lambda: now)
    codes = [
        client.post("/login", content=b"", headers={"x-forwarded-for": f"10.0.0.{number}"}).status_code
        for number in range(sign_in.TRIES + 2)
    ]
    assert codes == [200] * sign_in.TRIES + [429, 429]
    assert client.post(JOIN).status_code == 200
    now += sign_in.MINUTE + 1
    assert client.post("/login").status_code == 200


def test_behind_a_proxy_each_address_has_its_own_tries() -> None:
    door = make_door("127.0.0.1", {"ann": "secretsecret"}, "fill.example.org")
    client = TestClient(Guard(PlainTextResponse("no"), door), base_url="https://fill.example.org")
    codes = [
        client.post("/login", headers={"x-forwarded-for": f"10.9.9.{number}, 10.0.0.{number % 2}"}).status_code
        for number in range(2 * sign_in.TRIES + 1)
    ]
    assert codes == [200] * 2 * sign_in.TRIES + [429]


def test_the_page_comes_with_a_nonce_that_is_used_once() -> None:
    page = HTMLResponse("<script>a</script><script src=b></script>")
    client = TestClient(Guard(page, make_door("127.0.0.1"), scripts="'sha256-x'"), base_url=OWN)
    nonces = set()
    for packed in ("gzip", "identity"):
        answer = client.get("/", headers={"accept-encoding": packed})
        (nonce,) = re.findall("'nonce-([^']+)'", answer.headers["content-security-policy"])
        assert answer.text == f'<script nonce="{nonce}">a</script><script nonce="{nonce}" src=b></script>'
        assert "'sha256-x'" in answer.headers["content-security-policy"]
        assert answer.headers.get("content-encoding", "identity") == packed
        nonces.add(nonce)
    assert len(nonces) == 2


def test_a_defect_is_a_sentence() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("/secret/path")

    answer = TestClient(Guard(broken, make_door("127.0.0.1")), base_url=OWN).get("/")
    assert (answer.status_code, "secret" in answer.text, "defect" in answer.text) == (500, False, True)


def test_a_server_for_the_network_answers_to_addresses_but_not_to_foreign_names() -> None:
    client = TestClient(Guard(PlainTextResponse("yes"), make_door("0.0.0.0", {"ann": "secretsecret"})))
    for host in ("192.168.1.5:7860", "[fe80::1]:7860", "localhost:7860", socket.gethostname()):
        assert client.get("/", headers={"host": host}).status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_a_space_sets_a_cookie_and_may_be_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    monkeypatch.setenv("SPACE_HOST", "me-realfill.hf.space")
    client = TestClient(Guard(PlainTextResponse("yes"), make_door("0.0.0.0")), base_url="https://me-realfill.hf.space")
    first = client.get("/")
    assert "https://huggingface.co" in first.headers["content-security-policy"]
    cookie = first.headers["set-cookie"]
    for word in ("HttpOnly", "Secure", "SameSite=None", "Partitioned"):
        assert word in cookie
    assert "set-cookie" not in client.get("/", headers={"cookie": cookie.partition(";")[0]}).headers
    assert client.get("/", headers={"host": "10.1.2.3"}).status_code == 400


# ── the started server ──


def ask(
    small: Server, method: str, path: str, *, headers: Mapping[str, str] = {}, body: bytes | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def upload(small: Server, data: bytes, headers: Mapping[str, str] = {}, name: str = "a.png") -> tuple[int, bytes]:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--x--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return ask(small, "POST", "/gradio_api/upload", headers={**kind, **headers}, body=body)


def call(small: Server, number: int, data: list[Any]) -> str:
    """All that a handler, called by its number as the page does it, sends back."""
    session = secrets.token_hex(6)
    body = json.dumps({"data": data, "fn_index": number, "session_hash": session}).encode()
    status, answer = ask(
        small, "POST", "/gradio_api/queue/join", headers={"Content-Type": "application/json"}, body=body
    )
    if status != 200:
        return answer.decode()
    lines: list[str] = []
    with urllib.request.urlopen(f"{small.url}gradio_api/queue/data?session_hash={session}", timeout=30) as stream:
        for line in stream:
            lines.append(line.decode())
            if "process_completed" in lines[-1] or "close_stream" in lines[-1]:
                break
    return "".join(lines)


def config(small: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(small, "GET", "/config")[1])
    return found


def test_evil_host_and_origin_at_the_real_server(small: Server) -> None:
    assert ask(small, "GET", "/config", headers={"Host": "evil.example"})[0] == 400
    assert upload(small, b"x", {"Origin": "http://evil.example"})[0] == 403
    assert upload(small, b"x", {"Origin": "null"})[0] == 403
    assert upload(small, b"x", {"Origin": small.url.rstrip("/")})[0] == 200
    assert upload(small, b"x")[0] == 200


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
def test_files_of_the_server_are_not_served(small: Server, path: str) -> None:
    for route in ("/gradio_api/file=", "/file=", "/static/", "/assets/"):
        status, answer = ask(small, "GET", route + path)
        assert status in (400, 403, 404), (route, path)
        assert b"root:" not in answer


def test_the_runs_folder_is_not_served(small: Server) -> None:
    secret = small.runs_dir / "20260101-000000-secret" / "run.json"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text('{"schema": "none"}')
    assert ask(small, "GET", f"/gradio_api/file={str(secret).replace(' ', '%20')}")[0] == 403


def test_no_handler_takes_a_path_that_was_not_uploaded(small: Server, tmp_path: Path) -> None:
    """Each handler that takes a file gets forged ones, marked as uploads and not."""
    secret = tmp_path / "secret.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(secret)
    found = config(small)
    kinds = {component["id"]: component["type"] for component in found["components"]}
    tried = 0
    for dependency in found["dependencies"]:
        inputs = [kinds[number] for number in dependency["inputs"]]
        if inputs not in (["file"], ["gallery"]):
            continue
        for path in ("/etc/passwd", str(secret), f"{secret.parent}/../{secret.parent.name}/secret.png"):
            for file in ({"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.png"}):
                given: Any = file if inputs == ["file"] else [{"image": file, "caption": None}]
                answer = call(small, dependency["id"], [given])
                assert '"success":false' in answer, answer
                assert "secret.png" not in answer
                assert "root:" not in answer
                tried += 1
    assert tried >= 12


def test_an_upload_with_a_wandering_name_stays_in_the_folder(small: Server) -> None:
    status, answer = upload(small, b"x", name="../../../x.png")
    assert status == 200
    assert ".." not in json.loads(answer)[0]


def test_a_forged_project_is_a_sentence(small: Server) -> None:
    number = next(one["id"] for one in config(small)["dependencies"] if one["api_name"] == "status")
    for project in ("../..", "..", ".", "/etc", "a/b", "x" * 300, "a\0b", "", ".trash", "%2e%2e", "A" * 300):
        answer = call(small, number, [project])
        assert "There is no such run here" in answer
        assert str(small.runs_dir) not in answer


def test_five_endpoints_are_public_and_no_more(small: Server) -> None:
    found = json.loads(ask(small, "GET", "/gradio_api/info")[1])
    assert sorted(found["named_endpoints"]) == ["/export", "/list_bases", "/list_seeds", "/start_training", "/status"]
    assert found["unnamed_endpoints"] == {}
    assert all(part["type"] for one in found["named_endpoints"].values() for part in one["parameters"])
    private = [one["api_name"] for one in config(small)["dependencies"] if one["api_visibility"] != "public"]
    assert len(private) >= 5
    for name in private:
        assert ask(small, "POST", f"/gradio_api/call/{name}", body=b'{"data": []}')[0] >= 400


class Listener:
    """A server that notes who asks it for anything."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a.png"
        self.asked = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


def test_no_address_is_fetched_for_a_client(small: Server) -> None:
    listener = Listener()
    file = {"path": listener.address, "meta": {"_type": "gradio.FileData"}, "url": listener.address}
    found = config(small)
    kinds = {component["id"]: component["type"] for component in found["components"]}
    for dependency in found["dependencies"]:
        for given in ([file], [[{"image": file, "caption": None}]]):
            if [kinds[number] for number in dependency["inputs"]] in (["file"], ["gallery"]):
                assert "uploaded here" in call(small, dependency["id"], given)
    for name in ("start_training", "export"):
        body = json.dumps({"data": [[file], file, None, None, ""]}).encode()
        kind = {"Content-Type": "application/json"}
        assert ask(small, "POST", f"/gradio_api/call/{name}", headers=kind, body=body)[0] == 403
    for route in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/file=", "/proxy="):
        assert ask(small, "GET", route + listener.address)[0] in (403, 404)
    listener.close()
    assert listener.asked == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_other_site_reads(small: Server, host: str) -> None:
    for method in ("GET", "OPTIONS"):
        connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=30)
        asked = {
            "Host": f"{host}:{small.port}",
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
        }
        connection.request(method, "/config", headers=asked)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == (200 if method == "GET" else 403)
        assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]


def test_a_client_does_not_say_what_the_server_is_called(small: Server) -> None:
    told = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    for path in ("/config", "/"):
        status, answer = ask(small, "GET", path, headers=told)
        assert (status, b"evil.example" in answer, b"https://127" in answer) == (200, False, False)
    assert config(small)["root"] == small.url.rstrip("/")


def test_what_is_uploaded_comes_back_as_a_file_and_nothing_that_runs(small: Server) -> None:
    for name in ("x.html", "x.svg", "x.js", "x.xml", "x.png"):
        (path,) = json.loads(upload(small, b"<script>alert(1)</script>", name=name)[1])
        for part in ({}, {"Range": "bytes=0-9", "Content-Type": "text/html", "X-Odd": "1"}):
            connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=30)
            connection.request("GET", f"/gradio_api/file={urllib.parse.quote(path)}", headers=part)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert answer.status in (200, 206)
            picture = name == "x.png"
            assert answer.headers.get_all("content-type") == ["image/png" if picture else "application/octet-stream"]
            placed = answer.headers["content-disposition"]
            assert placed.startswith("inline" if picture else "attachment")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert "x-odd" not in answer.headers


def test_ids_that_are_no_ids_are_refused_and_a_wrong_choice_is_a_line(small: Server) -> None:
    log = small.runs_dir.parent / "log"
    before = log.stat().st_size
    for body in (
        {"data": {}, "component_id": [], "session_hash": "a", "fn_name": "x"},
        {"data": {}, "component_id": 1, "session_hash": {}, "fn_name": "x"},
        {"data": {}, "component_id": 1, "session_hash": "a", "fn_name": 7},
    ):
        kind = {"Content-Type": "application/json"}
        assert (
            ask(small, "POST", "/gradio_api/component_server", headers=kind, body=json.dumps(body).encode())[0] == 400
        )
    assert log.stat().st_size == before
    number = next(one["id"] for one in config(small)["dependencies"] if one["api_name"] == "status")
    for project in (5, ["x"], {"a": 1}):
        assert "There is no such run here" in call(small, number, [project])
    assert log.stat().st_size == before
    for _ in range(3):  # a file that is named and was not uploaded: gradio writes all of it on the terminal
        wrong = {"path": "/" + "x" * 300_000, "meta": {"_type": "gradio.FileData"}}
        take = next(one["id"] for one in config(small)["dependencies"] if one["api_name"] == "take")
        assert '"success":false' in call(small, take, [wrong])
    written = log.read_text(errors="replace")
    assert "xxx …\n" in written and max(map(len, written.splitlines())) < 1100


def used(small: Server) -> list[Path]:
    """The files in the page's private folder."""
    place = next(small.runs_dir.parent.glob("realfill-*"))
    return [item for item in place.rglob("*") if item.is_file()]


def test_a_refused_upload_leaves_nothing_behind(small: Server) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"y" * 5000 + b"\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    before = used(small)
    for _ in range(5):
        many = part * (quotas.MAX_FILES + 1) + b"--x--\r\n"
        status, answer = ask(small, "POST", "/gradio_api/upload", headers=kind, body=many)
        assert (status, answer) == (413, f"At most {quotas.MAX_FILES} files at once.".encode())
    assert used(small) == before


def test_too_large_a_body_is_refused_before_it_is_sent(small: Server) -> None:
    for path, most in (
        ("/gradio_api/upload", quotas.MAX_BODY),
        (JOIN, bodies.max_length(JOIN)),
        ("/gradio_api/call/status", bodies.MAX_CALL),
        ("/login", bodies.MAX_CALL),
    ):
        with socket.create_connection(("127.0.0.1", small.port), timeout=20) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{small.port}\r\nContent-Length: {most + 1}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_defect_tells_no_secret(small: Server) -> None:
    number = next(
        one["id"] for one in config(small)["dependencies"] if not one["inputs"] and one["targets"][0][1] == "click"
    )
    answer = call(small, number, [])
    assert '"success":false' in answer
    assert "secret" not in answer and "Traceback" not in answer


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/gradio_api/queue/join", b"[1, 2"),
        ("POST", "/gradio_api/queue/join", b"{}"),
        ("POST", "/gradio_api/run/predict", b'{"data": null, "fn_index": 99999}'),
        ("POST", "/gradio_api/upload", b"not multipart"),
        ("POST", "/gradio_api/component_server", b'{"fn_name": "__init__", "component_id": 0, "data": 1}'),
        ("GET", "/gradio_api/file=/" + "a" * 300, None),
        ("GET", "/gradio_api/file=/%00", None),
        ("GET", "/gradio_api/queue/data?session_hash=nobody", None),
        ("GET", "/no/such/page", None),
        ("DELETE", "/", None),
    ],
)
def test_nonsense_is_answered_without_traceback_or_path(
    small: Server, method: str, path: str, body: bytes | None
) -> None:
    kind = {"Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=30)
    connection.request(method, path, body=body, headers=kind)
    answer = connection.getresponse()
    try:
        text = answer.read().decode(errors="replace")
    except http.client.IncompleteRead as error:  # a stream that ended with a refusal
        text = error.partial.decode(errors="replace")
    connection.close()
    assert answer.status >= 400 or "session_not_found" in text
    for word in ("Traceback", "site-packages", str(small.runs_dir), "/work/", 'File "'):
        assert word not in text


def test_what_the_workbench_keeps_and_unpacks_counts_as_uploads_do(
    folder: Path, toy_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through gradio's own route: its threads know whose request they answer."""
    with gr.Blocks() as page:
        bench = workbench()
    booked = list[tuple[str, int]]()
    monkeypatch.setattr(quotas.Ledger, "admit", lambda self, visitor, size, **_: booked.append((visitor, size)))
    client = TestClient(wrapper.build(page, "127.0.0.1", 7860), base_url=OWN)
    archive.pack(toy_scene, folder / "toy.zip")

    def ask(question: str, about: dict[str, Any]) -> Any:
        asked = {"fn_name": question, "component_id": bench._id, "session_hash": "a", "data": about}
        return client.post("/gradio_api/component_server", json=asked).json()

    assert ask("keep_scene", {"scene": {}})["draft"]
    assert ask("open_zip", {"path": str(folder / "toy.zip")})["target"]
    size, _ = look_inside(folder / "toy.zip")
    assert booked == [("testclient", uploads.BLOCK), ("testclient", size)]


def test_answers_that_nobody_reads_end_while_the_server_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = list[Any]()

    async def keep_expiring(answers: UnreadAnswers) -> None:
        watched.append(answers._queue)
        await asyncio.Event().wait()

    monkeypatch.setattr(wrapper, "keep_expiring", keep_expiring)
    with gr.Blocks() as page:
        gr.Markdown("x")
    with TestClient(wrapper.build(page, "127.0.0.1", 7860), base_url=OWN) as client:
        assert client.get("/config").status_code == 200
        assert watched == [page._queue]
    assert page.state_holder.capacity == wrapper.SESSIONS


def test_the_queue_of_handlers_has_an_end(folder: Path) -> None:
    with gr.Blocks() as page:
        gr.Markdown("x")
    wrapper.build(page, "127.0.0.1", 7860)
    assert page._queue.max_size == wrapper.QUEUE


def test_who_has_not_signed_in_gets_nothing(tmp_path: Path, tiny_base: Path) -> None:
    with serving(tmp_path, tiny_base, "ann:secretsecret") as server:
        for method, path in (
            ("GET", "/config"),
            ("GET", "/gradio_api/info"),
            ("GET", "/gradio_api/file=/etc/passwd"),
            ("POST", "/gradio_api/upload"),
            ("POST", "/gradio_api/queue/join"),
            ("POST", "/gradio_api/call/status"),
            ("POST", "/gradio_api/run/predict"),
            ("GET", "/gradio_api/queue/data?session_hash=a"),
            ("GET", "/gradio_api/heartbeat/a"),
            ("POST", "/gradio_api/cancel"),
            ("POST", "/gradio_api/reset"),
            ("GET", "/gradio_api/app_id"),
        ):
            status = ask(server, method, path, headers={"Content-Type": "application/json"}, body=b"{}")[0]
            assert status == 401, path
        assert ask(server, "GET", "/openapi.json")[0] == ask(server, "GET", "/gradio_api/openapi.json")[0] == 404
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert ask(server, "POST", "/login", headers=form, body=b"username=ann&password=wrong")[0] == 400
        assert ask(server, "POST", "/login", headers=form, body=b"username=&password=")[0] in (400, 422)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/login", headers=form, body=b"username=ann&password=secretsecret")
        answer = connection.getresponse()
        cookies = [value for name, value in answer.getheaders() if name == "set-cookie"]
        answer.read()
        connection.close()
        mine = "; ".join(cookie.partition(";")[0] for cookie in cookies)
        assert ask(server, "GET", "/config", headers={"Cookie": mine})[0] == 200
        assert ask(server, "GET", "/gradio_api/app_id", headers={"Cookie": mine})[0] == 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_servers_process_has_no_torch(small: Server) -> None:
    mapped = Path(f"/proc/{small.process.pid}/maps").read_text()
    assert "torch" not in mapped
    assert "cv2" in mapped  # the file does say what is loaded


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_listens_on_this_machine_only(small: Server) -> None:
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    mine = [address for address in listening if int(address.partition(":")[2], 16) == small.port]
    assert mine == [f"0100007F:{small.port:04X}"]


def test_an_ending_server_tells_open_streams_that_their_readers_are_gone() -> None:
    told: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"beat", "more_body": True})
        told.append((await receive())["type"])

    server, listener = wrapper.WebServer(stream), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    reader = http.client.HTTPConnection(*listener.getsockname())
    reader.request("GET", "/")
    assert reader.getresponse().read(4) == b"beat"
    server.should_exit = True
    thread.join(PATIENCE)
    assert told == ["http.disconnect"] and not thread.is_alive()
    reader.close()
