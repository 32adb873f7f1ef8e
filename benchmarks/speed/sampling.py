"""Sampling and coding, ours beside the baseline; parts of the speed benchmarks."""

import contextlib
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from diffusers import StableDiffusionInpaintPipeline
from torch import Tensor

from benchmarks.speed import stock_loop
from benchmarks.speed.random_sd2 import PROMPT
from benchmarks.speed.timing import DeviceTimer, SpeedReport, Timed, relative
from benchmarks.speed.training import LIMITS, SEED, Workload
from realfill.config import SampleConfig
from realfill.device.memory_plan import MOST_SEEDS
from realfill.errors import Interrupted
from realfill.events import DenoisingStep, Event
from realfill.imaging.photo import save_photo
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters, attach_adapters
from realfill.models.pixels import to_photo
from realfill.sampling import sample
from realfill.sampling.sample import sampling_input

STOCK_FILL = "stock fill, fp32"
SAME_SEEDS, SAME_STEPS = (3, 17), 10
_LOUD = 0.02  # standard deviation of the adapter's B, so that it changes what is sampled


def sample_section(workload: Workload, report: SpeedReport) -> None:
    """Pictures as the plain path's, then times for all seeds."""
    _check_pictures(workload, report)
    timer, steps = DeviceTimer(workload.device), min(steps for _, steps in workload.fills)
    if not report.skip_if_late(STOCK_FILL):
        pipeline, seen = _stock_pipeline(workload), sampling_input(workload.scene, workload.fit)
        seeds = range(workload.stock_seeds)
        timer.reset_peak()
        timed = timer.time(
            lambda: stock_loop.fill(pipeline, seen, PROMPT, seeds=seeds, steps=steps),
            warm_up=0,
            calls=1,
            until=report.until,
        )
        _add_row(report, STOCK_FILL, timed, seeds=len(seeds), steps=steps, sampler="ddim")
        del pipeline
    backbone = _our_backbone(workload)
    timer.reset_peak()
    _fill(workload, backbone, SampleConfig(sampler="ddim", steps=2), workload.seeds)
    for sampler, count in workload.fills:
        name = f"ours, {workload.seeds} seeds x {count} steps"
        if report.skip_if_late(name):
            continue
        config = SampleConfig(sampler=sampler, steps=count)
        timer.reset_peak()
        timed = timer.time(
            partial(_fill, workload, backbone, config, workload.seeds), warm_up=0, calls=1, until=report.until
        )
        _add_row(report, name, timed, seeds=workload.seeds, steps=count, sampler=sampler)


def time_filling(
    workload: Workload, report: SpeedReport, name: str, *, prepare: Callable[[Backbone], None] | None = None
) -> None:
    """The quickest fill, a second time: what is compiled or chosen once is there by then."""
    backbone, timer = _our_backbone(workload), DeviceTimer(workload.device)
    if prepare is not None:
        prepare(backbone)
    sampler, steps = min(workload.fills, key=lambda fill: fill[1])
    fill = partial(_fill, workload, backbone, SampleConfig(sampler=sampler, steps=steps), workload.seeds)
    began = timer.now()
    fill()
    first = timer.now() - began
    timer.reset_peak()
    timed = timer.time(fill, warm_up=0, calls=1, until=report.until)
    report.add(name, timed, seeds=workload.seeds, steps=steps, sampler=sampler, first_s=first)


def stop_section(workload: Workload, report: SpeedReport) -> None:
    """From a stop after the second step of a group of seeds until the device is free, beside a step's own time."""
    backbone, timer = _our_backbone(workload), DeviceTimer(workload.device)
    config = SampleConfig(sampler="ddim", steps=10)
    at: list[float] = []

    def stop_after_two(event: Event) -> None:
        if isinstance(event, DenoisingStep):
            at.append(time.perf_counter())
            if event.step == 2:
                raise Interrupted("stopped by the benchmark")

    count = min(workload.seeds, MOST_SEEDS)
    candidates = sample.sample(
        backbone, workload.scene, workload.fit, config, prompt=PROMPT, seeds=range(count), watch=stop_after_two
    )
    with contextlib.suppress(Interrupted):
        next(candidates)
    free = timer.now()
    report.add("stop", seeds=count, stop_ms=(free - at[-1]) * 1000, step_ms=(free - at[0]) * 1000 / 3)


