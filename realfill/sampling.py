"""Filling the hole (§3.4): one generator for each seed, so that seed 17 is the same picture in any batch."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from realfill import guidance
from realfill.backbones import Backbone, Condition
from realfill.batches import sampling_input
from realfill.config import SampleConfig
from realfill.errors import OutOfMemory
from realfill.guidance import Guidance, Start
from realfill.images import Fit, Photo
from realfill.scene import Scene


@dataclass(frozen=True)
class Candidate:
    """A seed and what it makes of the working-size target: (H, W, 3), not yet composited."""

    seed: int
    photo: Photo


def sample(
    backbone: Backbone,
    scene: Scene,
    fit: Fit,
    config: SampleConfig,
    *,
    prompt: str,
    seeds: Sequence[int],
    given: Guidance | None = None,
) -> Iterator[Candidate]:
    """Generate the target at working size for each seed; in batches, yielded one by one.

    The condition is encoded once a scene (its masked image by the posterior's mode).

    Args:
        given: the draft at working size; a share `given.config.warm` of the seeds start from it, after the others.

    Raises:
        OutOfMemory: one seed at a time is still too much for the device.
    """
    cold, warm = guidance.parted(seeds, given)
    if cold:
        yield from _generate(backbone, config, _task(backbone, sampling_input(scene, fit), config, prompt), cold)
    if warm and given is not None:
        task = _task(backbone, guidance.shown(given), config, prompt)
        task = dataclasses.replace(task, start=guidance.start(given, backbone))
        for candidate in _generate(backbone, config, task, warm):
            yield dataclasses.replace(candidate, photo=guidance.held(candidate.photo, given))


@dataclass(frozen=True, eq=False)
class _Task:
    """What all seeds of a kind share."""

    condition: Condition
    blank: Condition | None  # for classifier-free guidance
    start: Start | None = None


@torch.no_grad()
def _task(backbone: Backbone, seen: tuple[Tensor, Tensor], config: SampleConfig, prompt: str) -> _Task:
    pixels, hole = (part.to(backbone.device) for part in seen)
    blank = backbone.condition(pixels, hole, [""]) if config.guidance != 1.0 else None
    return _Task(backbone.condition(pixels, hole, [prompt]), blank)


def _generate(backbone: Backbone, config: SampleConfig, task: _Task, seeds: Sequence[int]) -> Iterator[Candidate]:
    """Candidates of one kind, in the order of their seeds; out of memory halves the batch."""
    waiting = list(seeds)
    height, width = (side * backbone.spec.cell for side in task.condition.masked.shape[-2:])
    batch = config.batch or batch_size(backbone, height=height, width=width)
    while waiting:
        group = waiting[:batch]
        try:
            photos = _photos(_denoise(backbone, config, task, group), backbone)
        except torch.OutOfMemoryError as error:
            if batch == 1:
                raise OutOfMemory(
                    "The device has too little memory for a single seed; set fit.size lower or take another device."
                ) from error
            batch, photos = max(1, len(group) // 2), []
        if not photos:
            if backbone.device.type == "cuda":  # only here: until now the error held on to the tensors of its frames
                torch.cuda.empty_cache()
            continue
        waiting = waiting[len(group) :]
        yield from (Candidate(seed, photo) for seed, photo in zip(group, photos, strict=True))


@torch.no_grad()
def _denoise(backbone: Backbone, config: SampleConfig, task: _Task, group: Sequence[int]) -> Tensor:
    """Latents (B, c, h, w) of a group of seeds, by the solver's steps from pure noise or from the noised draft."""
    condition, blank, start = task.condition, task.blank, task.start
    solver = backbone.process.solver(config.sampler, config.steps)
    generators = [torch.Generator().manual_seed(seed) for seed in group]
    shape = (len(group), *condition.masked.shape[1:])
    noise: Tensor = randn_tensor(shape, generator=generators, device=backbone.device)
    latents, times = noise * solver.init_noise_sigma, solver.timesteps
    if start is not None:
        times = start.times(times, backbone.process.train_steps)
        latents = start.hold(latents, _noised(backbone, start, noise, times[0]), 1.0)
    takes_generator = {"generator": generators} if config.sampler != "dpm++" else {}
    for t in times:
        if start is not None:
            share = float(t) / backbone.process.train_steps
            latents = start.hold(latents, _noised(backbone, start, noise, t), share)
        noisy = solver.scale_model_input(latents, t)
        prediction = backbone.predict(noisy, t, condition.repeat(len(group)))
        if blank is not None:
            without = backbone.predict(noisy, t, blank.repeat(len(group)))
            prediction = without + config.guidance * (prediction - without)
        latents = solver.step(prediction, t, latents, **takes_generator).prev_sample
    filled: Tensor = latents
    return filled


def _noised(backbone: Backbone, start: Start, noise: Tensor, t: Tensor) -> Tensor:
    """The draft's latents at time t, for every seed's noise (B, c, h, w)."""
    return backbone.process.corrupt(start.clean, noise, t.reshape(1))[0]


def _photos(latents: Tensor, backbone: Backbone) -> list[Photo]:
    """Decode one at a time: the autoencoder needs far more memory than a denoising step."""
    pictures = [backbone.decode(latent[None])[0] for latent in latents]
    return [np.rint((picture.permute(1, 2, 0).cpu().numpy() + 1) * 127.5).astype(np.uint8) for picture in pictures]


def batch_size(backbone: Backbone, *, height: int, width: int) -> int:
    """How many seeds to make at once: a share of the free memory on CUDA, eight elsewhere."""
    if backbone.device.type != "cuda":
        return 8
    free, _ = torch.cuda.mem_get_info(backbone.device)
    megapixels = width * height / 1e6
    return int(min(64, max(1, 0.7 * free / (1.6e9 * megapixels))))  # about 0.4 GB a 512 px seed in bf16
