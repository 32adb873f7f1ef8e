"""What geometry adds to the learned fill, and that it adds nothing where it is off or has nothing to say."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from realfill import config, files, seeds
from realfill.arrays import Confidence, Field, Photo
from realfill.config import GuideConfig, SampleConfig, TrainConfig
from realfill.events import Event, Notice
from realfill.geometry import propose
from realfill.geometry.draft import VOUCHED, Draft, WarpedReference
from realfill.imaging.composite import feather_alpha
from realfill.imaging.crop import CropTransform, crop_around
from realfill.imaging.photo import read_photo, save_photo
from realfill.models.backbone import Backbone
from realfill.models.registry import load_backbone
from realfill.pipeline.stages import complete
from realfill.runs import export
from realfill.runs.export import choose_seed
from realfill.runs.run import Run
from realfill.sampling import sample
from realfill.sampling.draft_prior import (
    DraftPrior,
    DraftStart,
    keep_texture,
    make_draft_prior,
    make_start,
    prior_condition,
    split_seeds,
)
from realfill.scene import scene
from realfill.scene.scene import Scene
from realfill.seeds import starts_from_draft
from realfill.training.batches import Batch, draw_batch, prepare_views
from realfill.training.draft_views import draft_views
from tests.tiny import make_wide_scene, world

CELL = 2


@pytest.fixture(scope="module")
def backbone(tiny_base: Path) -> Backbone:
    return load_backbone(str(tiny_base), device="cpu")


def fit_of(toy: Scene) -> CropTransform:
    return crop_around(toy.hole, size=48, multiple=8, context=0.7)


def draft_of(toy: Scene, confidence: float = 1.0) -> Draft:
    """A draft that knows the truth in the hole's left half, as far as `confidence` says, and guesses grey elsewhere."""
    height, width = toy.hole.shape
    frame = CropTransform((0.0, 0.0, float(width), float(height)), width, height, width, height)
    assert toy.truth is not None
    left, right = np.array_split(np.flatnonzero(toy.hole.any(0)), 2)
    trust = np.where(toy.hole, 0, 1).astype(np.float32)
    trust[:, left] = np.where(toy.hole[:, left], confidence, 1)
    photo = toy.truth.copy()
    photo[:, right] = np.where(toy.hole[:, right, None], 128, photo[:, right])
    return Draft(frame, photo, trust, (WarpedReference(0, photo, trust),), "", 0.0)


def given_of(toy: Scene, guide: GuideConfig | None = None) -> DraftPrior:
    return make_draft_prior(draft_of(toy), toy, fit_of(toy), guide or GuideConfig())


# ── which seeds ──


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_warm_seeds_are_an_even_share(share: float) -> None:
    warm = [starts_from_draft(seed, share) for seed in range(64)]
    assert sum(warm) == 64 * share
    assert all(sum(warm[start : start + 8]) == 8 * share for start in range(0, 64, 8))


def test_without_geometry_every_seed_starts_from_noise(toy: Scene) -> None:
    reasoned = dataclasses.replace(draft_of(toy), reason="No reference lies over the target.")
    assert draft_views(reasoned, toy, fit_of(toy)) == []
    assert split_seeds([0, 1, 2], []) == ([0, 1, 2], [])


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_seeds_begin_from_the_proposals_in_turn_whoever_asks(toy: Scene, share: float) -> None:
    priors = [given_of(toy, GuideConfig(warm=share)) for _ in range(3)]
    cold, begun = split_seeds(range(12), priors)
    assert len(cold) == 12 * (1 - share) and [len(part) for part in begun] == [4 * share] * 3
    assert sorted([*cold, *(seed for part in begun for seed in part)]) == list(range(12))
    for rank, part in enumerate(begun):  # as a seed alone would
        assert all(seed in split_seeds([seed], priors)[1][rank] for seed in part)


# ── training ──


def drawn(toy: Scene, **changes: float) -> Batch:
    settings = TrainConfig(mask_dropout=0.0, prompt_dropout=0.0, guided=1.0, **changes)
    guides = draft_views(draft_of(toy), toy, fit_of(toy))
    assert len(guides) == 2  # the draft, and the one reference
    views = prepare_views(toy, fit_of(toy), settings, cell=CELL, draft_views=guides)
    return draw_batch(views, settings, seed=0, step=0, indices=range(32))


