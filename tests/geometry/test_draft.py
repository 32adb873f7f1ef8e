"""The draft in a run folder: stored and read, moved between frames, and pasted into the target at its own size."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.arrays import Hole, Photo
from realfill.geometry import draft
from realfill.geometry.draft import (
    Draft,
    Fine,
    WarpedReference,
    add_detail,
    confidence_overlay,
    covered_share,
    crop_in_frame,
    full_size_draft,
    load_draft,
    render_draft,
    render_warped,
    save_draft,
)
from realfill.imaging.crop import CropTransform, crop_around
from tests.tiny import world

HEIGHT, WIDTH = 96, 128


def hole() -> Hole:
    missing = np.zeros((HEIGHT, WIDTH), np.bool_)
    missing[30:66, 40:90] = True
    return missing


def draft_of(photo: Photo, confidence: float = 1.0) -> Draft:
    """A draft in the target's own pixels that holds `photo`."""
    frame = CropTransform((0.0, 0.0, float(WIDTH), float(HEIGHT)), WIDTH, HEIGHT, WIDTH, HEIGHT)
    trust = np.where(hole(), confidence, 1).astype(np.float32)
    valid = np.zeros((HEIGHT, WIDTH), np.float32)
    valid[:, 64:] = 1
    return Draft(frame, photo, trust, (WarpedReference(2, photo, valid),), "", 1.5)


def test_a_stored_draft_is_read_as_it_was(tmp_path: Path) -> None:
    made = draft_of(world(HEIGHT, WIDTH), 0.4)
    save_draft(tmp_path / "draft", made)
    read = load_draft(tmp_path / "draft")
    assert read is not None
    assert (read.frame, read.reason, read.seconds) == (made.frame, made.reason, made.seconds)
    np.testing.assert_array_equal(read.photo, made.photo)
    np.testing.assert_allclose(read.confidence, made.confidence, atol=0.5 / 255)
    assert [one.reference for one in read.warped] == [2]
    np.testing.assert_array_equal(read.warped[0].photo, made.warped[0].photo)
    np.testing.assert_array_equal(read.warped[0].confidence, made.warped[0].confidence)


def finer(made: Draft) -> Draft:
    """The draft with a bright patch in the hole that only its finer part knows of."""
    return replace(made, fine=Fine(40, 30, np.full((36, 50, 3), 240, np.uint8)))


def test_the_finer_part_is_stored_and_laid_over_the_hole(tmp_path: Path) -> None:
    made = finer(draft_of(world(HEIGHT, WIDTH)))
    save_draft(tmp_path / "draft", made)
    read = load_draft(tmp_path / "draft", warped=False)
    assert read is not None and read.fine is not None
    assert (read.fine.left, read.fine.top, read.warped) == (40, 30, ())
    whole = full_size_draft(read)
    assert (whole[hole()] == 240).all()
    np.testing.assert_array_equal(whole[~hole()], made.photo[~hole()])
    coarse = load_draft(tmp_path / "draft", warped=False, fine=False)
    assert coarse is not None and coarse.fine is None
    np.testing.assert_array_equal(coarse.photo, made.photo)


def test_detail_is_that_of_the_finer_part() -> None:
    made = finer(draft_of(np.full((HEIGHT, WIDTH, 3), 100, np.uint8)))
    fit = crop_around(hole(), size=32, multiple=8, context=0.5)
    generated = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    detailed = add_detail(generated, made, fit, hole())
    assert (detailed[hole()] == 230).all()
    assert (detailed[:10] == 90).all()


def test_no_draft_is_none(tmp_path: Path) -> None:
    assert load_draft(tmp_path / "draft") is None


def test_a_frame_moves_into_another_to_the_same_point_of_the_target() -> None:
    frame = CropTransform((10.0, 6.0, 100.0, 80.0), 50, 40, WIDTH, HEIGHT)
    other = CropTransform((24.5, 20.25, 60.0, 45.0), 32, 24, WIDTH, HEIGHT)
    points = np.array([[0.0, 0.0], [31.0, 23.0], [7.5, 3.25]])
    through = frame.to_photo(crop_in_frame(frame, other).to_photo(points))
    np.testing.assert_allclose(through, other.to_photo(points), atol=1e-9)


def test_render_of_its_own_frame_is_the_draft() -> None:
    made = draft_of(world(HEIGHT, WIDTH), 0.6)
    photo, confidence = render_draft(made, made.frame)
    np.testing.assert_array_equal(photo, made.photo)
    np.testing.assert_allclose(confidence, made.confidence, atol=0.5 / 255)


def test_nothing_vouches_for_what_lies_beyond_the_target() -> None:
    made = draft_of(world(HEIGHT, WIDTH))
    fit = CropTransform((-64.0, 0.0, 192.0, 96.0), 48, 24, WIDTH, HEIGHT)
    _, confidence = render_draft(made, fit)
    _, valid = render_warped(made, WarpedReference(0, made.photo, np.ones((HEIGHT, WIDTH), np.float32)), fit)
    for trust in (confidence, valid):
        assert (trust[:, :16] == 0).all() and (trust[:, 16:] > 0.99).all()


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_detail_brings_the_draft_back_where_the_fill_is_the_draft(least: float) -> None:
    photo = world(HEIGHT, WIDTH)
    made = draft_of(photo, 1.0 - least)
    fit = crop_around(hole(), size=32, multiple=8, context=0.5)
    enlarged = fit.uncrop_photo(render_draft(made, fit)[0])
    assert np.abs(enlarged.astype(int) - photo)[hole()].mean() > 4  # the working size has lost something
    whole = add_detail(enlarged, made, fit, hole(), least=least)
    assert np.abs(whole.astype(int) - photo)[hole()].max() <= 1


def test_detail_adds_nothing_where_nothing_vouches_for_it() -> None:
    made = draft_of(world(HEIGHT, WIDTH), 0.0)
    fit = crop_around(hole(), size=32, multiple=8, context=0.5)
    generated = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    inner = np.zeros_like(hole())
    inner[32:64, 42:88] = True
    np.testing.assert_array_equal(add_detail(generated, made, fit, hole())[inner], 90)


def test_detail_stays_near_the_hole() -> None:
    made = draft_of(world(HEIGHT, WIDTH))
    fit = crop_around(hole(), size=64, multiple=8, context=0.5)
    generated = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    changed = (add_detail(generated, made, fit, hole()) != 90).any(2)
    assert changed.any()
    assert not changed[:10].any()
    assert not changed[:, :20].any()


def test_the_overlay_is_green_where_vouched_for_and_amber_where_invented() -> None:
    for confidence, colour in ((1.0, draft.SHOWN_COLOUR), (0.0, draft.GUESSED_COLOUR)):
        data = confidence_overlay(draft_of(world(HEIGHT, WIDTH), confidence), hole(), longest=64)
        picture = np.asarray(Image.open(io.BytesIO(data)))
        assert picture.shape == (48, 64, 4)
        np.testing.assert_array_equal(picture[24, 32, :3], colour)
        assert picture[24, 32, 3] > 0
        assert picture[2, 2, 3] == 0


def test_covered_is_the_share_of_the_hole() -> None:
    made = draft_of(world(HEIGHT, WIDTH))
    made.confidence[30:48] = np.where(hole()[30:48], 0, 1)
    assert covered_share(made, hole()) == pytest.approx(0.5)
