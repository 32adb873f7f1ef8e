"""What a step computes on: the items that are drawn, their own times and noise, and a pool that is encoded once."""

import pytest
import torch
from torch import Tensor

from realfill.config import TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models.backbone import Backbone
from realfill.scene.scene import Scene
from realfill.training import loader
from realfill.training.batches import Batch, TrainingViews, draw_batch, pick_item, prepare_views
from realfill.training.loader import Loader, Step
from realfill.training.loss import EncodedBatch, encode_batch
from tests.tiny import tensors_of

FRESH = TrainConfig(steps=5, batch=4)
POOL = TrainConfig(steps=40, batch=4, pool=6, mask_dropout=0.4)


def views_of(scene: Scene, backbone: Backbone, config: TrainConfig) -> TrainingViews:
    fit = crop_around(scene.hole, size=32, multiple=8, context=0.5)
    return prepare_views(scene, fit, config, cell=backbone.spec.loss_cell)


def load_steps(
    backbone: Backbone, scene: Scene, config: TrainConfig, steps: range, *, prefetch: bool = False
) -> list[Step]:
    items = Loader(backbone, views_of(scene, backbone, config), config, seed=3, indices=range(4), prefetch=prefetch)
    try:
        return [items.load(step) for step in steps]
    finally:
        items.close()


def equal(one: Step, other: Step) -> bool:
    same = [torch.equal(a, b) for a, b in zip(tensors_of(one), tensors_of(other), strict=True)]
    return all(same) and one.items.prompts == other.items.prompts


def test_every_step_and_item_has_its_own_time_and_noise(tiny: Backbone, toy: Scene) -> None:
    views = views_of(toy, tiny, FRESH)
    drawn = {
        (seed, step, index): loader.draw_noise(tiny, views, FRESH, seed=seed, step=step, index=index)
        for seed, step in ((3, 0), (3, 1), (4, 0))
        for index in range(8)
    }
    noises = torch.cat([noise for _, noise in drawn.values()])
    assert len({noise.numpy().tobytes() for noise in noises}) == 24
    times = torch.cat([t for t, _ in drawn.values()])
    assert len(set(times.tolist())) > 18 and times.min() >= 0 and times.max() < 1000
    assert abs(float(noises.mean())) < 0.05 and abs(float(noises.std()) - 1) < 0.05
    again = loader.draw_noise(tiny, views, FRESH, seed=3, step=1, index=5)
    assert torch.equal(again[0], drawn[3, 1, 5][0]) and torch.equal(again[1], drawn[3, 1, 5][1])


def test_without_a_pool_the_items_are_those_of_the_step(tiny: Backbone, toy: Scene) -> None:
    (step,) = load_steps(tiny, toy, FRESH, range(2, 3))
    wanted = draw_batch(views_of(toy, tiny, FRESH), FRESH, seed=3, step=2, indices=range(4))
    assert isinstance(step.items, Batch)
    assert torch.equal(step.items.pixels, wanted.pixels) and torch.equal(step.items.weight, wanted.weight)
    assert step.items.prompts == wanted.prompts and step.items.is_target == wanted.is_target


@pytest.mark.parametrize("config", [FRESH, POOL], ids=["fresh", "pool"])
def test_prefetching_changes_nothing(tiny: Backbone, toy: Scene, config: TrainConfig) -> None:
    plain, prefetched = (load_steps(tiny, toy, config, range(5), prefetch=prefetch) for prefetch in (False, True))
    assert all(equal(a, b) for a, b in zip(plain, prefetched, strict=True))


def test_a_loader_that_prefetches_answers_out_of_order(tiny: Backbone, toy: Scene) -> None:
    views = views_of(toy, tiny, FRESH)
    items = Loader(tiny, views, FRESH, seed=3, indices=range(4), prefetch=True)
    loaded = [items.load(step) for step in (0, 3, 3, 1)]
    items.close()
    plain = load_steps(tiny, toy, FRESH, range(4))
    assert all(equal(one, plain[step]) for one, step in zip(loaded, (0, 3, 3, 1), strict=True))


def test_a_pool_item_is_the_item_that_is_drawn(tiny: Backbone, toy: Scene) -> None:
    views = views_of(toy, tiny, POOL)
    for number, step in enumerate(load_steps(tiny, toy, POOL, range(10))):
        wanted = encode_batch(tiny, draw_batch(views, POOL, seed=3, step=number, indices=range(4)))
        assert isinstance(step.items, EncodedBatch)
        assert step.items.prompts == wanted.prompts
        for mine, other in zip(tensors_of(step.items), tensors_of(wanted), strict=True):
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_a_pool_does_not_depend_on_what_was_encoded_before(tiny: Backbone, toy: Scene) -> None:
    whole = load_steps(tiny, toy, POOL, range(12))
    late = load_steps(tiny, toy, POOL, range(9, 12))
    assert all(equal(a, b) for a, b in zip(whole[9:], late, strict=True))


def test_a_pool_is_encoded_once(tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    encode = tiny.encode

    def counted(pixels: Tensor) -> Tensor:
        seen.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(tiny, "encode", counted)
    load_steps(tiny, toy, POOL, range(30))
    picks = [pick_item(POOL, seed=3, step=step, index=index) for step in range(30) for index in range(4)]
    assert len({pick.number for pick in picks}) == POOL.pool
    assert seen == [2] * POOL.pool


def test_pieces_of_a_step_are_its_items(tiny: Backbone, toy: Scene) -> None:
    for config in (FRESH, POOL):
        (step,) = load_steps(tiny, toy, config, range(1))
        pieces = step.split(3)
        assert [len(piece.t) for piece in pieces] == [3, 1]
        assert sum((piece.items.prompts for piece in pieces), ()) == step.items.prompts
        for index, tensor in enumerate(tensors_of(step)):
            assert torch.equal(torch.cat([tensors_of(piece)[index] for piece in pieces]), tensor)
