"""Filling the hole (§3.4): one generator for each seed, so that seed 17 is the same picture in any batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from realfill.backbones import Backbone, Condition
from realfill.batches import sampling_input
from realfill.config import SampleConfig
from realfill.errors import OutOfMemory
from realfill.images import Fit, Photo
from realfill.scene import Scene


@dataclass(frozen=True)
class Candidate:
    """A seed and what it makes of the working-size target: (H, W, 3), not yet composited."""

    seed: int
    photo: Photo


def sample(
    backbone: Backbone, scene: Scene, fit: Fit, config: SampleConfig, *, prompt: str, seeds: Sequence[int]
) -> Iterator[Candidate]:
    """Generate the target at working size for each seed, in their order; in batches, yielded one by one.

    The condition is encoded once a scene (its masked image by the posterior's mode).

    Raises:
        OutOfMemory: one seed at a time is still too much for the device.
    """
    with torch.no_grad():
        pixels, hole = (part.to(backbone.device) for part in sampling_input(scene, fit))
        condition = backbone.condition(pixels, hole, [prompt])
        blank = backbone.condition(pixels, hole, [""]) if config.guidance != 1.0 else None
    waiting = list(seeds)
    batch = config.batch or batch_size(backbone, fit)
    while waiting:
        group = waiting[:batch]
        try:
            photos = _photos(_denoise(backbone, config, condition, blank, group), backbone)
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
def _denoise(
    backbone: Backbone, config: SampleConfig, condition: Condition, blank: Condition | None, group: Sequence[int]
) -> Tensor:
    """Latents (B, c, h, w) of a group of seeds, by the solver's steps from pure noise."""
    solver = backbone.process.solver(config.sampler, config.steps)
    generators = [torch.Generator().manual_seed(seed) for seed in group]
    shape = (len(group), *condition.masked.shape[1:])
    latents: Tensor = randn_tensor(shape, generator=generators, device=backbone.device) * solver.init_noise_sigma
    takes_generator = {"generator": generators} if config.sampler != "dpm++" else {}
    for t in solver.timesteps:
        noisy = solver.scale_model_input(latents, t)
        prediction = backbone.predict(noisy, t, condition.repeat(len(group)))
        if blank is not None:
            without = backbone.predict(noisy, t, blank.repeat(len(group)))
            prediction = without + config.guidance * (prediction - without)
        latents = solver.step(prediction, t, latents, **takes_generator).prev_sample
    return latents


def _photos(latents: Tensor, backbone: Backbone) -> list[Photo]:
    """Decode one at a time: the autoencoder needs far more memory than a denoising step."""
    pictures = [backbone.decode(latent[None])[0] for latent in latents]
    return [np.rint((picture.permute(1, 2, 0).cpu().numpy() + 1) * 127.5).astype(np.uint8) for picture in pictures]


def batch_size(backbone: Backbone, fit: Fit) -> int:
    """How many seeds to make at once: a share of the free memory on CUDA, eight elsewhere."""
    if backbone.device.type != "cuda":
        return 8
    free, _ = torch.cuda.mem_get_info(backbone.device)
    megapixels = fit.width * fit.height / 1e6
    return int(min(64, max(1, 0.7 * free / (1.6e9 * megapixels))))  # about 0.4 GB a 512 px seed in bf16
