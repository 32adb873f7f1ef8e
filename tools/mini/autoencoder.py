"""Train mini's autoencoder: `python -m tools.mini.autoencoder --photos DIR --out DIR --minutes 20`.

Resumable: the same command goes on from the last checkpoint. The learning rate is a function of the
share of the whole time used, so `--minutes` is the total over all calls.

`--weights assets/mini/vae --decoder` goes on with the decoder alone: latents stay what they are, and every prior
trained on them with them. `--adversary` adds a small network that tells pictures from reconstructions: what latents do
not hold is then made up instead of averaged away. It is no part of the checkpoint: a resumed run begins with a new one.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from tools.mini import adversary, architecture, checkpoints
from tools.mini.data import Pictures, read_photos

KL_WEIGHT = 1e-6


def reconstruction_loss(output: Tensor, pictures: Tensor) -> Tensor:
    """L1 at full, half and quarter resolution plus L2: sharp enough without a perceptual network."""
    loss = F.l1_loss(output, pictures) + 2 * F.mse_loss(output, pictures)
    for _ in range(2):
        output, pictures = F.avg_pool2d(output, 2), F.avg_pool2d(pictures, 2)
        loss = loss + 0.5 * F.l1_loss(output, pictures)
    return loss


@torch.no_grad()
def fidelity(model: AutoencoderKL, photos: list[Tensor], size: int = architecture.SIZE) -> tuple[float, float]:
    """Mean PSNR in dB and mean gradient energy as a share of the photo's, through encode (mode) and decode.

    Of every photo the central square at `size`.
    """
    values, energies = [], []
    for photo in photos:
        side = min(photo.shape[1:])
        top, left = (photo.shape[1] - side) // 2, (photo.shape[2] - side) // 2
        square = photo[None, :, top : top + side, left : left + side].float() / 127.5 - 1
        square = F.interpolate(square, (size, size), mode="bilinear", antialias=True, align_corners=False)
        square = square.contiguous(memory_format=torch.channels_last)
        output = model.decode(model.encode(square).latent_dist.mode()).sample.clamp(-1, 1)
        values.append(10 * math.log10(4 / F.mse_loss(output, square).item()))
        energies.append(gradient_energy(output) / gradient_energy(square))
    return float(np.mean(values)), float(np.mean(energies))


def gradient_energy(pictures: Tensor) -> float:
    """Mean squared difference of neighbouring grey values."""
    grey = pictures.mean(1)
    return (grey.diff(dim=1).square().mean() + grey.diff(dim=2).square().mean()).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--procedural", type=float, default=0.35, help="share of procedural pictures")
    parser.add_argument("--weights", type=Path, help="assembled autoencoder to start from, e.g. assets/mini/vae")
    parser.add_argument("--decoder", action="store_true", help="leave the encoder, and so the latents, as they are")
    parser.add_argument("--adversary", type=float, default=0.0, help="its gradient's share of the reconstruction's")
    args = parser.parse_args()
    if args.decoder and args.weights is None and checkpoints.load(args.out) is None:
        parser.error("--decoder needs --weights: an encoder to leave as it is")

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = architecture.autoencoder().to(device, memory_format=torch.channels_last)
    if args.weights is not None:
        model.load_state_dict(AutoencoderKL.from_pretrained(args.weights).float().state_dict())
    if args.decoder:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, args.lr, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    judge = adversary.Adversary(args.adversary, args.lr, device) if args.adversary else None
    average = checkpoints.Average(model, 0.998)
    step, used = 0, 0.0
    if (checkpoint := checkpoints.load(args.out)) is not None:
        groups, state = checkpoint
        model.load_state_dict(groups["model"])
        average.weights = {key: value.to(device) for key, value in groups["average"].items()}
        step, used = int(str(state["step"])), float(str(state["seconds"]))
    pictures = Pictures(read_photos(args.photos, device), seed=step, device=device, procedural=args.procedural)
    heldout = read_photos(args.heldout, device)

    began, saved = time.monotonic() - used, time.monotonic()
    while (used := time.monotonic() - began) < args.minutes * 60:
        share = used / (args.minutes * 60)
        rate = args.lr * min(1.0, (step % 10**9 + 1) / 100) * (0.5 + 0.49 * math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch, _ = pictures.batch(args.batch, args.crop)
        batch = batch.to(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            posterior = model.encode(batch).latent_dist
            output = model.decode(posterior.sample()).sample
        output = output.float()
        loss = reconstruction_loss(output, batch) + KL_WEIGHT * posterior.kl().float().mean()
        optimiser.zero_grad(set_to_none=True)
        (loss if judge is None else loss + judge.step(loss, output, batch)).backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        if torch.isfinite(norm):
            optimiser.step()
            average.update(model, step)
        step += 1
        if step % 50 == 0:
            sys.stderr.write(f"step {step} {used:.0f} s loss {loss.item():.4f} lr {rate:.1e}\n")
        if time.monotonic() - saved > 180:
            _save(args.out, model, average, step, used, heldout[::4])
            saved = time.monotonic()
    _save(args.out, model, average, step, used, heldout)


def _save(
    out: Path, model: AutoencoderKL, average: checkpoints.Average, step: int, used: float, heldout: list[Tensor]
) -> None:
    copy = architecture.autoencoder().to(next(model.parameters()).device, memory_format=torch.channels_last)
    copy.load_state_dict(average.weights)
    copy.eval()
    value, energy = fidelity(copy, heldout)
    sys.stderr.write(f"step {step}: held-out PSNR {value:.2f} dB, energy {energy:.2f} at {architecture.SIZE} px\n")
    state: dict[str, object] = {"step": step, "seconds": used, "psnr": value, "energy": energy}
    checkpoints.save(out, {"model": model.state_dict(), "average": average.weights}, state)
    with torch.no_grad():
        square = heldout[0][None, :, :256, :256].float() / 127.5 - 1
        output = copy.decode(copy.encode(square).latent_dist.mode()).sample.clamp(-1, 1)
    strip = torch.cat([square, output], 3)[0].permute(1, 2, 0)
    Image.fromarray(((strip + 1) * 127.5).byte().cpu().numpy()).save(out / "preview.png")


if __name__ == "__main__":
    main()
