"""Nothing is lost: a killed worker, a killed server. Real processes over the tiny base."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from tests.ui.conftest import Server, serving
from tests.ui.live_runs import STEPS, done, end_all, start, steps, warm_processes, workers
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as posix does")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder for one server after another; workers that are left are ended."""
    yield tmp_path
    for process in workers(tmp_path / "runs"):
        end_all(process)


@pytest.mark.long
def test_a_killed_process_costs_a_few_steps_and_the_page_sees_to_the_rest(small: Server, toy_scene: Path) -> None:
    run = start(small, toy_scene)
    wait_until(lambda: len(steps(run)) > 8, "training")
    (worker,) = workers(small.runs_dir)
    (warm,) = warm_processes(worker)
    warm.kill()
    wait_until(lambda: run.status().attempts == 1 and warm_processes(worker) not in ([], [warm]), "another process")
    assert worker.is_running()
    seen = len(steps(run))
    wait_until(lambda: len(steps(run)) > seen + 2, "training again")
    assert steps(run)[seen] > 1  # from the checkpoint on

    end_all(worker)  # and now all of it
    os.utime(run.folder / "lock", (0, 0))
    assert run.status().state == "interrupted"
    Client(small.url, verbose=False).predict(run.folder.name, api_name="/status")  # somebody looks
    wait_until(lambda: done(run), "the end")
    assert sorted(set(steps(run))) == list(range(1, STEPS + 1))
    assert run.seeds_done() == [0]


def test_a_killed_server_costs_nothing(place: Path, tiny_base: Path, toy_scene: Path) -> None:
    with serving(place, tiny_base) as server:
        run = start(server, toy_scene)
        wait_until(lambda: len(steps(run)) > 3, "training")
        (worker,) = workers(server.runs_dir)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(20)
        seen = len(steps(run))
        wait_until(lambda: len(steps(run)) > seen, "training without a server")
        with serving(place, tiny_base) as again:
            status = Client(again.url, verbose=False).predict(run.folder.name, api_name="/status")
            assert status["state"] in ("running", "done") and status["name"] == "Barn"
            assert workers(server.runs_dir) == [worker]  # no second one
            wait_until(lambda: done(run), "the end")
            assert steps(run) == list(range(1, STEPS + 1))  # not a step twice
