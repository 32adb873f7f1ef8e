"""Training: resumes bit for bit, survives what goes wrong, equals itself in pieces and over processes, and learns."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from realfill.config import TrainConfig
from realfill.errors import Diverged, OutOfMemory
from realfill.events import TrainStep
from realfill.imaging.crop import CropTransform, crop_around
from realfill.models import lora
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters, detach_adapters
from realfill.models.registry import load_backbone
from realfill.runs.layout import checkpoint_steps
from realfill.scene.scene import Scene
from realfill.training import batches, train
from realfill.training.batches import draw_batch, prepare_views
from realfill.training.loss import realfill_loss
from tests.pretended_card import CARDS, pretend_card

ROOT = Path(__file__).resolve().parents[2]
CONFIG = TrainConfig(
    steps=5, batch=4, checkpoint_every=100, learning_rate_unet=1e-2, learning_rate_text=1e-2, decay=0.5
)


def with_(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate({**CONFIG.model_dump(), **changes})


def fit_of(scene: Scene) -> CropTransform:
    return crop_around(scene.hole, size=32, multiple=8, context=0.5)


def run(
    backbone: Backbone, scene: Scene, folder: Path, config: TrainConfig = CONFIG, *, until: int | None = None
) -> list[TrainStep]:
    """Train until a step, stopping as a caller would: between items."""
    seen = []
    steps = train.train(backbone, scene, fit_of(scene), config, seed=3, folder=folder)
    for step in steps:
        seen.append(step)
        if step.step == until:
            break
    steps.close()
    return seen


def weights(backbone: Backbone) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in adapter_parameters(backbone).items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(steps: list[TrainStep]) -> list[float]:
    return [step.loss for step in steps]


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def whole(
    _loaded_tiny: Backbone, toy: Scene, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and adapter of an uninterrupted training."""
    steps = run(_loaded_tiny, toy, tmp_path_factory.mktemp("whole"))
    kept = weights(_loaded_tiny)
    detach_adapters(_loaded_tiny)
    return losses(steps), kept


# ── steps and checkpoints ──


