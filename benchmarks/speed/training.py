"""What `benchmarks.speed.gpu` and `benchmarks.speed.cpu` measure of training: ours beside the baseline.

Correctness first: every section that has a plain path compares with it before it measures.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from diffusers import StableDiffusionInpaintPipeline
from torch import Tensor

from benchmarks.speed import stock_loop
from benchmarks.speed.stock_loop import StockLoop
from benchmarks.speed.timing import DeviceTimer, SpeedReport, Timed, relative
from realfill import seeds
from realfill.config import Config, SamplerName, TrainConfig
from realfill.errors import OutOfMemory
from realfill.events import TrainStep
from realfill.imaging.crop import CropTransform
from realfill.models.backbone import Backbone, stored_dtype
from realfill.models.lora import adapter_parameters, attach_adapters
from realfill.models.stable_diffusion import StableDiffusionInpaint
from realfill.scene.scene import Scene
from realfill.training import loader, train
from realfill.training.batches import ItemPick, TrainingViews, draw_batch, pick_item, prepare_views

SEED = 0
STOCK, MIXED, OURS, POOLED = "stock loop, fp32", "stock loop, bf16 autocast", "ours, preset", "ours, pool"
CARDS, DRIVER = (8, 12, 16, 24), 0.8e9  # sizes in GB; bytes that CUDA takes before anything is allocated
SAME_STEPS = 3  # losses that are compared
FEW = 4  # pool items while timing: all are encoded after the warm-up, as in the long run
# Largest differences from the plain path in fp32: (losses, gradient, pictures), relative. In fp32 only the order of
# sums differs (on a GPU also TF32 in the convolutions, which both paths use) and pictures are rounded to 8 bits;
# bf16 keeps eight bits in every layer.
LIMITS = {torch.float32: (2e-3, 2e-2, 2e-2), torch.bfloat16: (2e-2, 0.15, 0.15), torch.float16: (2e-2, 0.15, 0.15)}


@dataclass(frozen=True)
class Workload:
    """What is measured, and how much of it."""

    device: str
    dtype: torch.dtype  # what the project computes in on this device
    pipeline: Callable[[torch.dtype], StableDiffusionInpaintPipeline]  # new networks on the device, always the same
    scene: Scene
    fit: CropTransform
    preset: Config
    batches: tuple[int, ...]
    pool: int  # where the preset has none
    fills: tuple[tuple[SamplerName, int], ...]
    seeds: int
    stock_seeds: int  # at once, in the baseline
    calls: int  # training steps that are timed
    warm_up: int  # calls before the clock is read
    cell: int  # pixels per latent cell
    text_width: int  # width of the text that the U-Net attends to
    tflop: float = 0.0  # of one item's training step, U-Net only; 0: not known
    tflops: float = 0.0  # what the device does in a second, in practice

    def backbone(self, dtype: torch.dtype | None = None) -> Backbone:
        """The project's own driver of new networks."""
        dtype = dtype or self.dtype
        pipeline = self.pipeline(stored_dtype(self.device, dtype))
        return StableDiffusionInpaint(pipeline, name="speed", weights_hash="", dtype=dtype)


def train_section(workload: Workload, report: SpeedReport) -> None:
    """Losses and gradients as the plain path's, then times of a step."""
    first = initial_adapter(workload, workload.preset.train)
    check_training(workload, report, first)
    timer = DeviceTimer(workload.device)
    for batch in sorted(workload.batches, reverse=True):
        if not report.skip_if_late(OURS):
            time_steps(workload, report, workload.backbone(), batch=batch, pool=workload.preset.train.pool)
        if not workload.preset.train.pool and not report.skip_if_late(POOLED):
            time_steps(workload, report, workload.backbone(), batch=batch, pool=workload.pool)
        for name in (MIXED, STOCK) if workload.device != "cpu" else (STOCK,):
            if not report.skip_if_late(name):
                _time_stock(workload, report, timer, first, batch=batch, mixed=name == MIXED)
    if not report.skip_if_late("drawing a batch, CPU"):
        _time_drawing(workload, report, timer)


