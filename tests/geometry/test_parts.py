"""Points, planes, meshes, colours, fields and seams, each on something whose answer is known."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from realfill.arrays import Labels, Photo
from realfill.geometry import blending, nearest_patches
from realfill.geometry.alignment import Warp
from realfill.geometry.blending import choose_sources, match_border, remove_islands
from realfill.geometry.colour_correction import IDENTITY, fit_colour
from realfill.geometry.confidence import known_agreement, make_scorer
from realfill.geometry.correspondences import Pairs, draft_keypoints, match_keypoints
from realfill.geometry.detail import is_worthwhile, render_detail
from realfill.geometry.homography import find_planes, is_sane, transform_points
from realfill.geometry.mesh_warp import fit_mesh
from realfill.geometry.nearest_patches import PrincipalAxes, find_nearest
from realfill.geometry.smoothing import spread_smoothly
from realfill.geometry.threads import Once
from realfill.geometry.warp_selection import AlignedReference
from realfill.geometry.warping import homography_map, warp_photo
from realfill.imaging.crop import CropTransform, crop_longest
from realfill.imaging.fill import nearest_known
from tests.geometry.worlds import box, painted, seen, shift, tilted

HOLE = box(90, 200, 140, 270)


def test_no_keypoint_lies_in_the_hole_or_on_its_edge() -> None:
    photo = seen(painted(1), shift(80, 60))
    photo[HOLE] = 255  # its outline is all corners
    keypoints = draft_keypoints(photo, HOLE)
    x, y = np.rint(keypoints.xy).astype(int).T
    wide = box(90 - 2, 200 + 2, 140 - 2, 270 + 2)
    assert len(keypoints.xy) > 100
    assert not wide[y, x].any()


def test_pairs_follow_the_homography_between_two_views() -> None:
    world, first, second = painted(1), shift(80, 60), tilted(95, 50)
    pairs = match_keypoints(draft_keypoints(seen(world, first)), draft_keypoints(seen(world, second)))
    truth = second @ np.linalg.inv(first)
    apart = np.linalg.norm(transform_points(truth, pairs.first) - pairs.second, axis=1)
    assert len(pairs) > 100
    assert (apart < 1.5).mean() > 0.9
    best = find_planes(pairs)[0]
    corners = np.array([[10.0, 10], [390, 20], [380, 290], [5, 280]])
    assert np.abs(transform_points(best.matrix, corners) - transform_points(truth, corners)).max() < 1.0


def test_two_planes_are_found_one_after_another() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 400, (200, 2))
    second = np.where((np.arange(200) < 120)[:, None], first + np.array([10, 5]), first - np.array([40, 0]))
    planes = find_planes(Pairs.from_points(first, second))
    assert [int(one.inliers.sum()) for one in planes] == [120, 80]


def test_planes_of_chance_are_few() -> None:
    rng = np.random.default_rng(0)
    assert find_planes(Pairs.from_points(rng.uniform(0, 400, (60, 2)), rng.uniform(0, 400, (60, 2)))) == []


def test_a_homography_that_folds_the_picture_is_not_sane() -> None:
    corners = np.array([[0.0, 0], [400, 0], [400, 300], [0, 300]])
    assert is_sane(np.eye(3), corners)
    assert not is_sane(np.diag([-1.0, 1, 1]), corners)  # mirrored
    assert not is_sane(np.array([[1.0, 0, 0], [0, 1, 0], [-0.005, 0, 1]]), corners)  # its horizon crosses them
    assert not is_sane(np.diag([0.01, 0.01, 1]), corners)  # shrinks to a point


def test_a_mesh_bends_to_its_points_and_not_to_outliers() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform([0, 0], [400, 300], (300, 2))
    bend = np.c_[4 * np.sin(first[:, 0] / 90), np.zeros(300)]
    second = first + bend
    second[:20] += 60
    warp_map = fit_mesh(np.eye(3), first, second, np.ones(300), shape=(300, 400))
    y, x = np.mgrid[20:280:20, 20:380:20]
    expected = x + 4 * np.sin(x / 90)
    assert np.abs(warp_map[y, x, 0] - expected).mean() < 0.3
    assert np.abs(warp_map[y, x, 1] - y).mean() < 0.3


def test_a_map_takes_the_reference_to_where_the_target_has_it() -> None:
    world = painted(1)
    target, reference = seen(world, shift(80, 60)), seen(world, shift(95, 50))
    warped, valid = warp_photo(reference, homography_map(shift(95, 50) @ np.linalg.inv(shift(80, 60)), 300, 400))
    assert np.array_equal(warped[valid > 0], target[valid > 0])
    assert valid[:, :15].max() == 0 and valid[:10].max() == 1  # the reference begins 15 pixels further right


def test_colours_come_back_in_spite_of_a_moved_object() -> None:
    truth = seen(painted(1), shift(80, 60))
    changed = np.clip(truth * 0.7 + 12, 0, 255).astype(np.uint8)
    changed[:, :120] = seen(painted(2), shift(0, 0))[:, :120]  # three tenths show something else
    fit = fit_colour(changed, truth, np.ones(truth.shape[:2], np.float32))
    part = (slice(None), slice(130, None))
    assert np.abs(fit.apply(changed)[part].astype(int) - truth[part]).mean() < 4


def test_flat_colours_get_an_offset_and_no_wild_gain() -> None:
    """An orange wall is all that both show: the fit must not turn a white dog pink."""
    rng = np.random.default_rng(0)
    wall = np.clip(rng.normal([230, 110, 40], 3, (60, 60, 3)), 0, 255).astype(np.uint8)
    other = np.clip(rng.normal([235, 100, 50], 3, (60, 60, 3)), 0, 255).astype(np.uint8)
    fit = fit_colour(other, wall, np.ones((60, 60), np.float32))
    white = fit.apply(np.full((1, 1, 3), 240, np.uint8))[0, 0].astype(int)
    assert white.max() - white.min() < 30
    assert np.abs(fit.apply(other).astype(int).mean((0, 1)) - wall.mean((0, 1))).max() < 2


def test_fields_take_after_the_nearest_known_values() -> None:
    values, weight = np.zeros((80, 120), np.float32), np.zeros((80, 120), np.float32)
    values[:, 0], values[:, -1] = 1, 5
    weight[:, 0] = weight[:, -1] = 1
    field = spread_smoothly(values, weight, reach=3.0)
    assert np.abs(field[:, 3] - 1).max() < 0.3 and np.abs(field[:, 116] - 5).max() < 0.3
    assert np.abs(field[:, 60] - 3).max() < 0.5
    assert (np.diff(field[40]) > -0.05).all()


def test_agreement_tells_a_right_reference_from_a_shifted_one() -> None:
    world = painted(1)
    target = seen(world, shift(80, 60))
    scorer = make_scorer(target, HOLE)
    ones = np.ones(scorer.known.shape, np.float32)
    here, there = (seen(world, shift(80 + step, 60)) for step in (0, 12))
    fit = crop_longest(300, 400, longest=256)
    right, wrong = (known_agreement(scorer, fit.crop_photo(photo), ones) for photo in (here, there))
    known = scorer.known > 0
    assert right[known].mean() > 0.9
    assert wrong[known].mean() < 0.4
    assert (right[~known] == 0).all()


def test_the_offset_comes_from_known_pixels_and_meets_the_border() -> None:
    target = seen(painted(1), shift(80, 60))
    darker = np.clip(target.astype(int) - 12, 0, 255).astype(np.uint8)
    ones = np.ones(HOLE.shape, np.float32)
    painted_over = target.copy()
    painted_over[HOLE] = 255
    matched = match_border(darker, ones, nearest_known(painted_over, HOLE), HOLE, ones)
    inside = HOLE & (darker > 0).all(2) & (target < 243).all(2)
    assert np.abs(matched[inside] - target[inside]).mean() < 2


def test_a_better_source_is_taken_and_a_hole_stays_where_none_is() -> None:
    flat = np.full((300, 400, 3), 100, np.float32)
    low, high = np.full((300, 400), 0.4, np.float32), np.full((300, 400), 0.9, np.float32)
    low[:, 230:] = high[:, 200:] = 0
    label = choose_sources([flat, flat], [low, high], HOLE, 0.12)
    assert (label[HOLE & (np.arange(400) < 195)] == 1).all()
    assert (label[HOLE & (np.arange(400) >= 235)] == -1).all()


def test_small_and_doubtful_patches_are_given_up() -> None:
    label = np.full((300, 400), -1, np.int8)
    label[90:95, 140:145] = 0
    label[120:180, 160:200] = 0
    sure, unsure = np.full((300, 400), 0.8, np.float32), np.full((300, 400), 0.3, np.float32)
    left = remove_islands(label, HOLE, [sure], seed=0.45, least=0.01)
    assert (left[90:95, 140:145] == -1).all() and (left[120:180, 160:200] == 0).all()
    assert (remove_islands(label, HOLE, [unsure], seed=0.45, least=0.01) == -1).all()


def test_a_patch_counts_against_its_own_part_of_the_hole() -> None:
    """A mask of 192 equal parts: each is less than a hundredth of all, and filled all the same."""
    hole, label = np.zeros((300, 400), np.bool_), np.full((300, 400), -1, np.int8)
    for top in range(10, 290, 25):
        for start in range(10, 390, 25):
            hole[top : top + 8, start : start + 8] = True
    label[hole] = 0
    label[10:18, 10:18] = -1
    sure = np.full((300, 400), 0.8, np.float32)
    sure[35:43] = 0.3  # one row of parts is not trusted
    left = remove_islands(label, hole, [sure], seed=0.45, least=0.01)
    assert (left[35:43] == -1).all()
    left[35:43] = label[35:43]
    assert np.array_equal(left, label)


def test_a_patch_needs_trust_in_a_twentieth_of_it() -> None:
    label = np.where(HOLE, 0, -1).astype(np.int8)
    known, twentieth = np.full((300, 400), 0.3, np.float32), HOLE.sum() // 20
    known[tuple(np.argwhere(HOLE)[: twentieth + 1].T)] = 0.8
    assert np.array_equal(remove_islands(label, HOLE, [known], seed=0.45, least=0.01), label)
    known[tuple(np.argwhere(HOLE)[twentieth - 1 : twentieth + 1].T)] = 0.3
    assert (remove_islands(label, HOLE, [known], seed=0.45, least=0.01) == -1).all()


FRAME = (40, 60)


def _reference(index: int, height: int, width: int) -> tuple[Photo, CropTransform, AlignedReference]:
    """A reference of that size, how it comes to its working size, and as it lies in the frame."""
    fit = crop_longest(height, width, longest=60)
    warp_map = homography_map(np.diag([fit.width / 60, fit.height / 40, 1.0]), *FRAME)
    none, ones = np.zeros((0, 2)), np.ones(FRAME, np.float32)
    warp = Warp(index, "plane", warp_map, none, none)
    black = np.zeros((*FRAME, 3), np.uint8)
    aligned = AlignedReference(index, black, ones, warp, IDENTITY, ones, ones, black)
    return np.zeros((height, width, 3), np.uint8), fit, aligned


def _labels(*numbers: int) -> Labels:
    """The frame in stripes, one for each number."""
    return np.repeat(np.array([numbers], np.int8), FRAME[0], 0).repeat(FRAME[1] // len(numbers), 1)


@pytest.mark.parametrize(("side", "worth"), [(32766, True), (32767, False), (40000, False)])
def test_a_side_beyond_what_opencv_reads_is_not_rendered_at_its_own_size(side: int, worth: bool) -> None:
    frame = crop_longest(80, 120, longest=60)
    huge, usual = _reference(0, 12, side), _reference(1, 80, 120)
    photos, fits, aligned = (huge[0], usual[0]), (huge[1], usual[1]), (huge[2], usual[2])
    both = _labels(0, 1)
    assert is_worthwhile(frame, fits, aligned, _labels(0)) is worth
    assert is_worthwhile(crop_longest(side, 12, longest=60), fits, aligned, _labels(1)) is worth
    assert is_worthwhile(frame, fits, aligned, both)  # one that can be read is enough
    draft = np.zeros((*FRAME, 3), np.uint8)
    assert render_detail(draft, frame, photos, fits, aligned, both, (0, 0, 120, 80)).shape == (80, 120, 3)
    assert not is_worthwhile(frame, fits, aligned, _labels(-1))


def test_blending_hides_a_step_and_keeps_known_pixels() -> None:
    target = seen(painted(1), shift(80, 60))
    ones = np.ones(HOLE.shape, np.float32)
    dark, bright = target.astype(np.float32) - 20, target.astype(np.float32) + 20
    label = np.where(np.arange(400) < 205, 0, 1).astype(np.int8) * np.ones((300, 1), np.int8)
    blended = blending.blend([dark, bright], [ones, ones], label, HOLE, target)
    assert np.array_equal(blended[~HOLE], target[~HOLE])
    step = (blended.astype(float) - target)[100:190].mean((0, 2))
    assert np.abs(np.diff(step[150:260])).max() < 8  # 40 at once without blending


def test_blending_of_equals_changes_nothing() -> None:
    """OpenCV cuts fractions off in each band: in whole grey levels the picture would come out darker."""
    target = seen(painted(1), shift(80, 60))
    same, ones = target.astype(np.float32), np.ones(HOLE.shape, np.float32)
    label = (np.arange(400) // 12 % 2).astype(np.int8) * np.ones((300, 1), np.int8)
    blended = blending.blend([same, same], [ones, ones], label, HOLE, np.zeros_like(target))
    assert np.abs(blended[HOLE].astype(int) - target[HOLE]).max() <= 1
    assert np.abs(blended[HOLE].astype(int) - target[HOLE]).mean() < 0.2


@pytest.mark.parametrize("size", [(200, 150), (150, 200)])
def test_frames_have_the_photos_shape(size: tuple[int, int]) -> None:
    fit = crop_longest(size[0] * 4, size[1] * 4, longest=200)
    assert (fit.height, fit.width) == size


def test_the_nearest_of_many_is_the_one_that_all_distances_name(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    points, places = (random.normal(size=(count, 6)).astype(np.float32) for count in (50, 40))
    distances = ((points[:, None] - places[None]) ** 2).sum(2)
    for at_once in (1, 70, 1000, 10**6):  # distances: also less than one row, and a last chunk that is not full
        monkeypatch.setattr(nearest_patches, "CHUNK", at_once)
        assert np.array_equal(find_nearest(points, places), distances.argmin(1))
    assert len(find_nearest(points[:0], places)) == 0


def test_principal_axes_keep_what_varies() -> None:
    random = np.random.default_rng(4)
    patches = (random.normal(size=(300, 2)) @ random.normal(size=(2, 9)) + 7).astype(np.float32)
    projected = PrincipalAxes.fit(patches, 2).project(patches)
    kept, all_of_it = ((one - one.mean(0)).var(0).sum() for one in (projected, patches))
    assert projected.shape == (300, 2) and kept == pytest.approx(all_of_it, rel=1e-4)


def test_what_several_threads_ask_for_is_made_once() -> None:
    made: list[int] = []
    asked = threading.Barrier(4)

    def make() -> int:
        made.append(1)
        return len(made)

    def ask(once: Once[int]) -> int:
        asked.wait()
        return once()

    once = Once(make)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, [once] * 4)) == [1] * 4
    assert once() == 1 and made == [1]
