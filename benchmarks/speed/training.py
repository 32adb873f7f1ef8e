"""What `benchmarks.gpu` and `benchmarks.cpu` measure: training, filling, coding and matching, ours beside the baseline.

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
from benchmarks.speed.timing import Meter, Report, Timed, relative
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
LIMITS = {torch.float32: (2e-3, 2e-2, 2e-2), torch.bfloat16: (2e-2, 0.15, 0.15)}


@dataclass(frozen=True)
class Case:
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
    warm: int
    cell: int  # pixels per latent cell
    words: int  # width of the text that the U-Net attends to
    tflop: float = 0.0  # of one item's training step, U-Net only; 0: not known
    tflops: float = 0.0  # what the device does in a second, in practice

    def backbone(self, dtype: torch.dtype | None = None) -> Backbone:
        """The project's own driver of new networks."""
        dtype = dtype or self.dtype
        pipeline = self.pipeline(stored_dtype(self.device, dtype))
        return StableDiffusionInpaint(pipeline, name="speed", weights_hash="", dtype=dtype)


def train_section(case: Case, report: Report) -> None:
    """Losses and gradients as the plain path's, then times of a step."""
    first = initial(case, case.preset.train)
    same_training(case, report, first)
    meter = Meter(case.device)
    for batch in sorted(case.batches, reverse=True):
        if not report.late(OURS):
            _ours(case, report, case.backbone(), batch=batch, pool=case.preset.train.pool)
        if not case.preset.train.pool and not report.late(POOLED):
            _ours(case, report, case.backbone(), batch=batch, pool=case.pool)
        for name in (MIXED, STOCK) if case.device != "cpu" else (STOCK,):
            if not report.late(name):
                _stock(case, report, meter, first, batch=batch, mixed=name == MIXED)
    if not report.late("drawing a batch, CPU"):
        _draw(case, report, meter)


def cards_section(case: Case, report: Report) -> None:
    """Training with the memory of smaller cards: whether it goes on, how fast, and how much it takes.

    The allocator is capped; what a driver takes for itself is left out of the cap.
    """
    for gigabytes in CARDS:
        name = f"a card of {gigabytes} GB"
        if not case.device.startswith("cuda"):
            report.add(name, skipped="needs CUDA")
            continue
        if report.late(name):
            continue
        backbone, total = case.backbone(), torch.cuda.mem_get_info()[1]
        Meter(case.device).fresh()
        torch.cuda.set_per_process_memory_fraction(min(1.0, (gigabytes * 1e9 - DRIVER) / total))
        try:
            _ours(case, report, backbone, batch=max(case.batches), pool=0, name=name)
        except (OutOfMemory, torch.OutOfMemoryError) as error:
            report.add(name, failed=str(error))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)


def headline(case: Case, report: Report) -> dict[str, float]:
    """How many times longer the baseline's step takes than ours at the same work, by batch; encoding included."""
    found = {}
    for batch in case.batches:
        slow = report.find(STOCK, batch=batch)
        ours = [row for name in (OURS, POOLED) if (row := report.find(name, batch=batch))]
        if slow and ours:
            found[str(batch)] = slow["ms"] / min(row["ms_with_encoding"] for row in ours)
    return found


def _ours(case: Case, report: Report, backbone: Backbone, *, batch: int, pool: int, name: str = "") -> None:
    config, meter = _config(case, batch=batch, pool=min(pool, FEW)), Meter(case.device)
    encoded = drawn_numbers(case, _config(case, batch=batch, pool=pool)) if pool else []
    once = _new_item(case, backbone, _config(case, batch=batch, pool=pool), meter, report.until) if pool else 0.0
    meter.fresh()
    with _training(case, backbone, config) as steps:
        timed = meter.time_steps(steps, warm=case.warm, calls=case.calls, until=report.until)
    # Drawing and encoding each item of the pool that the preset's steps need, spread over those steps.
    with_encoding = (timed.seconds + len(encoded) * once / case.preset.train.steps) * 1000
    name = name or (OURS if pool == case.preset.train.pool else POOLED)
    values = {"batch": batch, "pool": pool, "pool_items_drawn": len(encoded), "ms_a_pool_item": once * 1000}
    report.add(name, timed, **values, ms_with_encoding=with_encoding, **_share(case, timed, batch))


def drawn_numbers(case: Case, config: TrainConfig) -> list[int]:
    """The items of the pool that the preset's training draws, each once."""
    steps, items = range(case.preset.train.steps), range(config.batch)
    picks = (pick_item(config, seed=SEED, step=step, index=index) for step in steps for index in items)
    return sorted({one.number for one in picks if one.number is not None})


def _new_item(case: Case, backbone: Backbone, config: TrainConfig, meter: Meter, until: float) -> float:
    """Seconds to draw and encode an item of the pool, alone as training does it."""
    pool = loader.Pool(backbone, _views(case, config), config, seed=SEED)
    picks = (ItemPick("", number, seeds.rng(SEED, seeds.Stream.POOL, number)) for number in range(config.pool))
    calls = max(1, min(16, config.pool - 1))
    return meter.time(lambda: pool.items([next(picks)]), warm=1, calls=calls, until=until).seconds


