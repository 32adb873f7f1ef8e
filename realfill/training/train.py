"""Fine-tuning on the references and the target (§3.4, §4.2): `train` holds the whole step, what it calls follows below.

`train` is a generator: it yields after every step, and the caller logs, shows and stops. It resumes from
the newest good checkpoint; since every random number of a step comes from (seed, step, index), adapter and
optimiser are all a checkpoint holds, and a resumed run equals an uninterrupted one.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from realfill.config import Config, TrainConfig
from realfill.device.memory_plan import MemoryPlan
from realfill.errors import Diverged, OptionError, OutOfMemory
from realfill.events import TrainStep
from realfill.imaging.crop import CropTransform
from realfill.models import lora
from realfill.models.backbone import Backbone
from realfill.models.fast.lanes import map_parallel, split_lanes
from realfill.models.fast.switch import tries
from realfill.models.lora import adapter_parameters, attach_adapters, parameter_groups
from realfill.models.out_of_memory import MemoryBudget, plan_memory
from realfill.scene.scene import Scene
from realfill.training import checkpoints
from realfill.training.batches import DraftView, prepare_views
from realfill.training.graph import Compute, Gradients, GraphTrial
from realfill.training.loader import Loader, Step
from realfill.training.loss import EncodedBatch, encode_batch, realfill_loss
from realfill.training.loss_scale import LEAST, make_scaler


def train(
    backbone: Backbone,
    scene: Scene,
    crop: CropTransform,
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    draft_views: Sequence[DraftView] = (),
    budget: MemoryBudget | None = None,
) -> Generator[TrainStep, None, None]:
    """Fine-tune a fresh or resumed adapter on the backbone; yields once a step.

    On CUDA a step is told of when the gradients of the next one are queued, so that reading its loss holds up nothing;
    adapter and optimiser are then as that step left them.

    Args:
        crop: the working area of the target.
        seed: every random number of the run derives from it.
        folder: checkpoints are kept here, the newest `config.keep_checkpoints`; one is written every
            `config.checkpoint_every` steps, at the end, and when the generator is closed.
        draft_views: what geometry shows of the scene in the target's frame; empty is the paper.
        budget: the memory plan; None chooses one from the memory that is free.

    Raises:
        Diverged: loss or gradient is not finite; nothing is written then, so the last checkpoint stays.
        OutOfMemory: the smallest memory plan is still too much for the device.
        OptionError: there are more processes than items in a batch.
    """
    # A bf16 base needs no autocast: its adapters compute in bf16 too. `accelerate launch --mixed_precision` may ask.
    accelerator = Accelerator()
    check_processes(accelerator, config)
    attach_adapters(backbone, config, seed=seed)
    parameters = adapter_parameters(backbone)
    optimiser = make_optimiser(backbone, config)
    rates = [group["lr"] for group in optimiser.param_groups]
    fp16 = backbone.dtype == torch.float16 or accelerator.mixed_precision == "fp16"
    scaler = make_scaler(backbone.device, fp16=fp16)
    state = checkpoints.TrainState(parameters, optimiser, scaler)
    state.resume(folder)
    dropout = lora.LayerDropout(backbone, rate=config.layer_dropout, seed=seed)
    views = prepare_views(scene, crop, config, cell=backbone.spec.loss_cell, draft_views=draft_views)
    indices = range(accelerator.process_index, config.batch, accelerator.num_processes)
    loader = Loader(backbone, views, config, seed=seed, indices=indices)
    if budget is None:
        named = Config(base=backbone.spec.name, train=config)
        budget = plan_memory(backbone, crop, named, processes=accelerator.num_processes)
    budget.begin(backbone, batch=config.batch)
    compute = partial(compute_gradients, accelerator, backbone, list(parameters.values()), scaler, config.batch)
    gradients = choose_gradients(backbone, compute, dropout, config)
    progress = Progress(state, optimiser, config, folder if accelerator.is_main_process else None)
    late = backbone.device.type == "cuda"  # a step's loss is read when the next one is queued: the device never rests
    unread: Reading | None = None
    try:
        while state.step < config.steps:
            dropout.draw(state.step)
            if isinstance(gradients, GraphTrial):
                gradients.begin_step()
            try:
                drawn = budget.run(backbone, "coding", lambda _: loader.load(state.step))
                # encoded whole, before the U-Net needs the room: an autoencoder that is parked makes one journey a step
                step = budget.run(backbone, "coding", partial(encode_step, backbone, drawn))
                # loss → gradients: of smaller pieces, and begun again, where memory runs out
                loss = budget.run(backbone, "training", partial(backward, gradients, parameters, step))
            finally:
                if unread is not None:  # the step before is told whatever became of this one
                    reading, unread = unread, None
                    yield from progress.finish(reading, scaler)
            loss = sum_processes(accelerator, parameters, loss)
            # → clip
            scaler.unscale_(optimiser)
            norm = budget.run(backbone, "training", lambda _: clip_gradients(parameters, config))
            reading = Reading(state.step, loss, norm)
            if not late:
                check_finite(reading, scaler)
            # → update
            set_rates(optimiser, rates, learning_rate_factor(state.step, config))
            update = partial(update_parameters, scaler, optimiser, reading if late else None)
            budget.run(backbone, "training", update)
            state.step += 1
            if late and state.step < config.steps:
                unread = reading
            else:
                yield from progress.finish(reading, scaler)
    except (GeneratorExit, OutOfMemory):
        # Between two steps the state is whole. After any other exception it may not be: a second Ctrl-C lands
        # anywhere, and what led to a loss that is not a number is not worth an older checkpoint.
        progress.save()
        raise
    finally:
        dropout.close()
        loader.close()
        backbone.use_plan(None)


class Progress:
    """What a training has done, how much of it is saved, and how long each step took."""

    def __init__(
        self,
        state: checkpoints.TrainState,
        optimiser: torch.optim.Optimizer,
        config: TrainConfig,
        folder: Path | None,
    ) -> None:
        """`folder`: of the checkpoints; None in processes that keep none."""
        self._state, self._optimiser, self._config, self._folder = state, optimiser, config, folder
        self._saved, self._began = state.step, time.perf_counter()

    def finish(self, reading: "Reading", scaler: GradScaler) -> Generator[TrainStep, None, None]:
        """Reads the loss of the step that was done last, keeps the state where a checkpoint is due, and tells of it.

        Raises:
            Diverged: as `check_finite`.
        """
        config, step = self._config, self._state.step
        value = check_finite(reading, scaler)
        if step % config.checkpoint_every == 0 or step == config.steps:
            self.save()
        denoiser, *text = (group["lr"] for group in self._optimiser.param_groups)
        seconds = time.perf_counter() - self._began
        yield TrainStep(step, config.steps, value, denoiser, text[0] if text else 0.0, seconds)
        self._began = time.perf_counter()  # what the caller did meanwhile does not count

    def save(self) -> None:
        """Writes a checkpoint, if anything is new."""
        if self._state.step > self._saved and self._folder is not None:
            self._state.save(self._folder, keep=self._config.keep_checkpoints)
            self._saved = self._state.step


def encode_step(backbone: Backbone, step: Step, _: MemoryPlan) -> Step:
    """The step with its items encoded, as those of a pool are already."""
    items = step.items if isinstance(step.items, EncodedBatch) else encode_batch(backbone, step.items)
    return replace(step, items=items)


def choose_gradients(
    backbone: Backbone, compute: Compute, dropout: lora.LayerDropout, config: TrainConfig
) -> Callable[[Step], list[Gradients]]:
    """What computes the gradients of a piece: of its shares side by side, or as a CUDA graph where that is tried."""
    factors = lora.FactorRounding(backbone.trainable().values())
    if backbone.device.type == "cuda" and backbone.spec.chooses_prompts and tries("graph"):
        return GraphTrial(compute, factors, dropout, [config.prompt, ""])
    return partial(compute_lanes, compute, factors, backbone.device)


def backward(
    compute: Callable[[Step], list[Gradients]], parameters: Mapping[str, Tensor], step: Step, plan: MemoryPlan
) -> Tensor:
    """The scaled gradient of a step's mean loss in `parameters[…].grad`, summed over pieces of `plan.items`.

    Returns this process' share of the loss, a number on the device: each process divides by the items of all.
    """
    for parameter in parameters.values():
        parameter.grad = None
    loss = torch.zeros((), device=next(iter(parameters.values())).device)
    for piece in step.split(plan.items):
        for share, gradients in compute(piece):
            loss += share
            add_gradients(parameters.values(), gradients)
    return loss


def compute_lanes(compute: Compute, factors: lora.FactorRounding, device: torch.device, piece: Step) -> list[Gradients]:
    """The gradients of a piece's shares, one a lane."""
    lanes = [piece.part(lane.start, lane.stop) for lane in split_lanes(device, len(piece))]
    with factors.rounded():
        return map_parallel(compute, lanes)


