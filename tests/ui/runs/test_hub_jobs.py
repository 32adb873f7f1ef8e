"""Runs on the visitor's own account, against a stand-in of Hugging Face's API that its own client talks to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realfill import config
from realfill.errors import RunBusy, RunError
from realfill.jobs import queue
from realfill.runs.run import Run
from tests.hub_stand_in import Hub, serve_hub
from ui.runs import hub_jobs
from ui.runs.hub_jobs import HubJobs, Machine

TOKEN = "hf_oauth_of_ann"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(hub_jobs, "LOOK", 0.0)
    with serve_hub(tmp_path / "storage") as served:
        yield served


@pytest.fixture
def jobs(hub: Hub) -> HubJobs:
    return HubJobs("hf.co/spaces/me/realfill", hub.url)


@pytest.fixture
def run(toy_scene: Path, tmp_path: Path) -> Run:
    made = Run.ensure(tmp_path / "runs" / "Kitchen-1", config.make("quick", {"guide.draft": False}), toy_scene)
    made.labels.update(name="Kitchen", owner="ann's")
    return made


@pytest.fixture
def machine(jobs: HubJobs) -> Machine:
    return jobs.machines(TOKEN)[0]


def _leave(hub: Hub, run: Run, folder: Path, state: str, **files: bytes | str) -> None:
    """What a Job leaves in its bucket: the run's own files as they were, and these."""
    from huggingface_hub import HfApi

    ((bucket, kept),) = hub.buckets.items()
    made = {"state.json": json.dumps({"state": state}), "run.json": (run.folder / "run.json").read_text(), **files}
    for name, content in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    api = HfApi(endpoint=hub.url, token=TOKEN)
    api.batch_bucket_files(bucket, add=[(folder / name, f"run/{name}") for name in made])
    for name, (content_hash, _) in list(kept.items()):
        local = (folder if name.removeprefix("run/") in made else run.folder) / name.removeprefix("run/")
        kept[name] = (content_hash, local.stat().st_size)


def test_machines_with_one_gpu_and_their_prices(jobs: HubJobs, hub: Hub) -> None:
    assert [(one.name, one.label()) for one in jobs.machines(TOKEN)] == [
        ("t4-small", "Nvidia T4 - small, $0.40 an hour"),
        ("l40sx1", "Nvidia L40S, $1.80 an hour"),
    ]
    assert hub.tokens == {TOKEN}


def test_a_run_goes_there_and_comes_back(jobs: HubJobs, hub: Hub, run: Run, machine: Machine, tmp_path: Path) -> None:
    jobs.start(run, TOKEN, machine, 2)
    assert queue.waits_for_turn(run.status()) and "waiting for the machine" in run.status().sentence
    ((bucket, there),) = hub.buckets.items()
    assert bucket == "ann/realfill-kitchen-1"
    assert {"run/run.json", "run/scene/target/mask.png"} <= set(there) and "run/labels.json" not in there
    job = hub.jobs["job0"]
    assert (job["spaceId"], job["flavor"], job["timeoutSeconds"]) == ("me/realfill", "t4-small", 7200)  # not 30 minutes
    assert job["volumes"] == [{"type": "bucket", "source": bucket, "mountPath": "/bucket"}]
    assert "timeout -s TERM -k 60 6900 python -m realfill complete --run /tmp/run" in job["command"][2]
    assert TOKEN not in json.dumps(job)

    hub.set_stage("job0", "RUNNING", 90)
    jobs.look(run, TOKEN)
    assert run.status().sentence.endswith("1 min 30 s, $0.01 so far.")

    events, hostile = '{"event": "Notice"}\n', b"../../evil"
    remote = {**json.loads((run.folder / "run.json").read_text()), "adapter_steps": 500}
    made: dict[str, Any] = {"seeds/000001.png": b"a picture", "events.jsonl": events, "run.json": json.dumps(remote)}
    _leave(hub, run, tmp_path / "made", "done", **made, **{"labels.json": hostile, "lora/.hidden/x": hostile})
    hub.buckets[bucket]["run/../../evil.png"] = there["run/labels.json"]
    hub.set_stage("job0", "COMPLETED", 120)
    jobs.look(run, TOKEN)
    back = Run.open(run.folder)
    assert back.status().state == "done" and back.fact("job") is None and back.adapter_steps == 500
    assert (run.folder / "seeds" / "000001.png").read_bytes() == b"a picture"
    assert (run.folder / "events.jsonl").read_text() == events
    assert back.labels.read()["owner"] == "ann's" and not (run.folder / "lora").exists()
    assert not list(tmp_path.rglob("evil.png")) and not list(run.folder.parent.glob(".hub-*"))
    assert hub.buckets == {}  # the photos are gone there