def cards_section(workload: Workload, report: SpeedReport) -> None:
    """Training with the memory of smaller cards: whether it goes on, how fast, and how much it takes.

    The allocator is capped; what a driver takes for itself is left out of the cap.
    """
    for gigabytes in CARDS:
        name = f"a card of {gigabytes} GB"
        if not workload.device.startswith("cuda"):
            report.add(name, skipped="needs CUDA")
            continue
        if report.skip_if_late(name):
            continue
        backbone, total = workload.backbone(), torch.cuda.mem_get_info()[1]
        DeviceTimer(workload.device).reset_peak()
        torch.cuda.set_per_process_memory_fraction(min(1.0, (gigabytes * 1e9 - DRIVER) / total))
        try:
            time_steps(workload, report, backbone, batch=max(workload.batches), pool=0, name=name)
        except (OutOfMemory, torch.OutOfMemoryError) as error:
            report.add(name, failed=str(error))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)


def headline(workload: Workload, report: SpeedReport) -> dict[str, float]:
    """How many times longer the baseline's step takes than ours at the same work, by batch; encoding included."""
    ratios = {}
    for batch in workload.batches:
        slow = report.find(STOCK, batch=batch)
        ours = [row for name in (OURS, POOLED) if (row := report.find(name, batch=batch))]
        if slow and ours:
            ratios[str(batch)] = slow["ms"] / min(row["ms_with_encoding"] for row in ours)
    return ratios


def time_steps(
    workload: Workload, report: SpeedReport, backbone: Backbone, *, batch: int, pool: int, name: str = ""
) -> None:
    """Our training's step, in a row of its own."""
    config, timer = _config(workload, batch=batch, pool=min(pool, FEW)), DeviceTimer(workload.device)
    encoded = drawn_numbers(workload, _config(workload, batch=batch, pool=pool)) if pool else []
    once = (
        _time_item(workload, backbone, _config(workload, batch=batch, pool=pool), timer, report.until) if pool else 0.0
    )
    timer.reset_peak()
    with _training(workload, backbone, config) as steps:
        timed = timer.time_steps(steps, warm_up=workload.warm_up, calls=workload.calls, until=report.until)
    # Drawing and encoding each item of the pool that the preset's steps need, spread over those steps.
    with_encoding = (timed.seconds + len(encoded) * once / workload.preset.train.steps) * 1000
    name = name or (OURS if pool == workload.preset.train.pool else POOLED)
    values = {"batch": batch, "pool": pool, "pool_items_drawn": len(encoded), "ms_a_pool_item": once * 1000}
    report.add(name, timed, **values, ms_with_encoding=with_encoding, **_floor_share(workload, timed, batch))


def drawn_numbers(workload: Workload, config: TrainConfig) -> list[int]:
    """The items of the pool that the preset's training draws, each once."""
    steps, items = range(workload.preset.train.steps), range(config.batch)
    picks = (pick_item(config, seed=SEED, step=step, index=index) for step in steps for index in items)
    return sorted({one.number for one in picks if one.number is not None})


def _time_item(workload: Workload, backbone: Backbone, config: TrainConfig, timer: DeviceTimer, until: float) -> float:
    """Seconds to draw and encode an item of the pool, alone as training does it."""
    pool = loader.Pool(backbone, _views(workload, config), config, seed=SEED)
    picks = (ItemPick("", number, seeds.rng(SEED, seeds.Stream.POOL, number)) for number in range(config.pool))
    calls = max(1, min(16, config.pool - 1))
    return timer.time(lambda: pool.items([next(picks)]), warm_up=1, calls=calls, until=until).seconds


def _time_stock(
    workload: Workload, report: SpeedReport, timer: DeviceTimer, first: dict[str, Tensor], *, batch: int, mixed: bool
) -> None:
    config = _config(workload, batch=batch, pool=0)
    pipeline = workload.pipeline(torch.bfloat16 if mixed else torch.float32)
    loop = StockLoop(pipeline, config, first, mixed=mixed)
    timer.reset_peak()
    views = _views(workload, config)
    items = [
        stock_loop.training_inputs(views, config, seed=SEED, step=step, schedule=pipeline.scheduler)
        for step in range(2)
    ]
    calls = iter(range(10**9))
    timed = timer.time(
        lambda: loop.step(*items[next(calls) % 2]),
        warm_up=min(workload.warm_up, 2),
        calls=workload.calls,
        until=report.until,
    )
    report.add(MIXED if mixed else STOCK, timed, batch=batch, **_floor_share(workload, timed, batch))


