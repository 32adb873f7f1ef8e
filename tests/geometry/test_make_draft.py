import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from realfill.arrays import Hole, Photo
from realfill.cli.main import main
from realfill.config import SelectConfig
from realfill.errors import OptionError
from realfill.geometry import make_draft as drafting
from realfill.geometry.correspondences import Pairs
from realfill.geometry.draft import Draft, full_size_draft, render_draft
from realfill.geometry.make_draft import NO_GEOMETRY, inpaint, make_draft
from realfill.geometry.propose import propose
from realfill.geometry.write_draft import write_draft
from realfill.imaging.crop import CropTransform
from realfill.matching.matcher import Matcher, Matches
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene
from tests.geometry.worlds import box, painted, scene, seen, shift, tilted

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("scoring_size")
HOLE = box(90, 200, 140, 270)


@pytest.fixture(scope="module")
def sift() -> Matcher:
    return load_matcher(SelectConfig(matcher="sift"))


def darker(photo: Photo) -> Photo:
    return np.asarray(np.clip(photo * np.array([0.75, 0.8, 0.7]) + 8, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def plane() -> Scene:
    """A plane, photographed again from the side and darker, and once more."""
    world = painted(1)
    return scene(
        seen(world, shift(80, 60)), HOLE, darker(seen(world, tilted(95, 50))), seen(world, tilted(70, 65, turn=-0.04))
    )


@pytest.fixture(scope="module")
def made(plane: Scene, sift: Matcher) -> Draft:
    return make_draft(plane, sift)


def error(picture: Photo, truth: Photo, where: Hole) -> float:
    """Mean absolute error in grey levels."""
    return float(np.abs(picture[where].astype(float) - truth[where]).mean())


def test_a_plane_is_filled_with_what_is_there(plane: Scene, made: Draft) -> None:
    assert plane.truth is not None
    assert made.reason == ""
    assert error(made.photo, plane.truth, HOLE) < 4
    assert error(inpaint(plane.target, HOLE), plane.truth, HOLE) > 20  # the test can fail
    assert (made.confidence[HOLE] > 0.5).mean() > 0.95
    assert {one.reference for one in made.warped} == {0, 1}


def test_known_pixels_are_the_targets(plane: Scene, made: Draft) -> None:
    assert made.frame == CropTransform((0.0, 0.0, 400.0, 300.0), 400, 300, photo_width=400, photo_height=300)
    assert np.array_equal(made.photo[~HOLE], plane.target[~HOLE])
    assert (made.confidence[~HOLE] == 1).all()
    assert made.confidence.dtype == np.float32
    assert made.confidence.min() >= 0 and made.confidence.max() <= 1


def test_references_come_in_the_targets_colours(plane: Scene, made: Draft) -> None:
    assert plane.truth is not None
    dark = next(one for one in made.warped if one.reference == 0)
    both = (dark.confidence > 0) & ~HOLE
    assert error(dark.photo, plane.truth, both) < 4
    raw = seen(painted(1), shift(80, 60))
    assert error(darker(raw), raw, both) > 15  # so much had to be made good


def test_neither_paint_in_the_hole_nor_truth_is_looked_at(plane: Scene, made: Draft, sift: Matcher) -> None:
    """And a second draft of one scene is the same, bit for bit."""
    target = plane.target.copy()
    target[HOLE] = np.random.default_rng(0).integers(0, 256, (int(HOLE.sum()), 3), np.uint8)
    again = make_draft(replace(plane, target=target, truth=None), sift)
    assert np.array_equal(again.photo, made.photo)
    assert np.array_equal(again.confidence, made.confidence)
    assert [one.reference for one in again.warped] == [one.reference for one in made.warped]


def test_an_unrelated_reference_is_refused(sift: Matcher) -> None:
    other = scene(seen(painted(1), shift(80, 60)), HOLE, seen(painted(2), shift(80, 60)))
    made = make_draft(other, sift)
    assert made.reason == NO_GEOMETRY
    assert (made.confidence[HOLE] == 0).all()
    assert (made.confidence[~HOLE] == 1).all()
    assert np.array_equal(made.photo, inpaint(plane_filled(other), HOLE))


def plane_filled(made_up: Scene) -> Photo:
    from realfill.imaging.fill import nearest_known

    return nearest_known(made_up.target, made_up.hole)


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_flat_pictures_are_refused_without_an_error(grey: int, sift: Matcher) -> None:
    flat = np.full((300, 400, 3), grey, np.uint8)
    made = make_draft(scene(flat, HOLE, flat, painted(3)), sift)
    assert made.reason
    assert (made.confidence[HOLE] == 0).all()
    assert np.array_equal(made.photo[~HOLE], flat[~HOLE])


def test_what_no_reference_shows_has_no_confidence(sift: Matcher) -> None:
    """The only reference ends in the middle of the hole."""
    world = painted(1)
    cut = seen(world, shift(80, 60))[:, :205]
    half = make_draft(scene(seen(world, shift(80, 60)), HOLE, np.ascontiguousarray(cut)), sift)
    right = HOLE & (np.arange(400) >= 207)
    left = HOLE & (np.arange(400) < 195)
    assert (half.confidence[right] == 0).all()
    assert (half.confidence[left] > 0.5).mean() > 0.9
    assert (half.warped[0].confidence[right] == 0).all()


def test_two_planes_at_different_depths(sift: Matcher) -> None:
    """A board before a wall, both crossing the hole: no single homography puts both in place."""
    wall, board = painted(4), painted(5)

    def view(far: float, near: float) -> Photo:
        picture = seen(wall, shift(80 + far, 60))
        front = seen(board, shift(60 + near, 50))
        edge = round(210 - near)
        picture[:, :edge] = front[:, :edge]
        return picture

    truth = view(0, 0)
    two = scene(truth, HOLE, view(6, 26), view(-5, -22))
    made = make_draft(two, sift)
    plain = inpaint(plane_filled(two), HOLE)
    near, far = HOLE & (np.arange(400) < 195), HOLE & (np.arange(400) > 225)
    for part in (near, far):
        assert error(made.photo, truth, part) < 0.4 * error(plain, truth, part)
    assert made.reason == ""


def test_a_reference_of_something_else_does_not_spoil_a_good_one(plane: Scene, sift: Matcher) -> None:
    assert plane.truth is not None
    more = replace(plane, references=(seen(painted(9), shift(20, 20)), *plane.references))
    made = make_draft(more, sift)
    assert error(made.photo, plane.truth, HOLE) < 4
    assert {one.reference for one in made.warped} <= {1, 2}


def test_where_sift_finds_nothing_the_learned_matcher_aligns(
    plane: Scene, sift: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plane.truth is not None
    monkeypatch.setattr(drafting, "match_keypoints", lambda *_: Pairs.from_points([], []))
    assert error(make_draft(plane, sift).photo, plane.truth, HOLE) < 6
    monkeypatch.setattr(drafting, "load_draft_matcher", lambda: None)
    assert make_draft(plane, sift).reason == NO_GEOMETRY


@pytest.fixture(scope="module")
def small(plane: Scene, sift: Matcher) -> Draft:
    return make_draft(plane, sift, size=200)


def test_a_large_target_is_drafted_small_and_lies_where_it_should(plane: Scene, small: Draft) -> None:
    assert (small.frame.width, small.frame.height) == (200, 150)
    assert small.photo.shape == (150, 200, 3)
    back, _ = render_draft(small, CropTransform((0.0, 0.0, 400.0, 300.0), 400, 300, photo_width=400, photo_height=300))
    assert plane.truth is not None
    moved = [error(np.roll(back, step, 1), plane.truth, ~HOLE) for step in (-1, 0, 1)]
    assert moved[1] < min(moved[0], moved[2])  # half-pixel correct: no shift fits better


def test_a_large_target_has_the_references_detail_in_the_hole(
    plane: Scene, made: Draft, small: Draft, sift: Matcher
) -> None:
    assert plane.truth is not None and small.fine is not None
    whole, coarse = full_size_draft(small), small.frame.uncrop_photo(small.photo)
    assert error(whole, plane.truth, HOLE) < 0.7 * error(coarse, plane.truth, HOLE)
    assert np.array_equal(whole[:90], coarse[:90])
    assert made.fine is None  # at the target's own size there is nothing to add
    few = tuple(cv2.resize(photo, (200, 150), interpolation=cv2.INTER_AREA) for photo in plane.references)
    assert make_draft(replace(plane, references=few), sift, size=200).fine is None  # and none of small references


def test_a_long_panorama_is_looked_at_through_a_window_around_its_hole(sift: Matcher) -> None:
    world = painted(7, 300, 2400)
    hole = box(110, 170, 1500, 1580, height=300, width=2400)
    made = make_draft(scene(world, hole, world[:, 1350:1750].copy()), sift, size=320)
    left, top, width, height = made.frame.box
    assert (top, width, height) == (0, 320, 300) and left <= 1500 and left + width >= 1580
    assert made.frame.scale == 1  # of the whole target at 320 pixels the hole would have 11
    whole = full_size_draft(made)
    assert error(whole, world, hole) < 4
    assert (made.confidence[made.frame.crop_hole(hole)] > 0.5).mean() > 0.95


def test_the_light_of_a_reference_counts_for_its_place(sift: Matcher) -> None:
    """Two references agree with each other, both in a shadow that the target does not have; the third comes first."""
    world = painted(1)
    shade = np.where(np.arange(400)[None, :, None] > 200, 0.5, 1.0)

    def shaded(photo: Photo) -> Photo:
        return np.asarray(photo * shade, np.uint8)

    truth = seen(world, shift(80, 60))
    first, second = (shaded(seen(world, shift(80 + step, 60))) for step in (6, -6))
    made = make_draft(scene(truth, HOLE, first, second, seen(world, tilted(95, 50))), sift)
    assert made.warped[0].reference == 2
    assert error(made.photo, truth, HOLE) < 4


def test_render_is_the_crop_of_the_picture(made: Draft) -> None:
    """Rendering a draft at native scale into a frame is what the frame does to the picture itself."""
    fit = CropTransform((100.0, 60.0, 200.0, 150.0), 128, 96, photo_width=400, photo_height=300)
    photo, confidence = render_draft(made, fit)
    assert np.array_equal(photo, fit.crop_photo(made.photo))
    missing = fit.crop_hole(HOLE)
    assert (confidence[~missing] > 0.99).all()
    assert confidence.shape == (96, 128)


def test_other_matchers_points_are_used_and_those_in_the_hole_are_not(sift: Matcher) -> None:
    """A matcher that knows the answer helps where SIFT finds nothing, as long as it speaks of known pixels."""

    class Knows:
        name = "knows"

        def __init__(self, where: Hole) -> None:
            self.where = where

        def match(self, references: list[Photo], targets: list[Photo]) -> list[list[Matches]]:
            y, x = np.nonzero(self.where)
            xy = np.stack([x, y], 1)[::37].astype(np.float32)
            return [[Matches(xy + np.array([30, 0], np.float32), xy, np.ones(len(xy), np.float32))]]

    rng = np.random.default_rng(5)  # too soft for SIFT
    world = cv2.resize(rng.integers(0, 256, (10, 14, 3), np.uint8), (560, 420), interpolation=cv2.INTER_CUBIC)
    soft = scene(seen(world, shift(80, 60)), HOLE, seen(world, shift(50, 60)))
    assert soft.truth is not None
    known = make_draft(soft, Knows(~HOLE))  # type: ignore[arg-type]
    assert error(known.photo, soft.truth, HOLE) < 3
    inside = make_draft(soft, Knows(HOLE))  # type: ignore[arg-type]
    assert np.array_equal(inside.photo, make_draft(soft, sift).photo)


def test_a_black_and_white_reference_does_not_hinder_the_others(sift: Matcher) -> None:
    """Its structure serves, its greys stay out of the picture."""
    world = painted(1)
    truth, colour = seen(world, shift(80, 60)), seen(world, tilted(95, 50))
    grey = np.repeat(seen(world, tilted(70, 65, turn=-0.04)).mean(2, keepdims=True), 3, 2).astype(np.uint8)
    made = make_draft(scene(truth, HOLE, grey, colour), sift)
    assert error(made.photo, truth, HOLE) < 5
    assert made.warped[0].reference == 1


def test_a_black_and_white_target_stays_one(sift: Matcher) -> None:
    """References in colour give it no colour, neither by geometry nor by their patches."""
    world = painted(2)
    truth = seen(world, shift(80, 60))
    grey = np.repeat(truth.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    given = scene(grey, HOLE, seen(world, tilted(95, 50)))
    made = make_draft(given, sift)
    assert (made.confidence[HOLE] > 0).mean() > 0.5
    filled = [made.photo, *(one.draft.photo for one in propose(given, made, 4))]
    assert max(int(np.ptp(photo.astype(np.int16), axis=2).max()) for photo in filled) <= 3


def test_the_command_writes_both_files(toy_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / name) for name in ("out.png", "trust.png")]
    options = ["draft", str(toy_scene), "-o", names[0], "--confidence", names[1], "--proposals", "1", "--json"]
    command = [sys.executable, "-m", "realfill", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["result"] == names[0] and all(Path(name).is_file() for name in names)
    assert said["notices"] == [] and done.stderr == ""
    mask = toy_scene / "target" / "mask.png"
    with Image.open(mask) as drawn:
        drawn.resize((90, 120)).save(mask)
    assert main(options) == 0
    sentence = "mask.png is 90×120 and was scaled to the target's 120×90, although its shape differs; check the hole."
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1])["notices"] == [sentence]
    assert told.err == f"{sentence}\n"
    assert main([*options[:3], "out.bmp"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_draft_onto_its_scene_is_refused_before_any_work(
    toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "load", lambda folder: pytest.fail("it has begun"))
    target, mask, out = toy_scene / "target" / "target.png", toy_scene / "target" / "mask.png", tmp_path / "a.png"
    before = [path.read_bytes() for path in (target, mask)]
    for written, trust, words in (
        (target, None, r"is the scene's own target\.png"),
        (out, out, "written twice"),
        (out, mask, r"is the scene's own mask\.png"),
        (out, tmp_path / "c.jpg", r"end its name in \.png"),
        (tmp_path / "a.bmp", None, "does not say a format"),
    ):
        with pytest.raises(OptionError, match=words):
            write_draft(toy_scene, written, SelectConfig(matcher="sift"), confidence=trust)
    assert [path.read_bytes() for path in (target, mask)] == before and not out.exists()


def test_the_file_keeps_the_targets_values(toy_scene: Path, tmp_path: Path) -> None:
    report = write_draft(
        toy_scene, tmp_path / "out.png", SelectConfig(matcher="sift"), confidence=tmp_path / "trust.png", proposals=1
    )
    toy = scenes.load(toy_scene)
    result = np.array(Image.open(tmp_path / "out.png"))
    assert np.array_equal(result[~toy.hole], toy.original.pixels[~toy.hole])
    trust = np.array(Image.open(io.BytesIO((tmp_path / "trust.png").read_bytes())))
    assert trust.shape[:2] == toy.hole.shape
    assert (trust[~toy.hole] == 255).all()
    assert 0 <= report["vouched"] <= 1 and report["seconds"] > 0