def test_guided_items_lie_in_the_targets_frame_and_count_only_where_vouched_for(toy: Scene) -> None:
    batch = drawn(toy, crop=1.0, aware=1.0)
    given = given_of(toy)
    unknown = given.hole & (given.confidence < VOUCHED)
    for hole, weight in zip(batch.hole[:, 0].numpy() > 0, batch.weight[:, 0].numpy() > 0, strict=True):
        assert not weight[unknown].any()
        assert weight[~given.hole].mean() > 0.97  # all known pixels, but for one at the border
        np.testing.assert_array_equal(hole & given.hole, given.hole)
        assert hole[~given.hole].mean() < 0.1


def test_unaware_items_hide_random_rectangles(toy: Scene) -> None:
    batch = drawn(toy, crop=1.0, aware=0.0)
    holes = batch.hole[:, 0].numpy() > 0
    assert len({hole.tobytes() for hole in holes}) == len(holes)


def test_without_guides_batches_are_the_papers(toy: Scene) -> None:
    with_share, without = TrainConfig(guided=0.5), TrainConfig()
    one, other = (
        draw_batch(prepare_views(toy, fit_of(toy), each, cell=CELL), each, seed=1, step=2, indices=range(8))
        for each in (with_share, without)
    )
    assert torch.equal(one.pixels, other.pixels)
    assert torch.equal(one.hole, other.hole)


# ── sampling ──


def test_what_geometry_vouches_for_may_be_shown_as_known(toy: Scene) -> None:
    given = given_of(toy)
    for known in (False, True):
        seen = prior_condition(dataclasses.replace(given, config=GuideConfig(known=known)))
        missing = seen.hole[0, 0].numpy() > 0
        vouched = given.hole & (given.confidence >= VOUCHED)
        assert vouched.any()
        assert missing[vouched].any() != known
        assert missing[given.hole & ~vouched].all()


def test_strength_grows_with_doubt(toy: Scene, backbone: Backbone) -> None:
    start = make_start(given_of(toy, GuideConfig(strength=0.25, guess=0.75)), backbone)
    assert bool((start.strength == 0.25).any())
    assert bool((start.strength == 0.75).any())
    assert (float(start.strength.min()), float(start.strength.max()), start.max_strength) == (0.25, 0.75, 0.75)


def test_cells_wait_for_their_time() -> None:
    start = DraftStart(torch.zeros(1, 4, 1, 2), torch.tensor([[[[0.3, 0.8]]]]), 0.8)
    latents, noised = torch.ones(2, 4, 1, 2), torch.full((2, 4, 1, 2), 7.0)
    assert start.hold(latents, noised, 0.5)[0, 0, 0].tolist() == [7.0, 1.0]
    assert start.hold(latents, noised, 0.2)[0, 0, 0].tolist() == [1.0, 1.0]
    times = torch.tensor([999, 799, 499, 199])
    assert start.times(times, 1000).tolist() == [799, 499, 199]
    assert dataclasses.replace(start, max_strength=0.0).times(times, 1000).tolist() == [199]


def made(backbone: Backbone, toy: Scene, guide: GuideConfig, numbers: list[int]) -> dict[int, Photo]:
    settings = SampleConfig(sampler="ddim", steps=4, batch=2)
    given = given_of(toy, guide)
    found = sample.sample(backbone, toy, fit_of(toy), settings, prompt="sks", seeds=numbers, priors=[given])
    return {candidate.seed: candidate.photo for candidate in found}


def test_cold_seeds_are_the_papers_pictures(toy: Scene, backbone: Backbone) -> None:
    mixed = made(backbone, toy, GuideConfig(warm=0.5), [0, 1, 2, 3])
    plain = made(backbone, toy, GuideConfig(), [0, 1, 2, 3])
    same = {seed for seed in mixed if np.abs(mixed[seed].astype(int) - plain[seed]).max() <= 1}
    assert set(mixed) == {0, 1, 2, 3}
    assert same == {seed for seed in range(4) if not starts_from_draft(seed, 0.5)}


