"""Training batches: what is drawn, how often, and that the target's hole adds nothing."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch

from realfill.arrays import Hole, Photo
from realfill.config import TrainConfig
from realfill.imaging import holes
from realfill.imaging.crop import CropTransform, crop_around
from realfill.imaging.fill import fill_from_known
from realfill.sampling.sample import sampling_input
from realfill.scene.scene import Scene
from realfill.training import batches
from realfill.training.batches import Batch, TrainingViews, draw_batch, prepare_views

CONFIG = TrainConfig()
NO_DROPOUT = TrainConfig(mask_dropout=0.0, prompt_dropout=0.0)
CELL = 4


def fit_of(scene: Scene, size: int = 48) -> CropTransform:
    return crop_around(scene.hole, size=size, multiple=8, context=0.5)


def views_of(scene: Scene, config: TrainConfig = CONFIG, size: int = 48) -> TrainingViews:
    return prepare_views(scene, fit_of(scene, size), config, cell=CELL)


def draw(views: TrainingViews, count: int, config: TrainConfig = CONFIG, *, seed: int = 0, step: int = 0) -> Batch:
    return draw_batch(views, config, seed=seed, step=step, indices=range(count))


def equal(one: Batch, other: Batch) -> bool:
    tensors = all(torch.equal(getattr(one, n), getattr(other, n)) for n in ("pixels", "hole", "weight"))
    facts: bool = (one.prompts, one.is_target) == (other.prompts, other.is_target)
    return tensors and facts


def painted(scene: Scene, value: int | None) -> Scene:
    """The scene with other content under the target's hole; None paints noise."""
    paint = np.random.default_rng(1).integers(0, 256, scene.target.shape, dtype=np.uint8)
    if value is not None:
        paint[:] = value
    return dataclasses.replace(scene, target=np.where(scene.hole[..., None], paint, scene.target))


def within(count: int, total: int, rate: float) -> bool:
    """Whether a binomial count is budget four standard deviations of its mean."""
    return abs(count - total * rate) < 4 * math.sqrt(total * rate * (1 - rate))


# ── the target's hole ──


@pytest.mark.parametrize("size", [24, 48, 160])  # shrunk, about its own size, enlarged
@pytest.mark.parametrize("value", [0, 128, None])
def test_the_targets_hole_adds_nothing_to_batches(toy: Scene, size: int, value: int | None) -> None:
    plain, other = (draw(views_of(scene, size=size), 12) for scene in (toy, painted(toy, value)))
    assert any(plain.is_target)
    assert equal(plain, other)


@pytest.mark.parametrize("size", [24, 48, 160])
def test_the_targets_hole_adds_nothing_to_what_sampling_sees(toy: Scene, size: int) -> None:
    fit = fit_of(toy, size)
    seen = sampling_input(toy, fit)
    for value in (0, 128, None):
        other = sampling_input(painted(toy, value), fit)
        assert torch.equal(seen.pixels, other.pixels) and torch.equal(seen.hole, other.hole)


def test_what_sampling_sees_is_the_known_part_of_the_target(toy: Scene) -> None:
    fit = fit_of(toy)
    seen = sampling_input(toy, fit)
    pixels, hole = seen.pixels, seen.hole
    assert pixels.shape == (1, 3, fit.height, fit.width) and hole.shape == (1, 1, fit.height, fit.width)
    assert torch.equal(hole[0, 0] > 0, torch.from_numpy(fit.crop_hole(toy.hole)))
    assert toy.truth is not None
    truth = torch.from_numpy(fit.crop_photo(toy.truth).transpose(2, 0, 1)).float() / 127.5 - 1
    far = torch.nn.functional.max_pool2d(hole, 9, 1, 4) == 0  # resizing mixes the rim with the fill
    torch.testing.assert_close(pixels[far.expand_as(pixels)], truth[None][far.expand_as(pixels)], atol=1e-6, rtol=0)