def compute_gradients(
    accelerator: Accelerator,
    backbone: Backbone,
    parameters: Sequence[Tensor],
    scaler: GradScaler,
    total: int,
    step: Step,
) -> Gradients:
    """What some items of a step add to the mean loss over `total`, and to its scaled gradients; nothing accumulates."""
    t, noise = step.t.to(backbone.device), step.noise.to(backbone.device)
    with accelerator.autocast():
        loss = realfill_loss(backbone, step.items, t=t, noise=noise, context=step.context).sum() / total
    return loss.detach(), torch.autograd.grad(scaler.scale(loss), parameters, allow_unused=True)


def add_gradients(parameters: Iterable[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Accumulate in `.grad`, where there is a gradient."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def sum_processes(accelerator: Accelerator, parameters: Mapping[str, Tensor], loss: Tensor) -> Tensor:
    """Add gradients and losses over the processes, each of which computed its own items of the batch."""
    if accelerator.num_processes == 1:
        return loss
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters.values()]
    flat = torch.cat([gradient.flatten() for gradient in gradients] + [loss.view(1)])
    flat = accelerator.reduce(flat, "sum")
    for parameter, piece in zip(parameters.values(), flat[:-1].split([g.numel() for g in gradients]), strict=True):
        parameter.grad = piece.view_as(parameter)
    return torch.as_tensor(flat[-1])


def clip_gradients(parameters: Mapping[str, Tensor], config: TrainConfig) -> Tensor:
    """Shortens the gradient to `config.clip_norm`; returns the length that it had, a number on the device."""
    return torch.nn.utils.clip_grad_norm_(parameters.values(), config.clip_norm)


class Reading:
    """Loss and gradient length of a step on their way from the device: who reads them a step later waits for nobody."""

    def __init__(self, step: int, loss: Tensor, norm: Tensor) -> None:
        self.step = step  # counted from 0
        self.values = torch.stack([loss, norm])
        self._copy = self.values.to("cpu", non_blocking=True)  # into pinned memory where it comes from CUDA
        self._arrival: torch.cuda.Event | None = None
        if loss.device.type == "cuda":
            with torch.cuda.device(loss.device):
                self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call, unused-ignore]
                self._arrival.record()

    def read(self) -> tuple[float, float]:
        """Both numbers, once they are there."""
        if self._arrival is not None:
            self._arrival.synchronize()
        loss, norm = self._copy.tolist()
        return loss, norm


