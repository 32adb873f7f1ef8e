"""Fine-tuning on the references and the target (§3.4, §4.2): one page, read downward.

`train` is a generator: it yields after every step, and the caller logs, shows and stops. It resumes from
the newest good checkpoint; since every random number of a step comes from (seed, step, index), adapter and
optimiser are all a checkpoint holds, and a resumed run equals an uninterrupted one.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from realfill import adapters, batches, checkpoints, seeds
from realfill.backbones import Backbone
from realfill.batches import Batch, Guide
from realfill.config import TrainConfig
from realfill.errors import Diverged, OptionError, OutOfMemory
from realfill.events import TrainStep
from realfill.images import Fit
from realfill.objective import realfill_loss
from realfill.scene import Scene


def train(
    backbone: Backbone,
    scene: Scene,
    fit: Fit,
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    guides: Sequence[Guide] = (),
) -> Iterator[TrainStep]:
    """Fine-tune a fresh or resumed adapter on the backbone; yields once a step.

    Args:
        seed: every random number of the run derives from it.
        folder: checkpoints are kept here, the newest `config.keep_checkpoints`; one is written every
            `config.checkpoint_every` steps, at the end, and when the generator is closed.
        guides: what geometry shows of the scene in the target's frame; empty is the paper.

    Raises:
        Diverged: loss or gradient is not finite; nothing is written then, so the last checkpoint stays.
        OutOfMemory: one item at a time is still too much for the device.
        OptionError: there are more processes than items in a batch.
    """
    # Only where the base computes in bf16: None leaves it to `accelerate launch --mixed_precision`.
    accelerator = Accelerator(mixed_precision="bf16" if backbone.dtype == torch.bfloat16 else None)
    if accelerator.num_processes > config.batch:
        raise OptionError(
            f"A batch of {config.batch} cannot be shared by {accelerator.num_processes} processes; raise train.batch."
        )
    adapters.attach(backbone, config, seed=seed)
    optimiser = torch.optim.AdamW(adapters.groups(backbone, config), weight_decay=config.weight_decay)
    state = checkpoints.TrainState(adapters.parameters(backbone), optimiser)
    state.resume(folder)
    saved = state.step
    dropout = adapters.LayerDropout(backbone, rate=config.layer_dropout, seed=seed)
    views = batches.prepare(scene, fit, config, cell=backbone.spec.cell, guides=guides)
    backbone.remember(2 * config.pool)  # of every pool item the picture, and the picture with its hole blanked
    indices = range(accelerator.process_index, config.batch, accelerator.num_processes)
    micro = min(config.micro_batch or len(indices), len(indices))
    try:
        while state.step < config.steps:
            began = time.perf_counter()
            dropout.draw(state.step)
            batch = batches.draw(views, config, seed=seed, step=state.step, indices=indices)
            draws = Draws(seed, state.step, indices, total=config.batch)
            loss, micro = _backward(accelerator, backbone, batch, draws=draws, micro=micro)
            loss = _reduce(accelerator, state.parameters, loss)
            norm = torch.nn.utils.clip_grad_norm_(state.parameters.values(), config.clip_norm)
            if not math.isfinite(loss) or not norm.isfinite():
                raise Diverged(
                    f"The loss of step {state.step + 1} is not a number. The last checkpoint is kept; "
                    "lower train.learning_rate_unet and train again in a new run."
                )
            optimiser.step()
            state.step += 1
            due = state.step % config.checkpoint_every == 0 or state.step == config.steps
            if due and accelerator.is_main_process:
                state.save(folder, keep=config.keep_checkpoints)
                saved = state.step
            rates = [group["lr"] for group in optimiser.param_groups]
            yield TrainStep(state.step, config.steps, loss, rates[0], rates[-1], time.perf_counter() - began)
    except (GeneratorExit, OutOfMemory):
        # Between two steps the state is whole. After any other exception it may not be: a second Ctrl-C lands
        # anywhere, and what led to a loss that is not a number is not worth an older checkpoint.
        if state.step > saved and accelerator.is_main_process:
            state.save(folder, keep=config.keep_checkpoints)
        raise
    finally:
        dropout.close()
        backbone.remember(0)


@dataclass(frozen=True)
class Draws:
    """Which items of a step's batch this process computes: what their times and noise are drawn from."""

    seed: int
    step: int  # counted from 0
    indices: Sequence[int]
    total: int  # items of all processes together


def _backward(
    accelerator: Accelerator, backbone: Backbone, batch: Batch, *, draws: Draws, micro: int
) -> tuple[float, int]:
    """Accumulate the gradient of a step's mean loss in pieces of `micro` items.

    Out of memory halves the pieces and begins the step again. Returns this process' share of the loss and
    the size of the pieces that worked.
    """
    while True:
        for parameter in adapters.parameters(backbone).values():
            parameter.grad = None
        try:
            loss = 0.0
            for start in range(0, len(draws.indices), micro):
                piece = batch.part(start, start + micro)
                t, noise = _draw_noise(backbone, piece, draws=draws, start=start)
                with accelerator.autocast():
                    share = realfill_loss(backbone, _on(piece, backbone), t=t, noise=noise).sum() / draws.total
                accelerator.backward(share)
                loss += share.item()
            return loss, micro
        except torch.OutOfMemoryError as error:
            if micro == 1:
                raise OutOfMemory(
                    "The device has too little memory for a single training item; "
                    "set fit.size lower or take another device."
                ) from error
            micro = math.ceil(micro / 2)
        if backbone.device.type == "cuda":  # only here: until now the error held on to the tensors of its frames
            torch.cuda.empty_cache()


def _draw_noise(backbone: Backbone, batch: Batch, *, draws: Draws, start: int) -> tuple[Tensor, Tensor]:
    """Times (B,) and noise (B, c, h, w), each item's from (seed, step, index); drawn on the CPU."""
    height, width = (side // backbone.spec.cell for side in batch.pixels.shape[-2:])
    times, noises = [], []
    for index in draws.indices[start : start + len(batch.pixels)]:
        generator = torch.Generator().manual_seed(seeds.key(draws.seed, seeds.Stream.NOISE, draws.step, index))
        times.append(torch.randint(backbone.process.train_steps, (1,), generator=generator))
        noises.append(torch.randn(1, backbone.spec.latent_channels, height, width, generator=generator))
    return torch.cat(times).to(backbone.device), torch.cat(noises).to(backbone.device)


def _on(batch: Batch, backbone: Backbone) -> Batch:
    """The batch with its tensors on the backbone's device."""
    pixels, hole, weight = (part.to(backbone.device) for part in (batch.pixels, batch.hole, batch.weight))
    return Batch(pixels, hole, weight, batch.prompts, batch.is_target)


def _reduce(accelerator: Accelerator, parameters: dict[str, Tensor], loss: float) -> float:
    """Add gradients and losses over the processes, each of which computed its own items of the batch."""
    if accelerator.num_processes == 1:
        return loss
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters.values()]
    flat = torch.cat([gradient.flatten() for gradient in gradients] + [gradients[0].new_tensor([loss])])
    flat = accelerator.reduce(flat, "sum")
    for parameter, piece in zip(parameters.values(), flat[:-1].split([g.numel() for g in gradients]), strict=True):
        parameter.grad = piece.view_as(parameter)
    return float(flat[-1])
