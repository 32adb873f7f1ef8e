from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from realfill.arrays import Hole, Photo
from realfill.imaging.crop import crop_around
from realfill.imaging.photo import read_photo
from realfill.matching.matcher import Matches
from realfill.matching.selection import (
    Score,
    best_share,
    is_in_hole,
    is_ranked,
    rank_scores,
    ranking_doubt,
    score_candidates,
)
from realfill.matching.sift import Sift
from tests.matching.test_matchers import texture


class Recorded:
    """A matcher that gives matches found before; looks `ahead` targets ahead, as one that batches would."""

    name = "recorded"

    def __init__(self, found: list[list[Matches]], ahead: int = 1) -> None:
        self.found, self.ahead = found, ahead

    def stream(self, references: Sequence[Photo], targets: Iterable[Photo]) -> Iterator[list[Matches]]:
        batch: list[Photo] = []
        for photo in targets:
            batch.append(photo)
            if len(batch) == self.ahead:
                yield from (self.found[int(one[0, 0, 0])] for one in batch)
                batch = []
        yield from (self.found[int(one[0, 0, 0])] for one in batch)

    def match(self, references: Sequence[Photo], targets: Sequence[Photo]) -> list[list[Matches]]:
        return list(self.stream(references, targets))


def numbered(index: int, shape: tuple[int, int]) -> Photo:
    return np.full((*shape, 3), index, np.uint8)


def box_hole(shape: tuple[int, int], left: int, top: int, right: int, bottom: int) -> Hole:
    hole = np.zeros(shape, np.bool_)
    hole[top:bottom, left:right] = True
    return hole


def inpainted(photo: Photo, hole: Hole) -> Photo:
    return np.asarray(cv2.inpaint(photo, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA), np.uint8)


def filled(photo: Photo, hole: Hole, by: Photo) -> Photo:
    return np.where(hole[..., None], by, photo)


@pytest.fixture(scope="module")
def true_matches(shared: Path) -> tuple[Matches, tuple[int, int]]:
    """1719 matches that LoFTR outdoor really found, and the pictures' size."""
    data = torch.load(
        shared / "weights/loftr_reference_outputs/loftr_outdoor_and_homography_data.pt", weights_only=True
    )
    first, second = (data[f"loftr_outdoor_tentatives{side}"].numpy() for side in (0, 1))
    return Matches(first, second, np.ones(len(first), np.float32)), tuple(data["image1"].shape[2:])


def test_true_loftr_matches_are_counted_where_they_land(true_matches: tuple[Matches, tuple[int, int]]) -> None:
    matches, shape = true_matches
    left, top, right, bottom = 150, 100, 420, 310
    x, y = matches.target_xy.astype(np.float64).T
    # A pixel's square reaches half a pixel round its centre, its lower border included.
    by_hand = int(((x >= left - 0.5) & (x < right - 0.5) & (y >= top - 0.5) & (y < bottom - 0.5)).sum())
    hole = box_hole(shape, left, top, right, bottom)
    two = Recorded([[matches, Matches.empty()]])
    (inside,) = score_candidates(two, [], [(7, numbered(0, shape))], hole)
    assert 300 < by_hand < 1500
    assert inside == Score(7, by_hand, (by_hand, 0))
    (outside,) = score_candidates(two, [], [(7, numbered(0, shape))], ~hole)
    assert inside.matches + outside.matches == len(matches) == 1719


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(2, 1, True), (1.5, 0.5, True), (1.49, 1, False), (2, 0.49, False), (3.49, 2.49, True), (3.5, 2, False)],
)
def test_a_point_belongs_to_its_nearest_pixel(x: float, y: float, expected: bool) -> None:
    assert is_in_hole(np.array([[x, y]], np.float32), box_hole((5, 6), 2, 1, 4, 3))[0] == expected


def test_points_beyond_the_photo_are_in_no_hole() -> None:
    everywhere = np.ones((4, 6), np.bool_)
    beyond = np.array([[-0.6, 1], [5.5, 1], [1, -0.6], [1, 3.5], [-1e6, 1e6]], np.float32)
    edge = np.array([[-0.5, -0.5], [5.49, 3.49]], np.float32)
    assert not is_in_hole(beyond, everywhere).any()
    assert is_in_hole(edge, everywhere).all()
    assert is_in_hole(np.zeros((0, 2), np.float32), everywhere).shape == (0,)


def test_the_truth_ranks_first_in_whatever_order_candidates_come() -> None:
    truth = texture(1)
    hole = box_hole(truth.shape[:2], 60, 70, 200, 210)
    noise = np.random.default_rng(0).integers(0, 256, truth.shape, np.uint8)
    soft = np.asarray(cv2.GaussianBlur(truth, (0, 0), 1.5), np.uint8)
    fills = {3: noise, 9: truth, 4: soft, 1: np.full_like(truth, 128), 6: inpainted(truth, hole)}
    references = [np.roll(truth, 5, axis=1), np.roll(truth, -8, axis=0)]
    candidates = [(seed, filled(truth, hole, fill)) for seed, fill in fills.items()]
    matcher = Sift(size=256)
    ranked = rank_scores(score_candidates(matcher, references, candidates, hole))
    assert [one.seed for one in ranked[:2]] == [9, 4]
    assert ranked[0].matches > 3 * max(one.matches for one in ranked[2:])
    assert all(one.matches == sum(one.per_reference) and len(one.per_reference) == 2 for one in ranked)
    assert rank_scores(score_candidates(matcher, references, candidates[::-1], hole)) == ranked