def test_each_seed_begins_from_its_own_proposal(toy: Scene, backbone: Backbone) -> None:
    guide = GuideConfig(warm=1.0, bound=1.0)
    one = given_of(toy, guide)
    other = dataclasses.replace(one, photo=255 - one.photo, confidence=np.ones_like(one.confidence))
    settings = SampleConfig(sampler="ddim", steps=2)
    found = sample.sample(backbone, toy, fit_of(toy), settings, prompt="sks", seeds=range(4), priors=[one, other])
    made = {candidate.seed: candidate.photo for candidate in found}
    assert [np.array_equal(made[seed], other.photo) for seed in range(4)] == [False, True, False, True]


def test_a_full_bound_keeps_the_draft_where_it_is_vouched_for(toy: Scene, backbone: Backbone) -> None:
    given = given_of(toy)
    free = made(backbone, toy, GuideConfig(warm=1.0), [5])[5].astype(int)
    kept = made(backbone, toy, GuideConfig(warm=1.0, bound=1.0), [5])[5].astype(int)
    inner = np.zeros_like(given.hole)
    inner[2:-2, 2:-2] = True
    sure = inner & (images_min(given.confidence) == 1)
    doubtful = inner & (images_max(given.confidence) == 0)
    assert sure.any()
    assert doubtful.any()
    np.testing.assert_array_equal(kept[sure], given.photo[sure])
    np.testing.assert_array_equal(kept[doubtful], free[doubtful])
    assert np.abs(free - given.photo)[sure].max() > 3


