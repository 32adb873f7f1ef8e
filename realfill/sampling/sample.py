"""Filling the hole (§3.4): one generator for each seed, so that seed 17 is the same picture in any batch."""

import dataclasses
import inspect
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from realfill.arrays import Photo
from realfill.config import Config, SampleConfig
from realfill.device.memory_plan import MemoryPlan
from realfill.imaging.crop import CropTransform
from realfill.imaging.fill import fill_from_known
from realfill.models.backbone import Backbone, Condition
from realfill.models.fast.lanes import map_parallel, split_lanes
from realfill.models.lora import merge_adapters
from realfill.models.out_of_memory import MemoryBudget, plan_memory
from realfill.models.pixels import to_photo, to_tensors
from realfill.sampling.draft_prior import (
    DraftPrior,
    DraftStart,
    hold_to_draft,
    make_start,
    prior_condition,
    split_seeds,
)
from realfill.scene.scene import Scene


@dataclass(frozen=True)
class Candidate:
    """A seed and what it makes of the working-size target: (H, W, 3), not yet composited."""

    seed: int
    photo: Photo


def sample(
    backbone: Backbone,
    scene: Scene,
    crop: CropTransform,
    config: SampleConfig,
    *,
    prompt: str,
    seeds: Sequence[int],
    priors: Sequence[DraftPrior] = (),
    budget: MemoryBudget | None = None,
) -> Generator[Candidate, None, None]:
    """Generate the target at working size for each seed; in batches, yielded one by one.

    The condition is encoded once a scene (its masked image by the posterior's mode).

    Args:
        crop: the working area of the target.
        priors: the draft's proposals at working size; a share `config.warm` of the seeds start from them in turn, after
            the others.
        budget: the memory plan; None chooses one from the memory that is free.

    Raises:
        OutOfMemory: the smallest memory plan is still too much for the device.
    """
    budget = budget or plan_memory(backbone, crop, Config(base=backbone.spec.name, sample=config))
    backbone.use_plan(budget.plan)
    sampler = Sampler(backbone, config, budget)
    from_noise, from_prior = split_seeds(seeds, priors)
    if from_noise:
        yield from sampler.generate(sampler.encode(sampling_input(scene, crop), prompt), from_noise)
    for prior, begun in zip(priors, from_prior, strict=True):
        if not begun:
            continue
        conditions = sampler.encode(prior_condition(prior), prompt)
        start = _make_start(backbone, prior, budget)
        for candidate in sampler.generate(dataclasses.replace(conditions, start=start), begun):
            yield dataclasses.replace(candidate, photo=hold_to_draft(candidate.photo, prior))


def _make_start(backbone: Backbone, prior: DraftPrior, budget: MemoryBudget) -> DraftStart:
    return budget.run(backbone, "coding", lambda _: make_start(prior, backbone))


@dataclass(frozen=True, eq=False)
class Conditions:
    """What all seeds of a kind share."""

    prompted: Condition
    unprompted: Condition | None  # for classifier-free guidance
    start: DraftStart | None = None  # None: they start from pure noise