def test_every_item_says_where_its_crop_lies_in_its_photo(toy: Scene) -> None:
    """Height and width of the whole photo at the crop's scale, top and left, height and width (SDXL §2.2)."""
    fit = fit_of(toy)
    views, batch = views_of(toy), draw(views_of(toy), 24)
    for place, is_target in zip(batch.place, batch.is_target, strict=True):
        height, width, top, left, *size = place.tolist()
        assert size == [fit.height, fit.width]
        photo = toy.target if is_target else toy.references[0]  # both references are of one size
        assert height / width == pytest.approx(photo.shape[0] / photo.shape[1], rel=0.05)
        assert -1 <= top <= height - fit.height + 1 and -1 <= left <= width - fit.width + 1
    assert len({tuple(place.tolist()) for place in batch.place}) > 12
    assert len(views.views) == 3


def test_beside_an_item_stand_the_other_photos_never_its_own(toy: Scene) -> None:
    batch = draw(views_of(toy), 24)
    for others, is_target in zip(batch.context, batch.is_target, strict=True):
        assert len(others) == 2 and len(set(others)) == 2
        assert (2 not in others) == is_target  # the target is the last of the photos
    assert {others for others in batch.context} == {(0, 1), (0, 2), (1, 2)}


def test_loss_weight_and_holes_follow_the_method(toy: Scene) -> None:
    batch = draw(views_of(toy), 64)
    for index, is_target in enumerate(batch.is_target):
        unknown = 1 - batch.weight[index]
        assert is_target or not unknown.any()  # a reference counts everywhere
        assert (batch.hole[index] >= unknown).all()  # m ∪ M: the network never sees what the loss leaves out
        assert not torch.equal(batch.hole[index], unknown)  # the target's own hole is not its training mask
    targets = [index for index, is_target in enumerate(batch.is_target) if is_target]
    assert any(bool((1 - batch.weight[index]).any()) for index in targets)
    hidden = [float(batch.hole[index][batch.weight[index] > 0].mean()) for index in targets]
    assert np.std(hidden) > 0.1  # m is random on the target too
    assert set(batch.hole.flatten().tolist()) == set(batch.weight.flatten().tolist()) == {0.0, 1.0}


def test_a_target_that_is_all_hole_is_left_out(toy: Scene) -> None:
    blank = dataclasses.replace(toy, hole=np.ones_like(toy.hole))
    batch = draw(views_of(blank), 32)
    assert not any(batch.is_target)
    assert batch.weight.all()


def speckled(scene: Scene, known: int) -> Scene:
    """A hole of dots that touches nearly every cell; the leftmost `known` columns are known."""
    hole = np.zeros_like(scene.hole)
    hole[::2, ::2] = True
    hole[:, :known] = False
    return dataclasses.replace(scene, hole=hole)


@pytest.mark.parametrize("known", [20, 40])
def test_crops_of_the_target_keep_a_tenth_of_known_cells(toy: Scene, known: int) -> None:
    batch = draw(views_of(speckled(toy, known)), 60)
    assert any(batch.is_target)
    cells = 1 - torch.nn.functional.max_pool2d(1 - batch.weight, CELL)
    shares = cells.mean((1, 2, 3))[torch.tensor(batch.is_target)]
    assert shares.min() >= batches.LEAST_KNOWN
    assert shares.min() < 0.5  # the case is a hard one


def test_where_no_cell_is_known_references_take_the_targets_place(toy: Scene) -> None:
    batch = draw(views_of(speckled(toy, 0)), 12)
    assert not any(batch.is_target)
    assert batch.weight.all()


# ── the fill under the hole ──


def test_the_fill_depends_on_known_pixels_only(toy: Scene) -> None:
    filled = fill_from_known(toy.target, toy.hole)
    for value in (0, 255, None):
        assert np.array_equal(fill_from_known(painted(toy, value).target, toy.hole), filled)
    assert np.array_equal(filled[~toy.hole], toy.target[~toy.hole])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 3), (64, 64), (50, 81)])
def test_the_fill_of_one_colour_is_that_colour(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), (10, 120, 240), np.uint8)
    hole = np.zeros(shape, np.bool_)
    hole[:, 1:] = True
    photo[hole] = 255
    filled = fill_from_known(photo, hole)
    assert np.abs(filled.astype(int) - (10, 120, 240)).max() <= 1


def test_the_fill_of_nothing_known_is_grey() -> None:
    assert (fill_from_known(np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.bool_)) == 128).all()


