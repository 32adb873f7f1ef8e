"""An autoencoder under a memory plan: a few pictures at once, parked between uses, in its own precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from realfill.device.memory_plan import MemoryPlan
from realfill.models.fast.switch import use_fast
from realfill.models.fast.unet import speed_up


def autocast_to(dtype: torch.dtype, stored: torch.dtype, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast, where products are computed in another precision than weights are stored in."""
    return nullcontext() if dtype == stored else torch.autocast(device.type, dtype)


def fastest_layout(device: torch.device) -> torch.memory_format:
    """What convolutions are quickest in: channels last on processors and on CUDA."""
    return torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format


class Autoencoder:
    """Drives a diffusers autoencoder; latents are its own, before any family scales them."""

    def __init__(self, vae: Any, *, dtype: torch.dtype) -> None:
        """`vae`: on its device, frozen; `dtype`: what products are computed in."""
        self._vae, self._stored, self._dtype = vae, vae.dtype, dtype
        self._device: torch.device = vae.device
        self._layout = fastest_layout(self._device)
        vae.to(memory_format=self._layout)
        if self._device.type == "cpu" and use_fast():
            speed_up(vae)
        self._plan: MemoryPlan | None = None
        self._may_park = False  # whether it may be on the device, all of it or some

    @property
    def cell(self) -> int:
        """Pixels per latent cell."""
        return int(2 ** (len(self._vae.config.block_out_channels) - 1))

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] → (B, c, h, w) float32: the posterior's mode."""
        pixels = pixels.to(self._device, self._stored, memory_format=self._layout)
        pieces = torch.split(pixels, self._plan.pictures if self._plan else len(pixels))
        vae = self._on_device()
        with autocast_to(self._dtype, self._stored, self._device):
            latents = torch.cat([vae.encode(piece).latent_dist.mode() for piece in pieces]).float()
        return latents.contiguous()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(B, c, h, w) → (B, 3, H, W) float32, clamped to [-1, 1]."""
        latents = latents.to(self._device, self._stored, memory_format=self._layout)
        with autocast_to(self._dtype, self._stored, self._device):
            pixels: Tensor = self._on_device().decode(latents).sample.float().clamp(-1, 1)
        return pixels.contiguous()

    def use_plan(self, plan: MemoryPlan | None) -> None:
        """See `Backbone.use_plan`."""
        self._plan, self._may_park = plan, True
        self.park()  # the way back waits until it is used: when memory has run out it might fail

    def _on_device(self) -> Any:
        self._may_park = True
        if any(weight.device != self._device for weight in self._vae.parameters()):  # all: memory may run out midway
            self._vae.to(self._device)
        return self._vae

    def park(self) -> None:
        """Moves it off the device, where the plan says so; using it brings it back.

        To be called when the denoiser needs the room, and not after each use: pictures in a row share one journey.
        """
        if self._may_park and self._plan is not None and self._plan.parked and self._device.type != "cpu":
            self._vae.to("cpu")
            self._may_park = False


def recompute_activations(network: Any, plan: MemoryPlan | None) -> None:
    """Switches a network's gradient checkpointing as the plan says."""
    if plan is not None and plan.recompute:
        network.enable_gradient_checkpointing()
    else:
        network.disable_gradient_checkpointing()
