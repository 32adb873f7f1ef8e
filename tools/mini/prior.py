"""Train mini's U-Net and text encoder: `python -m tools.mini.prior --vae DIR --photos DIR --out DIR --minutes 90`.

Works on cached-size crops first and on the full working size at the end: most of what a prior must know is
local, and a 128 px picture costs a quarter of a 256 px one. Resumable in pieces: `--minutes` is the total,
`--piece` ends this call earlier. A later run on a GPU goes on from the fp16 weights with `--weights`.
"""

import argparse
import math
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.mini import architecture, checkpoints, vocabulary
from tools.mini.data import PHOTO_PROMPT, Pictures, read_photos

PROMPT_DROPOUT = 0.1
KNOWN_WEIGHT = 0.25  # of the loss where the picture is given: copying is learnt quickly, filling is not


@dataclass(frozen=True)
class Phase:
    """A part of the whole time, by share: size in pixels and batch."""

    until: float
    size: int
    batch: int


class Prior(nn.Module):
    """What is trained together, and the frozen autoencoder it works in."""

    def __init__(self, vae: AutoencoderKL, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = architecture.unet().to(memory_format=torch.channels_last)
        self.text: CLIPTextModel = architecture.text_encoder(len(tokenizer))
        self._frozen = [vae, tokenizer]  # in a list, so that they are no part of the state

    @property
    def vae(self) -> AutoencoderKL:
        return self._frozen[0]

    def words(self, prompts: list[str], device: torch.device) -> Tensor:
        """(B, 77, width) hidden states; each distinct prompt is encoded once."""
        distinct = sorted(set(prompts))
        tokens = self._frozen[1](distinct, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        hidden = self.text(tokens.input_ids.to(device)).last_hidden_state
        return hidden[torch.tensor([distinct.index(prompt) for prompt in prompts], device=device)]

    @torch.no_grad()
    def latents(self, pictures: Tensor) -> Tensor:
        """(B, 4, h, w) in float32."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            latents = self.vae.encode(pictures).latent_dist.mode()
        return latents.float() * self.vae.config.scaling_factor


def item_losses(model: Prior, noise_schedule: DDIMScheduler, batch: tuple[Tensor, Tensor, list[str]], t: Tensor, noise: Tensor) -> Tensor:
    """(B,) v-prediction errors, weighted towards the hole."""
    pictures, holes, prompts = batch
    both = model.latents(torch.cat([pictures, pictures * (1 - holes)]))
    clean, masked = both.chunk(2)
    cells = F.interpolate(holes, clean.shape[-2:])
    noisy = noise_schedule.add_noise(clean, noise, t)
    target = noise_schedule.get_velocity(clean, noise, t)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        words = model.words(prompts, pictures.device)
        inputs = torch.cat([noisy, cells, masked], 1).contiguous(memory_format=torch.channels_last)
        output = model.unet(inputs, t, words).sample
    weight = KNOWN_WEIGHT + (1 - KNOWN_WEIGHT) * cells
    error = (output.float() - target) ** 2
    return (weight * error).mean((1, 2, 3)) / weight.mean((1, 2, 3))


@torch.no_grad()
def heldout_loss(model: Prior, schedule: DDIMScheduler, photos: list[Tensor]) -> dict[str, float]:
    """Mean error on fixed crops, holes and noise of the held-out photos, by quarter of the noise levels."""
    device = next(model.parameters()).device
    pictures = Pictures(photos, seed=7, device=device, procedural=0.0, reservoir=16)
    generator = torch.Generator(device).manual_seed(7)
    losses: dict[str, list[float]] = defaultdict(list)
    for _ in range(2):
        batch, _ = pictures.batch(8, architecture.SIZE)
        holes = pictures.holes(8, architecture.SIZE)
        for quarter in range(4):
            t = torch.full((8,), 125 + 250 * quarter, device=device)
            noise = torch.randn(8, 4, *(side // 4 for side in batch.shape[-2:]), generator=generator, device=device)
            values = item_losses(model, schedule, (batch, holes, [PHOTO_PROMPT] * 8), t, noise)
            losses[f"t{125 + 250 * quarter}"].append(values.mean().item())
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    return {**means, "mean": float(np.mean(list(means.values())))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, required=True, help="assembled autoencoder folder")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--piece", type=float, default=math.inf, help="end this call after so many minutes")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--batch", type=int, default=24, help="at 128 px; the full size takes a quarter")
    parser.add_argument("--small", type=float, default=0.65, help="share of the time at 128 px")
    parser.add_argument("--every", type=float, default=300, help="seconds between checkpoints")
    parser.add_argument("--weights", type=Path, help="folder with average.safetensors to start from")
    args = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(args.vae).to(device, memory_format=torch.channels_last)
    vae.requires_grad_(False).eval()
    model = Prior(vae, vocabulary.build(args.out / "tokenizer")).to(device)
    if args.weights is not None:
        model.load_state_dict({k: v.float() for k, v in load_file(args.weights / "average.safetensors").items()})
    schedule = architecture.scheduler()
    optimiser = torch.optim.AdamW(model.parameters(), args.lr, betas=(0.9, 0.99), weight_decay=1e-2)
    average = checkpoints.Average(model, 0.9995 if device.type == "cuda" else 0.998)
    step, used, seen = 0, 0.0, 0
    if (found := checkpoints.load(args.out)) is not None:
        groups, state = found
        model.load_state_dict(groups["model"])
        average.weights = {key: value.to(device) for key, value in groups["average"].items()}
        if "moments" in groups:
            _restore_moments(optimiser, groups["moments"])
        step, used, seen = int(str(state["step"])), float(str(state["seconds"])), int(str(state["images"]))

    phases = [Phase(args.small, 128, args.batch), Phase(1.0, architecture.SIZE, max(1, args.batch // 4))]
    pictures = Pictures(read_photos(args.photos, device), seed=step, device=device, procedural=0.3)
    heldout = read_photos(args.heldout, device)
    generator = torch.Generator(device).manual_seed(step)
    began = time.monotonic() - used
    piece_ends, saved = time.monotonic() + args.piece * 60, time.monotonic()
    restart, levels = step, defaultdict(list)
    while (used := time.monotonic() - began) < args.minutes * 60 and time.monotonic() < piece_ends:
        share = used / (args.minutes * 60)
        warm = min(1.0, (step - restart + 1) / 200)
        rate = args.lr * warm * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * share)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        phase = next(phase for phase in phases if share < phase.until)
        batch, prompts = pictures.batch(phase.batch, phase.size)
        holes = pictures.holes(phase.batch, phase.size)
        draws = torch.rand(phase.batch, generator=generator, device=device).tolist()
        prompts = ["" if draw < PROMPT_DROPOUT else prompt for draw, prompt in zip(draws, prompts, strict=True)]
        t = torch.randint(0, 1000, (phase.batch,), generator=generator, device=device)
        noise = torch.randn(
            phase.batch, 4, phase.size // 4, phase.size // 4, generator=generator, device=device
        )
        losses = item_losses(model, schedule, (batch, holes, prompts), t, noise)
        optimiser.zero_grad(set_to_none=True)
        losses.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
            average.update(model, step)
        step, seen = step + 1, seen + phase.batch
        if step % 10 == 0:
            for level, loss in zip((t // 250).tolist(), losses.tolist(), strict=True):
                levels[level].append(loss)
        if step % 100 == 0:
            parts = " ".join(f"{level}:{np.mean(values[-200:]):.3f}" for level, values in sorted(levels.items()))
            sys.stderr.write(f"step {step} images {seen} {used:.0f} s lr {rate:.1e} size {phase.size} loss {parts}\n")
        if time.monotonic() - saved > args.every:
            _save(args.out, model, average, optimiser, {"step": step, "seconds": used, "images": seen}, heldout)
            saved = time.monotonic()
    _save(args.out, model, average, optimiser, {"step": step, "seconds": used, "images": seen}, heldout)


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def _restore_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        index, name = key.split(".")
        state[int(index)][name] = value
    optimiser.load_state_dict({"state": dict(state), "param_groups": optimiser.state_dict()["param_groups"]})


def _save(
    out: Path,
    model: Prior,
    average: checkpoints.Average,
    optimiser: torch.optim.Optimizer,
    state: dict[str, object],
    heldout: list[Tensor],
) -> None:
    live = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.weights)
    state["heldout"] = heldout_loss(model, architecture.scheduler(), heldout)
    model.load_state_dict(live)
    sys.stderr.write(f"checkpoint {state}\n")
    checkpoints.save(out, {"model": live, "average": average.weights, "moments": _moments(optimiser)}, state)


if __name__ == "__main__":
    main()
