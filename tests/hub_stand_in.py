"""A stand-in for the parts of Hugging Face's API that Jobs and buckets use, on this machine.

huggingface_hub itself talks to it; the contents of files go where its storage client puts them for `local://`.
"""

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MACHINES = [
    {"name": "cpu-basic", "prettyName": "CPU Basic", "cpu": "2 vCPU", "ram": "16 GB", "accelerator": None,
     "unitCostMicroUSD": 167, "unitCostUSD": 0.000167, "unitLabel": "minute"},
    {"name": "l40sx1", "prettyName": "Nvidia L40S", "cpu": "8 vCPU", "ram": "62 GB",
     "accelerator": {"type": "gpu", "model": "L40S", "quantity": "1", "vram": "48 GB", "manufacturer": "Nvidia"},
     "unitCostMicroUSD": 30000, "unitCostUSD": 0.03, "unitLabel": "minute"},
    {"name": "t4-small", "prettyName": "Nvidia T4 - small", "cpu": "4 vCPU", "ram": "15 GB",
     "accelerator": {"type": "gpu", "model": "T4", "quantity": "1", "vram": "16 GB", "manufacturer": "Nvidia"},
     "unitCostMicroUSD": 6667, "unitCostUSD": 0.4 / 60, "unitLabel": "minute"},
    {"name": "l4x4", "prettyName": "4x Nvidia L4", "cpu": "48 vCPU", "ram": "186 GB",
     "accelerator": {"type": "gpu", "model": "L4", "quantity": "4", "vram": "96 GB", "manufacturer": "Nvidia"},
     "unitCostMicroUSD": 63333, "unitCostUSD": 3.8 / 60, "unitLabel": "minute"},
]  # fmt: skip


@dataclass
class Hub:
    """The account of "ann", and what was asked."""

    storage: Path
    url: str = ""
    buckets: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)  # name → path → hash, size
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # by the beginning of "METHOD /path"

    def set_stage(self, job: str, stage: str, seconds: int = 0, message: str | None = None) -> None:
        """What is said of a job from now on."""
        self.jobs[job]["status"] = {"stage": stage, "message": message}
        self.jobs[job]["durations"] = {"schedulingSecs": 5, "runningSecs": seconds, "totalSecs": seconds + 5}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        return hub

    def _answer(self) -> None:
        path, body = urllib.parse.urlsplit(self.path).path, self._body()
        asked = f"{self.command} {path}"
        self.hub.asked.append(asked)
        self.hub.tokens.add(self.headers.get("authorization", "").removeprefix("Bearer "))
        for beginning, (status, message) in self.hub.refusals.items():
            if asked.startswith(beginning):
                self._say({"error": message}, status)
                return
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        match self.command, parts:
            case "GET", ["api", "whoami-v2"]:
                self._say({"name": "ann", "type": "user"})
            case "GET", ["api", "jobs", "hardware"]:
                self._say(MACHINES)
            case "POST", ["api", "jobs", owner]:
                self._create_job(owner, json.loads(body))
            case "GET", ["api", "jobs", _, job]:
                self._say(self.hub.jobs[job])
            case "POST", ["api", "jobs", _, job, "cancel"]:
                self.hub.set_stage(job, "CANCELED")
                self._say({})
            case _, ["api" | "buckets", *_] if "bucket" in path:
                self._answer_bucket(parts, body)
            case _:
                self._say({"error": "not here"}, 404)

    def _answer_bucket(self, parts: list[str], body: bytes) -> None:
        hub = self.hub
        match self.command, parts:
            case "POST", ["api", "buckets", owner, name]:
                hub.buckets[f"{owner}/{name}"] = {}
                assert json.loads(body) == {"visibility": "private"}
                self._say({"url": f"{hub.url}/buckets/{owner}/{name}"})
            case "DELETE", ["api", "buckets", owner, name]:
                self._say({}, 200 if hub.buckets.pop(f"{owner}/{name}", None) is not None else 404)
            case "GET", ["api", "buckets", _, _, ("xet-write-token" | "xet-read-token")]:
                token = {"casUrl": f"local://{hub.storage}", "exp": int(time.time()) + 3600, "accessToken": "x"}
                self._say(token)
            case "POST", ["api", "buckets", owner, name, "batch"]:
                lines = [json.loads(line) for line in body.splitlines()]
                hub.buckets[f"{owner}/{name}"] |= {line["path"]: (line["xetHash"], 0) for line in lines}
                self._say({"success": True, "processed": len(lines), "succeeded": len(lines), "failed": []})
            case "GET", ["api", "buckets", owner, name, "tree"]:
                kept = hub.buckets[f"{owner}/{name}"].items()
                self._say([{"type": "file", "path": path, "xetHash": one, "size": size} for path, (one, size) in kept])
            case "HEAD", ["buckets", owner, name, "resolve", path]:
                one, size = hub.buckets[f"{owner}/{name}"][path]
                route = f"{hub.url}/api/buckets/{owner}/{name}/xet-read-token"
                self._say({}, 200, {"X-Xet-Hash": one, "X-Linked-Size": str(size), "X-Xet-Refresh-Route": route})
            case _:
                self._say({"error": "not here"}, 404)

    def _create_job(self, owner: str, spec: dict[str, Any]) -> None:
        name = f"job{len(self.hub.jobs)}"
        who = {"id": "1", "name": owner, "type": "user"}
        self.hub.jobs[name] = {"id": name, "owner": who, **spec}
        self.hub.set_stage(name, "SCHEDULING")
        self._say(self.hub.jobs[name])

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, data: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_DELETE = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serve_hub(storage: Path) -> Iterator[Hub]:
    """The stand-in, at `url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(storage, f"http://127.0.0.1:{server.server_address[1]}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
