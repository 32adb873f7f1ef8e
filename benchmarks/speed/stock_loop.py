"""The baseline: the training and filling loops of public code for the paper, written here as plainly as they are.

Training: weights in fp32 (or, as its option has it, frozen weights in bf16 under autocast); both the picture and
the masked picture go through the autoencoder for every item of every step; the text encoder runs on every item; PEFT's
default adapters in fp32; AdamW; the loss is read back every step. Filling: the same networks with the adapters beside
the weights, 16 pictures at once. Left out in its favour: its data loader, its validation, its progress images.

Only what does not change the time is this project's: items, noise, loss weights and the posterior's mode instead of
a sample of it, so that its losses and pictures can be laid beside ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionInpaintPipeline
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from torch import Tensor

from realfill import seeds
from realfill.config import TrainConfig
from realfill.models.backbone import Pictures
from realfill.training.batches import Batch, TrainingViews, draw_batch

NETWORKS = ("unet", "text_encoder")


class StockLoop:
    """One step after another on batches that are given."""

    def __init__(
        self,
        pipeline: StableDiffusionInpaintPipeline,
        config: TrainConfig,
        adapter: Mapping[str, Tensor],
        *,
        mixed: bool = False,
    ) -> None:
        """`adapter`: initial values by name (`unet.….lora_A.default.weight`); adapters sit where they are named."""
        self._pipeline, self._config, self._mixed = pipeline, config, mixed
        self.device = pipeline.unet.device
        self._schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        for name in NETWORKS:
            attach(getattr(pipeline, name), name, config, adapter)
        rates = {"unet": config.learning_rate_unet, "text_encoder": config.learning_rate_text}
        groups = [{"params": list(self.parameters(name).values()), "lr": rates[name]} for name in NETWORKS]
        self._trained = [value for name in NETWORKS for value in self.parameters(name).values()]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)

    def parameters(self, network: str) -> dict[str, Tensor]:
        """The adapter's tensors of one network by name."""
        named = getattr(self._pipeline, network).named_parameters()
        return {f"{network}.{name}": value for name, value in named if "lora_" in name}

    def step(self, batch: Batch, t: Tensor, noise: Tensor) -> float:
        """One optimisation step; its loss. The gradients stay on the parameters until the next step."""
        self._optimiser.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            loss = self._loss(batch, t.to(self.device), noise.to(self.device))
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._trained, self._config.clip_norm)
        self._optimiser.step()
        return float(loss.detach().item())

    def _loss(self, batch: Batch, t: Tensor, noise: Tensor) -> Tensor:
        pixels, hole, weight = (part.to(self.device) for part in (batch.pixels, batch.hole, batch.weight))
        clean = encode(self._pipeline, pixels)
        masked = encode(self._pipeline, torch.where(hole > 0.5, 0.0, pixels))
        latent_hole = F.interpolate(hole, clean.shape[-2:], mode="nearest")
        noisy = self._schedule.add_noise(clean, noise, t)
        inputs = torch.cat([noisy, latent_hole, masked], 1).to(self._pipeline.unet.dtype)
        prediction = self._pipeline.unet(inputs, t, embed_prompts(self._pipeline, batch.prompts)).sample.float()
        known = 1 - F.max_pool2d(1 - weight, pixels.shape[-1] // clean.shape[-1])
        error = known * (prediction - self._target(clean, noise, t)) ** 2
        return torch.as_tensor(error.sum((1, 2, 3)) / (known.sum((1, 2, 3)) * clean.shape[1])).mean()

    def _target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        kind = self._schedule.config.prediction_type
        return torch.as_tensor(self._schedule.get_velocity(clean, noise, t)) if kind == "v_prediction" else noise


def attach(network: Any, name: str, config: TrainConfig, adapter: Mapping[str, Tensor]) -> None:
    """PEFT's adapters with their default settings, in fp32, at the places and with the values that `adapter` names."""
    own = {key.removeprefix(f"{name}."): value for key, value in adapter.items() if key.startswith(f"{name}.")}
    places = sorted({key.split(".lora_")[0] for key in own})
    network.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=places))
    cast_training_params(network, dtype=torch.float32)
    parameters = {key: value for key, value in network.named_parameters() if "lora_" in key}
    with torch.no_grad():
        for key, value in parameters.items():
            value.copy_(own[key])


def encode(pipeline: StableDiffusionInpaintPipeline, pixels: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) → latents (B, c, h, w), all items at once, in float32."""
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels.to(pipeline.vae.dtype)).latent_dist.mode()
    return torch.as_tensor(latents.float() * pipeline.vae.config.scaling_factor)


def embed_prompts(pipeline: StableDiffusionInpaintPipeline, prompts: Sequence[str]) -> Tensor:
    """(B, tokens, width): every prompt through the text encoder, equal ones too."""
    tokens = pipeline.tokenizer(
        list(prompts),
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return torch.as_tensor(pipeline.text_encoder(tokens.input_ids.to(pipeline.unet.device))[0])


def training_inputs(
    views: TrainingViews, config: TrainConfig, *, seed: int, step: int, schedule: Any
) -> tuple[Batch, Tensor, Tensor]:
    """What our own training computes in a step: its items, times (B,) and noise (B, c, h, w)."""
    batch = draw_batch(views, config, seed=seed, step=step, indices=range(config.batch))
    height, width = views.height // views.cell, views.width // views.cell
    times, noises = [], []
    for index in range(config.batch):
        generator = torch.Generator().manual_seed(seeds.key(seed, seeds.Stream.NOISE, step, index))
        times.append(torch.randint(schedule.config.num_train_timesteps, (1,), generator=generator))
        noises.append(torch.randn(1, 4, height, width, generator=generator))
    return batch, torch.cat(times), torch.cat(noises)


@torch.no_grad()
def fill(
    pipeline: StableDiffusionInpaintPipeline,
    seen: Pictures,
    prompt: str,
    *,
    seeds: Sequence[int],
    steps: int,
) -> Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] for the seeds, all at once, by DDIM without guidance.

    Args:
        seen: the one target.
    """
    device, count = pipeline.unet.device, len(seeds)
    pixels, hole = seen.pixels.to(device), seen.hole.to(device)
    masked = encode(pipeline, torch.where(hole > 0.5, 0.0, pixels)).expand(count, -1, -1, -1)
    latent_hole = F.interpolate(hole, masked.shape[-2:], mode="nearest").expand(count, -1, -1, -1)
    prompts = embed_prompts(pipeline, [prompt] * count)
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing", clip_sample=False)
    scheduler.set_timesteps(steps)
    first = [torch.randn(masked.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    latents = torch.stack(first).to(device) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        inputs = torch.cat([latents, latent_hole, masked], 1).to(pipeline.unet.dtype)
        prediction = pipeline.unet(inputs, t, prompts).sample.float()
        latents = scheduler.step(prediction, t, latents).prev_sample
    decoded = pipeline.vae.decode((latents / pipeline.vae.config.scaling_factor).to(pipeline.vae.dtype))
    return torch.as_tensor(decoded.sample.float().clamp(-1, 1))
