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
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.mini import architecture, checkpoints, vocabulary
from tools.mini.data import PHOTO_PROMPT, Pictures, read_photos

PROMPT_DROPOUT = 0.1
REUSE = 4  # times an encoded picture is drawn on average, each time with other noise: encoding costs as much as a step
RESERVOIR = 2048  # encoded pictures at hand
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

    def prompt_embeds(self, prompts: list[str], device: torch.device) -> Tensor:
        """(B, 77, width) hidden states; each distinct prompt is encoded once."""
        distinct = sorted(set(prompts))
        tokens = self._frozen[1](distinct, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        hidden = self.text(tokens.input_ids.to(device)).last_hidden_state
        hidden_of_each: Tensor = hidden[torch.tensor([distinct.index(prompt) for prompt in prompts], device=device)]
        return hidden_of_each

    @torch.no_grad()
    def latents(self, pictures: Tensor) -> Tensor:
        """(B, 4, h, w) in float32."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            latents = self.vae.encode(pictures).latent_dist.mode()
        scaled: Tensor = latents.float() * self.vae.config.scaling_factor
        return scaled


@dataclass(frozen=True)
class Encoded:
    """Pictures in latent space: (B, 4, h, w) whole and with the hole blanked, and the hole's cells (B, 1, h, w)."""

    clean: Tensor
    masked: Tensor
    latent_hole: Tensor

    def __len__(self) -> int:
        return len(self.clean)

    def select(self, where: Tensor) -> "Encoded":
        """The pictures of these indices."""
        return Encoded(self.clean[where], self.masked[where], self.latent_hole[where])


def encode(model: Prior, pictures: Tensor, holes: Tensor) -> Encoded:
    """Encodes (B, 3, H, W) in [-1, 1] with holes (B, 1, H, W) of 0 and 1."""
    clean, masked = model.latents(torch.cat([pictures, pictures * (1 - holes)])).chunk(2)
    return Encoded(clean, masked, F.interpolate(holes, clean.shape[-2:]))


class Reservoir:
    """Encoded pictures of one size, a few of them replaced at every draw."""

    def __init__(self, model: Prior, pictures: Pictures, phase: Phase, seed: int) -> None:
        self._model, self._pictures, self._phase = model, pictures, phase
        self._rng = np.random.default_rng((seed, phase.size))
        self._next = 0
        self._prompts: list[str] = []
        self._encoded: Encoded | None = None
        for _ in range(8):
            self._renew(phase.batch)

    def draw(self) -> tuple[Encoded, list[str]]:
        """A batch of the phase's size, and its prompts."""
        self._renew(max(1, self._phase.batch // REUSE))
        assert self._encoded is not None
        where = self._rng.integers(0, len(self._prompts), self._phase.batch)
        return self._encoded.select(torch.from_numpy(where)), [self._prompts[index] for index in where]

    def _renew(self, count: int) -> None:
        pictures, prompts = self._pictures.batch(count, self._phase.size)
        encoded = encode(self._model, pictures, self._pictures.holes(count, self._phase.size))
        if self._encoded is None:
            self._encoded = Encoded(*(part.new_empty(RESERVOIR, *part.shape[1:]) for part in vars(encoded).values()))
        for index, prompt in enumerate(prompts):
            place = self._next % RESERVOIR
            self._encoded.clean[place] = encoded.clean[index]
            self._encoded.masked[place] = encoded.masked[index]
            self._encoded.latent_hole[place] = encoded.latent_hole[index]
            self._prompts[place : place + 1] = [prompt]
            self._next += 1


def item_losses(
    model: Prior, noise_schedule: DDIMScheduler, batch: tuple[Encoded, list[str]], t: Tensor, noise: Tensor
) -> Tensor:
    """(B,) v-prediction errors, weighted towards the hole."""
    encoded, prompts = batch
    noisy = noise_schedule.add_noise(encoded.clean, noise, t)
    target = noise_schedule.get_velocity(encoded.clean, noise, t)
    with torch.autocast(noisy.device.type, torch.bfloat16):
        prompt_embeds = model.prompt_embeds(prompts, noisy.device)
        inputs = torch.cat([noisy, encoded.latent_hole, encoded.masked], 1).contiguous(
            memory_format=torch.channels_last
        )
        output = model.unet(inputs, t, prompt_embeds).sample
    weight = KNOWN_WEIGHT + (1 - KNOWN_WEIGHT) * encoded.latent_hole
    error = (output.float() - target) ** 2
    each: Tensor = (weight * error).mean((1, 2, 3)) / weight.mean((1, 2, 3))
    return each


@torch.no_grad()
def heldout_loss(model: Prior, schedule: DDIMScheduler, photos: list[Tensor]) -> dict[str, float]:
    """Mean error on fixed crops, holes and noise of the held-out photos, by quarter of the noise levels."""
    device = next(model.parameters()).device
    pictures = Pictures(photos, seed=7, device=device, procedural=0.0, reservoir=16)
    generator = torch.Generator(device).manual_seed(7)
    losses: dict[str, list[float]] = defaultdict(list)
    for _ in range(2):
        batch, _ = pictures.batch(8, architecture.SIZE)
        encoded = encode(model, batch, pictures.holes(8, architecture.SIZE))
        for quarter in range(4):
            t = torch.full((8,), 125 + 250 * quarter, device=device)
            noise = torch.randn(encoded.clean.shape, generator=generator, device=device)
            values = item_losses(model, schedule, (encoded, [PHOTO_PROMPT] * 8), t, noise)
            losses[f"t{125 + 250 * quarter}"].append(values.mean().item())
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    return {**means, "mean": float(np.mean(list(means.values())))}


class PriorTrainer:
    """Model, average, optimiser and counters: all that a checkpoint holds, and one training step."""

    def __init__(self, model: Prior, args: argparse.Namespace, device: torch.device) -> None:
        self.model, self.args, self.device = model, args, device
        self.schedule = architecture.scheduler()
        self.optimiser = torch.optim.AdamW(
            model.parameters(), args.lr, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
        )
        self.average = checkpoints.Average(model, 0.9995 if device.type == "cuda" else 0.998)
        self.step, self.seconds, self.images = 0, 0.0, 0
        self._resume()
        self._restart = self.step
        self._levels: dict[int, list[float]] = defaultdict(list)
        self._generator = torch.Generator(device).manual_seed(self.step)
        self._reservoir: tuple[Phase, Reservoir] | None = None
        self._phases = [Phase(args.small, 128, args.batch), Phase(1.0, architecture.SIZE, max(1, args.batch // 4))]

    def train_step(self, pictures: Pictures) -> None:
        """Draw a batch, step, update the average; a step whose gradient is not finite is left out."""
        share = self.seconds / (self.args.minutes * 60)
        warm = min(1.0, (self.step - self._restart + 1) / 200)
        rate = self.args.lr * warm * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * share)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        phase = next(phase for phase in self._phases if share < phase.until)
        if self._reservoir is None or self._reservoir[0] != phase:
            self._reservoir = phase, Reservoir(self.model, pictures, phase, self.step)
        encoded, prompts = self._reservoir[1].draw()
        draws = torch.rand(phase.batch, generator=self._generator, device=self.device).tolist()
        prompts = ["" if draw < PROMPT_DROPOUT else prompt for draw, prompt in zip(draws, prompts, strict=True)]
        t = torch.randint(0, 1000, (phase.batch,), generator=self._generator, device=self.device)
        noise = torch.randn(encoded.clean.shape, generator=self._generator, device=self.device)
        losses = item_losses(self.model, self.schedule, (encoded, prompts), t, noise)
        self.optimiser.zero_grad(set_to_none=True)
        losses.mean().backward()  # type: ignore[no-untyped-call]
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)):
            self.optimiser.step()
            self.average.update(self.model, self.step)
        self.step, self.images = self.step + 1, self.images + phase.batch
        self._log(t, losses, f"lr {rate:.1e} size {phase.size}")

    def save(self, heldout: list[Tensor]) -> None:
        """Write a checkpoint with the averaged model's held-out loss."""
        live = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.weights)
        loss = heldout_loss(self.model, self.schedule, heldout)
        self.model.load_state_dict(live)
        state: dict[str, object] = {
            "step": self.step,
            "seconds": self.seconds,
            "images": self.images,
            "device": self.device.type,
            "heldout": loss,
        }
        sys.stderr.write(f"checkpoint {state}\n")
        groups = {"model": live, "average": self.average.weights, "moments": checkpoints.moments(self.optimiser)}
        checkpoints.save(self.args.out, groups, state)

    def _resume(self) -> None:
        checkpoint = checkpoints.load(self.args.out)
        if checkpoint is None:
            return
        groups, state = checkpoint
        self.model.load_state_dict(groups["model"])
        self.average.weights = {key: value.to(self.device) for key, value in groups["average"].items()}
        checkpoints.restore_moments(self.optimiser, groups["moments"])
        self.step, self.seconds = int(str(state["step"])), float(str(state["seconds"]))
        self.images = int(str(state["images"]))

    def _log(self, t: Tensor, losses: Tensor, text: str) -> None:
        if self.step % 10 == 0:  # not every step: reading a loss waits for the device
            for level, loss in zip((t // 250).tolist(), losses.tolist(), strict=True):
                self._levels[level].append(loss)
        if self.step % 100 == 0:
            parts = " ".join(f"{level}:{np.mean(values[-200:]):.3f}" for level, values in sorted(self._levels.items()))
            sys.stderr.write(f"step {self.step} images {self.images} {self.seconds:.0f} s {text} loss {parts}\n")


def main() -> None:
    args = _arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(args.vae).to(device, memory_format=torch.channels_last)
    vae.requires_grad_(False).eval()
    model = Prior(vae, vocabulary.build(args.out / "tokenizer")).to(device)
    if args.weights is not None:
        model.unet.load_state_dict(UNet2DConditionModel.from_pretrained(args.weights / "unet").float().state_dict())
        model.text.load_state_dict(CLIPTextModel.from_pretrained(args.weights / "text_encoder").float().state_dict())
    trainer = PriorTrainer(model, args, device)
    pictures = Pictures(
        read_photos(args.photos, device),
        seed=trainer.step,
        device=device,
        procedural=0.3,
        renders=read_photos(args.renders, device) if args.renders else (),
        rendered=0.2,
    )
    heldout = read_photos(args.heldout, device)
    began = time.monotonic() - trainer.seconds
    piece_ends, saved = time.monotonic() + args.piece * 60, time.monotonic()
    while trainer.seconds < args.minutes * 60 and time.monotonic() < piece_ends:
        trainer.train_step(pictures)
        trainer.seconds = time.monotonic() - began
        if time.monotonic() - saved > args.every:
            trainer.save(heldout)
            saved = time.monotonic()
    trainer.save(heldout)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, required=True, help="assembled autoencoder folder")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--renders", type=Path, help="pictures by tools.scenes.rooms, a fifth of what is drawn")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--piece", type=float, default=math.inf, help="end this call after so many minutes")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--batch", type=int, default=16, help="at 128 px; the full size takes a quarter")
    parser.add_argument("--small", type=float, default=0.65, help="share of the time at 128 px")
    parser.add_argument("--every", type=float, default=420, help="seconds between checkpoints")
    parser.add_argument("--weights", type=Path, help="assembled pipeline folder to start from, e.g. assets/mini")
    return parser.parse_args()


if __name__ == "__main__":
    main()
