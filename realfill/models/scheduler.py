"""The diffusion process, apart from any network: add noise for training, solve for sampling.

All arithmetic is diffusers' schedulers'; what is decided here is which one, and with which settings.
A new sampler is a line in `SAMPLERS` and its name in `config.SamplerName`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, SchedulerMixin
from torch import Tensor

from realfill.config import SamplerName
from realfill.errors import WeightsError

# Public configs ship settings that silently cost quality: leading spacing starts 200 steps at t = 995, and
# clipping clamps latents as if they were pixels.
_SAMPLING = {"timestep_spacing": "trailing", "clip_sample": False}
# `ddpm`: ancestral, as the paper; `ddim`: deterministic; `dpm++`: DPM-Solver++ of order 2.
SAMPLERS: Mapping[SamplerName, type[SchedulerMixin]] = {
    "ddpm": DDPMScheduler,
    "ddim": DDIMScheduler,
    "dpm++": DPMSolverMultistepScheduler,
}
PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")


class NoiseProcess(Protocol):
    """What training and sampling need to know of a diffusion process."""

    prediction_type: str
    train_steps: int  # times run from 0, the clean picture, to this

    def draw_time(self, generator: torch.Generator, low_noise: float = 1.0) -> Tensor:
        """A time (1,) to train at; uniform, or with `low_noise` above 1 rarer where there is much noise."""
        ...

    def spread_times(self, count: int) -> Tensor:
        """Times (count,) spread evenly, none at an end."""
        ...

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents at times t and what the network should predict there; all (B, c, h, w), t (B,)."""
        ...

    def solver(self, name: SamplerName, steps: int, cells: int = 0) -> Any:
        """A fresh diffusers scheduler, its timesteps set: `timesteps` and `step`.

        Args:
            cells: latent cells of a picture, where the schedule depends on its size.
        """
        ...

    def initial_latents(self, solver: Any, noise: Tensor) -> Tensor:
        """Where a solver begins, from standard normal noise (B, c, h, w)."""
        ...

    def model_input(self, solver: Any, latents: Tensor, t: Tensor) -> Tensor:
        """Latents as the network takes them at time t."""
        ...


class DDPM:
    """The variance-preserving process of DDPM, with the base's own schedule and prediction type."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.prediction_type = str(config.get("prediction_type", "epsilon"))
        if self.prediction_type not in PREDICTION_TYPES:
            raise WeightsError(
                f"The base predicts '{self.prediction_type}'; known are {', '.join(PREDICTION_TYPES)}. "
                "Take another base."
            )
        self._config = dict(config)
        self._forward: DDPMScheduler = DDPMScheduler.from_config(self._config)
        self.train_steps = int(self._forward.config.num_train_timesteps)

    def draw_time(self, generator: torch.Generator, low_noise: float = 1.0) -> Tensor:
        """See `NoiseProcess.draw_time`; whole steps."""
        if low_noise == 1:
            return torch.randint(self.train_steps, (1,), generator=generator)
        return (torch.rand(1, generator=generator) ** low_noise * self.train_steps).long()

    def spread_times(self, count: int) -> Tensor:
        """See `NoiseProcess.spread_times`."""
        return torch.linspace(0, self.train_steps, 2 * count + 1)[1::2].long()

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t of §3.1 and the regression target of the base's prediction type: noise, velocity or sample."""
        noisy = self._forward.add_noise(clean, noise, t)
        if self.prediction_type == "epsilon":
            return noisy, noise
        if self.prediction_type == "sample":
            return noisy, clean
        return noisy, self._forward.get_velocity(clean, noise, t)

    def solver(self, name: SamplerName, steps: int, cells: int = 0) -> Any:
        """See `NoiseProcess.solver`."""
        scheduler: Any = SAMPLERS[name]
        solver = scheduler.from_config(self._config, **_SAMPLING)
        solver.set_timesteps(steps)
        if len(solver.timesteps) > steps:
            # The trailing grid is counted in floats: for 61, 103, 121 and 122 steps it has one more, at t = -1.
            solver.timesteps = solver.timesteps[:steps]
            if hasattr(solver, "sigmas"):
                solver.sigmas = torch.cat([solver.sigmas[:steps], solver.sigmas[-1:]])
        return solver

    def initial_latents(self, solver: Any, noise: Tensor) -> Tensor:
        """See `NoiseProcess.initial_latents`."""
        return torch.as_tensor(noise * solver.init_noise_sigma)

    def model_input(self, solver: Any, latents: Tensor, t: Tensor) -> Tensor:
        """See `NoiseProcess.model_input`."""
        return torch.as_tensor(solver.scale_model_input(latents, t))
