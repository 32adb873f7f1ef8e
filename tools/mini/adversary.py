"""A small network that tells pictures from reconstructions, for the autoencoder's decoder to learn from.

Squared errors are least where what cannot be known is averaged: a decoder trained on them alone blurs. Patches that are
judged as pictures or not (Isola et al. 2017; hinge loss and the balance of gradients as in Esser et al. 2021) make it
put texture where the latents say there is some.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Adversary:
    """The judge, its optimiser, and what it asks of the decoder."""

    def __init__(self, share: float, rate: float, device: torch.device) -> None:
        """`share`: length of its gradient on the pictures, relative to the reconstruction loss' own."""
        self._share = share
        self._judge = _patches().to(device)
        self._optimiser = torch.optim.AdamW(self._judge.parameters(), rate, betas=(0.5, 0.9), fused=True)
        self._steps = 0

    def step(self, loss: Tensor, output: Tensor, pictures: Tensor) -> Tensor:
        """Trains the judge on (B, 3, H, W) in [-1, 1]; what is to be added to the decoder's `loss` on `output`."""
        self._learn(output.detach(), pictures)
        self._steps += 1
        doubt = -self.believes(output)
        (wanted,) = torch.autograd.grad(loss, output, retain_graph=True)
        (own,) = torch.autograd.grad(doubt, output, retain_graph=True)
        # A judge that knows nothing yet asks for noise.
        share = self._share * min(1.0, self._steps / 500)
        asked: Tensor = doubt * (share * wanted.norm() / own.norm().clamp_min(1e-8))
        return asked

    def believes(self, pictures: Tensor) -> Tensor:
        """How much it takes (B, 3, H, W) for pictures: 1 and more is sure, -1 and less is sure that they are not."""
        with torch.autocast(pictures.device.type, torch.bfloat16):
            judged: Tensor = self._judge(pictures)
        return judged.float().mean()

    def _learn(self, output: Tensor, pictures: Tensor) -> None:
        with torch.autocast(output.device.type, torch.bfloat16):
            made, real = self._judge(torch.cat([output, pictures])).float().chunk(2)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(F.relu(1 + made).mean() + F.relu(1 - real).mean())
        self._optimiser.step()


def _patches() -> nn.Sequential:
    """(B, 3, H, W) → a judgement of every patch of 34 px; 0.2 M parameters."""
    parts: list[nn.Module] = [nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2)]
    for narrow, wide in ((32, 64), (64, 128)):
        parts += [nn.Conv2d(narrow, wide, 4, 2 if wide == 64 else 1, 1), nn.GroupNorm(8, wide), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, nn.Conv2d(128, 1, 4, 1, 1))
