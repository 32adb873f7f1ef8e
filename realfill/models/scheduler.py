"""The diffusion process, apart from any network: add noise for training, solve for sampling.

All arithmetic is diffusers' schedulers'; what is decided here is which one, and with which settings.
A new sampler is a line in `SAMPLERS` and in `FlowMatch.solver`, and its name in `config.SamplerName`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    SchedulerMixin,
)
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
        """Times (count,) spread evenly, ascending, none at an end."""
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
                "The base predicts '{prediction_type}'; known are {known}. Take another base.",
                prediction_type=self.prediction_type,
                known=", ".join(PREDICTION_TYPES),
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


class FlowMatch:
    """Rectified flow: x_t = (1 − σ) x + σ ε, and the network predicts the velocity ε − x (Stable Diffusion 3, §2).

    Times are diffusers': t = 1000 σ, continuous in training.
    """

    prediction_type = "flow_prediction"

    def __init__(self, config: Mapping[str, Any], shift: Callable[[int, int], float]) -> None:
        """`shift`: μ by which the base's pipeline shifts a schedule of (cells of a picture, steps)."""
        self._config, self._shift = dict(config), shift
        self.train_steps = int(config.get("num_train_timesteps", 1000))

    def draw_time(self, generator: torch.Generator, low_noise: float = 1.0) -> Tensor:
        """See `NoiseProcess.draw_time`; uniform in σ, as diffusers' and PEFT's training scripts draw it."""
        sigma = torch.rand(1, generator=generator).clamp(1e-4, 1 - 1e-4)
        return sigma**low_noise * self.train_steps

    def spread_times(self, count: int) -> Tensor:
        """See `NoiseProcess.spread_times`."""
        return torch.linspace(0, self.train_steps, 2 * count + 1)[1::2]

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and the velocity ε − x."""
        sigma = (t.to(clean.device, clean.dtype) / self.train_steps).view(-1, 1, 1, 1)
        return (1 - sigma) * clean + sigma * noise, noise - clean

    def solver(self, name: SamplerName, steps: int, cells: int = 0) -> Any:
        """See `NoiseProcess.solver`: `ddim` is Euler's method, `ddpm` draws new noise after every step of it."""
        mu = self._shift(cells, steps) if self._config.get("use_dynamic_shifting") else None
        if name == "dpm++":
            flow_shift = math.exp(mu) if mu is not None else float(self._config.get("shift", 1.0))
            solver = DPMSolverMultistepScheduler(
                num_train_timesteps=self.train_steps,
                prediction_type=self.prediction_type,
                use_flow_sigmas=True,
                flow_shift=flow_shift,
            )
            solver.set_timesteps(steps)
            solver.timesteps = solver.sigmas[:-1] * self.train_steps  # diffusers cuts them to whole numbers
            return solver
        stochastic = name == "ddpm"
        euler: Any = FlowMatchEulerDiscreteScheduler.from_config(self._config, stochastic_sampling=stochastic)
        # the sigmas and the shift that the stock pipelines give
        euler.set_timesteps(sigmas=torch.linspace(1.0, 1 / steps, steps, dtype=torch.float64).tolist(), mu=mu)
        return euler

    def initial_latents(self, solver: Any, noise: Tensor) -> Tensor:
        """See `NoiseProcess.initial_latents`."""
        return noise

    def model_input(self, solver: Any, latents: Tensor, t: Tensor) -> Tensor:
        """See `NoiseProcess.model_input`."""
        return latents
