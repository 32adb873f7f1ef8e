"""Whatever stands in a project, the page shows it as text."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import gradio as gr
import pytest
from markupsafe import Markup

from realfill.errors import RealFillError
from realfill.events import Notice, StageStarted, TrainStep
from realfill.locks import Lock
from realfill.runs.run import Run
from ui.errors import speak_errors, speak_plain_errors
from ui.markup import join_markup, markup
from ui.page import Page
from ui.runs.jobs import Jobs

ATTACK = '<img src=x onerror="hit=1">\'"</textarea><script>hit=1</script>'


class _Tags(HTMLParser):
    """The tags of a piece of HTML and what they do."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" or values.get("src") == "x" or any(name.startswith("on") for name in values):
            self.foreign.append(tag)


def foreign_tags(text: str) -> list[str]:
    return _Tags(text).foreign


@pytest.fixture
def page(tmp_path: Path, folder: Path) -> Iterator[Page]:
    (tmp_path / "runs").mkdir(exist_ok=True)
    worker = Lock(tmp_path / "runs" / ".worker.lock")
    assert worker.acquire()
    yield Page(Jobs(tmp_path / "runs", tmp_path / "examples"))
    worker.release()


def test_the_test_would_see_an_attack() -> None:
    assert foreign_tags(ATTACK) == ["img", "script"]


def test_what_is_filled_into_a_template_is_text_and_markup_stays() -> None:
    inner = markup('<b title="{text}">{text}</b>', text=ATTACK)
    assert foreign_tags(inner) == [] and foreign_tags(markup("<p>{inner}</p>", inner=inner)) == []
    assert markup("<p>{inner}</p>", inner=markup("<i></i>")) == "<p><i></i></p>"
    assert join_markup([markup("<i>"), markup("{text}", text="<")]) == "<i>&lt;"


def test_errors_of_handlers_are_text() -> None:
    def refuse() -> None:
        raise RealFillError(ATTACK)

    def refuse_plainly() -> None:
        raise gr.Error(ATTACK)

    for handler in (refuse, refuse_plainly, speak_errors(refuse)):
        with pytest.raises(gr.Error) as caught:
            speak_errors(handler)()
        assert foreign_tags(caught.value.message) == []
        assert caught.value.message.count("&lt;script&gt;") == 1  # once, however many handlers it passed


def test_programs_get_sentences_as_they_are() -> None:
    def refuse() -> None:
        raise RealFillError("'a' & <b>")

    with pytest.raises(gr.Error) as caught:
        speak_plain_errors(refuse)()
    assert caught.value.message == "'a' & <b>"


def test_a_project_whose_settings_do_not_open_says_so_in_text(page: Page, run: Run) -> None:
    data = json.loads((run.folder / "run.json").read_text())
    data["config"]["train"]["steps"] = ATTACK
    (run.folder / "run.json").write_text(json.dumps(data))
    updates = page.run_handlers.load(None, cast(gr.Request, SimpleNamespace(query_params={"project": run.folder.name})))
    status = updates[page.status]
    assert isinstance(status, Markup) and "train.steps" in status and foreign_tags(status) == []


def poison(run: Run) -> None:
    """Puts the attack at every place of a run that a zip of somebody's project may bring."""
    run.labels.update(name=ATTACK, seed=ATTACK, example=ATTACK)
    (run.folder / "labels.json").write_text(
        json.dumps({"name": ATTACK, "seed": ATTACK, "owner": ATTACK, "starred": [ATTACK, 3], "hidden": ATTACK})
    )
    state = {"state": "failed", "sentence": ATTACK, "since": 1.0, "ticket": 0, "attempts": 0}
    (run.folder / "state.json").write_text(json.dumps(state))
    for event in (Notice(ATTACK), StageStarted("train", 4), TrainStep(1, 4, 0.5, 1e-4, 1e-4, 1.0)):
        run.append(event)
    forged = [
        {"event": "TrainStep", "step": 2, "total": ATTACK, "loss": 1.0, "seconds": 1.0},
        {"event": "StageStarted", "stage": ATTACK, "total": ATTACK, "done": ATTACK},
        {"event": ATTACK},
    ]
    with (run.folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in forged)
    entries = [{"seed": 8, "matches": ATTACK, "per_reference": [ATTACK, ATTACK]}]
    run.write("scores", {"seeds": entries})
    run.record(base={"name": ATTACK}, device=ATTACK, precision=ATTACK, versions={ATTACK: ATTACK})


def test_every_string_of_a_project_reaches_the_page_as_text(page: Page, sampled: Run) -> None:
    poison(sampled)
    name = sampled.folder.name
    updates = page.attach(name)
    updates |= page.run_handlers.tick(name, None)
    updates |= page.run_handlers.load(None, cast(gr.Request, SimpleNamespace(query_params={"project": name})))
    written = [page.status, page.train.facts, page.train.strip, page.train.notices, page.train.cost, page.browse.seam]
    shown = {part.elem_id: updates[part] for part in written}
    assert all(isinstance(text, Markup) for text in shown.values()), shown
    assert {name: foreign_tags(text) for name, text in shown.items()} == {name: [] for name in shown}
    assert "&lt;script&gt;" in shown["notices"] and "&lt;script&gt;" in shown["status"]
    with pytest.raises(gr.Error) as caught:
        page.run_handlers.resume(ATTACK)
    assert foreign_tags(caught.value.message) == []


def test_no_other_component_shows_html(page: Page) -> None:
    """Those that handlers write to are the ones of the test above; components of our own set text by textContent."""
    htmls = {part.elem_id for part in page.blocks.blocks.values() if isinstance(part, gr.HTML)}
    written = {"status", "facts", "strip", "notices", "cost", "seam"}
    own = {"rail", "seeds", "viewer", "loss", "workbench", "machine"}
    assert htmls - written - own <= {"brand", None}


def test_a_wrong_setting_is_text_where_its_price_stands(page: Page) -> None:
    dependency = next(one for one in page.blocks.fns.values() if getattr(one.fn, "__name__", "") == "price")
    values = {part: getattr(part, "value", None) for part in page.train.inputs}
    values[page.train.form.inputs[0]] = ATTACK
    price = dependency.fn(values)
    assert isinstance(price, Markup) and foreign_tags(price) == []
