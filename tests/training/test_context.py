"""Which photos of the scene stand beside a training item, for the families that see them."""

from pathlib import Path

import pytest
import torch

from realfill.config import TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models.backbone import Backbone
from realfill.models.registry import load_backbone
from realfill.scene.scene import Scene
from realfill.training.batches import TrainingViews, prepare_views
from realfill.training.context import SceneContext
from realfill.training.loader import Loader

FRESH = TrainConfig(steps=40, batch=4)


@pytest.fixture(scope="module")
def klein(tiny_bases: dict[str, Path]) -> Backbone:
    return load_backbone(str(tiny_bases["klein"]), device="cpu", dtype=torch.float32)


def views_of(scene: Scene, backbone: Backbone, config: TrainConfig = FRESH) -> TrainingViews:
    fit = crop_around(scene.hole, size=32, multiple=8, context=0.5)
    return prepare_views(scene, fit, config, cell=backbone.spec.loss_cell)


def test_each_photo_is_left_out_at_its_rate_and_their_order_is_drawn(klein: Backbone, toy: Scene) -> None:
    beside = SceneContext(klein, views_of(toy, klein))
    whole = [latents.data_ptr() for latents in beside.all((0, 1, 2))]
    assert len(set(whole)) == 3
    drawn = [[one.data_ptr() for one in beside.draw((0, 1, 2), 0.5, (3, step, 1))] for step in range(600)]
    for photo in whole:
        assert sum(photo in some for some in drawn) == pytest.approx(300, abs=4 * 150**0.5)
    assert all(len(set(some)) == len(some) for some in drawn)
    pairs = [tuple(some) for some in drawn if len(some) == 2]
    assert {pair[::-1] for pair in pairs} == set(pairs) and len(set(pairs)) == 6
    assert not any(beside.draw((0, 1, 2), 1.0, (3, step, 1)) for step in range(20))


def test_what_stands_beside_an_item_depends_on_seed_step_and_index_alone(klein: Backbone, toy: Scene) -> None:
    beside, again = (SceneContext(klein, views_of(toy, klein)) for _ in range(2))
    later = again.draw((0, 1, 2), 0.3, (3, 9, 0))
    for step in range(9):
        beside.draw((0, 1, 2), 0.3, (3, step, 0))
    same = beside.draw((0, 1, 2), 0.3, (3, 9, 0))
    assert len(same) == len(later) > 0
    assert all(torch.equal(one, other) for one, other in zip(same, later, strict=True))


@pytest.mark.parametrize("pool", [0, 5])
def test_a_step_shows_photos_beside_its_items_and_never_their_own(klein: Backbone, toy: Scene, pool: int) -> None:
    config = FRESH.model_copy(update={"pool": pool, "context_dropout": 0.0})
    views = views_of(toy, klein, config)
    loader = Loader(klein, views, config, seed=3, indices=range(4))
    everything = SceneContext(klein, views).all((0, 1, 2))
    for step in range(6):
        loaded = loader.load(step)
        for numbers, photos in zip(loaded.items.context, loaded.context, strict=True):
            wanted = [everything[number] for number in numbers]
            assert len(photos) == 2
            assert all(any(torch.equal(photo, one) for one in wanted) for photo in photos)


def test_the_target_stands_there_with_its_hole_painted(klein: Backbone, toy: Scene) -> None:
    *_, target = SceneContext(klein, views_of(toy, klein)).all((0, 1, 2))
    pixels = klein.decode(target)
    assert pixels.shape[2] * pixels.shape[3] == pytest.approx(32 * 32, rel=0.2)
    assert pixels.shape[3] > pixels.shape[2]  # in its own aspect


def test_families_without_such_attention_are_shown_nothing(tiny: Backbone, toy: Scene) -> None:
    beside = SceneContext(tiny, views_of(toy, tiny))
    assert beside.draw((0, 1, 2), 0.0, (1, 2, 3)) == beside.all((0, 1, 2)) == ()
