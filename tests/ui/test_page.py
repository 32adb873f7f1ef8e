"""The page's handlers, called as functions. No worker is started: a test holds the worker's lock."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from realfill import config
from realfill.bases import BASES, describe_base
from realfill.config import Config
from realfill.errors import RunBusy
from realfill.events import HeldOut, Notice, StageStarted, TrainStep
from realfill.imaging.crop import crop_whole
from realfill.imaging.decode import read_original
from realfill.runs.listing import list_runs
from realfill.runs.run import Run
from realfill.runs.status import State
from realfill.scene import scene
from ui import errors, run_handlers
from ui.errors import speak_errors
from ui.page import Page
from ui.runs import costs
from ui.workbench import mask_rle


def given(page: Page, folder: Path, toy_scene: Path, **changes: Any) -> dict[Any, Any]:
    """What the browser sends for the toy scene when Start is pressed."""
    values: dict[Any, Any] = {component: getattr(component, "value", None) for component in page.train.inputs}
    sent = {
        "references": [uploaded(folder, path) for path in sorted(toy_scene.glob("ref/*"))],
        "target": uploaded(folder, toy_scene / "target" / "target.png"),
        "mask": uploaded(folder, toy_scene / "target" / "mask.png"),
    }
    return values | {page.run_id: "", page.same_scene: False, page.scene.workbench: sent | changes}


def uploaded(folder: Path, path: Path) -> str:
    place = folder / "uploads" / path.name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(path.read_bytes())
    return str(place)


def asks(query: dict[str, str]) -> Any:
    return SimpleNamespace(query_params=query)


def test_start_makes_a_waiting_run_of_exactly_what_was_given(page: Page, folder: Path, toy_scene: Path) -> None:
    updates = page.run_handlers.start(given(page, folder, toy_scene))
    run = page.jobs.open(updates[page.run_id])
    assert run.status().state == "queued"
    assert run.labels.name == "target"
    assert updates[page.tabs].selected == "train"
    assert page.scene.workbench not in updates  # what was painted stays as it is
    mine, theirs = scene.load(run.scene_folder), scene.load(toy_scene)
    assert np.array_equal(mine.hole, theirs.hole)
    assert [photo.tobytes() for photo in mine.references] == [photo.tobytes() for photo in theirs.references]
    assert run.config == config.make("mini", {"train.preview_every": 25})


def test_another_photo_of_the_same_scene_is_filled_with_the_shown_projects_adapter(
    page: Page, folder: Path, toy_scene: Path
) -> None:
    trained = page.jobs.open(page.run_handlers.start(given(page, folder, toy_scene))[page.run_id])
    shown = page.view.show(page.run_handlers._watches.look(trained.folder.name), None)
    assert shown[page.same_scene]["visible"] is False
    trained.enter("done")
    trained.lora.mkdir()
    (trained.lora / "pytorch_lora_weights.safetensors").write_bytes(b"adapter")
    shown = page.view.show(page.run_handlers._watches.look(trained.folder.name), None)
    assert shown[page.same_scene] == {"visible": True, "value": False, "__type__": "update"}
    values = given(page, folder, toy_scene) | {page.run_id: trained.folder.name, page.same_scene: True}
    new = page.jobs.open(page.run_handlers.start(values)[page.run_id])
    assert new.folder != trained.folder and new.is_trained
    assert new.fact("adapter")["run"] == trained.folder.name


@pytest.mark.parametrize("name", BASES)
def test_every_base_can_be_chosen_and_says_what_it_is(page: Page, name: str) -> None:
    assert name in [value for _, value in page.train.base.choices]
    said = describe_base(name)
    assert BASES[name].licence in said
    assert ("not for commercial use" in said) == (not BASES[name].commercial)
    assert (f"huggingface.co/{BASES[name].source}" in said) == BASES[name].gated
    (card,) = [label for label, value in page.train.base.choices if value == name]
    assert said in card and card.endswith(costs.base_time(page.jobs.runs_dir, name))


def test_the_settings_of_the_page_arrive(page: Page, folder: Path, toy_scene: Path) -> None:
    values = given(page, folder, toy_scene)
    values[page.train.form.inputs[0]] = 7
    values[page.train.form.inputs[2]] = "4-6"
    values[page.train.previews] = 0
    run = page.jobs.open(page.run_handlers.start(values)[page.run_id])
    assert run.config.train.steps == 7
    assert run.config.train.preview_every == 0
    assert run.config.sample.seeds == (4, 5, 6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"references": []}, "no reference yet"),
        ({"target": None}, "no target yet"),
        ({"mask": None}, "Nothing is marked yet"),
        ({"target": "/etc/passwd"}, "upload it again"),
        ({"references": ["/etc/passwd"]}, "upload it again"),
        ({"mask": "/etc/passwd"}, "upload it again"),
    ],
)
def test_what_is_missing_or_forged_is_a_sentence_and_leaves_no_run(
    page: Page, folder: Path, toy_scene: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(gr.Error, match=sentence):
        page.run_handlers.start(given(page, folder, toy_scene, **changes))
    assert list_runs(page.jobs.runs_dir) == []
    assert [item for item in page.jobs.runs_dir.iterdir() if item.name != ".worker.lock"] == []


def test_a_setting_out_of_bounds_is_a_sentence(page: Page, folder: Path, toy_scene: Path) -> None:
    values = given(page, folder, toy_scene)
    values[page.train.form.inputs[1]] = 10_000
    with pytest.raises(gr.Error, match=r"train\.batch"):
        page.run_handlers.start(values)


def test_everything_is_scene_variants(page: Page, folder: Path, toy_scene: Path) -> None:
    run = page.jobs.open(page.run_handlers.start(given(page, folder, toy_scene, variants=True))[page.run_id])
    assert run.config.variants
    assert scene.load(run.scene_folder, variants=True).hole.all()


def test_a_tick_without_news_sends_nothing(page: Page, run: Run) -> None:
    first = page.run_handlers.tick(run.folder.name, None)
    assert page.run_handlers.tick(run.folder.name, first[page.seen]) == gr.skip()
    run.append(StageStarted("train", 10))
    run.append(TrainStep(1, 10, 0.5, 1e-3, 1e-4, 2.0))
    second = page.run_handlers.tick(run.folder.name, first[page.seen])
    assert second[page.train.plot] == {"total": 10, "raw": [[1, 0.5]], "smooth": [[1, 0.5]], "held": []}
    assert page.browse.seeds not in second and page.train.strip not in second
    run.append(HeldOut(1, 0.7))
    second = page.run_handlers.tick(run.folder.name, second[page.seen])
    assert second[page.train.plot]["held"] == [[1, 0.7]]
    run.append(Notice("Something to know."))
    third = page.run_handlers.tick(run.folder.name, second[page.seen])
    assert "Something to know." in third[page.train.notices]
    run.append(Notice("A smaller fit.context helps.", important=True))
    notices = page.run_handlers.tick(run.folder.name, third[page.seen])[page.train.notices]
    assert notices.index("A smaller “Context around the hole” helps.") < notices.index("Something to know.")


def test_a_look_that_was_asked_for_before_another_project_was_opened_shows_nothing(page: Page, run: Run) -> None:
    blank = page.blank()
    assert page.run_handlers.tick(run.folder.name, blank[page.seen]) == {page.seen: None}
    other = ("another", *page.run_handlers.tick(run.folder.name, None)[page.seen][1:])
    assert page.run_handlers.tick(run.folder.name, other) == {page.seen: None}


def test_a_glance_counts_only_when_there_is_something_new(page: Page, run: Run) -> None:
    run_id = run.folder.name
    assert page.run_handlers.glance(run_id, None, 0) == 1
    seen = page.run_handlers.tick(run_id, None)[page.seen]
    assert [page.run_handlers.glance(run_id, seen, 1) for _ in range(3)] == [1, 1, 1]
    run.append(Notice("Something to know."))
    assert page.run_handlers.glance(run_id, seen, 1) == 2
    assert page.run_handlers.glance("", None, 2) == 3


def test_a_project_that_is_deleted_meanwhile_is_said_once(page: Page, run: Run) -> None:
    seen = page.run_handlers.tick(run.folder.name, None)[page.seen]
    run.folder.rename(run.folder.with_name(".elsewhere"))
    assert page.run_handlers.glance(run.folder.name, seen, 4) == 5
    updates = page.run_handlers.tick(run.folder.name, seen)
    assert updates[page.timer].active is False
    assert "no such run" in updates[page.status]


def test_a_fresh_page_is_offered_the_projects_scene(page: Page, run: Run) -> None:
    run.labels.update(name="Kitchen")
    value = page.run_handlers.restore(run.folder.name)
    assert value["project"] == run.folder.name
    assert (len(value["offer"]["references"]), value["offer"]["name"]) == (2, "Kitchen")
    assert np.array_equal(mask_rle.decode(value["offer"]["strokes"]), scene.load(run.scene_folder).hole)
    for nothing in ("", "../..", "nothing"):
        assert page.run_handlers.restore(nothing) == gr.skip()


def test_a_project_is_called_as_its_scene(page: Page, folder: Path, toy_scene: Path) -> None:
    updates = page.run_handlers.start(given(page, folder, toy_scene, name="The stone maiden"))
    assert page.jobs.open(updates[page.run_id]).labels.name == "The stone maiden"


def test_a_tick_without_a_run_stops_the_clock_and_shows_what_can_be_done(page: Page) -> None:
    updates = page.run_handlers.tick("", None)
    assert updates[page.timer].active is False
    assert updates[page.start_button]["visible"] is True and updates[page.stop_button]["visible"] is False


def test_what_one_deleted_oneself_is_no_error(page: Page, run: Run) -> None:
    seen = page.run_handlers.tick(run.folder.name, None)[page.seen]
    page.projects.delete(run.folder.name)
    assert "the bin keeps it" in page.run_handlers.tick(run.folder.name, seen)[page.status]


@pytest.mark.parametrize("masked", [True, False])
def test_an_extended_photo_is_as_it_was_when_its_project_opens(
    page: Page, folder: Path, toy_scene: Path, masked: bool
) -> None:
    asked = given(page, folder, toy_scene, extend=[3, 0, 16, 5], **({} if masked else {"mask": None}))
    run = page.jobs.open(page.run_handlers.start(asked)[page.run_id])
    opened = page.attach(run.folder.name)[page.scene.workbench]["open"]
    assert opened["extend"] == [3, 0, 16, 5]
    assert bool(opened["strokes"]) is masked and bool(opened["mask"]) is masked
    target = Path(opened["target"]["path"])
    assert (read_original(target).pixels == read_original(toy_scene / "target" / "target.png").pixels).all()
    changes = {name: opened[name] for name in ("strokes", "mask", "extend")}
    asked = given(page, folder, toy_scene, target=str(target), **changes)
    again = page.jobs.open(page.run_handlers.start(asked)[page.run_id])
    for name in ("target.png", "mask.png"):
        one, other = (read_original(each.scene_folder / "target" / name) for each in (run, again))
        assert np.array_equal(one.pixels, other.pixels)


def test_what_training_cost_is_remembered_when_it_has_ended(page: Page, run: Run) -> None:
    seen = page.run_handlers.tick(run.folder.name, None)[page.seen]
    for number in range(1, 5):
        run.append(TrainStep(number, 4, 0.5, 1e-3, 1e-4, 2.0, 5_000_000))
    page.run_handlers.tick(run.folder.name, seen)
    assert costs.UNKNOWN in costs.sentence(page.jobs.runs_dir, run.config)
    run.append(TrainStep(5, 5, 0.5, 1e-3, 1e-4, 2.0, 5_000_000))
    run.append(StageStarted("sample", 3))
    run.labels.update(example="desk")  # as a copy of what was made on another machine
    page.run_handlers.tick(run.folder.name, seen)
    assert costs.UNKNOWN in costs.sentence(page.jobs.runs_dir, run.config)
    run.labels.update(example=None)
    page.run_handlers.tick(run.folder.name, seen)
    assert "4 steps at 2 s), 5 MB" in costs.sentence(page.jobs.runs_dir, run.config)


def test_a_fresh_page_opens_the_run_of_its_address_else_the_newest(page: Page, run: Run) -> None:
    for query in ({"project": run.folder.name}, {"run": run.folder.name}, {}):
        updates = page.run_handlers.load({"tab": ""}, asks(query))
        assert updates[page.run_id] == run.folder.name
        assert page.scene.workbench not in updates  # the scene that was being made stays
        assert "not measured yet" in updates[page.train.cost]


@pytest.mark.parametrize("run_id", ["../..", "nothing", "a/b", "..", "<img src=x>"])
def test_an_address_with_a_wrong_run_is_a_sentence(page: Page, run_id: str) -> None:
    updates = page.run_handlers.load(None, asks({"project": run_id}))
    assert "There is no such run here" in updates[page.status]
    assert "<img" not in updates[page.status]


def test_a_link_among_the_runs_is_not_followed(page: Page, run: Run, tmp_path: Path) -> None:
    elsewhere = run.folder.rename(tmp_path / "elsewhere")
    (page.jobs.runs_dir / "link").symlink_to(elsewhere)
    with pytest.raises(gr.Error, match="no such run"):
        page.attach("link")


def test_opening_a_project_shows_its_scene(page: Page, run: Run) -> None:
    opened = page.attach(run.folder.name)[page.scene.workbench]["open"]
    assert len(opened["references"]) == 2
    assert opened["target"]["width"] == 120
    assert str(run.folder) not in str(opened)  # copies: run folders are not served


def test_a_new_project_is_an_empty_page(page: Page, run: Run) -> None:
    page.attach(run.folder.name)
    updates = page.blank()
    assert updates[page.run_id] == ""
    assert updates[page.scene.workbench]["open"]["references"] == []
    assert updates[page.timer].active is False
    assert set(updates) <= set(page.project_outputs)


def test_what_handlers_return_is_among_what_they_may_change(page: Page, run: Run) -> None:
    assert set(page.attach(run.folder.name)) <= set(page.project_outputs)
    assert set(page.run_handlers.tick(run.folder.name, None)) <= set(page.view.look_outputs)
    assert set(page.run_handlers.load(None, asks({}))) <= set(page.view.load_outputs)


def test_stop_takes_a_waiting_run_out_and_resume_puts_it_back(page: Page, run: Run) -> None:
    page.run_handlers.resume(run.folder.name)
    assert run.status().state == "queued"
    page.run_handlers.stop(run.folder.name)
    assert run.status().state == "stopped"
    updates = page.run_handlers.resume(run.folder.name)
    assert run.status().state == "queued"
    assert not run.stop_requested()
    assert updates[page.timer].active is True
    assert updates[page.resume_button]["visible"] is False and updates[page.stop_button]["visible"] is True


SHOWN = {
    # what can be done in each state, by the buttons that stand below
    "queued": {"stop_button": "Stop"},
    "running": {"stop_button": "Stop"},
    "stopped": {"resume_button": None, "start_button": "Again as a new project"},
    "failed": {"resume_button": None, "start_button": "Again as a new project"},
    "done": {"start_button": "Again as a new project"},
}


@pytest.mark.parametrize("state", SHOWN)
def test_the_button_below_is_what_can_be_done_now(page: Page, run: Run, state: State) -> None:
    with run.lock():
        run.enter(state)
        updates = page.attach(run.folder.name)
    shown = {
        name: updates[getattr(page, name)].get("value")
        for name in ("start_button", "stop_button", "resume_button")
        if updates[getattr(page, name)]["visible"]
    }
    assert shown == SHOWN[state]
    assert page.blank()[page.start_button]["value"] == "Train for a better one"


def test_a_run_that_was_told_to_stop_says_so_until_it_has(page: Page, run: Run) -> None:
    with run.lock():
        run.enter("running")
        updates = page.run_handlers.stop(run.folder.name)
        assert updates[page.stop_button]["value"] == "Stopping…"
        assert updates[page.stop_button]["interactive"] is False
        again = page.run_handlers.tick(run.folder.name, None)
        assert again[page.stop_button]["value"] == "Stopping…"


def test_a_run_that_is_done_leads_to_its_pictures(page: Page, run: Run) -> None:
    with run.lock():
        run.enter("running")
        seen = page.run_handlers.tick(run.folder.name, None)[page.seen]
    finished(run)
    for tab, shown in (("train", "browse"), ("scene", None), ("browse", None)):
        updates = page.run_handlers.tick(run.folder.name, seen, tab)
        assert (updates[page.tabs].selected if page.tabs in updates else None) == shown


def test_a_project_opens_where_there_is_most_to_see(page: Page, run: Run) -> None:
    assert page.attach(run.folder.name)[page.tabs].selected == "train"
    finished(run)
    assert page.attach(run.folder.name)[page.tabs].selected == "browse"
    asked = asks({"project": run.folder.name})
    for tab, shown in (("", "browse"), ("train", "train"), ("scene", "scene"), ("<b>", "browse"), (7, "browse")):
        assert page.run_handlers.load({"tab": tab}, asked)[page.tabs].selected == shown


def test_the_draft_is_tried_whatever_tab_2_says(page: Page, folder: Path, toy_scene: Path) -> None:
    values = given(page, folder, toy_scene)
    updates = page.run_handlers.start_draft(values)
    run = page.jobs.open(updates[page.run_id])
    assert run.config.guide.only and run.config.seeds == ()
    assert updates[page.tabs].selected == "browse" and updates[page.try_draft]["visible"] is False
    with pytest.raises(gr.Error, match="known pixels"):
        page.run_handlers.start_draft(given(page, folder, toy_scene, variants=True))
    finished(run)
    assert page.attach(run.folder.name)[page.start_button]["value"] == "Train for a better one"
    values = given(page, folder, toy_scene) | {page.run_id: run.folder.name}
    values[page.train.form.parts(["guide.only"])[0]] = True
    better = page.jobs.open(page.run_handlers.start(values)[page.run_id])
    assert not better.config.guide.only and better.config.guide.draft and better.config.seeds


def test_the_draft_alone_is_awaited_where_pictures_are(page: Page, folder: Path, toy_scene: Path) -> None:
    values = given(page, folder, toy_scene)
    values[page.train.form.parts(["guide.only"])[0]] = True
    assert page.run_handlers.start(values)[page.tabs].selected == "browse"


def test_the_first_picture_is_shown_in_full_while_others_are_made(page: Page, run: Run) -> None:
    with run.lock():
        run.enter("running")
        fit = crop_whole(90, 120, size=64, multiple=8)
        run.record(fit=fit.to_json())
        seen, picture = page.attach(run.folder.name)[page.seen], np.zeros((fit.height, fit.width, 3), np.uint8)
        run.write_seed(3, picture)
        updates = page.run_handlers.tick(run.folder.name, seen)
        assert updates[page.browse.viewer]["seed"] == 3
        run.write_seed(4, picture)
        assert page.browse.viewer not in page.run_handlers.tick(run.folder.name, updates[page.seen])


def test_resuming_what_is_worked_on_is_a_sentence(page: Page, run: Run) -> None:
    with run.lock(), pytest.raises(gr.Error, match="working on"):
        run.enter("running")
        page.run_handlers.resume(run.folder.name)


def test_resuming_waits_for_a_process_that_has_just_ended(
    page: Page, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says "stopped" before it lets go of the folder; whoever presses Resume in between is not turned away."""
    tried: list[str] = []
    resume = page.jobs.resume

    def busy(asked: Run) -> None:
        tried.append(asked.folder.name)
        if len(tried) < 3:
            raise RunBusy("still there")
        resume(asked)

    with run.lock():
        run.enter("stopped")
    monkeypatch.setattr(page.jobs, "resume", busy)
    page.run_handlers.resume(run.folder.name)
    assert len(tried) == 3 and run.status().state == "queued"