def vae_section(workload: Workload, report: SpeedReport) -> None:
    """The autoencoder both ways, one picture and several at once, and what a thread does with each meanwhile."""
    timer, backbone, several = DeviceTimer(workload.device), workload.backbone(), max(workload.batches)
    pixels = torch.rand(several, 3, workload.fit.height, workload.fit.width) * 2 - 1
    latents = torch.randn(several, backbone.spec.latent_channels, *(s // workload.cell for s in pixels.shape[-2:]))
    pixels, latents = pixels.to(backbone.device), latents.to(backbone.device)
    for name, call, given in (("encode", backbone.encode, pixels), ("decode", backbone.decode, latents)):
        for count in (1, several):
            if report.skip_if_late(f"{name} {count}"):
                continue
            timer.reset_peak()
            part = given[:count]
            timed = timer.time(partial(call, part), warm_up=2, calls=min(12, workload.calls), until=report.until)
            report.add(f"{name} {count}", timed, ms_a_picture=timed.seconds * 1000 / count)
    with tempfile.TemporaryDirectory() as folder:
        photo = to_photo(torch.rand(3, workload.fit.height, workload.fit.width) * 2 - 1)
        save = partial(save_photo, photo, Path(folder) / "picture.png")
        report.add("write a picture, CPU", timer.time(save, warm_up=1, calls=4, until=report.until))


def _add_row(report: SpeedReport, name: str, timed: Timed, *, seeds: int, steps: int, sampler: str) -> None:
    """`ms_a_step`: of one seed, encoding and decoding spread over the steps."""
    a_step = timed.seconds * 1000 / seeds / steps
    report.add(name, timed, seeds=seeds, steps=steps, sampler=sampler, ms_a_step=a_step)


def _fill(workload: Workload, backbone: Backbone, config: SampleConfig, count: int) -> None:
    for _ in sample.sample(backbone, workload.scene, workload.fit, config, prompt=PROMPT, seeds=range(count)):
        pass


def _check_pictures(workload: Workload, report: SpeedReport) -> None:
    """Our pictures beside the plain path's in fp32, for the same seeds and the same adapter."""
    pipeline, seen = _stock_pipeline(workload), sampling_input(workload.scene, workload.fit)
    plain = stock_loop.fill(pipeline, seen, PROMPT, seeds=SAME_SEEDS, steps=SAME_STEPS).cpu()
    del pipeline
    config = SampleConfig(sampler="ddim", steps=SAME_STEPS)
    for dtype in dict.fromkeys((torch.float32, workload.dtype)):
        backbone = _our_backbone(workload, dtype)
        candidates = sample.sample(backbone, workload.scene, workload.fit, config, prompt=PROMPT, seeds=SAME_SEEDS)
        ours = torch.stack([torch.from_numpy(one.photo).permute(2, 0, 1) / 127.5 - 1 for one in candidates])
        report.check(f"pictures, {str(dtype).removeprefix('torch.')}", relative(ours, plain), LIMITS[dtype][2])


def _our_backbone(workload: Workload, dtype: torch.dtype | None = None) -> Backbone:
    """Our backbone with an adapter that says something."""
    backbone = workload.backbone(dtype)
    attach_adapters(backbone, workload.preset.train, seed=SEED)
    for name, value in adapter_parameters(backbone).items():
        if "lora_B" in name:
            value.data.copy_(_random_like(value))
    return backbone


def _stock_pipeline(workload: Workload) -> StableDiffusionInpaintPipeline:
    """The baseline's pipeline with the same adapter."""
    backbone = _our_backbone(workload, torch.float32)
    adapter = {name: value.detach().clone() for name, value in adapter_parameters(backbone).items()}
    del backbone
    pipeline = workload.pipeline(torch.float32)
    for name in stock_loop.NETWORKS:
        stock_loop.attach(getattr(pipeline, name), name, workload.preset.train, adapter)
    return pipeline


def _random_like(value: Tensor) -> Tensor:
    """Random values of a tensor's shape, the same ones for a shape every time."""
    return torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel())) * _LOUD
