"""Gradients as a CUDA graph: the same numbers, in one launch, or kernel by kernel where that is quicker or must be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from realfill.config import TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models.fast import switch
from realfill.models.registry import load_backbone
from realfill.scene.scene import Scene
from realfill.training import graph, train
from realfill.training.graph import GraphTrial
from realfill.training.loss import realfill_loss
from tests.pretended_card import CARDS, pretend_card

STEPS = 9  # of which the graph is decided on before the eighth
CONFIG = TrainConfig(
    steps=STEPS,
    batch=3,
    pool=4,
    learning_rate_unet=1e-2,
    learning_rate_text=1e-2,
    layer_dropout=0.3,
    prompt_dropout=0.4,
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decides after few steps."""
    monkeypatch.setattr(graph, "WARM", 1)
    monkeypatch.setattr(graph, "TIMED", 2)


def learn(
    base: Path, scene: Scene, folder: Path, config: TrainConfig = CONFIG, *, graphs: bool = True
) -> tuple[list[float], list[int]]:
    """The losses of a training, and after each step how often a graph had been replayed; checks what that saves."""
    losses, replays, kernels = [], [], [0]
    with pretend_card(CARDS["H200"], graphs=graphs) as card:
        backbone = load_backbone(str(base), device="cuda")
        crop = crop_around(scene.hole, size=32, multiple=8, context=0.5)
        for step in train.train(backbone, scene, crop, config, seed=0, folder=folder):
            losses.append(step.loss)
            replays.append(card.operations["graph"])
            kernels.append(card.kernels)
    first, *_, last, _ = np.diff(kernels)  # the first gave two steps' gradients, the last none
    if replays[-1] > 3:
        assert last < (first / 5 if config.micro_batch == 0 else first)
    return losses, replays


@pytest.fixture(scope="module")
def plain(tiny_base: Path, toy: Scene, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses where nothing is tried."""
    losses, replays = learn(tiny_base, toy, tmp_path_factory.mktemp("plain"))
    assert not any(replays)
    return losses


def favour(monkeypatch: pytest.MonkeyPatch, *, graphs: bool) -> None:
    """Graphs asked for, and measured to be quicker or slower."""
    monkeypatch.setenv(switch.TRY, "graph")
    monkeypatch.setattr(GraphTrial, "_milliseconds", lambda _, graph: 1.0 if graph == graphs else 2.0)


@pytest.mark.parametrize("pieces", [0, pytest.param(2, marks=pytest.mark.long)])
def test_a_graph_computes_the_same_whatever_gates_and_prompts_a_step_draws(
    plain: list[float], tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """A piece of another size, the last of a step, goes kernel by kernel."""
    favour(monkeypatch, graphs=True)
    config = CONFIG.model_copy(update={"micro_batch": pieces})
    losses, replays = learn(tiny_base, toy, tmp_path / "graph", config)
    assert losses == pytest.approx(plain, rel=1e-2)
    assert replays[-1] == STEPS - 3  # from the fourth step on; one is queued before the step before is told of


@pytest.mark.long
def test_the_slower_way_is_given_up(
    plain: list[float], tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    favour(monkeypatch, graphs=False)
    losses, replays = learn(tiny_base, toy, tmp_path / "graph")
    assert losses == pytest.approx(plain, rel=1e-2)
    assert replays[-1] == 3  # one that captures, two that are timed


@pytest.mark.long
def test_ways_are_timed_by_the_device(
    tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(switch.TRY, "graph")
    times: dict[bool, float] = {}
    measure = GraphTrial._milliseconds

    def kept(trial: GraphTrial, *, graph: bool) -> float:
        times[graph] = measure(trial, graph=graph)
        return times[graph]

    monkeypatch.setattr(GraphTrial, "_milliseconds", kept)
    _, replays = learn(tiny_base, toy, tmp_path)
    assert set(times) == {True, False} and all(time > 0 for time in times.values())
    assert (replays[-1] > 3) == (times[True] < times[False])


def test_where_nothing_can_be_captured_nothing_changes(
    plain: list[float], tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(switch.TRY, "graph,benchmark")
    losses, replays = learn(tiny_base, toy, tmp_path / "graph", graphs=False)
    assert losses == plain
    assert not any(replays)


def test_a_capture_that_would_wait_is_refused(
    plain: list[float], tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    favour(monkeypatch, graphs=True)

    def waiting(*given: Any, **named: Any) -> Tensor:
        found = realfill_loss(*given, **named)
        float(found.detach().sum())
        return found

    monkeypatch.setattr(train, "realfill_loss", waiting)
    losses, replays = learn(tiny_base, toy, tmp_path / "graph")
    assert losses == plain
    assert not any(replays)
