"""Nothing is lost: a killed worker, a killed server, a second tab. Real processes over the tiny base."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from realfill.events import TrainStep
from realfill.runs.run import Run
from tests.ui.conftest import Server, chromium, needs_chromium, serving

STEPS = 60

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as posix does")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder for one server after another; workers that are left are ended."""
    yield tmp_path
    for process in workers(tmp_path / "runs"):
        end_all(process)


def workers(runs_dir: Path) -> list[psutil.Process]:
    """The workers of a folder of runs."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "worker" in line and str(runs_dir) in line:
            found.append(process)
    return found


def hands(worker: psutil.Process) -> list[psutil.Process]:
    """The warm processes of a worker."""
    try:
        return [child for child in worker.children() if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def end_all(worker: psutil.Process) -> None:
    """Kills a worker and what it started."""
    family = [worker, *hands(worker)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, timeout=20)


def until(true: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def start(server: Server, scene: Path) -> Run:
    photos = [handle_file(str(path)) for path in sorted((scene / "ref").iterdir())]
    target, mask = (handle_file(str(scene / "target" / name)) for name in ("target.png", "mask.png"))
    settings = {
        "train.steps": STEPS,
        "train.batch": 1,
        "train.checkpoint_every": 5,
        "sample.seeds": "0",
        "sample.steps": 2,
        "select.matcher": "sift",
    }
    client = Client(server.url, verbose=False)
    project = client.predict(photos, target, mask, settings, "Barn", api_name="/start_training")["project"]
    return Run.open(server.runs_dir / project)


def steps(run: Run) -> list[int]:
    return [event.step for event in run.events()[0] if isinstance(event, TrainStep)]


def done(run: Run) -> bool:
    assert run.status().state != "failed", run.status().sentence
    return run.status().state == "done"


def test_a_killed_process_costs_a_few_steps_and_the_page_sees_to_the_rest(
    place: Path, tiny_base: Path, toy_scene: Path
) -> None:
    with serving(place, tiny_base) as server:
        run = start(server, toy_scene)
        until(lambda: len(steps(run)) > 8, "training")
        (worker,) = workers(server.runs_dir)
        (hand,) = hands(worker)
        hand.kill()
        until(lambda: run.status().attempts == 1 and hands(worker) not in ([], [hand]), "another process")
        assert worker.is_running()
        seen = len(steps(run))
        until(lambda: len(steps(run)) > seen + 2, "training again")
        assert steps(run)[seen] > 1  # from the checkpoint on

        end_all(worker)  # and now all of it
        os.utime(run.folder / "lock", (0, 0))
        assert run.status().state == "interrupted"
        Client(server.url, verbose=False).predict(run.folder.name, api_name="/status")  # somebody looks
        until(lambda: done(run), "the end")
        assert sorted(set(steps(run))) == list(range(1, STEPS + 1))
        assert run.seeds_done() == [0]


def test_a_killed_server_costs_nothing(place: Path, tiny_base: Path, toy_scene: Path) -> None:
    with serving(place, tiny_base) as server:
        run = start(server, toy_scene)
        until(lambda: len(steps(run)) > 3, "training")
        (worker,) = workers(server.runs_dir)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(20)
        seen = len(steps(run))
        until(lambda: len(steps(run)) > seen, "training without a server")
        with serving(place, tiny_base) as again:
            status = Client(again.url, verbose=False).predict(run.folder.name, api_name="/status")
            assert status["state"] in ("running", "done") and status["name"] == "Barn"
            assert workers(server.runs_dir) == [worker]  # no second one
            until(lambda: done(run), "the end")
            assert steps(run) == list(range(1, STEPS + 1))  # not a step twice


@pytest.mark.browser
@needs_chromium
def test_two_tabs_and_a_reload_see_the_same_run(place: Path, tiny_base: Path, toy_scene: Path) -> None:
    with serving(place, tiny_base) as server, chromium() as browser:
        run = start(server, toy_scene)
        tabs = [browser.new_page() for _ in range(2)]
        for tab in tabs:
            tab.set_default_timeout(30_000)
            tab.goto(f"{server.url}?project={run.folder.name}")
        for tab in tabs:
            expect(tab.locator(".rf-rail-note").first).to_contain_text("running", timeout=90_000)
        tabs[0].reload()
        expect(tabs[0].locator("#shown")).to_contain_text("project Barn")
        assert len(workers(server.runs_dir)) == 1
        for tab in tabs:
            expect(tab.locator(".rf-rail-note").first).to_contain_text("done", timeout=300_000)
        assert steps(run) == list(range(1, STEPS + 1))