def _floor_share(workload: Workload, timed: Timed, batch: int) -> dict[str, float]:
    """The U-Net's arithmetic at the device's practical rate, as a share of the time taken."""
    if not workload.tflop or not workload.tflops:
        return {}
    return {"share_of_floor": workload.tflop * batch / workload.tflops / timed.seconds}


def _time_drawing(workload: Workload, report: SpeedReport, timer: DeviceTimer) -> None:
    """What the processor does for every step before the device can begin."""
    batch = max(workload.batches)
    config = _config(workload, batch=batch, pool=0)
    views, steps = _views(workload, config), iter(range(10**9))
    timed = timer.time(
        lambda: draw_batch(views, config, seed=SEED, step=next(steps), indices=range(batch)),
        warm_up=1,
        calls=min(8, workload.calls),
        until=report.until,
    )
    report.add("drawing a batch, CPU", timed, batch=batch)


def check_training(workload: Workload, report: SpeedReport, first: dict[str, Tensor]) -> None:
    """Our losses and first gradient beside the plain path's in fp32, on the same items, noise and first values.

    The plain path is PEFT's own forward pass with fresh encodings. Items come from a pool that they soon repeat, so
    ours reads what it keeps where the plain path encodes.
    """
    config = _config(workload, batch=min(workload.batches), pool=FEW, layer_dropout=0.0)
    pipeline = workload.pipeline(torch.float32)
    loop = StockLoop(pipeline, config, first)
    views, plain = _views(workload, config), []
    gradient: dict[str, Tensor] = {}
    for step in range(SAME_STEPS):
        plain.append(
            loop.step(*stock_loop.training_inputs(views, config, seed=SEED, step=step, schedule=pipeline.scheduler))
        )
        if step == 0:
            gradient = _gradients({**loop.parameters("unet"), **loop.parameters("text_encoder")})
    del loop, pipeline
    for dtype in dict.fromkeys((torch.float32, workload.dtype)):
        DeviceTimer(workload.device).reset_peak()
        backbone, ours = workload.backbone(dtype), []
        with _training(workload, backbone, config) as steps:
            for step in range(SAME_STEPS):
                ours.append(next(steps).loss)
                if step == 0:
                    our_gradient = _gradients(adapter_parameters(backbone))
        kind = str(dtype).removeprefix("torch.")
        losses, gradients, _ = LIMITS[dtype]
        apart = max(abs(a - b) / abs(b) for a, b in zip(ours, plain, strict=True))
        report.check(f"losses of {SAME_STEPS} steps, {kind}", apart, losses)
        joined = [torch.cat([part[key].flatten() for key in sorted(gradient)]) for part in (our_gradient, gradient)]
        report.check(f"gradient of the first step, {kind}", relative(*joined), gradients)


def _gradients(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies; a parameter that got no gradient counts as zero."""
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad.detach().clone()
        for name, value in parameters.items()
    }


@contextmanager
def _training(workload: Workload, backbone: Backbone, config: TrainConfig) -> Iterator[Iterator[TrainStep]]:
    """The project's own training as a stream of steps, in a folder of its own."""
    AcceleratorState._reset_state(reset_partial_state=True)  # else the first precision of a process is its last
    with tempfile.TemporaryDirectory() as folder:
        steps: Any = train.train(backbone, workload.scene, workload.fit, config, seed=SEED, folder=Path(folder))
        try:
            yield steps
        finally:
            steps.close()


def _config(workload: Workload, **changes: Any) -> TrainConfig:
    """The preset's training without an end and without checkpoints on the way."""
    return workload.preset.train.model_copy(update={"steps": 100_000, "checkpoint_every": 100_000, **changes})


def initial_adapter(workload: Workload, config: TrainConfig) -> dict[str, Tensor]:
    """The adapter's first values by name, as training draws them."""
    backbone = workload.backbone()
    attach_adapters(backbone, config, seed=SEED)
    return {name: value.detach().float().clone() for name, value in adapter_parameters(backbone).items()}


def _views(workload: Workload, config: TrainConfig) -> TrainingViews:
    return prepare_views(workload.scene, workload.fit, config, cell=workload.cell)
