"""Runs that real processes work on, and these processes."""

import contextlib
from pathlib import Path

import psutil
from gradio_client import Client, handle_file

from realfill.events import TrainStep
from realfill.runs.run import Run
from tests.ui.conftest import Server

STEPS = 60


def workers(runs_dir: Path) -> list[psutil.Process]:
    """The workers of a folder of runs."""
    lines = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [process for process, line in lines if "worker" in line and str(runs_dir) in line]


def warm_processes(worker: psutil.Process) -> list[psutil.Process]:
    """The warm processes of a worker."""
    try:
        return [child for child in worker.children() if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def end_all(worker: psutil.Process) -> None:
    """Kills a worker and what it started."""
    family = [worker, *warm_processes(worker)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, timeout=20)


def start(server: Server, scene: Path) -> Run:
    """A run of STEPS steps and one seed, begun through the API."""
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
