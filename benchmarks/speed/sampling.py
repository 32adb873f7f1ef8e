"""Sampling and coding, ours beside the baseline; parts of the speed benchmarks."""

from functools import partial

import torch
from diffusers import StableDiffusionInpaintPipeline
from torch import Tensor

from benchmarks.speed import stock_loop
from benchmarks.speed.random_sd2 import PROMPT
from benchmarks.speed.timing import Meter, Report, Timed, relative
from benchmarks.speed.training import LIMITS, SEED, Case
from realfill.config import SampleConfig
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters, attach_adapters
from realfill.sampling import sample
from realfill.sampling.sample import sampling_input

STOCK_FILL = "stock fill, fp32"
SAME_SEEDS, SAME_STEPS = (3, 17), 10
_LOUD = 0.02  # standard deviation of the adapter's B, so that it changes what is sampled


def sample_section(case: Case, report: Report) -> None:
    """Pictures as the plain path's, then times for all seeds."""
    _same_pictures(case, report)
    meter, steps = Meter(case.device), min(steps for _, steps in case.fills)
    if not report.late(STOCK_FILL):
        pipeline, seen = _stock(case), sampling_input(case.scene, case.fit)
        seeds = range(case.stock_seeds)
        meter.fresh()
        timed = meter.time(
            lambda: stock_loop.fill(pipeline, seen, PROMPT, seeds=seeds, steps=steps),
            warm=0,
            calls=1,
            until=report.until,
        )
        _row(report, STOCK_FILL, timed, seeds=len(seeds), steps=steps, sampler="ddim")
        del pipeline
    backbone = _ours(case)
    meter.fresh()
    _fill(case, backbone, SampleConfig(sampler="ddim", steps=2), case.seeds)
    for sampler, count in case.fills:
        name = f"ours, {case.seeds} seeds x {count} steps"
        if report.late(name):
            continue
        config = SampleConfig(sampler=sampler, steps=count)
        meter.fresh()
        timed = meter.time(partial(_fill, case, backbone, config, case.seeds), warm=0, calls=1, until=report.until)
        _row(report, name, timed, seeds=case.seeds, steps=count, sampler=sampler)


def vae_section(case: Case, report: Report) -> None:
    """The autoencoder both ways, one picture and several at once."""
    meter, backbone, several = Meter(case.device), case.backbone(), max(case.batches)
    pixels = torch.rand(several, 3, case.fit.height, case.fit.width) * 2 - 1
    latents = torch.randn(several, backbone.spec.latent_channels, *(s // case.cell for s in pixels.shape[-2:]))
    pixels, latents = pixels.to(backbone.device), latents.to(backbone.device)
    for name, call, given in (("encode", backbone.encode, pixels), ("decode", backbone.decode, latents)):
        for count in (1, several):
            if report.late(f"{name} {count}"):
                continue
            meter.fresh()
            part = given[:count]
            timed = meter.time(partial(call, part), warm=2, calls=min(12, case.calls), until=report.until)
            report.add(f"{name} {count}", timed, ms_a_picture=timed.seconds * 1000 / count)


def _row(report: Report, name: str, timed: Timed, *, seeds: int, steps: int, sampler: str) -> None:
    """`ms_a_step`: of one seed, encoding and decoding spread over the steps."""
    a_step = timed.seconds * 1000 / seeds / steps
    report.add(name, timed, seeds=seeds, steps=steps, sampler=sampler, ms_a_step=a_step)


def _fill(case: Case, backbone: Backbone, config: SampleConfig, count: int) -> None:
    for _ in sample.sample(backbone, case.scene, case.fit, config, prompt=PROMPT, seeds=range(count)):
        pass


def _same_pictures(case: Case, report: Report) -> None:
    """Our pictures beside the plain path's in fp32, for the same seeds and the same adapter."""
    pipeline, seen = _stock(case), sampling_input(case.scene, case.fit)
    plain = stock_loop.fill(pipeline, seen, PROMPT, seeds=SAME_SEEDS, steps=SAME_STEPS).cpu()
    del pipeline
    config = SampleConfig(sampler="ddim", steps=SAME_STEPS)
    for dtype in dict.fromkeys((torch.float32, case.dtype)):
        backbone = _ours(case, dtype)
        found = sample.sample(backbone, case.scene, case.fit, config, prompt=PROMPT, seeds=SAME_SEEDS)
        ours = torch.stack([torch.from_numpy(one.photo).permute(2, 0, 1) / 127.5 - 1 for one in found])
        report.check(f"pictures, {str(dtype).removeprefix('torch.')}", relative(ours, plain), LIMITS[dtype][2])


def _ours(case: Case, dtype: torch.dtype | None = None) -> Backbone:
    """Our backbone with an adapter that says something."""
    backbone = case.backbone(dtype)
    attach_adapters(backbone, case.preset.train, seed=SEED)
    for name, value in adapter_parameters(backbone).items():
        if "lora_B" in name:
            value.data.copy_(_loud(value))
    return backbone


def _stock(case: Case) -> StableDiffusionInpaintPipeline:
    """The baseline's pipeline with the same adapter."""
    own = _ours(case, torch.float32)
    adapter = {name: value.detach().clone() for name, value in adapter_parameters(own).items()}
    del own
    pipeline = case.pipeline(torch.float32)
    for name in stock_loop.NETWORKS:
        stock_loop.attach(getattr(pipeline, name), name, case.preset.train, adapter)
    return pipeline


def _loud(value: Tensor) -> Tensor:
    """Random values of a tensor's shape, the same ones for a shape every time."""
    return torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel())) * _LOUD
