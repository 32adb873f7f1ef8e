"""Shares of items side by side: the same results in the same order, and training and filling as in one piece."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realfill.config import SampleConfig, TrainConfig
from realfill.imaging.crop import CropTransform, crop_around
from realfill.models.backbone import Backbone
from realfill.models.fast.lanes import count_lanes, map_parallel, split_lanes
from realfill.models.lora import adapter_parameters, detach_adapters
from realfill.sampling import sample
from realfill.scene.scene import Scene
from realfill.training import train

CPU = torch.device("cpu")
Cores = Callable[[int], None]


@pytest.mark.parametrize(
    ("count", "cores", "lanes"),
    [(4, 1, 1), (4, 2, 2), (4, 3, 1), (4, 4, 4), (4, 6, 2), (4, 8, 4), (1, 8, 1), (8, 2, 2), (16, 12, 4), (3, 2, 1)],
)
def test_the_shares_that_take_least_time(count: int, cores: int, lanes: int) -> None:
    assert count_lanes(count, cores) == lanes


@pytest.mark.parametrize("cores_", [1, 2, 5, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_every_item_once_and_in_order(cores: Cores, cores_: int, count: int) -> None:
    cores(cores_)
    items = list(range(count))
    shares = map_parallel(list, [items[lane] for lane in split_lanes(CPU, count)])
    assert [item for share in shares for item in share] == items
    assert all(shares)


def test_shares_run_side_by_side_each_on_its_cores(cores: Cores) -> None:
    cores(4)
    meeting = threading.Barrier(2, timeout=60)  # nobody passes alone

    def count_cores(_: slice) -> int:
        meeting.wait()
        return torch.get_num_threads()

    assert map_parallel(count_cores, split_lanes(CPU, 2)) == [2, 2]
    assert torch.get_num_threads() == 4
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [4]  # a thread that begins after them has all cores again


@pytest.mark.parametrize("kept", [True, False])
def test_gradients_are_kept_where_the_caller_keeps_them(cores: Cores, kept: bool) -> None:
    cores(2)
    with torch.set_grad_enabled(kept):
        assert map_parallel(lambda _: torch.is_grad_enabled(), split_lanes(CPU, 2)) == [kept, kept]


def test_an_error_comes_when_all_that_began_have_ended(cores: Cores) -> None:
    cores(2)
    begun, failed, ended = (threading.Event() for _ in range(3))

    def compute(lane: slice) -> None:
        if lane.start == 0:
            begun.wait(timeout=60)
            failed.set()
            raise MemoryError("too much")
        begun.set()
        failed.wait(timeout=60)
        ended.set()

    with pytest.raises(MemoryError, match="too much"):
        map_parallel(compute, split_lanes(CPU, 2))
    assert ended.is_set()
    assert torch.get_num_threads() == 2


def test_elsewhere_there_is_one_share(cores: Cores) -> None:
    cores(4)
    assert split_lanes(torch.device("meta"), 8) == [slice(0, 8)]


def fit_of(scene: Scene) -> CropTransform:
    return crop_around(scene.hole, size=32, multiple=8, context=0.5)


def test_training_in_lanes_is_training_in_one_piece(cores: Cores, tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    config = TrainConfig(steps=2, batch=4, learning_rate_unet=1e-2, learning_rate_text=1e-2)
    runs: list[tuple[list[float], dict[str, Tensor]]] = []
    for threads in (1, 2, 2):
        cores(threads)
        detach_adapters(tiny)
        folder = tmp_path / str(len(runs))
        steps = list(train.train(tiny, toy, fit_of(toy), config, seed=3, folder=folder))
        weights = {name: value.detach().clone() for name, value in adapter_parameters(tiny).items()}
        runs.append(([step.loss for step in steps], weights))
    (plain, whole), (first, side), (again, same) = runs
    assert first == pytest.approx(plain, abs=1e-5)
    for name, value in whole.items():
        torch.testing.assert_close(side[name], value, atol=1e-4, rtol=1e-3)
    assert again == first and all(torch.equal(same[name], value) for name, value in side.items())


def test_filling_in_lanes_is_filling_in_one_piece(cores: Cores, tiny: Backbone, toy: Scene) -> None:
    config = SampleConfig(sampler="dpm++", steps=2)
    runs: list[dict[int, Any]] = []
    for threads in (1, 2, 2):
        cores(threads)
        made = sample.sample(tiny, toy, fit_of(toy), config, prompt="a photo of sks", seeds=range(5))
        runs.append({one.seed: one.photo.astype(int) for one in made})
    plain, first, again = runs
    assert list(first) == list(plain) == [0, 1, 2, 3, 4]
    assert max(np.abs(first[seed] - plain[seed]).max() for seed in plain) <= 1
    assert all(np.array_equal(again[seed], first[seed]) for seed in first)
