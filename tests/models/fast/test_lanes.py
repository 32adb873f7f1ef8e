"""Shares of items side by side: the same results in the same order, and training and filling as in one piece."""

import threading
import time
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
from realfill.models.fast.lanes import count_lanes, map_parallel
from realfill.models.lora import adapter_parameters, detach_adapters
from realfill.sampling import sample
from realfill.scene.scene import Scene
from realfill.training import train

CPU = torch.device("cpu")
Cores = Callable[[int], None]


@pytest.mark.parametrize(
    ("count", "cores", "lanes_"),
    [(4, 1, 1), (4, 2, 2), (4, 3, 1), (4, 4, 4), (4, 6, 2), (4, 8, 4), (1, 8, 1), (8, 2, 2), (16, 12, 4), (3, 2, 1)],
)
def test_the_shares_that_take_least_time(count: int, cores: int, lanes_: int) -> None:
    assert count_lanes(count, cores) == lanes_


@pytest.mark.parametrize("cores_", [1, 2, 5, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_every_item_once_and_in_order(cores: Cores, cores_: int, count: int) -> None:
    cores(cores_)
    shares = map_parallel(CPU, count, lambda start, stop: list(range(start, stop)))
    assert [item for share in shares for item in share] == list(range(count))
    assert all(shares)


def test_shares_run_side_by_side_each_on_its_cores(cores: Cores) -> None:
    cores(4)
    meeting = threading.Barrier(2, timeout=60)  # nobody passes alone

    def share(start: int, stop: int) -> int:
        meeting.wait()
        return torch.get_num_threads()

    assert map_parallel(CPU, 2, share) == [2, 2]
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
        assert map_parallel(CPU, 2, lambda start, stop: torch.is_grad_enabled()) == [kept, kept]


def test_an_error_comes_when_all_that_began_have_ended(cores: Cores) -> None:
    cores(2)
    begun, ended = threading.Event(), threading.Event()

    def share(start: int, stop: int) -> None:
        if start == 0:
            begun.wait(timeout=60)
            raise MemoryError("too much")
        begun.set()
        time.sleep(0.1)
        ended.set()

    with pytest.raises(MemoryError, match="too much"):
        map_parallel(CPU, 2, share)
    assert ended.is_set()
    assert torch.get_num_threads() == 2


def test_elsewhere_there_is_one_share(cores: Cores) -> None:
    cores(4)
    assert map_parallel(torch.device("meta"), 8, lambda start, stop: (start, stop)) == [(0, 8)]


def fit_of(scene: Scene) -> CropTransform:
    return crop_around(scene.hole, size=32, multiple=8, context=0.5)


def test_training_in_lanes_is_training_in_one_piece(cores: Cores, tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    config = TrainConfig(steps=3, batch=4, learning_rate_unet=1e-2, learning_rate_text=1e-2)
    found: list[tuple[list[float], dict[str, Tensor]]] = []
    for threads in (1, 2, 2):
        cores(threads)
        detach_adapters(tiny)
        folder = tmp_path / str(len(found))
        steps = list(train.train(tiny, toy, fit_of(toy), config, seed=3, folder=folder))
        weights = {name: value.detach().clone() for name, value in adapter_parameters(tiny).items()}
        found.append(([step.loss for step in steps], weights))
    (plain, whole), (first, side), (again, same) = found
    assert first == pytest.approx(plain, abs=1e-5)
    for name, value in whole.items():
        torch.testing.assert_close(side[name], value, atol=1e-4, rtol=1e-3)
    assert again == first and all(torch.equal(same[name], value) for name, value in side.items())


def test_filling_in_lanes_is_filling_in_one_piece(cores: Cores, tiny: Backbone, toy: Scene) -> None:
    config = SampleConfig(sampler="dpm++", steps=3)
    found: list[dict[int, Any]] = []
    for threads in (1, 2, 2):
        cores(threads)
        made = sample.sample(tiny, toy, fit_of(toy), config, prompt="a photo of sks", seeds=range(5))
        found.append({one.seed: one.photo.astype(int) for one in made})
    plain, first, again = found
    assert list(first) == list(plain) == [0, 1, 2, 3, 4]
    assert max(np.abs(first[seed] - plain[seed]).max() for seed in plain) <= 1
    assert all(np.array_equal(again[seed], first[seed]) for seed in first)
