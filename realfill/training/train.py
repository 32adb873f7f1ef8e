"""Fine-tuning on the references and the target (§3.4, §4.2): one page, read downward.

`train` is a generator: it yields after every step, and the caller logs, shows and stops. It resumes from
the newest good checkpoint; since every random number of a step comes from (seed, step, index), adapter and
optimiser are all a checkpoint holds, and a resumed run equals an uninterrupted one.
"""

import math
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from realfill.config import Config, TrainConfig
from realfill.device.memory_plan import MemoryPlan
from realfill.errors import Diverged, OptionError, OutOfMemory
from realfill.events import TrainStep
from realfill.imaging.crop import CropTransform
from realfill.models import lora
from realfill.models.backbone import Backbone
from realfill.models.fast.lanes import map_parallel
from realfill.models.lora import adapter_parameters, attach_adapters, parameter_groups
from realfill.models.out_of_memory import MemoryBudget, plan_memory
from realfill.scene.scene import Scene
from realfill.training import checkpoints
from realfill.training.batches import DraftView, prepare_views
from realfill.training.loader import Loader, Step
from realfill.training.loss import realfill_loss


def train(
    backbone: Backbone,
    scene: Scene,
    fit: CropTransform,
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    guides: Sequence[DraftView] = (),
    within: MemoryBudget | None = None,
) -> Generator[TrainStep, None, None]:
    """Fine-tune a fresh or resumed adapter on the backbone; yields once a step.

    Args:
        seed: every random number of the run derives from it.
        folder: checkpoints are kept here, the newest `config.keep_checkpoints`; one is written every
            `config.checkpoint_every` steps, at the end, and when the generator is closed.
        guides: what geometry shows of the scene in the target's frame; empty is the paper.
        within: the memory plan; None chooses one from the memory that is free.

    Raises:
        Diverged: loss or gradient is not finite; nothing is written then, so the last checkpoint stays.
        OutOfMemory: the smallest memory plan is still too much for the device.
        OptionError: there are more processes than items in a batch.
    """
    # A bf16 base needs no autocast: its adapters compute in bf16 too. `accelerate launch --mixed_precision` may ask.
    accelerator = Accelerator()
    if accelerator.num_processes > config.batch:
        raise OptionError(
            f"A batch of {config.batch} cannot be shared by {accelerator.num_processes} processes; raise train.batch."
        )
    attach_adapters(backbone, config, seed=seed)
    optimiser = torch.optim.AdamW(
        parameter_groups(backbone, config),
        weight_decay=config.weight_decay,
        fused=backbone.device.type in ("cpu", "cuda"),  # all layers in one pass
    )
    state = checkpoints.TrainState(adapter_parameters(backbone), optimiser)
    state.resume(folder)
    saved = state.step
    dropout = lora.LayerDropout(backbone, rate=config.layer_dropout, seed=seed)
    views = prepare_views(scene, fit, config, cell=backbone.spec.cell, guides=guides)
    indices = range(accelerator.process_index, config.batch, accelerator.num_processes)
    rates = [group["lr"] for group in optimiser.param_groups]
    feed = Loader(backbone, views, config, seed=seed, indices=indices)
    if within is None:
        wanted = Config(base=backbone.spec.name, train=config)
        within = plan_memory(backbone, fit, wanted, processes=accelerator.num_processes)
    within.begin(backbone, batch=config.batch)
    try:
        while state.step < config.steps:
            began = time.perf_counter()
            dropout.draw(state.step)
            work = within.run(backbone, "coding", lambda _: feed.work(state.step))
            mean = _backward(accelerator, backbone, state.parameters, work, total=config.batch, within=within)
            mean = _reduce(accelerator, state.parameters, mean)
            norm = torch.nn.utils.clip_grad_norm_(state.parameters.values(), config.clip_norm)
            loss, length = torch.stack([mean, norm]).tolist()  # the one time that a step waits for the device
            if not (math.isfinite(loss) and math.isfinite(length)):
                raise Diverged(
                    f"The loss of step {state.step + 1} is not a number. The last checkpoint is kept; "
                    "lower train.learning_rate_unet and train again in a new run."
                )
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * learning_rate_factor(state.step, config)
            optimiser.step()
            state.step += 1
            due = state.step % config.checkpoint_every == 0 or state.step == config.steps
            if due and accelerator.is_main_process:
                state.save(folder, keep=config.keep_checkpoints)
                saved = state.step
            unet, text = optimiser.param_groups[0]["lr"], optimiser.param_groups[-1]["lr"]
            yield TrainStep(state.step, config.steps, loss, unet, text, time.perf_counter() - began)
    except (GeneratorExit, OutOfMemory):
        # Between two steps the state is whole. After any other exception it may not be: a second Ctrl-C lands
        # anywhere, and what led to a loss that is not a number is not worth an older checkpoint.
        if state.step > saved and accelerator.is_main_process:
            state.save(folder, keep=config.keep_checkpoints)
        raise
    finally:
        dropout.close()
        feed.close()
        backbone.use_plan(None)


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """What of the learning rates a step uses, counted from 0: all of them, and less and less in the last ones.

    With `config.decay` at 0 they stay, as in the paper. A small batch leaves an adapter wherever the last steps threw
    it; towards a rate of 0 it settles.
    """
    left = 1 - step / config.steps
    return min(1.0, left / config.decay) if config.decay else 1.0


def _backward(
    accelerator: Accelerator,
    backbone: Backbone,
    trained: dict[str, Tensor],
    work: Step,
    *,
    total: int,
    within: MemoryBudget,
) -> Tensor:
    """Accumulate the gradient of a step's mean loss in pieces as the memory plan has them.

    Where memory runs out the step begins again with smaller ones. Returns this process' share of the loss, a number
    on the device; `total` counts the items of all processes.
    """
    parameters = list(trained.values())

    def gradient(first: int, start: int, stop: int) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        piece = work.part(first + start, first + stop)
        t, noise = piece.t.to(backbone.device), piece.noise.to(backbone.device)
        with accelerator.autocast():
            share = realfill_loss(backbone, piece.items, t=t, noise=noise).sum() / total
        return share.detach(), torch.autograd.grad(share, parameters, allow_unused=True)

    def backward(plan: MemoryPlan) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        loss = torch.zeros((), device=backbone.device)
        for first in range(0, len(work.t), plan.items):
            count = min(plan.items, len(work.t) - first)
            for share, gradients in map_parallel(backbone.device, count, partial(gradient, first)):
                loss += share
                for parameter, part in zip(parameters, gradients, strict=True):
                    if part is not None:
                        parameter.grad = part if parameter.grad is None else parameter.grad + part
        return loss

    return within.run(backbone, "training", backward)


def _reduce(accelerator: Accelerator, parameters: dict[str, Tensor], loss: Tensor) -> Tensor:
    """Add gradients and losses over the processes, each of which computed its own items of the batch."""
    if accelerator.num_processes == 1:
        return loss
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters.values()]
    flat = torch.cat([gradient.flatten() for gradient in gradients] + [loss.view(1)])
    flat = accelerator.reduce(flat, "sum")
    for parameter, piece in zip(parameters.values(), flat[:-1].split([g.numel() for g in gradients]), strict=True):
        parameter.grad = piece.view_as(parameter)
    return torch.as_tensor(flat[-1])
