"""The page's handlers, called as functions. No worker is started: a test holds the worker's lock."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from realfill import compositing, exporting, images, masks, runs, scene
from realfill.config import Config
from realfill.events import Notice, StageStarted, TrainStep
from realfill.locks import Lock
from realfill.runs import Run
from ui import pictures, speak
from ui.jobs import Jobs
from ui.layout import Page
from ui.tabs import scene as scene_tab


@pytest.fixture
def page(tmp_path: Path, folder: Path) -> Iterator[Page]:
    runs_dir = tmp_path / "runs"
    runs_dir.mkdir(exist_ok=True)
    worker = Lock(runs_dir / ".worker.lock")
    assert worker.acquire()
    yield Page(Jobs(runs_dir))
    worker.release()


@pytest.fixture
def sampled(run: Run, toy_scene: Path) -> Run:
    """A run as it is after sampling: a fit, two seeds, scores."""
    loaded = scene.load(run.scene_folder)
    fit = scene.fit_to(loaded, size=64, multiple=8, context=0.5)
    run.record(fit={name: getattr(fit, name) for name in ("box", "width", "height", "photo_width", "photo_height")})
    for seed in (3, 8):
        run.write_seed(seed, np.full((fit.height, fit.width, 3), 20 * seed, np.uint8))
    run.write("scores", {"seeds": [{"seed": 8, "matches": 40}, {"seed": 3, "matches": 2}]})
    run.enter("done")
    return run


def given(page: Page, folder: Path, toy_scene: Path, **changes: Any) -> dict[Any, Any]:
    """What the browser sends for the toy scene when Start is pressed."""
    values: dict[Any, Any] = {component: getattr(component, "value", None) for component in page.train.inputs}
    references = scene_tab.take_references([(uploaded(folder, path), None) for path in sorted(toy_scene.glob("ref/*"))])
    values |= {
        page.scene.references: [(path, None) for path in references],
        page.scene.target: uploaded(folder, toy_scene / "target" / "target.png"),
        page.scene.mask_from: scene_tab.FILE,
        page.scene.mask_file: uploaded(folder, toy_scene / "target" / "mask.png"),
        page.scene.canvas: None,
    }
    return values | {getattr(page.scene, name): value for name, value in changes.items()}


def uploaded(folder: Path, path: Path) -> str:
    place = folder / "uploads" / path.name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(path.read_bytes())
    return str(place)


def test_start_makes_a_waiting_run_of_exactly_what_was_given(page: Page, folder: Path, toy_scene: Path) -> None:
    updates = page.start(given(page, folder, toy_scene))
    run = page.jobs.open(updates[page.run_id])
    assert run.status().state == "queued"
    assert run.name == "target"
    assert updates[page.tabs].selected == "train"
    mine, theirs = scene.load(run.scene_folder), scene.load(toy_scene)
    assert np.array_equal(mine.hole, theirs.hole)
    assert [photo.tobytes() for photo in mine.references] == [photo.tobytes() for photo in theirs.references]
    assert run.config == Config(**{**run.config.model_dump(), "base": "mini"})


def test_the_settings_of_the_page_arrive(page: Page, folder: Path, toy_scene: Path) -> None:
    values = given(page, folder, toy_scene)
    values[page.train.form.inputs[0]] = 7
    values[page.train.form.inputs[2]] = "4-6"
    run = page.jobs.open(page.start(values)[page.run_id])
    assert run.config.train.steps == 7
    assert run.config.sample.seeds == (4, 5, 6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"references": None}, "no reference yet"),
        ({"target": None}, "no target yet"),
        ({"mask_from": scene_tab.PAINT}, "Nothing is marked yet"),
        ({"mask_file": None}, "no mask"),
        ({"target": "/etc/passwd"}, "upload it again"),
        ({"references": [("/etc/passwd", None)]}, "upload it again"),
        ({"mask_file": "/etc/passwd"}, "upload it again"),
    ],
)
def test_what_is_missing_or_forged_is_a_sentence_and_leaves_no_run(
    page: Page, folder: Path, toy_scene: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(gr.Error, match=sentence):
        page.start(given(page, folder, toy_scene, **changes))
    assert runs.listing(page.jobs.runs_dir) == []
    assert [item for item in page.jobs.runs_dir.iterdir() if item.name != ".worker.lock"] == []


def test_a_setting_out_of_bounds_is_a_sentence(page: Page, folder: Path, toy_scene: Path) -> None:
    values = given(page, folder, toy_scene)
    values[page.train.form.inputs[1]] = 10_000
    with pytest.raises(gr.Error, match=r"train\.batch"):
        page.start(values)


def test_paint_on_a_small_canvas_becomes_a_hole_of_the_targets_size(page: Page, folder: Path, toy_scene: Path) -> None:
    layer = np.zeros((45, 60, 4), np.uint8)  # half the target's size
    layer[10:20, 30:50] = (255, 45, 85, 255)
    canvas = {"background": None, "layers": [layer], "composite": None}
    values = given(page, folder, toy_scene, canvas=canvas, mask_from=scene_tab.PAINT)
    hole = scene.load(page.jobs.open(page.start(values)[page.run_id]).scene_folder).hole
    assert hole.shape == (90, 120)
    assert masks.bounding_box(hole) == (60, 20, 100, 40)


def test_everything_is_scene_variants(page: Page, folder: Path, toy_scene: Path) -> None:
    run = page.jobs.open(page.start(given(page, folder, toy_scene, mask_from=scene_tab.VARIANTS))[page.run_id])
    assert run.config.variants
    assert scene.load(run.scene_folder, variants=True).hole.all()


def test_the_sixth_reference_is_refused_in_words(folder: Path, tmp_path: Path) -> None:
    paths = []
    for number in range(7):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((20, 20, 3), 30 * number, np.uint8)).save(path)
        paths.append((uploaded(folder, path), None))
    with pytest.warns(UserWarning, match="at most 5 references"):
        kept = scene_tab.take_references(paths)
    assert len(kept) == 5
    assert scene_tab.take_references([(path, None) for path in kept]) == kept


def test_what_is_no_photo_is_left_out_in_words(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("hello")
    with pytest.warns(UserWarning, match=r"notes\.png"):
        assert scene_tab.take_references([(uploaded(folder, tmp_path / "notes.png"), None)]) == []


def test_the_canvas_shows_the_target_small(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1500, 2560, 3), np.uint8)).save(tmp_path / "big.png")
    canvas, welcome = scene_tab.show_target(uploaded(folder, tmp_path / "big.png"))
    assert canvas["value"]["background"].shape == (750, 1280, 3)
    assert (canvas["visible"], welcome["visible"]) == (True, False)
    canvas, welcome = scene_tab.show_target(None)
    assert (canvas["value"], canvas["visible"], welcome["visible"]) == (None, False, True)


def test_a_tick_without_news_sends_nothing(page: Page, run: Run) -> None:
    first = page.tick(run.folder.name, None)
    assert page.tick(run.folder.name, first[page.seen]) == gr.skip()
    run.append(StageStarted("train", 10))
    run.append(TrainStep(1, 10, 0.5, 1e-3, 1e-4, 2.0))
    second = page.tick(run.folder.name, first[page.seen])
    assert second[page.train.plot].value["data"] == [[1, 0.5, "each step"], [1, 0.5, "smoothed"]]
    assert page.browse.seeds not in second
    run.append(Notice("Something to know."))
    third = page.tick(run.folder.name, second[page.seen])
    assert "Something to know." in third[page.train.notices]


def test_a_tick_without_a_run_stops_the_clock(page: Page) -> None:
    assert page.tick("", None)[page.timer].active is False


def test_a_fresh_page_opens_the_run_of_its_address_else_the_newest(page: Page, run: Run) -> None:
    for query in ({"run": run.folder.name}, {}):
        updates = page.load(SimpleNamespace(query_params=query))
        assert updates[page.run_id] == run.folder.name
        assert [value for _, value in updates[page.runs]["choices"]] == [run.folder.name]


def test_on_a_space_nobody_sees_the_runs_of_others(page: Page, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert page.run_id not in page.load(SimpleNamespace(query_params={}))
    assert page.load(SimpleNamespace(query_params={"run": run.folder.name}))[page.runs]["choices"] == []


@pytest.mark.parametrize("run_id", ["../..", "nothing", "a/b", "..", "<img src=x>"])
def test_an_address_with_a_wrong_run_is_a_sentence(page: Page, run_id: str) -> None:
    updates = page.load(SimpleNamespace(query_params={"run": run_id}))
    assert "There is no such run here" in updates[page.status]
    assert "<img" not in updates[page.status]


def test_a_link_among_the_runs_is_not_followed(page: Page, run: Run, tmp_path: Path) -> None:
    elsewhere = run.folder.rename(tmp_path / "elsewhere")
    (page.jobs.runs_dir / "link").symlink_to(elsewhere)
    with pytest.raises(gr.Error, match="no such run"):
        page.attach("link")


def test_stop_takes_a_waiting_run_out_and_resume_puts_it_back(page: Page, run: Run) -> None:
    page.go_on(run.folder.name)
    assert run.status().state == "queued"
    page.ask_stop(run.folder.name)
    assert run.status().state == "stopped"
    updates = page.go_on(run.folder.name)
    assert run.status().state == "queued"
    assert not run.stop_requested()
    assert updates[page.timer].active is True
    assert updates[page.resume]["interactive"] is False


def test_resuming_what_is_worked_on_is_a_sentence(page: Page, run: Run) -> None:
    with run.lock(), pytest.raises(gr.Error, match="working on"):
        page.go_on(run.folder.name)


def press(caption: str) -> Any:
    return SimpleNamespace(value={"image": {}, "caption": caption}, index=0)


def test_choosing_takes_the_seed_of_the_picture_and_not_its_place(page: Page, sampled: Run) -> None:
    updates = page.choose(sampled.folder.name, 2, press("#1 · 40 matches · seed 3"))
    assert Run.open(sampled.folder).chosen == 3
    assert "Seed 3" in updates[page.browse.chosen]
    before, after = (np.asarray(Image.open(path)) for path in updates[page.browse.compare])
    assert before.shape == after.shape == (90, 120, 3)
    assert not np.array_equal(before, after)


def test_a_seed_that_is_not_there_is_a_sentence(page: Page, sampled: Run) -> None:
    with pytest.raises(gr.Error, match="seed 99"):
        page.choose(sampled.folder.name, 2, press("seed 99 · not counted yet"))


@pytest.mark.parametrize("feather", [0, 3])
def test_the_export_is_the_target_outside_the_feather_bit_for_bit(
    page: Page, sampled: Run, toy_scene: Path, feather: int
) -> None:
    page.choose(sampled.folder.name, feather, press("seed 3"))
    updates = page.export(sampled.folder.name, feather, "png", 95)
    path = Path(updates[page.browse.download].value["path"])
    assert path.name.endswith("-seed3.png")
    loaded = scene.load(toy_scene)
    far = compositing.feather_alpha(loaded.hole, feather) == 0
    made, target = images.read_photo(path), images.read_photo(toy_scene / "target" / "target.png")
    assert np.array_equal(made[far], target[far])
    assert (made[loaded.hole] == 60).all()  # seed 3 is a picture of 60s


def test_an_exported_png_is_the_runs_result_and_its_record_is_true(page: Page, sampled: Run) -> None:
    page.choose(sampled.folder.name, 5, press("seed 3"))
    updates = page.export(sampled.folder.name, 5, "png", 95)
    fresh = Run.open(sampled.folder)
    assert fresh.result.read_bytes() == Path(updates[page.browse.download].value["path"]).read_bytes()
    assert fresh.config.export.feather == 5
    assert fresh.read("result")["seed"] == 3
    assert exporting.record(fresh, 3)["config"]["export"]["feather"] == 5


@pytest.mark.parametrize(("kind", "format"), [("jpeg", "JPEG"), ("tiff", "TIFF"), ("webp", "WEBP")])
def test_other_formats_are_what_they_say(page: Page, sampled: Run, kind: pictures.Kind, format: str) -> None:
    updates = page.export(sampled.folder.name, 2, kind, 90)
    with Image.open(updates[page.browse.download].value["path"]) as image:
        assert (image.format, image.size) == (format, (120, 90))


def test_nothing_to_export_is_a_sentence_without_paths(page: Page, run: Run) -> None:
    with pytest.raises(gr.Error) as caught:
        page.export(run.folder.name, 2, "png", 90)
    assert str(run.folder) not in str(caught.value)
    with pytest.raises(gr.Error, match="start a run first"):
        page.export("", 2, "png", 90)


def test_a_defect_is_a_sentence_and_no_traceback() -> None:
    @speak.spoken
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
    assert speak.without_folders(sentence) == shown
