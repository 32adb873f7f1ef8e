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
    train_steps: int

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents at times t and what the network should predict there; all (B, c, h, w), t (B,)."""
        ...

    def solver(self, name: SamplerName, steps: int) -> Any:
        """A fresh diffusers scheduler, its timesteps set: `timesteps`, `scale_model_input`, `step`."""
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

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t of §3.1 and the regression target of the base's prediction type: noise, velocity or sample."""
        noisy = self._forward.add_noise(clean, noise, t)
        if self.prediction_type == "epsilon":
            return noisy, noise
        if self.prediction_type == "sample":
            return noisy, clean
        return noisy, self._forward.get_velocity(clean, noise, t)

    def solver(self, name: SamplerName, steps: int) -> Any:
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
