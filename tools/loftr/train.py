"""Train the small LoFTR: `python -m tools.loftr.train --photos DIR --heldout DIR --out DIR --minutes 60`.

Runs on one CPU core. `--minutes` is processor time over all calls, so that a busy machine changes nothing but how long
it takes; a call goes on from the last checkpoint in `--out`.
The averaged weights are `average.safetensors`, their configuration `config.json`, the held-out curve `curve.jsonl`.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kornia.feature import LoFTR
from torch import Tensor, nn

from tools.loftr import architecture, supervision
from tools.loftr.pairs import WarpedPairs, draw
from tools.mini import checkpoints
from tools.mini.data import Pictures, read_photos

WARM_UP = 100  # steps
EASY = 0.4  # of the time, in which the pairs become as different as they get
HELDOUT = 32  # pairs
SIZES = ((0.5, 128, 2), (1.0, 256, 1))  # until which share of the time, side in pixels, pairs in units of --batch


def losses(network: LoFTR, pairs: WarpedPairs) -> tuple[Tensor, Tensor]:
    """The coarse and the fine loss of a batch; at least one pair must have a true match."""
    stride = network.config["resolution"][0]
    known = supervision.truth(pairs, stride)
    data = supervision.run(network, pairs, known)
    return supervision.coarse_loss(data["conf_matrix"], known), supervision.fine_loss(data, known, stride)


@torch.no_grad()
def measure(network: LoFTR, groups: list[WarpedPairs]) -> dict[str, float]:
    """How well the network, in evaluation mode, answers pairs that it has not seen.

    `accuracy`: share of true cells whose most confident cell is the true one; `right`: share of the matches given
    whose cell is the true one or next to it; `given`, `unrelated`: matches a pair, of related and of other pictures.
    """
    stride = network.config["resolution"][0]
    hits, true, given, right, related, strays, others = (0.0,) * 7
    for pairs in groups:
        known = supervision.truth(pairs, stride)
        data = supervision.run(network, pairs)
        best = data["conf_matrix"].argmax(2)
        hits += (best[known.batch, known.first] == known.second).sum().item()
        true += len(known.batch)
        matches = torch.isin(torch.arange(len(pairs.first)), known.batch)
        batch, cell = data["b_ids"], data["mkpts1_c"] - supervision.HALF_PIXEL
        near = (known.warped[batch, data["i_ids"]] - cell).abs().amax(1) <= 1.5 * stride
        given, right = given + matches[batch].sum().item(), right + near.sum().item()
        strays += (~matches)[batch].sum().item()
        related, others = related + matches.sum().item(), others + (~matches).sum().item()
    return {
        "accuracy": hits / max(true, 1),
        "right": right / max(given, 1),
        "given": given / max(related, 1),
        "unrelated": strays / max(others, 1),
    }


class LoftrTrainer:
    """Network, average, optimiser and counters: all that a checkpoint holds, and one training step."""

    def __init__(self, args: argparse.Namespace, heldout: list[WarpedPairs]) -> None:
        self.args, self.heldout = args, heldout
        self.network = architecture.network()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), args.lr, weight_decay=1e-2)
        self.average = checkpoints.Average(self.network, 0.995)
        self.step, self.pairs, self.seconds = 0, 0, 0.0  # of processor time
        self._recent: list[tuple[float, float]] = []
        self._resume()
        self.rng = np.random.default_rng((11, self.step))
        torch.manual_seed(self.step)

    def train_step(self, pictures: Pictures) -> None:
        """One batch; a step whose gradient is not finite is left out."""
        share = self.seconds / (self.args.minutes * 60)
        rate = self.args.lr * min(1, (self.step + 1) / WARM_UP) * (0.51 + 0.49 * math.cos(math.pi * min(share, 1)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        size, many = next((size, many) for until, size, many in SIZES if share < until)
        count, difficulty = many * self.args.batch, min(1, 0.3 + 0.7 * share / EASY)
        batch = draw(pictures, self.rng, count, size=size, difficulty=difficulty)
        self._positions()
        coarse, fine = losses(self.network, batch)
        self.optimiser.zero_grad(set_to_none=True)
        (coarse + fine).backward()  # type: ignore[no-untyped-call]
        if torch.isfinite(nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)):
            self.optimiser.step()
            self.average.update(self.network, self.step)
        self.step, self.pairs = self.step + 1, self.pairs + count
        self._recent.append((coarse.item(), fine.item()))
        if self.step % 20 == 0:
            means = np.mean(self._recent[-20:], 0)
            sys.stderr.write(f"step {self.step} {self.seconds:.0f} s coarse {means[0]:.3f} fine {means[1]:.3f}\n")

    def _positions(self) -> None:
        """Moves the position codes, so that larger pictures than the training's find codes that were learnt."""
        encoding = self.network.pos_encoding
        encoding.update_position_encoding_size((64, 64))
        row, column = self.rng.integers(0, 24, 2).tolist()
        encoding.pe = encoding.pe[:, :, row:, column:]

    def save(self) -> dict[str, Any]:
        """Writes a checkpoint and adds the averaged network's held-out answers to the curve."""
        averaged = architecture.network()
        averaged.load_state_dict(self.average.weights)
        answers = measure(averaged.eval(), self.heldout)
        counters = {"step": self.step, "pairs": self.pairs, "seconds": self.seconds}
        state: dict[str, Any] = {**counters, **answers}
        groups = {"model": self.network.state_dict(), "average": self.average.weights}
        checkpoints.save(self.args.out, {**groups, "moments": checkpoints.moments(self.optimiser)}, state)
        (self.args.out / "config.json").write_text(json.dumps(self.network.config, indent=1) + "\n")
        with (self.args.out / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(state) + "\n")
        sys.stderr.write(f"checkpoint {state}\n")
        return state

    def _resume(self) -> None:
        checkpoint = checkpoints.load(self.args.out)
        if checkpoint is None:
            return
        groups, state = checkpoint
        self.network.load_state_dict(groups["model"])
        self.average.weights = groups["average"]
        checkpoints.restore_moments(self.optimiser, groups["moments"])
        self.step, self.pairs = int(str(state["step"])), int(str(state["pairs"]))
        self.seconds = float(str(state["seconds"]))


def main() -> None:
    args = _arguments()
    device = torch.device("cpu")
    unseen = Pictures(read_photos(args.heldout, device), seed=7, device=device, procedural=0.0, reservoir=16)
    rng = np.random.default_rng(7)
    trainer = LoftrTrainer(args, [draw(unseen, rng, 8, size=256, difficulty=0.7) for _ in range(HELDOUT // 8)])
    pictures = Pictures(
        read_photos(args.photos, device), seed=trainer.step, device=device, procedural=0.3, reservoir=48
    )
    began, saved = time.process_time() - trainer.seconds, trainer.seconds
    while trainer.seconds < args.minutes * 60:
        trainer.train_step(pictures)
        trainer.seconds = time.process_time() - began
        if trainer.seconds - saved > args.every:
            trainer.save()
            saved = trainer.seconds
    trainer.save()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=4, help="pairs at 256 px; twice as many at 128")
    parser.add_argument("--every", type=float, default=60, help="seconds between checkpoints")
    return parser.parse_args()


if __name__ == "__main__":
    main()
