"""Tab 3: which seeds are shown how, one of them in full, marks and export. RailHandlers are called as functions."""

import base64
import io
import json
import urllib.parse
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from realfill import files
from realfill.imaging import composite, encode, holes, photo
from realfill.runs.export import choose_seed, export_record
from realfill.runs.run import Run
from realfill.scene import scene
from realfill.seeds import DRAFT
from ui.grid.questions import questions
from ui.page import Page
from ui.runs import cells, pictures, seed_view
from ui.runs.pictures import Export, export_picture, read_ground
from ui.runs.thumbnails import Thumbnails


def given(page: Page, run: Run | None, **changes: Any) -> dict[Any, Any]:
    """What the browser sends with the tab's settings."""
    tab = page.browse
    values = {page.run_id: run.folder.name if run else "", tab.feather: 8, tab.kind: "png", tab.quality: 95}
    values |= {tab.match_colour: False, tab.what: "picture", page.seed_handlers._place: 0}
    return values | {getattr(tab, name): value for name, value in changes.items()}


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


def picture(address: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    path = urllib.parse.unquote(address.removeprefix("gradio_api/file="))
    return np.asarray(Image.open(path))


# ── the grid ──


def test_seeds_come_in_the_order_of_their_matches(run: Run, folder: Path) -> None:
    for seed in (0, 1, 2, 5):
        run.write_seed(seed, np.full((8, 8, 3), seed, np.uint8))
    run.write("scores", {"seeds": [{"seed": s, "matches": n} for s, n in ((5, 30), (7, 9), (1, 1))]})  # no picture of 7
    found = cells.list_cells(run, Thumbnails())
    assert [(cell.seed, cell.rank, cell.matches) for cell in found] == [
        (5, 1, 30), (1, 2, 1), (0, None, None), (2, None, None),
    ]  # fmt: skip


def test_marks_and_kinds_are_shown(run: Run, folder: Path) -> None:
    for seed in (DRAFT, 2, 3):
        run.write_seed(seed, np.full((8, 8, 3), 9 + seed, np.uint8))
    run.labels.mark(2, "starred", True)
    run.labels.mark(3, "hidden", True)
    found = cells.list_cells(run, Thumbnails())
    assert [(cell.name, cell.kind == "draft", cell.star, cell.hide) for cell in found] == [
        ("Draft", True, False, False), ("Seed 2", False, True, False), ("Seed 3", False, False, True),
    ]  # fmt: skip
    assert cells.grid_value(run, found, live=False)["cells"][1]["kind"] == run.kind(2)
    json.dumps(cells.grid_value(run, found, live=False))


def test_more_seeds_are_offered_when_nobody_works(sampled: Run) -> None:
    found = cells.list_cells(sampled, Thumbnails())
    assert cells.grid_value(sampled, found, live=False)["more"] is True
    assert cells.grid_value(sampled, found, live=True)["more"] is False
    assert cells.grid_value(sampled, (), live=False)["more"] is False


def test_the_best_seed_is_open_until_a_person_picks_one(page: Page, sampled: Run) -> None:
    updates = page.attach(sampled.folder.name)
    assert updates[page.browse.viewer]["seed"] == updates[page.browse.seeds]["chosen"] == 8
    assert Run.open(sampled.folder).labels.seed is None
    choose_seed(sampled, 3)
    updates = page.attach(sampled.folder.name)
    assert updates[page.browse.viewer]["seed"] == updates[page.browse.seeds]["chosen"] == 3


def test_stars_and_hidden_ones_are_kept_with_the_run(page: Page, sampled: Run) -> None:
    page.seed_handlers.mark(sampled.folder.name, event(seed=3, kind="starred", on=True))
    page.seed_handlers.mark(sampled.folder.name, event(seed=8, kind="hidden", on=True))
    page.seed_handlers.mark(sampled.folder.name, event(seed=99, kind="hidden", on=True))  # no such seed
    page.seed_handlers.mark(sampled.folder.name, event(seed=3, kind="name", on=True))  # no such mark
    fresh = Run.open(sampled.folder)
    assert (fresh.labels.starred, fresh.labels.hidden, fresh.labels.name) == ([3], [8], sampled.folder.name)
    page.seed_handlers.mark(sampled.folder.name, event(seed=3, kind="starred", on=False))
    assert Run.open(sampled.folder).labels.starred == []


def test_a_blind_pick_moves_the_star(sampled: Run) -> None:
    labels = sampled.labels
    labels.mark(8, "starred", True)
    labels.prefer(3, 8)
    assert labels.starred == [3]  # the other one has lost more often than it has won
    labels.prefer(8, 3)
    assert labels.starred == [3, 8]  # one each
    assert labels.picks == [(3, 8), (8, 3)]
    labels.prefer(8, 3)
    assert labels.starred == [8]
    files.write_json(sampled.folder / "labels.json", {**labels.read(), "picks": [[1], "x", [8, 3], ["8", 3]]})
    assert labels.picks == [(8, 3)]


# ── what the viewer's script asks for ──


def ask(page: Page, name: str, run: Run, **about: Any) -> dict[str, Any]:
    answers = {one.__name__: one for one in questions(page.jobs)}
    return answers[name]({"project": run.folder.name, **about})


def test_other_seeds_are_looked_at_without_being_taken(page: Page, sampled: Run) -> None:
    choose_seed(sampled, 8)
    frames = ask(page, "look_at", sampled, seed=3, export={"feather": 5, "match_colour": False})
    assert frames == pictures.open_picture(sampled, 3, Export(5))
    assert Run.open(sampled.folder).labels.seed == 8
    assert picture(ask(page, "look_at", sampled, seed=3, sharp=True)["whole"]["after"]).shape == (90, 120, 3)


def test_a_result_is_taken_along_and_leaves_the_run_as_it_was(page: Page, sampled: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in sampled.folder.rglob("*")}
    answer = ask(page, "give_result", sampled, seed=3, export={"feather": 3})
    path = Path(urllib.parse.unquote(answer["url"].removeprefix("gradio_api/file=")))
    assert answer["name"] == path.name and path.name.endswith("-seed3.png")
    assert {path: path.stat().st_mtime_ns for path in sampled.folder.rglob("*")} == before
    assert path.read_bytes() == Path(export_picture(sampled, Export(3), 3)).read_bytes()


def test_a_pick_is_answered_by_all_picks_and_stars(page: Page, sampled: Run) -> None:
    assert ask(page, "prefer", sampled, winner=3, loser=8) == {"picks": [(3, 8)], "starred": [3]}
    assert seed_view.viewer_value(sampled, 8, Export(8))["picks"] == [(3, 8)]


@pytest.mark.parametrize("about", [{}, {"seed": 99}, {"seed": "3"}, {"seed": True}, {"seed": 3, "project": "../x"}])
def test_what_no_run_has_is_a_sentence(page: Page, sampled: Run, about: dict[str, Any]) -> None:
    for name in ("look_at", "give_result", "prefer"):
        answer = ask(page, name, sampled, **about)
        assert list(answer) == ["error"] and str(sampled.folder) not in answer["error"]
    assert sampled.labels.picks == []


# ── one seed ──


def test_picking_takes_the_seed_that_was_named(page: Page, sampled: Run) -> None:
    updates = page.seed_handlers.pick(given(page, sampled), event(seed=3))
    assert Run.open(sampled.folder).labels.seed == 3
    value = updates[page.browse.viewer]
    assert (value["seed"], value["matches"], value["title"]) == (3, 2, "Seed 3 · #2 of 2")
    for frame in value["frames"].values():
        before, after = picture(frame["before"]), picture(frame["after"])
        assert before.shape == after.shape == (frame["h"], frame["w"], 3)
        assert not np.array_equal(before, after)
    assert value["frames"]["whole"]["w"] == 120
    json.dumps(value)


def test_a_seed_that_is_not_there_is_a_sentence(page: Page, sampled: Run) -> None:
    with pytest.raises(gr.Error, match="seed 99"):
        page.seed_handlers.pick(given(page, sampled), event(seed=99))


def test_a_run_without_seeds_shows_nothing_and_breaks_nothing(page: Page, run: Run) -> None:
    updates = page.seed_handlers.show(given(page, run))
    assert updates[page.browse.viewer]["seed"] is None
    assert updates[page.browse.seam] == ""
    assert page.seed_handlers.seam(given(page, None)) == ""


def kept_points(run: Run, seed: int, counts: list[int]) -> None:
    size = [run.fact("fit")["width"], run.fact("fit")["height"]]
    points = [[[9.5, 7.5, 3.5, 1.5, 0.9]] * count for count in counts]
    references = [{"size": [96, 80], "points": part} for part in points]
    files.write_json(run.matches_path(seed), {"size": size, "counts": counts, "references": references})


def test_the_lines_of_a_seed_are_shares_of_both_pictures(sampled: Run) -> None:
    kept_points(sampled, 8, [30, 10])
    value = seed_view.viewer_value(sampled, 8, Export(8))
    width, height = value["crop"]["w"], value["crop"]["h"]
    assert [len(ref["lines"]) for ref in value["refs"]] == [30, 10]
    assert value["refs"][0]["lines"][0] == pytest.approx([10 / 96, 8 / 80, 4 / width, 2 / height], abs=1e-4)
    assert [(ref["w"], ref["h"], ref["count"]) for ref in value["refs"]] == [(96, 80, 30), (96, 80, 10)]


def test_points_of_another_count_are_not_shown(sampled: Run) -> None:
    assert seed_view.viewer_value(sampled, 8, Export(8))["refs"][0]["lines"] is None
    kept_points(sampled, 8, [31, 10])
    assert seed_view.viewer_value(sampled, 8, Export(8))["refs"][0]["lines"] is None
    sampled.matches_path(8).write_text("{")
    assert seed_view.viewer_value(sampled, 8, Export(8))["refs"][0]["lines"] is None


def test_the_outline_is_the_holes_border(sampled: Run) -> None:
    (line,) = pictures.outline(sampled)
    hole = read_ground(sampled).fit.crop_hole(scene.load(sampled.scene_folder).hole)
    rows, columns = np.nonzero(hole)
    xs, ys = zip(*line, strict=True)
    assert (min(xs), max(xs)) == pytest.approx(
        (columns.min() / hole.shape[1], (columns.max() + 1) / hole.shape[1]), abs=0.02
    )
    assert (min(ys), max(ys)) == pytest.approx((rows.min() / hole.shape[0], (rows.max() + 1) / hole.shape[0]), abs=0.02)


def test_a_confidence_map_becomes_an_overlay(sampled: Run) -> None:
    assert seed_view.viewer_value(sampled, 8, Export(8))["frames"]["whole"]["over"] is None
    Image.new("RGBA", (12, 9), (0, 200, 80, 120)).save(sampled.folder / "confidence.png")
    frames = seed_view.viewer_value(sampled, 8, Export(8))["frames"]
    assert picture(frames["whole"]["over"]).shape == (90, 120, 4)
    assert picture(frames["close"]["over"]).shape[:2] == (frames["close"]["h"], frames["close"]["w"])


# ── the seam ──


def seam_of(run: Run, look: Export, place: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = base64.b64decode(pictures.seam(run, 8, look, place).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_seam_follows_the_feather(page: Page, sampled: Run) -> None:
    shots = [page.seed_handlers.seam(given(page, sampled, feather=feather)) for feather in (0, 12)]
    assert shots[0].startswith("<img") and shots[0] != shots[1]
    hard, soft = seam_of(sampled, Export(0)), seam_of(sampled, Export(12))
    assert hard.shape == soft.shape
    assert hard.shape[0] <= pictures.SEAM[1] * pictures.ZOOM


def test_what_the_seam_shows_is_what_is_exported(sampled: Run) -> None:
    """The window is computed alone, and must equal the same window of the whole."""
    ground = read_ground(sampled)
    for look in (Export(0), Export(7), Export(20, match_colour=True)):
        whole = ground.fill_part(sampled, 8, look)
        window = (slice(5, 25), slice(30, 60))
        np.testing.assert_array_equal(ground.fill_part(sampled, 8, look, window), whole[window])


def test_two_pictures_with_matched_colours_are_remembered_and_no_more(sampled: Run) -> None:
    ground = read_ground(sampled)
    for feather in range(4):
        ground.fill_part(sampled, 8, Export(feather, match_colour=True))
    assert pictures._match_generated.cache_info().currsize == 2  # each has the size of the photo


def test_another_place_is_another_piece(page: Page, sampled: Run) -> None:
    updates = page.seed_handlers.next_place(given(page, sampled))
    assert updates[page.seed_handlers._place] == 1


def test_matching_colours_changes_what_is_seen(sampled: Run) -> None:
    ground = read_ground(sampled)
    plain, met = (ground.fill_part(sampled, 8, Export(4, match_colour=on)) for on in (False, True))
    hole = ground.hole[ground.part]
    target = ground.target[ground.part]
    beside = ~hole
    assert np.abs(met[hole].mean() - target[beside].mean()) < np.abs(plain[hole].mean() - target[beside].mean())


# ── export ──


def exported(page: Page, run: Run, **changes: Any) -> Path:
    return Path(page.seed_handlers.export(given(page, run, **changes))[page.browse.download].value["path"])


@pytest.mark.parametrize("feather", [0, 3])
@pytest.mark.parametrize("match", [False, True])
def test_the_export_is_the_target_outside_the_feather_bit_for_bit(
    page: Page, sampled: Run, toy_scene: Path, feather: int, match: bool
) -> None:
    page.seed_handlers.pick(given(page, sampled), event(seed=3))
    path = exported(page, sampled, feather=feather, match_colour=match)
    assert path.name.endswith("-seed3.png")
    loaded = scene.load(toy_scene)
    far = composite.feather_alpha(loaded.hole, feather) == 0
    made, target = photo.read_photo(path), photo.read_photo(toy_scene / "target" / "target.png")
    assert np.array_equal(made[far], target[far])
    assert (made[loaded.hole] == 60).all() != match  # seed 3 is a picture of 60s


@pytest.mark.parametrize("feather", [3, 20, pictures.WIDEST])
@pytest.mark.parametrize("match", [False, True])
def test_the_export_is_what_the_page_shows(sampled: Run, feather: int, match: bool) -> None:
    look, ground = Export(feather, match_colour=match), read_ground(sampled)
    shown = ground.target.copy()
    shown[ground.part] = ground.fill_part(sampled, 8, look)
    assert (holes.distance_from_hole(ground.hole)[~ground.covered].min() < feather) == (feather > 3)  # beyond the crop
    assert np.array_equal(photo.read_photo(Path(export_picture(sampled, look, 8))), shown)


def test_an_exported_png_is_the_runs_result_and_its_record_is_true(page: Page, sampled: Run) -> None:
    page.seed_handlers.pick(given(page, sampled), event(seed=3))
    path = exported(page, sampled, feather=5, match_colour=True)
    fresh = Run.open(sampled.folder)
    assert fresh.result.read_bytes() == path.read_bytes()
    assert (fresh.config.export.feather, fresh.config.export.match_colour) == (5, True)
    assert fresh.read("result")["seed"] == 3
    assert export_record(fresh, 3)["config"]["export"]["feather"] == 5


@pytest.mark.parametrize(("kind", "format"), [("jpeg", "JPEG"), ("tiff", "TIFF"), ("webp", "WEBP")])
def test_other_formats_are_what_they_say(page: Page, sampled: Run, kind: encode.Format, format: str) -> None:
    with Image.open(exported(page, sampled, kind=kind)) as image:
        assert (image.format, image.size) == (format, (120, 90))


def test_all_starred_pictures_leave_in_one_zip(page: Page, sampled: Run) -> None:
    with pytest.raises(gr.Error, match="No seed is starred"):
        exported(page, sampled, what="starred")
    for seed in (3, 8):
        sampled.labels.mark(seed, "starred", True)
    with zipfile.ZipFile(exported(page, sampled, what="starred", kind="jpeg")) as archive:
        assert archive.namelist() == ["000003.jpg", "000008.jpg", "settings.json"]


def test_before_and_after_leave_as_an_animation(page: Page, sampled: Run) -> None:
    path = exported(page, sampled, what="animation")
    assert path.name.endswith("-seed8-before-after.webp")
    with Image.open(path) as image:
        assert image.size == (120, 90)
        before = np.asarray(image.convert("RGB"), np.float32)
        image.seek(15)
        after = np.asarray(image.convert("RGB"), np.float32)
    ground = read_ground(sampled)
    assert np.abs(before - ground.target).mean() < 20
    assert np.abs(after - before)[ground.hole].mean() > 3 * np.abs(after - before)[~ground.hole].mean()


def test_settings_and_project_leave_too_and_the_adapter_when_it_is_there(page: Page, sampled: Run) -> None:
    assert json.loads(exported(page, sampled, what="settings").read_text())["config"]["base"] == "mini"
    with zipfile.ZipFile(exported(page, sampled, what="project")) as archive:
        assert {"run.json", "seeds/000003.png", "scene/target/target.png"} <= set(archive.namelist())
    with pytest.raises(gr.Error, match="no adapter yet"):
        exported(page, sampled, what="adapter")
    with pytest.raises(gr.Error, match="cannot be exported"):
        exported(page, sampled, what="../../etc")
    with pytest.raises(gr.Error, match="no export format"):
        exported(page, sampled, kind="exe")


def test_nothing_to_export_is_a_sentence_without_paths(page: Page, run: Run) -> None:
    with pytest.raises(gr.Error) as caught:
        page.seed_handlers.export(given(page, run))
    assert str(run.folder) not in str(caught.value)
    with pytest.raises(gr.Error, match="start a run first"):
        page.seed_handlers.export(given(page, None))


def test_when_a_run_ends_the_best_seed_is_opened_unless_one_was_picked(page: Page, sampled: Run) -> None:
    with sampled.lock():
        sampled.enter("running")
        seen = page.run_handlers.tick(sampled.folder.name, None)[page.seen]
        sampled.enter("done")
    updates = page.run_handlers.tick(sampled.folder.name, seen)
    assert updates[page.browse.viewer]["seed"] == 8
    assert "not measured yet" in updates[page.train.cost]
    choose_seed(sampled, 3)
    assert page.browse.viewer not in page.run_handlers.tick(sampled.folder.name, seen)
    assert set(updates) <= set(page.view.look_outputs)
