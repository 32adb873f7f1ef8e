"""Filling the hole (§3.4): one generator for each seed, so that seed 17 is the same picture in any batch."""

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from realfill.arrays import Photo
from realfill.config import Config, SampleConfig
from realfill.device.memory_plan import MemoryPlan
from realfill.imaging.crop import CropTransform
from realfill.imaging.fill import fill_from_known
from realfill.models.backbone import Backbone, Condition
from realfill.models.fast.lanes import map_parallel
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
    fit: CropTransform,
    config: SampleConfig,
    *,
    prompt: str,
    seeds: Sequence[int],
    given: DraftPrior | None = None,
    within: MemoryBudget | None = None,
) -> Generator[Candidate, None, None]:
    """Generate the target at working size for each seed; in batches, yielded one by one.

    The condition is encoded once a scene (its masked image by the posterior's mode).

    Args:
        given: the draft at working size; a share `given.config.warm` of the seeds start from it, after the others.
        within: the memory plan; None chooses one from the memory that is free.

    Raises:
        OutOfMemory: the smallest memory plan is still too much for the device.
    """
    within = within or plan_memory(backbone, fit, Config(base=backbone.spec.name, sample=config))
    backbone.use_plan(within.plan)
    maker = Sampler(backbone, config, within)
    cold, warm = split_seeds(seeds, given)
    if cold:
        yield from maker.generate(maker.task(sampling_input(scene, fit), prompt), cold)
    if warm and given is not None:
        task = dataclasses.replace(
            maker.task(prior_condition(given), prompt),
            start=within.run(backbone, "coding", lambda _: make_start(given, backbone)),
        )
        for candidate in maker.generate(task, warm):
            yield dataclasses.replace(candidate, photo=hold_to_draft(candidate.photo, given))


@dataclass(frozen=True, eq=False)
class _Task:
    """What all seeds of a kind share."""

    condition: Condition
    blank: Condition | None  # for classifier-free guidance
    start: DraftStart | None = None


@dataclass(frozen=True, eq=False)
class Sampler:
    """What all seeds of a call share."""

    backbone: Backbone
    config: SampleConfig
    within: MemoryBudget

    @torch.no_grad()
    def task(self, seen: tuple[Tensor, Tensor], prompt: str) -> _Task:
        """The target as it is shown, (pixels, hole), encoded with its words."""
        pixels, hole = (part.to(self.backbone.device) for part in seen)

        def condition(words: str) -> Condition:
            return self.within.run(self.backbone, "coding", lambda _: self.backbone.condition(pixels, hole, [words]))

        return _Task(condition(prompt), condition("") if self.config.guidance != 1.0 else None)

    def generate(self, task: _Task, seeds: Sequence[int]) -> Iterator[Candidate]:
        """Candidates of one kind, in the order of their seeds, as many at once as the memory plan says."""
        while seeds:
            latents = self._latents(task, seeds)
            group, seeds = seeds[: len(latents)], seeds[len(latents) :]
            yield from map(Candidate, group, self._photos(latents))

    def _latents(self, task: _Task, seeds: Sequence[int]) -> Tensor:
        """Denoised latents (B, c, h, w) of the first few seeds."""

        def denoise(plan: MemoryPlan) -> Tensor:
            group = seeds[: min(plan.seeds, self.config.batch or plan.seeds)]
            with merge_adapters(self.backbone):
                made = map_parallel(
                    self.backbone.device,
                    len(group),
                    lambda start, stop: _denoise(self.backbone, self.config, task, group[start:stop]),
                )
                return torch.cat(made)

        return self.within.run(self.backbone, "filling", denoise)

    def _photos(self, latents: Tensor) -> Iterator[Photo]:
        """The pictures (H, W, 3) of latents (B, c, h, w)."""
        while len(latents):
            pictures = self._decoded(latents)
            latents = latents[len(pictures) :]
            yield from map(to_photo, pictures)

    def _decoded(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) of the first few latents."""
        return self.within.run(self.backbone, "coding", lambda plan: self.backbone.decode(latents[: plan.pictures]))


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


def _noised(backbone: Backbone, start: DraftStart, noise: Tensor, t: Tensor) -> Tensor:
    """The draft's latents at time t, for every seed's noise (B, c, h, w)."""
    return backbone.process.add_noise(start.clean, noise, t.reshape(1))[0]


def sampling_input(scene: Scene, fit: CropTransform) -> tuple[Tensor, Tensor]:
    """The target as sampling sees it: pixels (1, 3, H, W) in [-1, 1] and hole (1, 1, H, W) of 0 and 1."""
    # Resizing reaches beyond a pixel's own footprint: without the fill, paint in the hole would tint its rim.
    return to_tensors(fit.crop_photo(fill_from_known(scene.target, scene.hole)), fit.crop_hole(scene.hole))