def test_its_time_is_over(jobs: HubJobs, hub: Hub, run: Run, machine: Machine, tmp_path: Path) -> None:
    jobs.start(run, TOKEN, machine, 1)
    _leave(hub, run, tmp_path / "made", "stopped", **{"seeds/000001.png": b"a picture"})
    hub.set_stage("job0", "ERROR", 3300, "exit code 3")
    jobs.look(run, TOKEN)
    status = run.status()
    assert status.state == "stopped" and status.sentence.startswith("The Job's time of 1 h 00 min was over.")
    assert (run.folder / "seeds" / "000001.png").exists() and hub.buckets == {}


def test_a_job_that_left_nothing_has_failed(jobs: HubJobs, hub: Hub, run: Run, machine: Machine) -> None:
    jobs.start(run, TOKEN, machine, 1)
    hub.set_stage("job0", "ERROR", 10, "Job failed to start")
    for entry in [name for name in hub.buckets["ann/realfill-kitchen-1"] if name.endswith("state.json")]:
        del hub.buckets["ann/realfill-kitchen-1"][entry]
    hub.buckets["ann/realfill-kitchen-1"].clear()
    jobs.look(run, TOKEN)
    status = run.status()
    assert status.state == "failed" and "(Job failed to start)" in status.sentence and "job0" in status.sentence


def test_a_stop_cancels_it_and_removes_the_photos(jobs: HubJobs, hub: Hub, run: Run, machine: Machine) -> None:
    jobs.start(run, TOKEN, machine, 1)
    with pytest.raises(RunBusy):
        jobs.start(run, TOKEN, machine, 1)
    jobs.cancel(run, TOKEN)
    assert hub.jobs["job0"]["status"]["stage"] == "CANCELED" and hub.buckets == {}
    assert run.status().state == "stopped" and Run.open(run.folder).fact("job") is None


@pytest.mark.parametrize(
    ("asked", "status", "message", "sentence"),
    [
        ("POST /api/jobs", 402, "Pre-paid credit balance is insufficient", "no Job without credit .Pre-paid"),
        ("POST /api/jobs", 403, "Missing scope", "does not let this page do that for you .Missing scope"),
        ("POST /api/jobs", 429, "", "no more of that for now"),
        ("POST /api/buckets", 403, "", "sign out, sign in again and allow it"),
        ("GET /api/whoami", 401, "", "no longer knows who you are"),
        ("POST /api/jobs", 400, "unknown flavor", "refused it .unknown flavor"),
    ],
)
def test_refusals_are_sentences_and_leave_nothing(
    jobs: HubJobs, hub: Hub, run: Run, machine: Machine, asked: str, status: int, message: str, sentence: str
) -> None:
    hub.refusals[asked] = (status, message)
    with pytest.raises(RunError, match=sentence):
        jobs.start(run, TOKEN, machine, 1)
    assert hub.buckets == {} and hub.jobs == {} and run.fact("job") is None
    assert run.status().state == "stopped"  # as it was


def test_news_that_do_not_come_are_told_and_asked_for_again(
    jobs: HubJobs, hub: Hub, run: Run, machine: Machine
) -> None:
    jobs.start(run, TOKEN, machine, 1)
    jobs.look(run, "")
    assert "sign in to see" in run.status().sentence
    hub.refusals["GET /api/jobs"] = (500, "")
    jobs.look(run, TOKEN)
    assert "code 500" in run.status().sentence and run.status().state == "queued"
    hub.refusals.clear()
    hub.set_stage("job0", "RUNNING", 0)
    jobs.look(run, TOKEN)
    assert "so far" in run.status().sentence


def test_nobody_answers(run: Run) -> None:
    nobody = HubJobs("hf.co/spaces/me/realfill", "http://127.0.0.1:1")
    with pytest.raises(RunError, match="cannot be reached"):
        nobody.start(run, TOKEN, Machine("t4-small", "T4", 0.4), 1)