def test_only_what_lands_in_the_hole_counts() -> None:
    photo = texture(2)
    (nothing,) = score_candidates(Sift(size=256), [photo], [(0, photo)], np.zeros(photo.shape[:2], np.bool_))
    hole = box_hole(photo.shape[:2], 0, 0, 100, 256)
    (part,) = score_candidates(Sift(size=256), [photo], [(0, photo)], hole)
    (rest,) = score_candidates(Sift(size=256), [photo], [(0, photo)], ~hole)
    (everything,) = score_candidates(Sift(size=256), [photo], [(0, photo)], np.ones_like(hole))
    assert nothing.matches == 0
    assert 0 < part.matches < everything.matches
    assert part.matches + rest.matches == everything.matches


def test_a_candidate_without_any_match_scores_zero() -> None:
    photo, flat = texture(3), np.zeros((256, 256, 3), np.uint8)
    everywhere = np.ones((256, 256), np.bool_)
    assert [*score_candidates(Sift(size=256), [photo, flat], [(5, flat)], everywhere)] == [Score(5, 0, (0, 0))]
    assert [*score_candidates(Sift(size=256), [flat], [(5, photo)], everywhere)] == [Score(5, 0, (0,))]


@pytest.mark.parametrize("ahead", [1, 2, 3, 7])
def test_seeds_stay_with_their_photos_when_the_matcher_batches(ahead: int) -> None:
    def points(count: int) -> Matches:
        xy = np.zeros((count, 2), np.float32)
        return Matches(xy, xy, np.ones(count, np.float32))

    matcher = Recorded([[points(index)] for index in range(5)], ahead)
    candidates = [(100 - index, numbered(index, (8, 8))) for index in (3, 0, 4, 1, 2)]
    scores = list(score_candidates(matcher, [], iter(candidates), np.ones((8, 8), np.bool_)))
    assert [(one.seed, one.matches) for one in scores] == [(97, 3), (100, 0), (96, 4), (99, 1), (98, 2)]


def test_scores_come_one_by_one_and_references_are_looked_at_once() -> None:
    seen: list[int] = []

    class Counting(Sift):
        def extract(self, working: Photo):  # type: ignore[no-untyped-def]
            seen.append(int(working[0, 0, 0]))
            return super().extract(working)

    photos = [numbered(index, (64, 64)) for index in range(3)]
    scores = score_candidates(
        Counting(size=64), photos[:2], [(seed, photos[2]) for seed in range(3)], np.ones((64, 64), np.bool_)
    )
    next(scores)
    assert seen == [0, 1, 2]
    next(scores)
    assert seen == [0, 1, 2, 2]


def test_a_candidate_of_another_size_is_a_defect() -> None:
    with pytest.raises(ValueError, match="seed 4"):
        list(score_candidates(Sift(size=64), [], [(4, numbered(0, (8, 9)))], np.ones((8, 8), np.bool_)))


def test_ties_are_in_the_order_of_seeds() -> None:
    scores = [Score(seed, matches, (matches,)) for seed, matches in [(8, 2), (1, 2), (5, 9), (0, 0), (3, 2)]]
    assert [one.seed for one in rank_scores(scores)] == [5, 1, 3, 8, 0]
    assert rank_scores(scores) == rank_scores(scores[::-1])


@pytest.mark.parametrize(
    ("count", "share", "kept"), [(64, 0.25, 16), (100, 0.07, 7), (5, 0.5, 3), (3, 0.01, 1), (7, 1.0, 7), (0, 0.5, 0)]
)
def test_the_best_share_is_the_top_of_the_ranking(count: int, share: float, kept: int) -> None:
    scores = [Score(seed, seed * 7 % 11, (seed * 7 % 11,)) for seed in range(count)]
    assert best_share(scores, share) == rank_scores(scores)[:kept]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        best_share([], share)


def test_few_matches_are_doubted_and_none_is_unranked() -> None:
    none, one, many = ([Score(0, count, (count,)), Score(1, 0, (0,))] for count in (0, 1, 300))
    assert not is_ranked(none) and is_ranked(one) and is_ranked(many)
    assert "unranked" in str(ranking_doubt(none))
    assert "only 1 match " in str(ranking_doubt(one))
    assert ranking_doubt(many) is None
    assert ranking_doubt([]) is None


@pytest.mark.parametrize(
    ("scene", "least"), [("berry_bowl", 20), ("puppy_studio", 15), ("backpack_forest", 5), ("bedroom_outpaint", 60)]
)
def test_on_real_scenes_small_candidates_are_told_apart(shared: Path, scene: str, least: int) -> None:
    """At the embedded base's 256 px: the truth, far above a soft truth, which still stands above Telea's guess."""
    folder = shared / "scenes" / scene
    references = [read_photo(path) for path in sorted((folder / "ref").iterdir())]
    truth, mask = (read_photo(folder / "target" / name) for name in ("gt.png", "mask.png"))
    fit = crop_around(mask[..., 0] > 127, size=256, multiple=32, context=0.5)
    hole, target = fit.crop_hole(mask[..., 0] > 127), fit.crop_photo(truth)
    soft = np.asarray(cv2.GaussianBlur(target, (0, 0), 2), np.uint8)
    fills = [inpainted(target, hole), filled(target, hole, soft), target]
    telea, blurred, true = score_candidates(Sift(size=512), references, list(enumerate(fills)), hole)
    assert true.matches > 2 * blurred.matches
    assert blurred.matches > telea.matches + least
    assert telea.matches <= 3
