"""The page of a Space whose visitors can train on an account of their own, and whose disk does not last."""

import json
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from realfill.locks import Lock
from tests.hub_stand_in import Hub, serve_hub
from tests.ui.test_page import given
from ui.access import visitors
from ui.page import Page
from ui.rail import component
from ui.runs import hub_jobs
from ui.runs.hub_jobs import HubJobs
from ui.runs.jobs import Jobs
from ui.tabs.own_gpu import WHAT_HAPPENS


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(hub_jobs, "LOOK", 0.0)
    monkeypatch.setattr(visitors, "hub_token", lambda: "hf_ann")
    with serve_hub(tmp_path / "storage") as served:
        yield served


@pytest.fixture
def space(hub: Hub, tmp_path: Path, folder: Path) -> Iterator[Page]:
    runs_dir = tmp_path / "runs"
    runs_dir.mkdir()
    worker = Lock(runs_dir / ".worker.lock")
    assert worker.acquire()
    yield Page(Jobs(runs_dir, hub=HubJobs("hf.co/spaces/me/realfill", hub.url), lasting=False))
    worker.release()


def test_what_happens_is_said_before(space: Page) -> None:
    page = json.dumps(space.blocks.get_config_file()["components"], default=str)
    assert WHAT_HAPPENS in page and component.PASSING in page


def test_a_page_without_either_says_neither(page: Page) -> None:
    shown = json.dumps(page.blocks.get_config_file()["components"], default=str)
    assert WHAT_HAPPENS not in shown and component.PASSING not in shown


def test_from_prices_to_a_job_and_its_end(space: Page, hub: Hub, folder: Path, toy_scene: Path) -> None:
    panel, handlers = space.train.own_gpu, space.run_handlers
    assert panel is not None
    shown = handlers.list_machines()
    assert shown[panel.machine]["choices"][0] == ("Nvidia T4 - small, $0.40 an hour", "t4-small")
    values = given(space, folder, toy_scene) | {panel.machine: "t4-small", panel.hours: 2}
    run = space.jobs.open(handlers.start_elsewhere(values)[space.run_id])
    assert hub.jobs["job0"]["timeoutSeconds"] == 7200 and len(hub.buckets) == 1
    hub.set_stage("job0", "RUNNING", 60)
    assert list(handlers.take_turn(run.folder.name)) == []  # news, and no turn
    updates = handlers.tick(run.folder.name, None)
    assert "so far" in str(updates[space.status]) and updates[space.stop_button]["visible"]
    handlers.stop(run.folder.name)
    assert run.status().state == "stopped" and hub.buckets == {}


def test_who_is_not_signed_in_is_told(
    space: Page, folder: Path, toy_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "hub_token", lambda: "")
    with pytest.raises(gr.Error, match="Sign in with Hugging Face first"):
        space.run_handlers.list_machines()


def test_a_machine_must_be_chosen_and_a_refusal_leaves_no_project(
    space: Page, hub: Hub, folder: Path, toy_scene: Path
) -> None:
    panel = space.train.own_gpu
    assert panel is not None
    values = given(space, folder, toy_scene) | {panel.machine: None, panel.hours: 2}
    with pytest.raises(gr.Error, match="Choose a machine"):
        space.run_handlers.start_elsewhere(values)
    hub.refusals["POST /api/jobs"] = (402, "no credit")
    with pytest.raises(gr.Error, match="no Job without credit"):
        space.run_handlers.start_elsewhere(values | {panel.machine: "l40sx1"})
    assert space.jobs.folders() == [] and hub.buckets == {}


def test_the_token_is_the_visitors_and_only_while_it_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    for left, token in ((600, "x"), (-1, "")):
        info = {"access_token": "x", "expires_at": 1e9 + left}
        monkeypatch.setattr("ui.access.visitors.time.time", lambda: 1e9)
        visitors.enter({"type": "http", "session": {"oauth_info": info}})
        assert visitors.hub_token() == token
    visitors.enter({})
