"""Proposals: the portfolio of a scene, what each is made of, how they are scored, ordered and kept."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.geometry import proposals, propose
from realfill.geometry.colour_transfer import AffineColours
from realfill.geometry.draft import Draft, full_size_draft
from realfill.geometry.make_draft import make_draft
from realfill.geometry.proposal_scores import (
    ProposalScore,
    _compare_where_it_varies,
    _lower_trust,
    gather_evidence,
    score_photo,
    shrink_hole,
)
from realfill.geometry.proposals import (
    Recipe,
    Sources,
    gather_sources,
    list_recipes,
    make_proposal,
)
from realfill.geometry.structure import shrink, structure_similarity
from realfill.geometry.unsharp_mask import fine_energy
from realfill.matching import sift
from realfill.scene.scene import Scene
from tests.geometry.worlds import box, painted, scene, seen, shift, tilted

pytestmark = pytest.mark.usefixtures("scoring_size")
HOLE = box(90, 200, 140, 270)
PALE = AffineColours(0.4 * np.eye(3), np.array([30.0, 0.0, 0.0]))


@pytest.fixture(scope="module")
def plane() -> Scene:
    """A plane; a reference that shows half of the hole, and one of another place."""
    world = painted(1)
    half = seen(world, tilted(95, 50))
    half[:, 220:] = 128
    return scene(seen(world, shift(80, 60)), HOLE, half, painted(9, 300, 400))


@pytest.fixture(scope="module")
def draft(plane: Scene) -> Draft:
    return make_draft(plane, sift.load(size=512))


@pytest.fixture(scope="module")
def sources(plane: Scene, draft: Draft) -> Sources:
    return gather_sources(plane, draft)


def error(photo: Photo, plane: Scene) -> float:
    assert plane.truth is not None
    return float(np.abs(photo.astype(int) - plane.truth)[HOLE].mean())


def sharpness(photo: Photo, where: Hole) -> float:
    return float(np.abs(cv2.Laplacian(photo.astype(np.float32), -1))[where].mean())


def test_a_reference_is_laid_by_its_matches_and_another_place_is_not(sources: Sources) -> None:
    assert {one.reference for one in sources.laid} == {0}
    assert sources.laid[0].trust > 0.6
    assert len(sources.plain) == 2


def test_a_laid_reference_has_each_region_in_the_targets_light() -> None:
    """The reference's sky is darker than the target's and its stone brighter: no change of all colours mends both."""
    target = painted(1, 300, 400)
    target[:150] = np.clip(target[:150] // 4 + (150, 170, 190), 0, 255)
    target[150:] = target[150:] // 4 + (60, 50, 40)
    other = target.astype(int)
    other[:150] -= 70
    other[150:] += 70
    given = scene(target, HOLE, other.clip(0, 255).astype(np.uint8))
    sources = gather_sources(given, make_draft(given, sift.load(size=512)))
    assert sources.laid
    laid = sources.laid[0]
    for region in (HOLE & (np.arange(300)[:, None] < 145), HOLE & (np.arange(300)[:, None] > 155)):
        assert np.abs(laid.show(laid.inner).astype(int) - target)[region].mean() < 20


def test_each_way_is_there_once_before_any_is_repeated(sources: Sources) -> None:
    recipes = list_recipes(sources, 12)
    assert [recipe.kind for recipe in recipes[:5]] == ["draft", "single", "placed", "canvas", "patches"]
    assert len(set(recipes)) == len(recipes) == 12
    assert list_recipes(sources, 5) == recipes[:5]


def test_what_geometry_shows_is_kept_and_the_rest_made_of_patches(plane: Scene, draft: Draft, sources: Sources) -> None:
    made = make_proposal(sources, list_recipes(sources, 1)[0])
    assert np.array_equal(made.photo[~HOLE], plane.target[~HOLE])
    shown = HOLE & (draft.confidence > 0.5)
    assert shown.any() and np.array_equal(made.photo[shown], draft.photo[shown])
    rest = HOLE & (draft.confidence == 0)
    assert rest.any() and sharpness(made.photo, rest) > 1.2 * sharpness(draft.photo, rest)
    assert (made.confidence[rest] == 0).all()


def test_a_proposal_is_shown_as_crisp_as_what_it_was_made_of(plane: Scene, sources: Sources) -> None:
    """Its reference lies a few pixels off, and a regression of colours has made it pale."""
    (best, *_) = sources.laid
    off = {name: np.roll(getattr(best, name), 6, axis=1) for name in ("raw", "valid")}
    aside = dataclasses.replace(best, **off)
    pale = dataclasses.replace(aside, colours=dataclasses.replace(aside.colours, whole=PALE, regions=None))
    made = make_proposal(dataclasses.replace(sources, laid=(pale,)), Recipe("single", 0, 0))
    crisp, shown = made.sharpened(), HOLE & (made.confidence > 0)
    assert np.array_equal(crisp[~HOLE], plane.target[~HOLE])
    before, after, true = (fine_energy(photo)[shown].mean() for photo in (made.photo, crisp, sources.draft.photo))
    assert before < 0.3 * true and 0.6 * true < after < 1.3 * true
    fresh = make_proposal(sources, Recipe("single", 0, 0))
    assert np.abs(fresh.sharpened().astype(int) - fresh.photo).mean() < 1  # what lies right stays as it is


def test_the_score_prefers_what_references_show(plane: Scene, sources: Sources) -> None:
    assert plane.truth is not None
    evidence = gather_evidence(sources)
    grey = np.where(HOLE[..., None], np.uint8(128), plane.truth)
    turned = np.where(HOLE[..., None], plane.truth[::-1, ::-1], plane.truth)
    double = np.where(HOLE[..., None], plane.truth // 2 + np.roll(plane.truth, 9, 1) // 2, plane.truth)
    true, blank, wrong, hazy = (score_photo(evidence, photo, 10) for photo in (plane.truth, grey, turned, double))
    assert true.agreement > max(blank.agreement, wrong.agreement) + 0.1
    assert true.seam < wrong.seam and true.novelty < hazy.novelty - 0.3
    assert true.total > max(blank.total, wrong.total, hazy.total)
    assert dataclasses.replace(true, matches=100).total > true.total
    assert dataclasses.replace(true, consensus=1.0).total > true.total


def test_a_flat_wall_does_not_say_that_a_thing_lies_right(plane: Scene) -> None:
    """A thing stands elsewhere before the same wall: alike nearly everywhere, and not where it matters."""
    wall = np.full((300, 400, 3), 120, np.uint8)
    target, other = wall.copy(), wall.copy()
    thing = painted(3, 40, 60)
    target[60:100, 150:210], other[60:100, 190:250] = thing, thing
    hole, everywhere = box(100, 150, 200, 250), np.ones((300, 400), np.bool_)
    small, shown = shrink_hole(hole), shrink_hole(everywhere)
    right = _compare_where_it_varies(shrink(target), shrink(target), small, shown)
    moved = _compare_where_it_varies(shrink(other), shrink(target), small, shown)
    plain = structure_similarity(shrink(other), shrink(target))[~small].mean()
    assert right > 0.9 and moved < 0.5 < plain


def test_references_that_contradict_each_other_are_little_trusted() -> None:
    """Two references show a thing in different poses: where it lies, neither is believed; beside it both are."""
    world = painted(4, 200, 256)
    one, other = world.copy(), world.copy()
    one[60:140, 80:180], other[60:140, 80:180] = painted(5, 80, 100), painted(6, 80, 100)
    sure = np.full(world.shape[:2], 0.8, np.float32)
    lowered = _lower_trust([(one, sure), (other, sure)], [0, 1])
    alone = _lower_trust([(one, sure), (other, sure)], [0, 0])
    for _, trust in lowered:
        assert trust[80:120, 100:160].mean() < 0.45
        assert trust[:40].mean() > 0.75
    assert all((trust == sure).all() for _, trust in alone)
    (_, kept), _ = _lower_trust([(one, sure), (other, np.where(np.arange(256) < 80, sure, 0))], [0, 1])
    assert (kept[:, 90:] == sure[:, 90:]).all()  # the other shows nothing there


def test_proposals_come_scored_and_are_kept_in_their_order(plane: Scene, draft: Draft, tmp_path: Path) -> None:
    made = [*propose.propose(plane, draft, 4)]
    ranked = propose.best_first(made, plane.hole)
    totals = [one.score.total for one in ranked]
    assert totals == sorted(totals, reverse=True)
    errors = [error(full_size_draft(one.draft), plane) for one in ranked]
    assert errors[0] < np.median(errors) < errors[-1] == max(errors) > 1.5 * errors[0]
    folder = tmp_path / "proposals"
    for number, one in enumerate(made, 1):
        propose.save_proposal(folder, number, one)
    assert propose.count_saved(folder) == 4 and propose.load_proposals(folder) == []  # not ranked yet
    propose.save_ranking(folder, 4, plane.hole)
    assert propose.are_saved(folder, 4) and not propose.are_saved(folder, 5)
    likely = [total for total in totals if total > totals[0] - propose.WORSE]
    assert propose.count_starting(folder) == len(likely) < 4
    loaded = propose.load_proposals(folder)
    assert all(np.array_equal(one.photo, other.draft.photo) for one, other in zip(loaded, ranked, strict=True))
    assert loaded[0].textured and loaded[0].reason == ""
    check_that_numbers_stay_ranks(folder, made, plane.hole)
    (later,) = propose.propose(plane, draft, 4, first=3)
    assert later.recipe == made[3].recipe and np.array_equal(later.draft.photo, made[3].draft.photo)


def test_nothing_is_made_beside_the_first_before_it_is_scored(
    plane: Scene, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def make(sources: Sources, recipe: Recipe) -> proposals.Proposal:
        told.append("made")
        nothing = np.zeros(sources.hole.shape, np.float32)
        return proposals.Proposal(recipe, sources.target, nothing, nothing)

    def score(*_: object) -> ProposalScore:
        told.append("scored")
        return ProposalScore(0, 0.0, 0.0, 0.0, 0.0)

    monkeypatch.setattr(proposals, "make_proposal", make)
    monkeypatch.setattr(propose, "score_photo", score)
    assert len([*propose.propose(plane, draft, 3)]) == 3 and told[:2] == ["made", "scored"]
    propose.propose(plane, draft, 3).close()
    begun = propose.propose(plane, draft, 3)
    next(begun)
    begun.close()  # nothing waits for it


def test_a_first_proposal_that_fails_ends_the_others(
    plane: Scene, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(proposals, "make_proposal", fail)
    with pytest.raises(MemoryError):
        next(propose.propose(plane, draft, 3))


def test_what_families_agree_on_comes_first_and_copies_within_one_do_not_count(plane: Scene, draft: Draft) -> None:
    assert plane.truth is not None
    wrong = np.where(HOLE[..., None], plane.truth[::-1, ::-1], plane.truth)
    score = ProposalScore(10, 0.0, 0.0, 0.0, 0.0)
    made = [
        propose.ScoredProposal(recipe, dataclasses.replace(draft, photo=draft.frame.crop_photo(photo)), score)
        for recipe, photo in (
            (Recipe("patches", 0), wrong),
            (Recipe("canvas", 0), wrong),
            (Recipe("placed", 0), plane.truth),
            (Recipe("draft", 0), plane.truth),
        )
    ]
    ranked = propose.best_first(made, plane.hole)
    assert [one.recipe.kind for one in ranked] == ["placed", "draft", "patches", "canvas"]
    assert ranked[0].score.consensus > ranked[-1].score.consensus + 0.1


def check_that_numbers_stay_ranks(folder: Path, made: list[propose.ScoredProposal], hole: Hole) -> None:
    """In a run of before, whose pictures among the seeds are named by the proposals' ranks; also when more are made."""
    files.write_json(folder / propose.RANKING, {"order": [2, 1, 4, 3], "count": 4})
    assert propose.count_starting(folder) == 4
    assert propose.load_ranking(folder) == [1, 2, 3, 4]
    for count in (4, 5):
        numbers = dict(zip((1, 2, 3, 4, 5), [made[index] for index in (1, 0, 3, 2, 0)][:count], strict=False))
        assert {number: one.score.matches for number, one in propose.load_scored(folder, hole).items()} == {
            number: one.score.matches for number, one in numbers.items()
        }
        for number, one in numbers.items():
            proposal = propose.load_proposal(folder, number)
            assert proposal is not None and np.array_equal(proposal.photo, one.draft.photo)
        propose.save_proposal(folder, 5, made[0])
        propose.save_ranking(folder, 5, hole)


def test_a_score_is_stored_as_it_is() -> None:
    score = ProposalScore(12, 0.5, 0.25, -0.25, 1.125)
    assert ProposalScore.from_json(score.to_json()) == score


def test_where_nothing_lies_over_the_target_there_are_patches(plane: Scene) -> None:
    other = dataclasses.replace(plane, references=plane.references[1:])
    draft = make_draft(other, sift.load(size=512))
    assert draft.reason
    (made,) = propose.propose(other, draft, 1)
    assert made.recipe.kind == "placed" and made.draft.reason == "" and (made.draft.confidence[HOLE] == 0).all()
    assert sharpness(made.draft.photo, HOLE) > 2 * sharpness(draft.photo, HOLE)


def test_without_patches_geometry_alone_proposes(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "is_available", lambda: False)
    assert {recipe.kind for recipe in list_recipes(sources, 8)} == {"draft", "single"}