def test_resuming_does_not_wait_for_ever(page: Page, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(asked: Run) -> None:
        raise RunBusy("still there")

    monkeypatch.setattr(run_handlers, "PATIENCE", 0.2)
    monkeypatch.setattr(page.jobs, "resume", busy)
    with pytest.raises(gr.Error, match="still there"):
        page.run_handlers.resume(run.folder.name)


def finished(run: Run) -> Run:
    run.write_seed(0, np.zeros((8, 8, 3), np.uint8))
    (run.checkpoints / "000004").mkdir(parents=True)
    (run.checkpoints / "000002").mkdir()
    run.lora.mkdir()
    with run.lock():
        run.enter("done")
    return Run.open(run.folder)


def test_training_goes_on_for_more_steps(page: Page, run: Run) -> None:
    finished(run)
    assert page.attach(run.folder.name)[page.go_further]["visible"] is True
    updates = page.run_handlers.go_further(run.folder.name, 20)
    fresh = Run.open(run.folder)
    assert (fresh.config.train.steps, fresh.adapter_steps, fresh.is_trained) == (24, 4, False)
    assert fresh.status().state == "queued"
    assert updates[page.go_further]["visible"] is False
    with pytest.raises(gr.Error, match="at work"):
        page.run_handlers.go_further(run.folder.name, 20)


def test_more_seeds_follow_the_ones_there_are(page: Page, run: Run) -> None:
    finished(run)
    updates = page.run_handlers.add_seeds(run.folder.name, SimpleNamespace(_data={"count": 8}))
    assert Run.open(run.folder).config.sample.seeds == tuple(range(11))
    assert Run.open(run.folder).status().state == "queued"
    assert updates[page.browse.seeds]["planned"] == 11
    assert updates[page.browse.seeds]["more"] is False


def test_seeds_are_made_again_otherwise(page: Page, run: Run) -> None:
    finished(run)
    updates = page.attach(run.folder.name)
    assert updates[page.browse.checkpoint]["choices"] == [("the finished adapter", 0), ("step 2", 2)]
    again = dict(zip(page.browse.again.inputs, page.browse.again.values(run.config), strict=True))
    same = {page.run_id: run.folder.name, page.browse.checkpoint: 0, **again}
    with pytest.raises(gr.Error, match="with these settings"):
        page.run_handlers.make_again(same)
    page.run_handlers.make_again({**same, page.browse.checkpoint: 2, page.browse.again.inputs[2]: 3.0})
    sample = Run.open(run.folder).config.sample
    assert (sample.checkpoint, sample.guidance, sample.steps) == (2, 3.0, run.config.sample.steps)


def test_a_price_is_shown_for_what_is_set(page: Page, folder: Path, toy_scene: Path) -> None:
    fast = Config(**{**config.PRESETS["mini"].model_dump()})
    costs.remember(page.jobs.runs_dir, fast, "step", [120.0 / fast.train.steps] * 9)
    assert "about 2 min" in page.run_handlers.load(None, asks({}))[page.train.cost]


def test_a_defect_is_a_sentence_and_no_traceback() -> None:
    @speak_errors
    def broken() -> None:
        raise ZeroDivisionError("/secret/path")

    with pytest.raises(gr.Error) as caught:
        broken()
    assert "/secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("The run in /srv/a b/runs/1 is busy.", "The run in a b/runs/1 is busy."),
        ("/etc/passwd cannot be read", "passwd cannot be read"),
        (r"C:\Users\me\runs\log.txt may say why", "log.txt may say why"),
        ("train/test at 1/2 of 3/4 and 12 / 3", "train/test at 1/2 of 3/4 and 12 / 3"),
        ("huggingface.co/sd2/x of owner/name", "huggingface.co/sd2/x of owner/name"),
    ],
)
def test_sentences_lose_the_servers_folders(sentence: str, shown: str) -> None:
    assert errors.strip_folders(sentence) == shown


def test_programs_find_the_four_functions_under_the_names_that_are_documented(page: Page) -> None:
    events = page.blocks.get_config_file()["dependencies"]
    public = [event["api_name"] for event in events if event["api_visibility"] == "public"]
    assert public == ["list_bases", "start_training", "status", "list_seeds", "export"]
