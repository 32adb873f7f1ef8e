"""The diffusion process: schedules, prediction types, and where solvers start and end."""

import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler
from torch import Tensor

from realfill.config import SamplerName
from realfill.errors import WeightsError
from realfill.models.scheduler import DDPM, PREDICTION_TYPES, SAMPLERS, FlowMatch
from tools.mini import architecture

NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
KNOWING = ("v_prediction", "sample")
SHAPE = (2, 4, 5, 6)


def plain(prediction_type: str) -> Mapping[str, Any]:
    """Stable Diffusion's schedule as its bases ship it: leading spacing, another solver's class."""
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
        prediction_type="epsilon",
    )
    return {**scheduler.config, "prediction_type": prediction_type, "clip_sample": True}


def mini(prediction_type: str = "v_prediction") -> Mapping[str, Any]:
    return {**architecture.scheduler().config, "prediction_type": prediction_type}


def products(*, zero_snr: bool = False) -> Tensor:
    """ᾱ of every step, by hand (DDPM §2; Lin et al. 2023, algorithm 1)."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    roots = np.sqrt(np.cumprod(1 - betas))
    if zero_snr:
        roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return torch.from_numpy(roots**2).float()


def draw() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)


def wanted(kind: str, clean: Tensor, noise: Tensor, product: Tensor) -> Tensor:
    a, s = product.sqrt(), (1 - product).sqrt()
    return {"epsilon": noise, "sample": clean, "v_prediction": a * noise - s * clean}[kind]


def test_every_sampler_of_the_settings_has_its_scheduler() -> None:
    assert set(SAMPLERS) == set(NAMES)


@pytest.mark.parametrize("kind", PREDICTION_TYPES)
@pytest.mark.parametrize("base", [plain, mini])
def test_corrupt_is_the_closed_form(kind: str, base: Callable[[str], Mapping[str, Any]]) -> None:
    clean, noise = draw()
    t = torch.tensor([0, 640])
    product = products(zero_snr=base is mini)[t].reshape(2, 1, 1, 1)
    noisy, target = DDPM(base(kind)).add_noise(clean, noise, t)
    torch.testing.assert_close(noisy, product.sqrt() * clean + (1 - product).sqrt() * noise, atol=1e-5, rtol=0)
    torch.testing.assert_close(target, wanted(kind, clean, noise, product), atol=1e-5, rtol=0)


def test_the_schedule_of_mini_ends_in_pure_noise() -> None:
    clean, noise = draw()
    noisy, target = DDPM(mini()).add_noise(clean, noise, torch.tensor([999, 999]))
    assert torch.equal(noisy, noise)
    torch.testing.assert_close(target, -clean)


@pytest.mark.parametrize("base", [plain("epsilon"), mini()], ids=["plain", "mini"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 20, 25, 61, 103, 121, 122, 200, 1000])
def test_every_sampler_starts_at_the_end_of_the_schedule(base: Any, name: SamplerName, steps: int) -> None:
    solver = DDPM(base).solver(name, steps)
    times = solver.timesteps.tolist()
    assert times[0] == 999
    assert len(times) == steps
    assert times == sorted(set(times), reverse=True)
    assert times[-1] >= 0
    assert float(solver.init_noise_sigma) == 1.0


# Noise at zero signal says nothing about the picture, so no base like mini can predict it.
@pytest.mark.parametrize(("base", "kind"), [*((plain, k) for k in PREDICTION_TYPES), *((mini, k) for k in KNOWING)])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [20, 61])
def test_solvers_find_what_a_perfect_network_knows(
    kind: str, base: Callable[[str], Mapping[str, Any]], name: SamplerName, steps: int
) -> None:
    clean, latents = draw()
    clean = 3 * clean  # latents go beyond ±1: a solver that clips them like pixels fails here
    schedule = products(zero_snr=base is mini)
    solver = DDPM(base(kind)).solver(name, steps)
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    extra = {} if name == "dpm++" else {"generator": generators}
    for t in solver.timesteps:
        product = schedule[t]
        noise = (latents - product.sqrt() * clean) / (1 - product).sqrt()
        latents = solver.step(wanted(kind, clean, noise, product), t, latents, **extra).prev_sample
    torch.testing.assert_close(latents, clean, atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_solvers_are_fresh_each_time(name: SamplerName) -> None:
    process = DDPM(mini())
    assert process.solver(name, 5) is not process.solver(name, 5)


def test_an_unknown_prediction_type_is_refused() -> None:
    with pytest.raises(WeightsError, match="flow"):
        DDPM({**mini(), "prediction_type": "flow"})


# ── rectified flow ──

SHIFTED = {"use_dynamic_shifting": True, "shift": 3.0, "base_shift": 0.5, "max_shift": 1.15}
FIXED = {"use_dynamic_shifting": False, "shift": 3.0}


def flow(settings: Mapping[str, Any] = SHIFTED) -> FlowMatch:
    return FlowMatch(settings, lambda cells, steps: 0.5 + cells / 1000 + steps / 100)


def test_a_flow_is_a_straight_line_and_its_target_the_way_along_it() -> None:
    clean, noise = draw()
    t = torch.tensor([250.0, 999.5])
    noisy, target = flow().add_noise(clean, noise, t)
    torch.testing.assert_close(noisy[0], 0.75 * clean[0] + 0.25 * noise[0])
    torch.testing.assert_close(noisy[1], 0.0005 * clean[1] + 0.9995 * noise[1])
    assert torch.equal(target, noise - clean)


@pytest.mark.parametrize("process", [DDPM(mini()), flow()], ids=["ddpm", "flow"])
def test_times_are_uniform_and_with_low_noise_little_noise_is_drawn_more_often(process: Any) -> None:
    def times(low_noise: float) -> Tensor:
        return torch.cat([process.draw_time(torch.Generator().manual_seed(key), low_noise) for key in range(2000)])

    uniform, low = times(1.0), times(2.0)
    assert float(uniform.min()) >= 0 and float(uniform.max()) < 1000
    assert float(uniform.double().mean()) == pytest.approx(500, abs=20)
    assert float(low.double().mean()) == pytest.approx(1000 / 3, abs=20)  # the mean of u²
    assert bool((low >= 0).all()) and bool((low < 1000).all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("settings", [SHIFTED, FIXED], ids=["shifted", "fixed"])
def test_solvers_of_a_flow_find_what_a_perfect_network_knows(name: SamplerName, settings: Mapping[str, Any]) -> None:
    clean, noise = draw()
    clean, process = 3 * clean, flow(settings)
    solver = process.solver(name, 12, 64)
    latents, generators = process.initial_latents(solver, noise), [torch.Generator().manual_seed(s) for s in range(2)]
    times = solver.timesteps.tolist()
    assert len(times) == 12 and times == sorted(set(times), reverse=True) and 990 < times[0] <= 1000
    for t in solver.timesteps:
        sigma = t / 1000
        velocity = (process.model_input(solver, latents, t) - clean) / sigma
        latents = solver.step(velocity, t, latents, generator=generators).prev_sample
    torch.testing.assert_close(latents, clean, atol=2e-2, rtol=0)


def test_a_flows_schedule_is_shifted_by_the_pictures_size_and_the_steps() -> None:
    def times(cells: int, steps: int) -> list[float]:
        return list(flow().solver("ddim", steps, cells).timesteps.tolist())

    mu = 0.5 + 0.064 + 0.04
    wanted = [math.exp(mu) / (math.exp(mu) + 1 / s - 1) * 1000 for s in (1.0, 0.75, 0.5, 0.25)]
    assert times(64, 4) == pytest.approx(wanted, rel=1e-5)
    assert all(one >= other for one, other in zip(times(900, 4), times(64, 4), strict=True))
    assert times(900, 4) != times(64, 4)