def test_texture_is_the_proposals_and_light_is_the_models(toy: Scene) -> None:
    given = given_of(toy, GuideConfig(texture=1.0))
    given = dataclasses.replace(given, photo=given.photo // 2 + 60)
    brighter = np.full_like(given.photo, 165)  # and without any texture
    kept = keep_texture(brighter, given, CELL).astype(int)
    np.testing.assert_allclose(kept - brighter, highpass(given.photo), atol=0.6)
    assert np.ptp(kept) > 40


def test_seeds_keep_a_proposals_texture_where_they_are_asked_to(toy: Scene, backbone: Backbone) -> None:
    plain, kept = (made(backbone, toy, GuideConfig(warm=1.0, texture=share), [5])[5] for share in (0.0, 1.0))
    np.testing.assert_array_equal(
        kept, keep_texture(plain, given_of(toy, GuideConfig(texture=1.0)), backbone.spec.cell)
    )
    assert np.abs(kept.astype(int) - plain).max() > 3


def highpass(photo: Photo) -> Field:
    return np.asarray(photo - cv2.GaussianBlur(photo.astype(np.float32), (0, 0), CELL / 2), np.float32)


def images_min(values: Confidence) -> Confidence:
    shifted = [np.roll(values, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.asarray(np.min(shifted, 0), np.float32)


def images_max(values: Confidence) -> Confidence:
    return 1 - images_min(1 - values)


def test_no_strength_returns_the_draft_through_the_autoencoder(toy: Scene, backbone: Backbone) -> None:
    given = given_of(toy, GuideConfig(strength=0.0, guess=0.0))
    start = make_start(given, backbone)
    pixels = torch.from_numpy(given.photo.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    torch.testing.assert_close(start.clean, backbone.encode(pixels))
    assert start.max_strength == 0


# ── the whole way ──


def test_a_run_puts_the_draft_among_its_candidates(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))
    source = make_wide_scene(tmp_path / "wide")
    changes = {
        "base": str(tiny_base), "train.steps": 2, "train.batch": 1, "train.rank": 2, "train.guided": 0.5,
        "sample.seeds": (0, 1), "sample.steps": 2, "select.matcher": "sift",
        "guide.draft": True, "guide.proposals": 0, "guide.warm": 0.5, "guide.bound": 1.0,
    }  # fmt: skip
    said: list[Event] = []
    outcome = complete(tmp_path / "run", scene=source, config=config.make("mini", changes), report=said.append)
    run = Run.open(outcome.run)
    assert run.seeds_done() == [seeds.DRAFT, 0, 1]
    assert {run.kind(seed) for seed in run.seeds_done()} == {"draft", "guided", ""}
    assert {entry["seed"] for entry in run.read("scores")["seeds"]} == {seeds.DRAFT, 0, 1}
    assert any(isinstance(event, Notice) and "of the hole by geometry" in event.sentence for event in said)
    assert (run.folder / "confidence.png").exists()
    wide = scene.load(source)
    choose_seed(run, seeds.DRAFT)
    export.export_file(run, tmp_path / "draft.png")
    error = read_photo(tmp_path / "draft.png").astype(float) - wide.truth
    assert np.abs(error[wide.hole]).mean() < 12  # plain inpainting of this texture is off by 30 and more
    assert complete(run.folder).seconds.keys() <= {"export"}  # nothing else is made again


def test_unrelated_references_leave_the_paper(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))
    source = make_wide_scene(tmp_path / "wide")
    for path in (source / "ref").iterdir():
        save_photo(np.ascontiguousarray(world(240, 320)[::-1, ::-1].transpose(1, 0, 2)[..., ::-1]), path)
    changes = {
        "base": str(tiny_base), "train.steps": 0, "sample.seeds": (0,), "sample.steps": 2,
        "select.matcher": "sift", "guide.draft": True, "guide.proposals": 0, "guide.warm": 1.0,
    }  # fmt: skip
    outcome = complete(tmp_path / "run", scene=source, config=config.make("mini", changes))
    run = Run.open(outcome.run)
    assert run.seeds_done() == [0]
    assert run.kind(0) == ""
    assert any("without geometry" in sentence for sentence in outcome.notices)


def test_proposals_are_made_once_begun_from_and_ranked_among_the_seeds(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))
    changes = {
        "base": str(tiny_base), "train.steps": 0, "sample.seeds": "0-3", "sample.steps": 2,
        "select.matcher": "sift", "guide.draft": True, "guide.proposals": 3, "guide.warm": 1.0,
    }  # fmt: skip
    source = make_wide_scene(tmp_path / "wide")
    wanted = config.make("mini", changes)
    complete(tmp_path / "run", scene=source, config=wanted, until="prepare")
    ranking = propose.load_ranking(tmp_path / "run" / "proposals")
    assert sorted(ranking) == [1, 2, 3]
    (tmp_path / "run" / "proposals" / "ranking.json").unlink()  # as if it was ended before all were there
    files.remove_folder(tmp_path / "run" / "proposals" / "3")
    first = (tmp_path / "run" / "proposals" / "1" / "photo.png").stat().st_mtime_ns
    outcome = complete(tmp_path / "run")
    run = Run.open(outcome.run)
    assert propose.load_ranking(run.proposals_folder) == ranking
    assert (run.proposals_folder / "1" / "photo.png").stat().st_mtime_ns == first
    assert run.seeds_done() == [-3, -2, -1, 0, 1, 2, 3] and run.proposal_seeds() == [-1, -2, -3]
    assert [run.started_from(seed) for seed in (-2, 0, 1, 2, 3)] == [None, -1, -2, -3, -1]
    told = run.proposals_folder / propose.RANKING
    files.write_json(told, {**(files.read_json(told) or {}), "starting": 2})  # the third is much less likely
    assert [run.started_from(seed) for seed in (-2, 0, 1, 2, 3)] == [None, -1, -2, -1, -2]
    entries = run.read("scores")["seeds"]
    totals = [entry["score"]["total"] for entry in entries]
    assert {entry["seed"] for entry in entries} == set(run.seeds_done()) and totals == sorted(totals, reverse=True)
    wide = scene.load(source)
    for seed in (-2, -3):
        choose_seed(run, seed)
        export.export_file(run, tmp_path / "out.png")
        made = read_photo(tmp_path / "out.png")
        far = feather_alpha(wide.hole, wanted.export.feather) == 0
        assert np.array_equal(made[far], read_photo(source / "target" / "target.png")[far])
        proposed = propose.load_proposal(run.proposals_folder, seeds.proposal_number(seed))
        assert proposed is not None
        error = made[wide.hole].astype(float) - proposed.frame.uncrop_photo(proposed.photo)[wide.hole]
        assert np.abs(error).mean() < 3
    assert complete(run.folder).seconds.keys() <= {"export"}  # nothing else is made again