def test_the_fill_is_smooth_and_between_its_neighbours() -> None:
    ramp = np.repeat(np.linspace(40, 200, 64).astype(np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    hole = np.zeros((48, 64), np.bool_)
    hole[10:40, 20:44] = True
    filled = fill_from_known(ramp, hole).astype(int)
    inside = filled[hole]
    assert inside.min() >= 40 and inside.max() <= 200
    assert np.abs(filled[24, 19] - filled[24, 20]).max() < 30


# ── rates ──


def test_prompt_and_mask_are_dropped_at_their_rates(toy: Scene) -> None:
    views = views_of(toy, size=24)
    total, emptied, hidden, both, references = 0, 0, 0, 0, 0
    for step in range(60):
        batch = draw(views, 16, step=step)
        for index, prompt in enumerate(batch.prompts):
            assert prompt in ("", "a photo of sks")
            total, emptied = total + 1, emptied + (prompt == "")
            if not batch.is_target[index]:  # with the target, m ∪ M may be everything by itself
                everything = bool(batch.hole[index].all())
                references, hidden, both = references + 1, hidden + everything, both + (everything and not prompt)
    assert within(emptied, total, 0.1)
    assert within(hidden, references, 0.1)
    assert within(both, references, 0.01)  # independent


def test_everything_is_hidden_from_the_target_too(toy: Scene) -> None:
    config = TrainConfig(mask_dropout=1.0, prompt_dropout=1.0)
    batch = draw(views_of(toy), 16, config)
    assert any(batch.is_target)
    assert batch.hole.all()
    assert set(batch.prompts) == {""}
    kept = draw(views_of(toy), 16, NO_DROPOUT)
    assert set(kept.prompts) == {"a photo of sks"}


class Coin(np.random.Generator):
    """A generator whose coin always falls on one side."""

    side = 0.0

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return self.side


def hole_with(side: float | None, seed: int) -> Hole:
    if side is None:
        return holes.random_hole(40, 56, np.random.default_rng(seed))
    rng = Coin(np.random.PCG64(seed))
    rng.side = side
    return holes.random_hole(40, 56, rng)


def test_random_holes_are_unions_and_complements_half_and_half() -> None:
    total = 1500
    complements = 0
    for seed in range(total):
        union, complement, drawn = hole_with(0.9, seed), hole_with(0.1, seed), hole_with(None, seed)
        assert np.array_equal(union, ~complement)
        assert np.array_equal(drawn, union) or np.array_equal(drawn, complement)
        complements += np.array_equal(drawn, complement)
        assert drawn.any() and not drawn.all()
    assert within(complements, total, 0.5)


def test_a_union_is_made_of_several_rectangles() -> None:
    corners = 0
    for seed in range(40):
        union = np.pad(hole_with(0.9, seed), 1).astype(int)
        blocks = union[:-1, :-1] + union[1:, :-1] + union[:-1, 1:] + union[1:, 1:]
        corners += int(((blocks == 1) | (blocks == 3)).sum() > 4)  # more than one rectangle has
    assert corners > 30


# ── with replacement, own crops ──


def flat(scene: Scene) -> Scene:
    """The scene with every photo in one grey of its own: 40, 80, …; the target last."""
    references: list[Photo] = [np.full_like(p, 40 * (i + 1)) for i, p in enumerate(scene.references)]
    target = np.full_like(scene.target, 40 * (len(references) + 1))
    return dataclasses.replace(scene, references=tuple(references), target=target)


def test_a_batch_of_sixteen_is_drawn_with_replacement_from_three_photos(toy: Scene) -> None:
    views = views_of(flat(toy))
    assert len(views.views) == 3
    counts: Counter[float] = Counter()
    for step in range(20):
        batch = draw(views, 16, step=step)
        assert batch.pixels.shape[0] == 16
        for index in range(16):
            grey = round((float(batch.pixels[index].mean()) + 1) * 127.5)
            assert batch.is_target[index] == (grey == 120)
            counts[grey] += 1
    assert set(counts) == {40, 80, 120}
    assert all(within(count, 320, 1 / 3) for count in counts.values())


def test_every_item_has_its_own_crop_and_hole(toy: Scene) -> None:
    one = dataclasses.replace(toy, references=toy.references[:1])
    batch = draw(views_of(one, NO_DROPOUT), 16, NO_DROPOUT)
    for tensors in (batch.pixels, batch.hole):
        flattened = {tensor.numpy().tobytes() for tensor in tensors}
        assert len(flattened) == 16


def test_pixels_are_crops_of_the_photos_at_working_size(toy: Scene) -> None:
    views = views_of(toy)
    batch = draw(views, 16)
    assert batch.pixels.shape == (16, 3, views.height, views.width)
    assert batch.hole.shape == batch.weight.shape == (16, 1, views.height, views.width)
    assert batch.pixels.dtype == torch.float32
    assert batch.pixels.min() >= -1 and batch.pixels.max() <= 1
    for view in views.views:
        width, height = view.box[2], view.box[3]
        assert width <= view.photo.shape[1] and height <= view.photo.shape[0]


# ── reproducible ──


def test_batches_do_not_depend_on_how_indices_are_split(toy: Scene) -> None:
    views = views_of(toy)
    whole = draw(views, 8, step=7)
    for processes in (2, 3):
        for rank in range(processes):
            indices = range(rank, 8, processes)
            mine = draw_batch(views, CONFIG, seed=0, step=7, indices=indices)
            for place, index in enumerate(indices):
                assert equal(mine.part(place, place + 1), whole.part(index, index + 1))


def test_batches_follow_from_seed_and_step(toy: Scene) -> None:
    views = views_of(toy)
    first = draw(views, 4, step=3)
    np.random.seed(1)  # the global states must not matter
    torch.rand(3)
    assert equal(first, draw(views, 4, step=3))
    assert not torch.equal(first.pixels, draw(views, 4, step=4).pixels)
    assert not torch.equal(first.pixels, draw(views, 4, step=3, seed=1).pixels)


def test_large_photos_are_shrunk_once_and_the_hole_with_them(toy: Scene) -> None:
    large = dataclasses.replace(
        toy,
        references=tuple(np.repeat(np.repeat(p, 4, 0), 4, 1) for p in toy.references),
        target=np.repeat(np.repeat(toy.target, 4, 0), 4, 1),
        hole=np.repeat(np.repeat(toy.hole, 4, 0), 4, 1),
    )
    views = views_of(large, size=24)
    assert all(view.photo.shape[0] < p.shape[0] for view, p in zip(views.views, large.references, strict=False))
    for view in views.views:
        largest = min(view.box[2] / views.width, view.box[3] / views.height)
        assert largest * view.smallest > 0.9  # the smallest crop still has about a pixel for a pixel
    assert views.views[-1].is_target and views.views[-1].hole.any()
    assert equal(draw(views, 8), draw(views_of(painted(large, 7), size=24), 8))


# ── a pool of items ──


def test_a_pool_holds_so_many_items_and_is_drawn_from_anew_each_step(toy: Scene) -> None:
    config = TrainConfig(pool=12)
    views = views_of(toy, config, size=24)
    seen: dict[tuple[bytes, bytes, bytes], set[str]] = {}
    orders = set()
    for step in range(15):
        batch = draw(views, 16, config, step=step)
        keys = [tuple(t[i].numpy().tobytes() for t in (batch.pixels, batch.hole, batch.weight)) for i in range(16)]
        orders.add(tuple(keys))
        for key, prompt in zip(keys, batch.prompts, strict=True):
            seen.setdefault((key[0], key[1], key[2]), set()).add(prompt)
    assert len(seen) == 12
    assert len(orders) == 15
    assert sum(len(prompts) == 2 for prompts in seen.values()) > 6  # the prompt is the step's, not the item's
    assert equal(draw(views, 4, config, step=3), draw(views, 4, config, step=3))
    assert not torch.equal(draw(views, 1, config, seed=1).pixels, draw(views, 1, config).pixels)


def test_the_targets_hole_adds_nothing_to_a_pool(toy: Scene) -> None:
    config = TrainConfig(pool=6)
    assert equal(*(draw(views_of(scene, config), 16, config) for scene in (toy, painted(toy, None))))
