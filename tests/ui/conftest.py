"""Fixtures of the page's tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from realfill import config
from realfill.config import Config
from realfill.locks import Lock
from realfill.runs.listing import new_run_folder
from realfill.runs.run import Run
from realfill.scene import scene
from realfill.scene.scene import crop_to_fill
from tests.waiting import wait_until
from ui.access import uploads, visitors
from ui.runs.jobs import Jobs

if TYPE_CHECKING:
    from ui.page import Page

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (on Debian: apt install chromium)")


@dataclass(frozen=True)
class Server:
    """A started `python app.py`."""

    process: subprocess.Popen[bytes]
    url: str
    port: int
    runs_dir: Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's private folder, a test's own."""
    place = tmp_path / "page"
    place.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(place))
    assert uploads.folder() == place
    return place


@pytest.fixture
def vanishing(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of folders that vanish between being listed and being looked into."""
    scandir = os.scandir

    def look(place: str) -> Any:
        if Path(place).name == "gone":
            raise FileNotFoundError(place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", look)
    return "gone"


@pytest.fixture
def quick() -> Config:
    """Settings with which the tiny base is through in seconds."""
    return config.make("mini", {"train.steps": 4, "train.batch": 1, "sample.seeds": "0-2", "sample.steps": 2})


@pytest.fixture
def run(tmp_path: Path, toy_scene: Path, quick: Config) -> Run:
    """A new run of the toy scene that nobody works on."""
    return Run.create(new_run_folder(tmp_path / "runs"), quick, toy_scene)


@pytest.fixture
def sampled(run: Run, folder: Path) -> Run:
    """A run as it is after sampling: a fit, two seeds, scores."""
    fit = crop_to_fill(scene.load(run.scene_folder), size=64, multiple=8, context=0.5)
    run.record(fit=fit.to_json())
    for seed in (3, 8):
        run.write_seed(seed, np.full((fit.height, fit.width, 3), 20 * seed, np.uint8))
    scores = [(8, 40, [30, 10]), (3, 2, [2, 0])]
    run.write("scores", {"seeds": [{"seed": s, "matches": n, "per_reference": each} for s, n, each in scores]})
    run.enter("done")
    return run


@pytest.fixture
def page(tmp_path: Path, folder: Path) -> "Iterator[Page]":
    """The studio's page over the runs of `run`; a lock stands in for the worker, so that none is started."""
    from ui.page import Page

    runs_dir = tmp_path / "runs"
    runs_dir.mkdir(exist_ok=True)
    worker = Lock(runs_dir / ".worker.lock")
    assert worker.acquire()
    yield Page(Jobs(runs_dir))
    worker.release()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Server]:
    """The real page over an empty folder of runs, with the tiny base; its workers end with it."""
    place = tmp_path_factory.mktemp("page server")  # with a space, as people have them
    runs_dir, port = place / "runs", free_port()
    environment = {**os.environ, "TMPDIR": str(place), "REALFILL_LOCKS": str(place), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--runs-dir", str(runs_dir)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--base", str(tiny_base)], env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(url, process)
        yield Server(process, url, port, runs_dir)
    finally:
        end(process)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Server]:
    """The real server round a page of the smallest kind (small_page.py), with the tiny base."""
    with serving(tmp_path_factory.mktemp("small server"), tiny_base) as server:
        yield server


@contextlib.contextmanager
def serving(place: Path, base: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """The small page over `place`/runs, with environment variables of its own; its workers end with it."""
    runs_dir, port = place / "runs", free_port()
    runs_dir.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(place), "REALFILL_LOCKS": str(place), **variables}
    command = [sys.executable, "-m", "tests.ui.serve_small_page", str(port), str(runs_dir), str(base), *arguments]
    with (place / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(url, process)
        yield Server(process, url, port, runs_dir)
    finally:
        end(process)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fresh_id(server: Server) -> str:
    """The id of a visitor who comes for the first time, as a Space's page sets it in a cookie."""
    with urllib.request.urlopen(server.url, timeout=30) as answer:
        pairs = [line.partition(";")[0].partition("=") for line in answer.headers.get_all("set-cookie")]
    return next(str(value) for name, _, value in pairs if name == visitors.COOKIE)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns when a server answers; fails when it ends before that."""

    def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the server of {url} ended with exit code {process.poll()}")
        try:
            urllib.request.urlopen(url, timeout=30).close()
        except OSError:
            return False
        return True

    wait_until(answers, f"an answer from {url}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it started; one that a test killed is left alone."""
    if process.poll() is not None:
        return
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(family, timeout=20)
    for member in alive:
        member.kill()
    process.wait(20)