def test_every_step_says_what_happened(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    steps = run(tiny, toy, tmp_path, with_(steps=3, learning_rate_unet=2e-4, learning_rate_text=4e-5, decay=0.0))
    assert [(step.step, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert {(step.learning_rate_unet, step.learning_rate_text) for step in steps} == {(2e-4, 4e-5)}
    assert all(step.loss > 0 and step.seconds > 0 for step in steps)
    assert len(set(losses(steps))) == 3


def test_rates_fall_to_zero_over_the_last_steps(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    config = with_(steps=4, learning_rate_unet=1e-3, learning_rate_text=2e-4, decay=0.5)
    steps = run(tiny, toy, tmp_path, config)
    assert [step.learning_rate_unet for step in steps] == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])
    assert [step.learning_rate_text for step in steps] == pytest.approx([2e-4, 2e-4, 2e-4, 1e-4])


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_resuming_at_any_step_equals_no_interruption(
    tiny: Backbone, toy: Scene, tmp_path: Path, whole: tuple[list[float], dict[str, Tensor]], stop: int
) -> None:
    first = run(tiny, toy, tmp_path, until=stop)
    assert checkpoint_steps(tmp_path) == [stop]  # closing the generator saves
    torch.rand(stop)  # the global state must not matter
    second = run(tiny, toy, tmp_path)
    assert [step.step for step in second] == list(range(stop + 1, 6))
    assert losses(first + second) == whole[0]
    assert equal(weights(tiny), whole[1])


def test_resuming_with_a_pool_equals_no_interruption(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    config = with_(pool=3)
    steps = run(tiny, toy, tmp_path / "whole", config)
    kept = weights(tiny)
    pieces = run(tiny, toy, tmp_path / "pieces", config, until=3) + run(tiny, toy, tmp_path / "pieces", config)
    assert losses(pieces) == losses(steps)
    assert equal(weights(tiny), kept)


def test_a_finished_training_does_nothing_but_restore(
    tiny: Backbone, toy: Scene, tmp_path: Path, whole: tuple[list[float], dict[str, Tensor]]
) -> None:
    run(tiny, toy, tmp_path)
    before = contents(tmp_path)
    detach_adapters(tiny)
    assert run(tiny, toy, tmp_path) == []
    assert equal(weights(tiny), whole[1])
    assert contents(tmp_path) == before


def test_checkpoints_come_every_few_steps_and_the_newest_are_kept(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    seen = []
    config = with_(checkpoint_every=2, keep_checkpoints=2)
    for _ in train.train(tiny, toy, fit_of(toy), config, seed=3, folder=tmp_path):
        seen.append(checkpoint_steps(tmp_path))
    assert seen == [[], [2], [2], [2, 4], [4, 5]]


def test_other_seeds_train_otherwise(
    tiny: Backbone, toy: Scene, tmp_path: Path, whole: tuple[list[float], dict[str, Tensor]]
) -> None:
    steps = train.train(tiny, toy, fit_of(toy), CONFIG, seed=4, folder=tmp_path)
    assert next(steps).loss != whole[0][0]
    steps.close()


def test_layers_are_dropped_anew_each_step_also_after_resuming(
    tiny: Backbone, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[float]] = []

    class Watched(lora.LayerDropout):
        def draw(self, step: int) -> None:
            super().draw(step)
            seen.append(self.gates.tolist())

    monkeypatch.setattr(lora, "LayerDropout", Watched)
    config = with_(layer_dropout=0.5)
    run(tiny, toy, tmp_path, config, until=2)
    run(tiny, toy, tmp_path, config)
    direct = lora.LayerDropout(tiny, rate=0.5, seed=3)
    whole, seen[:] = list(seen), []
    for step in range(5):
        direct.draw(step)
    direct.close()
    assert whole == seen
    assert len({tuple(gates) for gates in whole}) == 5


def test_the_gradients_norm_is_limited(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    steps = train.train(tiny, toy, fit_of(toy), with_(clip_norm=1e-3), seed=3, folder=tmp_path)
    next(steps)
    gradients = [p.grad.flatten() for p in adapter_parameters(tiny).values() if p.grad is not None]
    assert float(torch.cat(gradients).norm()) == pytest.approx(1e-3, rel=1e-2)
    steps.close()


def test_training_leaves_the_base_as_it_was_and_every_layer_on(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    names = set(tiny.trainable()["unet"].state_dict())
    before = {name: tensor.clone() for name, tensor in tiny.trainable()["unet"].state_dict().items()}
    run(tiny, toy, tmp_path, with_(steps=2, layer_dropout=1.0))
    hooks = [module._forward_hooks for network in tiny.trainable().values() for module in network.modules()]
    assert not any(hooks)
    detach_adapters(tiny)
    after = tiny.trainable()["unet"].state_dict()
    assert set(after) == names
    assert all(torch.equal(after[name], before[name]) for name in names)


# ── what goes wrong ──


def test_a_loss_that_is_not_finite_stops_and_writes_nothing(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    bias = tiny.trainable()["unet"].get_parameter("conv_out.bias")
    good = bias.detach().clone()
    steps = train.train(tiny, toy, fit_of(toy), with_(checkpoint_every=2), seed=3, folder=tmp_path)
    try:
        for _ in range(3):
            next(steps)
        before = contents(tmp_path)
        bias.data.fill_(float("nan"))
        with pytest.raises(Diverged, match="step 4"):
            next(steps)
    finally:
        bias.data.copy_(good)
    assert contents(tmp_path) == before
    assert checkpoint_steps(tmp_path) == [2]
    resumed = run(tiny, toy, tmp_path)
    assert [step.step for step in resumed] == [3, 4, 5]


def test_a_gradient_that_is_not_finite_never_reaches_the_adapter(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    steps = train.train(tiny, toy, fit_of(toy), with_(checkpoint_every=1), seed=3, folder=tmp_path)
    next(steps)
    kept, before = weights(tiny), contents(tmp_path)
    parameter = next(iter(adapter_parameters(tiny).values()))
    parameter.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[no-untyped-call]
    with pytest.raises(Diverged):
        next(steps)
    assert equal(weights(tiny), kept)
    assert contents(tmp_path) == before


def short_of_memory(most: int) -> Callable[..., Tensor]:
    """The loss on a device that holds `most` items."""

    def loss(backbone: Backbone, batch: batches.Batch, **given: Any) -> Tensor:
        if len(batch.prompts) > most:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return realfill_loss(backbone, batch, **given)

    return loss


@pytest.mark.parametrize("most", [1, 3])
def test_out_of_memory_computes_the_same_in_smaller_pieces(
    tiny: Backbone,
    toy: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: tuple[list[float], dict[str, Tensor]],
    most: int,
) -> None:
    monkeypatch.setattr(train, "realfill_loss", short_of_memory(most))
    steps = run(tiny, toy, tmp_path)
    assert losses(steps) == pytest.approx(whole[0], abs=1e-5)


def test_one_item_too_many_says_so_and_keeps_what_was_learnt(
    tiny: Backbone, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = train.train(tiny, toy, fit_of(toy), CONFIG, seed=3, folder=tmp_path)
    for _ in range(2):
        next(steps)
    monkeypatch.setattr(train, "realfill_loss", short_of_memory(0))
    with pytest.raises(OutOfMemory, match="memory"):
        next(steps)
    assert checkpoint_steps(tmp_path) == [2]


@pytest.mark.parametrize("micro", [1, 3])
def test_pieces_equal_the_whole_batch(
    tiny: Backbone, toy: Scene, tmp_path: Path, whole: tuple[list[float], dict[str, Tensor]], micro: int
) -> None:
    steps = run(tiny, toy, tmp_path, with_(micro_batch=micro))
    assert losses(steps) == pytest.approx(whole[0], abs=1e-5)


def test_an_interruption_inside_a_step_saves_no_half_state(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    steps = train.train(tiny, toy, fit_of(toy), with_(checkpoint_every=2), seed=3, folder=tmp_path)
    for _ in range(3):
        next(steps)
    parameter = next(iter(adapter_parameters(tiny).values()))

    def interrupt(_: Tensor) -> None:
        raise KeyboardInterrupt

    parameter.register_hook(interrupt)  # type: ignore[no-untyped-call]
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert checkpoint_steps(tmp_path) == [2]


# ── on a card, where a loss is read when the next step is queued ──


def test_a_card_is_given_the_next_step_before_a_loss_is_read(
    tiny_base: Path, toy: Scene, tmp_path: Path, whole: tuple[list[float], dict[str, Tensor]]
) -> None:
    with pretend_card(CARDS["H200"]) as card:
        backbone: Any = load_backbone(str(tiny_base), device="cuda", dtype=torch.float32)
        queued, told = [], []
        predict = backbone.predict

        def counted(*given: Any) -> Tensor:
            queued.append(given)
            return torch.as_tensor(predict(*given))

        backbone.predict = counted
        for step in train.train(backbone, toy, fit_of(toy), CONFIG, seed=3, folder=tmp_path):
            told.append((step.loss, len(queued)))
        waits = {line: count for line, count in card.waits.items() if "train.py" in line}
        kept = {name: value.cpu() for name, value in weights(backbone).items()}
    assert [count for _, count in told] == [2, 3, 4, 5, 5]
    assert [loss for loss, _ in told] == pytest.approx(whole[0], rel=1e-4)
    assert sum(waits.values()) == CONFIG.steps  # nothing but the readings
    for name, value in whole[1].items():
        torch.testing.assert_close(kept[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("stop", [3, pytest.param(1, marks=pytest.mark.long)])
def test_resuming_on_a_card_equals_no_interruption(tiny_base: Path, toy: Scene, tmp_path: Path, stop: int) -> None:
    """The gradients of the step that was queued already are thrown away."""
    with pretend_card(CARDS["H200"]):
        backbone = load_backbone(str(tiny_base), device="cuda", dtype=torch.float32)
        steps = run(backbone, toy, tmp_path / "whole")
        kept = weights(backbone)
        first = run(backbone, toy, tmp_path / "parts", until=stop)
        assert checkpoint_steps(tmp_path / "parts") == [stop]
        second = run(backbone, toy, tmp_path / "parts")
        assert equal(weights(backbone), kept)
    assert losses(first + second) == losses(steps)


def test_a_loss_that_is_not_finite_changes_nothing_on_a_card_though_it_is_read_late(
    tiny_base: Path, toy: Scene, tmp_path: Path
) -> None:
    with pretend_card(CARDS["H200"]):
        backbone = load_backbone(str(tiny_base), device="cuda", dtype=torch.float32)
        steps = train.train(backbone, toy, fit_of(toy), with_(checkpoint_every=2), seed=3, folder=tmp_path)
        for _ in range(2):
            next(steps)  # and the gradients of step 3 are there
        before, kept = contents(tmp_path), weights(backbone)
        backbone.trainable()["unet"].get_parameter("conv_out.bias").data.fill_(float("nan"))
        assert next(steps).step == 3
        third = weights(backbone)
        with pytest.raises(Diverged, match="step 4"):
            next(steps)
        assert not equal(third, kept)
        assert equal(weights(backbone), third)
    assert contents(tmp_path) == before
    assert checkpoint_steps(tmp_path) == [2]


def test_a_step_is_told_and_kept_where_the_next_finds_no_memory(
    tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretend_card(CARDS["H200"]):
        backbone = load_backbone(str(tiny_base), device="cuda", dtype=torch.float32)
        steps = train.train(backbone, toy, fit_of(toy), CONFIG, seed=3, folder=tmp_path)
        assert next(steps).step == 1
        monkeypatch.setattr(train, "realfill_loss", short_of_memory(0))
        assert next(steps).step == 2
        with pytest.raises(OutOfMemory):
            next(steps)
    assert checkpoint_steps(tmp_path) == [2]


# ── several processes ──

# Two processes that meet as torchrun's do, forked where everything is imported. `accelerate launch` itself is tried by
# tests/cli/test_commands.py: test_two_processes_train_one_run.
SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from realfill.models.registry import load_backbone_folder
from realfill.scene import scene
from realfill.training.train import train
from tests.training.test_train import CONFIG, fit_of, weights

base, scene_folder, folder, port = sys.argv[1:]

def train_as(rank):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    torch.set_num_threads(1)
    place = Path(folder)
    backbone, toy = load_backbone_folder(Path(base), dtype=torch.float32), scene.load(Path(scene_folder))
    steps = list(train(backbone, toy, fit_of(toy), CONFIG, seed=3, folder=place))
    import torch.distributed as distributed
    assert distributed.get_world_size() == 2
    (place.parent / f"losses-{rank}.json").write_text(json.dumps([step.loss for step in steps]))
    torch.save(weights(backbone), place.parent / f"weights-{rank}.pt")

other = os.fork()
train_as(1 if other else 0)
if other:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_two_processes_equal_one(
    tiny_base: Path, _toy_scene: Path, tmp_path: Path, whole: tuple[list[float], dict[str, Tensor]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SCRIPT, *map(str, (tiny_base, _toy_scene, tmp_path / "run", port))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"losses-{rank}.json").read_text())
        assert seen == pytest.approx(whole[0], abs=1e-5)
    ours, others = (torch.load(tmp_path / f"weights-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert equal(ours, others)
    assert checkpoint_steps(tmp_path / "run") == [5]


# ── learning ──


def test_the_loss_goes_down(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    config = with_(steps=60, layers="all", learning_rate_unet=1e-2)
    views = prepare_views(toy, fit_of(toy), config, cell=tiny.spec.loss_cell)
    batch = draw_batch(views, config, seed=99, step=0, indices=range(32))
    generator = torch.Generator().manual_seed(6)
    t = torch.randint(1000, (32,), generator=generator)
    noise = torch.randn(32, 4, batch.pixels.shape[2] // 2, batch.pixels.shape[3] // 2, generator=generator)

    def error() -> float:
        with torch.no_grad():
            return float(realfill_loss(tiny, batch, t=t, noise=noise).mean())

    before = error()
    steps = run(tiny, toy, tmp_path, config)
    after = error()
    assert after < 0.8 * before, (before, after)
    assert sum(losses(steps[-15:])) < sum(losses(steps[:15]))