def _stock(case: Case, report: Report, meter: Meter, first: dict[str, Tensor], *, batch: int, mixed: bool) -> None:
    config = _config(case, batch=batch, pool=0)
    pipeline = case.pipeline(torch.bfloat16 if mixed else torch.float32)
    loop = StockLoop(pipeline, config, first, mixed=mixed)
    meter.fresh()
    views = _views(case, config)
    items = [stock_loop.given(views, config, seed=SEED, step=step, schedule=pipeline.scheduler) for step in range(2)]
    calls = iter(range(10**9))
    timed = meter.time(
        lambda: loop.step(*items[next(calls) % 2]), warm=min(case.warm, 2), calls=case.calls, until=report.until
    )
    report.add(MIXED if mixed else STOCK, timed, batch=batch, **_share(case, timed, batch))


def _share(case: Case, timed: Timed, batch: int) -> dict[str, float]:
    """The U-Net's arithmetic at the device's practical rate, as a share of the time taken."""
    if not case.tflop or not case.tflops:
        return {}
    return {"share_of_floor": case.tflop * batch / case.tflops / timed.seconds}


def _draw(case: Case, report: Report, meter: Meter) -> None:
    """What the processor does for every step before the device can begin."""
    batch = max(case.batches)
    config = _config(case, batch=batch, pool=0)
    views, steps = _views(case, config), iter(range(10**9))
    timed = meter.time(
        lambda: draw_batch(views, config, seed=SEED, step=next(steps), indices=range(batch)),
        warm=1,
        calls=min(8, case.calls),
        until=report.until,
    )
    report.add("drawing a batch, CPU", timed, batch=batch)


def same_training(case: Case, report: Report, first: dict[str, Tensor]) -> None:
    """Our losses and first gradient beside the plain path's in fp32, on the same items, noise and first values.

    The plain path is PEFT's own forward pass with fresh encodings. Items come from a pool that they soon repeat, so
    ours reads what it keeps where the plain path encodes.
    """
    config = _config(case, batch=min(case.batches), pool=FEW, layer_dropout=0.0)
    pipeline = case.pipeline(torch.float32)
    loop = StockLoop(pipeline, config, first)
    views, plain = _views(case, config), []
    gradient: dict[str, Tensor] = {}
    for step in range(SAME_STEPS):
        plain.append(loop.step(*stock_loop.given(views, config, seed=SEED, step=step, schedule=pipeline.scheduler)))
        if step == 0:
            gradient = _gradients({**loop.parameters("unet"), **loop.parameters("text_encoder")})
    del loop, pipeline
    for dtype in dict.fromkeys((torch.float32, case.dtype)):
        Meter(case.device).fresh()
        backbone, ours = case.backbone(dtype), []
        with _training(case, backbone, config) as steps:
            for step in range(SAME_STEPS):
                ours.append(next(steps).loss)
                if step == 0:
                    own = _gradients(adapter_parameters(backbone))
        kind = str(dtype).removeprefix("torch.")
        losses, gradients, _ = LIMITS[dtype]
        apart = max(abs(a - b) / abs(b) for a, b in zip(ours, plain, strict=True))
        report.check(f"losses of {SAME_STEPS} steps, {kind}", apart, losses)
        joined = [torch.cat([part[key].flatten() for key in sorted(gradient)]) for part in (own, gradient)]
        report.check(f"gradient of the first step, {kind}", relative(*joined), gradients)


def _gradients(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies; a parameter that got no gradient counts as zero."""
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad.detach().clone()
        for name, value in parameters.items()
    }


@contextmanager
def _training(case: Case, backbone: Backbone, config: TrainConfig) -> Iterator[Iterator[TrainStep]]:
    """The project's own training as a stream of steps, in a folder of its own."""
    AcceleratorState._reset_state(reset_partial_state=True)  # else the first precision of a process is its last
    with tempfile.TemporaryDirectory() as folder:
        steps: Any = train.train(backbone, case.scene, case.fit, config, seed=SEED, folder=Path(folder))
        try:
            yield steps
        finally:
            steps.close()


def _config(case: Case, **changes: Any) -> TrainConfig:
    """The preset's training without an end and without checkpoints on the way."""
    return case.preset.train.model_copy(update={"steps": 100_000, "checkpoint_every": 100_000, **changes})


def initial(case: Case, config: TrainConfig) -> dict[str, Tensor]:
    """The adapter's first values by name, as training draws them."""
    backbone = case.backbone()
    attach_adapters(backbone, config, seed=SEED)
    return {name: value.detach().float().clone() for name, value in adapter_parameters(backbone).items()}


def _views(case: Case, config: TrainConfig) -> TrainingViews:
    return prepare_views(case.scene, case.fit, config, cell=case.cell)
