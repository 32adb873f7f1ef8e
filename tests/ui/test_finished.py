"""Finished examples: everybody looks at them, nobody changes them, a copy is one's own."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from realfill.errors import RunError
from realfill.imaging import decode
from realfill.locks import Lock
from realfill.runs.listing import run_folders
from realfill.runs.run import Run
from realfill.scene import scene
from ui.access import visitors
from ui.grid.questions import questions
from ui.page import Page
from ui.rail.component import RailHandlers
from ui.runs import jobs
from ui.runs.jobs import Jobs

ID = "example-barn"
PRESSED = ("rename", "delete", "duplicate")


@pytest.fixture
def page(tmp_path: Path, folder: Path, sampled: Run) -> Iterator[Page]:
    """A page without runs and with one example, of two seeds."""
    sampled.labels.update(name="The barn", example=True)
    sampled.enter("done", "A finished example.")
    (sampled.folder / "lock").unlink(missing_ok=True)
    (tmp_path / "examples").mkdir()
    sampled.folder.rename(tmp_path / "examples" / ID)
    worker = Lock(tmp_path / "runs" / ".worker.lock")
    assert worker.acquire()
    yield Page(Jobs(tmp_path / "runs", tmp_path / "examples"))
    worker.release()


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


def given(page: Page, **changes: Any) -> dict[Any, Any]:
    tab = page.browse
    values = {page.run_id: ID, tab.feather: 8, tab.kind: "png", tab.quality: 95, tab.match_colour: False}
    values |= {tab.what: "picture", page.seed_handlers._place: 0, page.seed_handlers._picked: None}
    return values | {getattr(tab, name): value for name, value in changes.items()}


def stamps(place: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in place.rglob("*")}


def test_it_is_seen_compared_and_exported_without_a_trace(page: Page) -> None:
    before = stamps(page.jobs.examples)
    opened = page.attach(ID)
    assert opened[page.tabs].selected == "browse"
    assert opened[page.browse.viewer]["seed"] == 8 and opened[page.browse.seeds]["fixed"] is True
    assert opened[page.browse.seeds]["more"] is False and "make it your own" in opened[page.browse.seeds]["why"]
    assert opened[page.browse.make_again]["interactive"] is opened[page.resume_button]["visible"] is False
    picked = page.seed_handlers.pick(given(page), event(seed=3))
    assert picked[page.browse.viewer]["seed"] == 3
    later = given(page, feather=2, match_colour=True) | {page.seed_handlers._picked: picked[page.seed_handlers._picked]}
    assert page.seed_handlers.show(later)[page.browse.viewer]["seed"] == 3
    assert page.seed_handlers.seam(later)
    path = Path(page.seed_handlers.export(later)[page.browse.download].value["path"])
    assert path.name == "The-barn-seed3.png"
    shown = page.jobs.view(ID)
    truth, hole = decode.read_original(next(shown.scene_folder.glob("target/target.*"))), scene.load(shown.scene_folder)
    with Image.open(path) as image:
        made = np.asarray(image)
    assert np.array_equal(made.shape, truth.pixels.shape) and not np.array_equal(
        made[hole.hole], truth.pixels[hole.hole]
    )
    assert stamps(page.jobs.examples) == before


def test_nothing_of_it_can_be_changed(page: Page) -> None:
    before = stamps(page.jobs.examples)
    handlers = RailHandlers(page.rail, page)
    attempts: list[Callable[[], Any]] = [
        lambda: page.run_handlers.resume(ID),
        lambda: page.run_handlers.stop(ID),
        lambda: page.run_handlers.go_further(ID, 10),
        lambda: page.run_handlers.add_seeds(ID, event(count=8)),
        lambda: page.run_handlers.make_again({page.run_id: ID}),
        lambda: page.seed_handlers.mark(ID, event(seed=3, kind="starred", on=True)),
        *(functools.partial(handlers.act, "", event(what=what, id=ID, name="x")) for what in PRESSED),
    ]
    prefer = next(one for one in questions(page.jobs) if one.__name__ == "prefer")
    assert "make it your own" in prefer({"project": ID, "winner": 3, "loser": 8})["error"]
    for attempt in attempts:
        with pytest.raises(gr.Error, match="make it your own"):
            attempt()
    assert stamps(page.jobs.examples) == before


def test_a_copy_is_ones_own_and_made_once(page: Page) -> None:
    handlers = RailHandlers(page.rail, page)
    opened = handlers.act(ID, event(what="own", id=ID, name=""))
    mine = page.jobs.open(opened[page.run_id])
    assert not mine.labels.is_example and mine.folder.parent == page.jobs.runs_dir
    assert opened[page.browse.seeds]["more"] is True and opened[page.browse.seeds]["fixed"] is False
    page.seed_handlers.mark(mine.folder.name, event(seed=3, kind="starred", on=True))
    assert mine.labels.starred == [3] and page.jobs.view(ID).labels.starred == []
    again = handlers.act("", event(what="own", id=ID, name=""))
    assert again[page.run_id] == mine.folder.name and len(run_folders(page.jobs.runs_dir)) == 1


def test_a_visitor_of_a_space_sees_examples_and_owns_a_copy(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    visitors.enter({"headers": [(visitors.HEADER.encode(), visitors.new_id().encode())]})
    assert page.jobs.view(ID).labels.name == "The barn" and page.jobs.latest_id() == ""
    mine = page.projects.take_example(ID)
    visitors.enter({"headers": [(visitors.HEADER.encode(), visitors.new_id().encode())]})
    with pytest.raises(RunError):
        page.jobs.view(mine)


# ── the ones that come with the program ──

HERE = run_folders(jobs.EXAMPLES)


@pytest.mark.parametrize("place", HERE, ids=lambda place: place.name)
def test_what_comes_along_opens_as_an_example_and_shows_everything(place: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(exist_ok=True)
    before = stamps(place)
    page = Page(Jobs(tmp_path / "runs"))
    opened = page.attach(place.name)
    grid, seen = opened[page.browse.seeds], opened[page.browse.viewer]
    assert grid["fixed"] and len(grid["cells"]) >= 5 and all(cell["matches"] is not None for cell in grid["cells"])
    assert seen["seed"] is not None and any(one["lines"] for one in seen["refs"]) and seen["frames"]["whole"]["over"]
    chosen = given(page) | {page.run_id: place.name}
    assert Path(page.seed_handlers.export(chosen)[page.browse.download].value["path"]).stat().st_size > 1000
    assert stamps(place) == before


@pytest.mark.parametrize("place", HERE, ids=lambda place: place.name)
def test_what_comes_along_is_small_and_names_nobodys_machine(place: Path) -> None:
    whole = [path for path in place.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in whole) <= 1_300_000
    for path in whole:
        if path.suffix in (".json", ".jsonl"):
            text = path.read_text()
            assert not any(word in text for word in ('"/', "/home", "/root", "/tmp", "/work", '"pid"')), path
