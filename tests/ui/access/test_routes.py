"""The requests that the page, gradio's script and its client make pass; what gradio offers besides does not."""

import pytest

from ui.access.routes import is_open, is_served

USED = (
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/config"),
    ("GET", "/theme.css"),
    ("GET", "/assets/index-a.js"),
    ("GET", "/static/js/iframeResizer.contentWindow.min.js"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/heartbeat/abc123"),
    ("GET", "/gradio_api/queue/data"),
    ("GET", "/gradio_api/upload_progress"),
    ("GET", "/gradio_api/file=/tmp/a b/c.png"),
    ("HEAD", "/gradio_api/file=/tmp/c.png"),
    ("GET", "/gradio_api/file=C:\\Temp\\c.png"),
    ("GET", "/gradio_api/call/export/abc"),
    ("POST", "/gradio_api/call/export"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/component_server/"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/login"),
    ("GET", "/logout"),
    ("GET", "/login/huggingface"),
    ("GET", "/login/callback"),
)
UNUSED = (
    ("GET", "/gradio_api/file/https://evil.example/x.png"),
    ("GET", "/gradio_api/file/http:/evil.example/x.png"),
    ("GET", "/gradio_api/file/tmp/c.png"),
    ("GET", "/gradio_api/file=https://evil.example/x.png"),
    ("GET", "/gradio_api/file= https://evil.example/x.png"),
    ("GET", "/gradio_api/file=x:evil"),
    ("GET", "/file=/tmp/c.png"),
    ("GET", "/gradio_api/proxy=https://evil.example/"),
    ("GET", "/openapi.json"),
    ("GET", "/gradio_api/openapi.json"),
    ("GET", "/gradio_api/token"),
    ("GET", "/gradio_api/queue/status"),
    ("GET", "/gradio_api/login_check"),
    ("GET", "/gradio_api/runs"),
    ("GET", "/monitoring/summary"),
    ("GET", "/svelte/x.js"),
    ("POST", "/gradio_api/call/v2/export"),
    ("POST", "/gradio_api/api/predict"),
    ("POST", "/gradio_api/stream/x"),
    ("POST", "/gradio_api/process_recording"),
    ("POST", "/gradio_api/vibe-edit"),
    ("OPTIONS", "/config"),
    ("PUT", "/"),
    ("DELETE", "/gradio_api/upload"),
)


@pytest.mark.parametrize(("method", "path"), USED)
def test_what_is_used_passes(method: str, path: str) -> None:
    assert is_served(method, path)


@pytest.mark.parametrize(("method", "path"), UNUSED)
def test_what_is_not_used_is_not_there(method: str, path: str) -> None:
    assert not is_served(method, path)


def test_before_signing_in_there_is_the_page_and_no_more() -> None:
    asked_first = {"/", "/config", "/theme.css", "/login", "/logout", "/login/huggingface", "/login/callback"}
    for method, path in USED:
        assert is_open(method, path) == (path in asked_first or path.startswith(("/assets/", "/static/")))