def update_parameters(
    scaler: GradScaler, optimiser: Any, unread: Reading | None = None, _: MemoryPlan | None = None
) -> None:
    """The optimiser's step, left out where the scaled gradients were not finite; can be called again if it fails.

    Args:
        unread: of this step; the device itself leaves the update out where these numbers are not finite.
    """
    for moments in optimiser.state.values():
        if "exp_avg_sq" not in moments:  # memory ran out while they were made
            moments.clear()
    if scaler.is_enabled() or unread is None:
        scaler.step(optimiser)
        scaler.update()
        return
    optimiser.found_inf = (unread.values - unread.values).any().float()  # as a scaler tells a fused optimiser
    try:
        optimiser.step()
    finally:
        del optimiser.found_inf


def check_finite(reading: Reading, scaler: GradScaler) -> float:
    """The loss of a step as a number.

    Raises:
        Diverged: it is not finite, or the gradients' norm is not, under any scale that could be tried.
    """
    value, length = reading.read()  # the one time that a step waits for the device
    too_large = not math.isfinite(length) and not (scaler.is_enabled() and scaler.get_scale() > LEAST)
    if too_large or not math.isfinite(value):
        raise Diverged(
            "The loss of step {step} is not a number. The last checkpoint is kept; lower "
            "train.learning_rate_unet and train again in a new run.",
            step=reading.step + 1,
        )
    return value


def make_optimiser(backbone: Backbone, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, each network at its own learning rate (§4.2)."""
    return torch.optim.AdamW(
        parameter_groups(backbone, config),
        weight_decay=config.weight_decay,
        fused=backbone.device.type in ("cpu", "cuda"),  # all layers in one pass
    )


def set_rates(optimiser: torch.optim.Optimizer, rates: Sequence[float], factor: float) -> None:
    """Give every parameter group `factor` of its own learning rate."""
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * factor


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """What of the learning rates a step uses, counted from 0: all of them, and less and less in the last ones.

    With `config.decay` at 0 they stay, as in the paper. A small batch leaves an adapter wherever the last steps threw
    it; towards a rate of 0 it settles.
    """
    left = 1 - step / config.steps
    return min(1.0, left / config.decay) if config.decay else 1.0


def check_processes(accelerator: Accelerator, config: TrainConfig) -> None:
    """Refuse more processes than a batch has items.

    Raises:
        OptionError: there are more.
    """
    if accelerator.num_processes > config.batch:
        raise OptionError(
            "A batch of {batch} cannot be shared by {processes} processes; raise train.batch.",
            batch=config.batch,
            processes=accelerator.num_processes,
        )