@dataclass(frozen=True, eq=False)
class Sampler:
    """What all seeds of a call share."""

    backbone: Backbone
    config: SampleConfig
    budget: MemoryBudget

    @torch.no_grad()
    def encode(self, inputs: tuple[Tensor, Tensor], prompt: str) -> Conditions:
        """The target as the network sees it, pixels (1, 3, H, W) and hole (1, 1, H, W), encoded with its prompt."""
        pixels, hole = (part.to(self.backbone.device) for part in inputs)

        def condition(text: str) -> Condition:
            return self.budget.run(self.backbone, "coding", lambda _: self.backbone.condition(pixels, hole, [text]))

        return Conditions(condition(prompt), condition("") if self.config.guidance != 1.0 else None)

    def generate(self, conditions: Conditions, seeds: Sequence[int]) -> Iterator[Candidate]:
        """Candidates of one kind, in the order of their seeds, as many at once as the memory plan says."""
        while seeds:
            latents = self.budget.run(self.backbone, "filling", partial(self._denoise, conditions, seeds))
            group, seeds = seeds[: len(latents)], seeds[len(latents) :]
            yield from map(Candidate, group, self._decode(latents))

    def _denoise(self, conditions: Conditions, seeds: Sequence[int], plan: MemoryPlan) -> Tensor:
        """Denoised latents (B, c, h, w) of the first few seeds."""
        group = seeds[: min(plan.seeds, self.config.batch or plan.seeds)]
        lanes = [group[lane] for lane in split_lanes(self.backbone.device, len(group))]
        with merge_adapters(self.backbone):
            return torch.cat(map_parallel(partial(denoise, self.backbone, self.config, conditions), lanes))

    def _decode(self, latents: Tensor) -> Iterator[Photo]:
        """The pictures (H, W, 3) of latents (B, c, h, w), a few at once."""
        while len(latents):
            pixels = self.budget.run(self.backbone, "coding", partial(self._decode_first, latents))
            latents = latents[len(pixels) :]
            yield from map(to_photo, pixels)

    def _decode_first(self, latents: Tensor, plan: MemoryPlan) -> Tensor:
        """Pixels (B, 3, H, W) of as many latents as the plan decodes at once."""
        return self.backbone.decode(latents[: plan.pictures])


@torch.no_grad()
def denoise(backbone: Backbone, config: SampleConfig, conditions: Conditions, seeds: Sequence[int]) -> Tensor:
    """Latents (B, c, h, w) of a group of seeds, by the solver's steps from pure noise or from the noised draft."""
    solver, start = backbone.process.solver(config.sampler, config.steps), conditions.start
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = (len(seeds), *conditions.prompted.masked.shape[1:])
    noise: Tensor = randn_tensor(shape, generator=generators, device=backbone.device)
    latents, times = noise * solver.init_noise_sigma, solver.timesteps
    if start is not None:
        times = start.times(times, backbone.process.train_steps)
        latents = start.hold(latents, noise_draft(backbone, start, noise, times[0]), 1.0)
    extra = step_arguments(solver, generators)
    for t in times:
        if start is not None:
            share = float(t) / backbone.process.train_steps
            latents = start.hold(latents, noise_draft(backbone, start, noise, t), share)
        prediction = predict_guided(
            backbone, solver.scale_model_input(latents, t), t, conditions, guidance=config.guidance
        )
        latents = solver.step(prediction, t, latents, **extra).prev_sample
    result: Tensor = latents
    return result


def predict_guided(backbone: Backbone, noisy: Tensor, t: Tensor, conditions: Conditions, *, guidance: float) -> Tensor:
    """The prediction (B, c, h, w), away from the one without a prompt where there is classifier-free guidance."""
    prediction = backbone.predict(noisy, t, conditions.prompted.repeat(len(noisy)))
    if conditions.unprompted is None:
        return prediction
    unprompted = backbone.predict(noisy, t, conditions.unprompted.repeat(len(noisy)))
    return unprompted + guidance * (prediction - unprompted)


def step_arguments(solver: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    """What `solver.step` takes beside the usual, asked as diffusers' pipelines ask (`prepare_extra_step_kwargs`)."""
    return {"generator": generators} if "generator" in inspect.signature(solver.step).parameters else {}


def noise_draft(backbone: Backbone, start: DraftStart, noise: Tensor, t: Tensor) -> Tensor:
    """The draft's latents at time t, for every seed's noise (B, c, h, w)."""
    return backbone.process.add_noise(start.clean, noise, t.reshape(1))[0]


def sampling_input(scene: Scene, crop: CropTransform) -> tuple[Tensor, Tensor]:
    """The target as sampling sees it: pixels (1, 3, H, W) in [-1, 1] and hole (1, 1, H, W) of 0 and 1."""
    # Resizing reaches beyond a pixel's own footprint: without the fill, paint in the hole would tint its rim.
    return to_tensors(crop.crop_photo(fill_from_known(scene.target, scene.hole)), crop.crop_hole(scene.hole))
