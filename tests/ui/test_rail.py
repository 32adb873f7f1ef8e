"""The rail: its handlers as functions."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from realfill.jobs import queue
from realfill.runs.run import Run
from tests.ui.small_page import SmallPage
from ui.rail.component import RailHandlers
from ui.runs.jobs import Jobs


@pytest.fixture
def page(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> SmallPage:
    monkeypatch.setattr(Jobs, "ensure_worker", lambda self: None)
    (tmp_path / "runs").mkdir(exist_ok=True)
    return SmallPage(Jobs(tmp_path / "runs", tmp_path / "examples"), "mini")


@pytest.fixture
def handlers(page: SmallPage) -> RailHandlers:
    return RailHandlers(page.rail, page)


def pressed(what: str, run_id: str = "", name: str = "") -> gr.EventData:
    return cast(gr.EventData, SimpleNamespace(_data={"what": what, "id": run_id, "name": name}))


def shown(updates: Any, page: SmallPage) -> dict[str, Any]:
    value: dict[str, Any] = updates[page.rail.list]
    return value


def test_open_rename_and_duplicate(handlers: RailHandlers, page: SmallPage, run: Run) -> None:
    opened = handlers.act("", pressed("open", run.folder.name))
    assert opened[page.run_id] == run.folder.name
    assert shown(opened, page)["current"] == run.folder.name
    renamed = handlers.act(run.folder.name, pressed("rename", run.folder.name, "Barn"))
    assert [one["name"] for one in shown(renamed, page)["projects"]] == ["Barn"]
    assert page.run_id not in renamed  # what is open stays as it is
    copied = handlers.act(run.folder.name, pressed("duplicate", run.folder.name))
    assert copied[page.run_id] not in ("", run.folder.name)
    assert {one["name"] for one in shown(copied, page)["projects"]} == {"Barn", "Barn copy"}


def test_deleting_the_open_project_leaves_an_empty_page_and_undo_opens_it(
    handlers: RailHandlers, page: SmallPage, run: Run
) -> None:
    deleted = handlers.act(run.folder.name, pressed("delete", run.folder.name))
    assert deleted[page.run_id] == "" and shown(deleted, page)["projects"] == []
    back = handlers.act("", pressed("undo", run.folder.name))
    assert back[page.run_id] == run.folder.name and len(shown(back, page)["projects"]) == 1


def test_the_bin_shows_all_that_was_deleted(handlers: RailHandlers, page: SmallPage, run: Run) -> None:
    other = page.projects.duplicate(run.folder.name)
    handlers.act("", pressed("delete", run.folder.name))
    deleted = shown(handlers.act("", pressed("delete", other)), page)
    assert [one["id"] for one in deleted["bin"]] == [other, run.folder.name] and deleted["projects"] == []
    back = shown(handlers.act("", pressed("undo", run.folder.name)), page)
    assert [one["id"] for one in back["bin"]] == [other]
    assert [one["id"] for one in back["projects"]] == [run.folder.name]


def test_deleting_another_project_leaves_the_open_one(handlers: RailHandlers, page: SmallPage, run: Run) -> None:
    assert page.run_id not in handlers.act("another", pressed("delete", run.folder.name))


@pytest.mark.parametrize("what", ["", "open", "rename", "delete", "undo", "own", "__class__"])
def test_what_is_forged_is_a_sentence(handlers: RailHandlers, run: Run, what: str) -> None:
    with pytest.raises(gr.Error, match=r"here|gone|cannot"):
        handlers.act("", pressed(what, "../../etc"))


def test_a_look_without_news_sends_nothing(handlers: RailHandlers, page: SmallPage, run: Run) -> None:
    while not page.projects.listing()[0].thumb:
        pass
    first = handlers.look("", None)
    assert handlers.look("", first[page.rail.seen]) == gr.skip()
    assert first[page.rail.timer].active is False  # nothing is live: nobody looks again
    run.enter("queued", ticket=1)
    second = handlers.look("", first[page.rail.seen])
    assert shown(second, page)["projects"][0]["state"] == "queued"
    assert shown(second, page)["at"] > shown(first, page)["at"]  # by which the page tells the older from the newer
    assert second[page.rail.timer].active is True


def test_the_queue_is_ordered_paused_and_let_go_on(handlers: RailHandlers, page: SmallPage, run: Run) -> None:
    other = Run.open(page.jobs.runs_dir / page.projects.duplicate(run.folder.name))
    for one in (run, other):
        queue.submit(one)

    def places(updates: Any) -> dict[str, int]:
        return {one["id"]: one["place"] for one in shown(updates, page)["projects"]}

    moved = handlers.act("", pressed("move", other.folder.name, "1"))
    assert places(moved) == {other.folder.name: 1, run.folder.name: 2}
    paused = shown(handlers.act("", pressed("pause")), page)
    assert paused["paused"] and paused["ordered"] and queue.is_paused(page.jobs.runs_dir)
    assert not page.jobs.tend()  # nobody needs a worker meanwhile
    gone_on = shown(handlers.act("", pressed("unpause")), page)
    assert not gone_on["paused"] and page.jobs.tend()


def test_on_a_space_the_queue_is_nobodys(
    handlers: RailHandlers, page: SmallPage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/studio")
    for what in ("pause", "unpause", "move"):
        with pytest.raises(gr.Error, match="who came first"):
            handlers.act("", pressed(what, run.folder.name, "1"))
