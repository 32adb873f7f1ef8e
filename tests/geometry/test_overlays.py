import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Photo
from realfill.config import SelectConfig
from realfill.geometry.make_draft import make_draft
from realfill.geometry.overlays import find_overlay
from realfill.matching.registry import load_matcher
from tests.geometry.test_make_draft import error
from tests.geometry.worlds import box, painted, scene, seen, shift

HOLE = box(70, 170, 60, 170)


def framed(photo: Photo) -> Photo:
    """A photo under a printed frame with a caption."""
    card = np.full((300, 400, 3), (236, 232, 220), np.uint8)
    card[25:250, 25:375] = photo[25:250, 25:375]
    cv2.putText(card, "Summer 2019, No. 17 (Lund)", (30, 284), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (30, 30, 30), 2)
    return card


def watermarked(photo: Photo) -> Photo:
    """A photo under a watermark in rows, through which it is seen."""
    return np.asarray(np.rint(photo + 0.4 * watermark()[:, :, None] / 255 * (255.0 - photo)), np.uint8)


def watermark() -> npt.NDArray[np.uint8]:
    rows = np.zeros((300, 400), np.uint8)
    for row, y in enumerate(range(20, 300, 45)):
        for x in range(-60 * (row % 2), 400, 150):
            cv2.putText(rows, "SAMPLE", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 3, cv2.LINE_AA)
    return rows


def dated(photo: Photo) -> Photo:
    """A photo with its date in a corner."""
    stamped = photo.copy()
    cv2.putText(stamped, "'06 8 14", (230, 270), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (250, 140, 40), 3, cv2.LINE_AA)
    return stamped


def views(*steps: int) -> list[Photo]:
    return [seen(painted(1), shift(80 + step, 60)) for step in steps]


def test_a_frame_and_its_caption_are_found_and_the_place_is_not() -> None:
    target, *others = map(framed, views(0, 40, -30))
    overlay = find_overlay(target, HOLE, others)
    assert overlay[262:292, 30:330].mean() > 0.9 and overlay[:20].mean() > 0.9
    assert overlay[40:235, 40:360].mean() < 0.02


def test_photos_without_an_overlay_and_photos_of_a_camera_that_stood_still_have_none() -> None:
    target, other = views(0, 40)
    assert not find_overlay(target, HOLE, [other]).any()
    assert not find_overlay(target, HOLE, [target.copy()]).any()


def test_a_frame_does_not_hold_the_references_still() -> None:
    truth, *others = map(framed, views(0, 60, -50))
    made = make_draft(scene(truth, HOLE, *others), load_matcher(SelectConfig(matcher="sift")))
    assert error(made.photo, truth, HOLE) < 4
    assert (made.confidence[HOLE] > 0.5).mean() > 0.9


def test_a_frame_that_a_reference_has_over_the_hole_is_not_copied() -> None:
    """The hole lies at the picture's edge, where the reference would have its frame."""
    edge = box(70, 170, 27, 110)
    truth, other = map(framed, views(0, 45))
    made = make_draft(scene(truth, edge, other), load_matcher(SelectConfig(matcher="sift")))
    under = edge & (np.arange(400) < 60)
    assert (made.confidence[under] == 0).mean() > 0.9
    assert error(made.photo, truth, edge & (np.arange(400) > 85)) < 5


def test_a_watermark_is_found_also_in_the_hole_and_only_where_it_is() -> None:
    clean = views(0, 40, -30)
    target, *others = map(watermarked, clean)
    overlay, letters = find_overlay(target, HOLE, others), watermark() > 99
    assert overlay[letters & ~HOLE].mean() > 0.6 and overlay[letters & HOLE].mean() > 0.5
    assert overlay[cv2.distanceTransform(1 - letters.astype(np.uint8), cv2.DIST_L2, 5) > 9].mean() < 0.02
    assert not find_overlay(clean[0], HOLE, clean[1:]).any()


def test_a_watermark_neither_holds_the_references_still_nor_is_copied() -> None:
    clean = views(0, 60, -50)
    truth, *others = map(watermarked, clean)
    made = make_draft(scene(truth, HOLE, *others), load_matcher(SelectConfig(matcher="sift")))
    assert (made.confidence[HOLE] > 0.5).mean() > 0.7
    assert error(made.photo, clean[0], HOLE) < 8


def test_a_date_is_not_copied_to_another_place() -> None:
    """The hole lies where the reference, seen from farther right, has its date."""
    beside = box(235, 285, 150, 290)
    truth, other = map(dated, views(0, 80))
    made = make_draft(scene(truth, beside, other), load_matcher(SelectConfig(matcher="sift")))
    assert error(made.photo, views(0)[0], beside & (np.arange(400) < 220)) < 6


def test_a_frame_is_found_round_a_window_of_a_large_target() -> None:
    """The draft looks at a window round a small hole, and the references have the frame where the target has it."""
    large = [cv2.resize(framed(one), (1600, 1200), interpolation=cv2.INTER_CUBIC) for one in views(0, 45)]
    small = box(820, 900, 110, 200, height=1200, width=1600)
    made = make_draft(scene(large[0], small, large[1]), load_matcher(SelectConfig(matcher="sift")), size=400)
    assert made.frame.box[2] < 1600
    under = made.frame.crop_hole(small & (np.arange(1600) < 280))
    assert (made.confidence[under] == 0).all()


def test_half_a_picture_that_did_not_change_is_no_overlay_where_the_camera_stood_still() -> None:
    """The right half is in another light: what is equal is the place itself, and is taken."""
    truth = views(0)[0]
    other = truth.copy()
    other[:, 230:] = other[:, 230:] * 0.6
    assert find_overlay(truth, HOLE, [other]).any()
    made = make_draft(scene(truth, HOLE, other), load_matcher(SelectConfig(matcher="sift")))
    assert error(made.photo, truth, HOLE) < 3
