"""Filling the hole (§3.4): one generator for each seed, so that seed 17 is the same picture in any batch."""

import dataclasses
import inspect
import math
import time
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
from realfill.events import DenoisingStep, Report
from realfill.imaging.crop import CropTransform
from realfill.imaging.fill import fill_from_known
from realfill.models.backbone import Backbone, Context, Pictures
from realfill.models.context import encode_context
from realfill.models.fast.lanes import map_parallel, split_lanes
from realfill.models.items import Items
from realfill.models.lora import FactorRounding, merge_adapters
from realfill.models.out_of_memory import MemoryBudget, plan_memory
from realfill.models.pixels import to_photo, to_tensors, whole_place
from realfill.sampling.draft_prior import (
    DraftPrior,
    DraftStart,
    hold_to_draft,
    keep_texture,
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
    seconds: float = 0.0  # its share of the time that its group took, and its own decoding


def sample(  # noqa: PLR0913, half of them may be left out
    backbone: Backbone,
    scene: Scene,
    crop: CropTransform,
    config: SampleConfig,
    *,
    prompt: str,
    seeds: Sequence[int],
    priors: Sequence[DraftPrior] = (),
    budget: MemoryBudget | None = None,
    watch: Report = lambda event: None,
) -> Generator[Candidate, None, None]:
    """Generate the target at working size for each seed; in batches, yielded one by one.

    The condition is encoded once a scene (its masked image by the posterior's mode).

    Args:
        crop: the working area of the target.
        priors: the draft's best proposals at working size; a share `config.warm` of the seeds start from them in turn,
            after the others.
        budget: the memory plan; None chooses one from the memory that is free.
        watch: hears a `DenoisingStep` when a group begins and after each of its steps; what it raises ends the group
            there. Where a group is shared out among cores, each share is heard.

    Raises:
        OutOfMemory: the smallest memory plan is still too much for the device.
    """
    budget = budget or plan_memory(backbone, crop, Config(base=backbone.spec.name, sample=config))
    backbone.use_plan(budget.plan)
    sampler = Sampler(backbone, config, budget, scene, watch)
    from_noise, from_prior = split_seeds(seeds, priors)
    if from_noise:
        yield from sampler.generate(sampler.encode(sampling_input(scene, crop), prompt), from_noise)
    for prior, begun in zip(priors, from_prior, strict=True):
        if not begun:
            continue
        conditions = sampler.encode(prior_condition(prior), prompt)
        start = _make_start(backbone, prior, budget)
        for candidate in sampler.generate(dataclasses.replace(conditions, start=start), begun):
            photo = keep_texture(candidate.photo, prior, backbone.spec.cell)
            yield dataclasses.replace(candidate, photo=hold_to_draft(photo, prior))


def _make_start(backbone: Backbone, prior: DraftPrior, budget: MemoryBudget) -> DraftStart:
    return budget.run(backbone, "coding", lambda _: make_start(prior, backbone))


@dataclass(frozen=True, eq=False)
class KnownLatents:
    """What a seed must not change, where `sample.hold` asks for it."""

    clean: Tensor  # (1, c, h, w) latents of the target
    known: Tensor  # (1, 1 or c, h, w) of 0 and 1: cells of which every pixel is known

    def hold(self, latents: Tensor, noisy: Tensor) -> Tensor:
        """Latents (B, c, h, w) with the known cells of `noisy`, the target's at the same time."""
        return torch.where(self.known > 0.5, noisy, latents)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What all seeds of a kind share."""

    prompted: Items
    unprompted: Items | None  # for classifier-free guidance
    shape: tuple[int, int, int]  # of the latents, (c, h, w)
    target: KnownLatents | None = None  # None: the network alone keeps what is known
    start: DraftStart | None = None  # None: they start from pure noise


@dataclass(frozen=True, eq=False)
class Sampler:
    """What all seeds of a call share."""

    backbone: Backbone
    config: SampleConfig
    budget: MemoryBudget
    scene: Scene
    watch: Report

    @torch.no_grad()
    def encode(self, pictures: Pictures, prompt: str) -> Conditions:
        """The target as the network sees it, one picture, encoded with its prompt and, where it can, all references."""
        backbone, pictures = self.backbone, pictures.map_tensors(lambda plane: plane.to(self.backbone.device))
        image = self.budget.run(backbone, "coding", lambda _: backbone.image_condition(pictures))
        context = self.budget.run(backbone, "coding", lambda _: self._encode_references(pictures))

        def condition(text: str) -> Items:
            return self.budget.run(backbone, "coding", lambda _: backbone.condition(image, [text], context))

        shape = backbone.spec.latent_shape(*pictures.pixels.shape[-2:])
        prompted, unprompted = condition(prompt), condition("") if self.config.guidance != 1.0 else None
        return Conditions(prompted, unprompted, shape, self._encode_target(pictures) if self.config.hold else None)

    def _encode_references(self, pictures: Pictures) -> Context:
        """All references, as they stand beside the one target; none where the family sees no other photos."""
        if not self.backbone.spec.has_context:
            return ()
        height, width = pictures.pixels.shape[-2:]
        return [encode_context(self.backbone, [(one, None) for one in self.scene.references], area=height * width)]

    def _encode_target(self, pictures: Pictures) -> KnownLatents:
        clean = self.budget.run(self.backbone, "coding", lambda _: self.backbone.encode(pictures.pixels))
        return KnownLatents(clean, self.backbone.latent_known(1 - pictures.hole))

    def generate(self, conditions: Conditions, seeds: Sequence[int]) -> Iterator[Candidate]:
        """Candidates of one kind, in the order of their seeds, as many at once as the memory plan says."""
        while seeds:
            began = time.perf_counter()
            latents = self.budget.run(self.backbone, "filling", partial(self._denoise, conditions, seeds))
            group, seeds = seeds[: len(latents)], seeds[len(latents) :]
            share = (time.perf_counter() - began) / len(group)
            for seed, (photo, seconds) in zip(group, self._decode(latents), strict=True):
                yield Candidate(seed, photo, share + seconds)

    def _denoise(self, conditions: Conditions, seeds: Sequence[int], plan: MemoryPlan) -> Tensor:
        """Denoised latents (B, c, h, w) of the first few seeds."""
        group = seeds[: min(plan.seeds, self.config.batch or plan.seeds)]
        lanes = [group[lane] for lane in split_lanes(self.backbone.device, len(group))]
        networks = self.backbone.trainable().values()
        with merge_adapters(self.backbone) if plan.merged else FactorRounding(networks).rounded():
            compute = partial(denoise, self.backbone, self.config, conditions, watch=self.watch)
            return torch.cat(map_parallel(compute, lanes))

    def _decode(self, latents: Tensor) -> Iterator[tuple[Photo, float]]:
        """The pictures (H, W, 3) of latents (B, c, h, w), a few at once, and the seconds that each took."""
        while len(latents):
            began = time.perf_counter()
            pixels = self.budget.run(self.backbone, "coding", partial(self._decode_first, latents))
            photos = [to_photo(one) for one in pixels]
            latents = latents[len(pixels) :]
            seconds = (time.perf_counter() - began) / len(photos)
            yield from ((photo, seconds) for photo in photos)

    def _decode_first(self, latents: Tensor, plan: MemoryPlan) -> Tensor:
        """Pixels (B, 3, H, W) of as many latents as the plan decodes at once."""
        return self.backbone.decode(latents[: plan.pictures])


@torch.no_grad()
def denoise(
    backbone: Backbone,
    config: SampleConfig,
    conditions: Conditions,
    seeds: Sequence[int],
    *,
    watch: Report = lambda event: None,
) -> Tensor:
    """Latents (B, c, h, w) of a group of seeds, by the solver's steps from pure noise or from the noised draft.

    Args:
        watch: see `sample`.
    """
    process, start, target = backbone.process, conditions.start, conditions.target
    solver = process.solver(config.sampler, config.steps, math.prod(conditions.shape[1:]))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    noise: Tensor = randn_tensor((len(seeds), *conditions.shape), generator=generators, device=backbone.device)
    latents, times = process.initial_latents(solver, noise), solver.timesteps
    if start is not None:
        times = start.times(times, process.train_steps)
        latents = start.hold(latents, noise_clean(backbone, start.clean, noise, times[0]), 1.0)
    extra = step_arguments(solver, generators)
    pace = StepPace(backbone.device)
    watch(DenoisingStep(0, len(times), len(seeds)))
    for step, t in enumerate(times, 1):
        if start is not None:
            share = float(t) / process.train_steps
            latents = start.hold(latents, noise_clean(backbone, start.clean, noise, t), share)
        noisy = process.model_input(solver, latents, t)
        prediction = predict_guided(backbone, noisy, t, conditions, guidance=config.guidance)
        latents = solver.step(prediction, t, latents, **extra).prev_sample
        if target is not None:
            later = times[step:]
            clean = target.clean.expand_as(latents)
            latents = target.hold(latents, noise_clean(backbone, clean, noise, later[0]) if len(later) else clean)
        pace.keep()
        watch(DenoisingStep(step, len(times), len(seeds)))
    return latents


class StepPace:
    """Keeps the processor one step ahead of a CUDA device.

    Without it all steps would be queued before the first is computed, and a stop would wait for all of them.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last: torch.cuda.Event | None = None

    def keep(self) -> None:
        """To be called when a step is queued; returns when the step before it is computed."""
        if self._device.type != "cuda":
            return
        with torch.cuda.device(self._device):
            event = torch.cuda.Event()  # type: ignore[no-untyped-call, unused-ignore]
            event.record()
        if self._last is not None:
            self._last.synchronize()
        self._last = event


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


def noise_clean(backbone: Backbone, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Clean latents (1 or B, c, h, w) at time t, for every seed's noise (B, c, h, w)."""
    return backbone.process.add_noise(clean, noise, t.reshape(1))[0]


def sampling_input(scene: Scene, crop: CropTransform) -> Pictures:
    """The target as sampling sees it."""
    # Resizing reaches beyond a pixel's own footprint: without the fill, paint in the hole would tint its rim.
    photo = crop.crop_photo(fill_from_known(scene.target, scene.hole))
    return Pictures(*to_tensors(photo, crop.crop_hole(scene.hole)), whole_place(crop.height, crop.width))
