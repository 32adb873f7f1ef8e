"""Does an early guess rank seeds as the finished picture does? `python -m benchmarks.staged RUN … [--json]`.

Staged selection would count matches of what the model expects to come out (the predicted x_0) after some of the steps
and finish only the best seeds. For trained runs, all seeds from noise, this says how the early counts rank beside the
final ones, and how much of the final best quarter would have been finished. Nothing is written.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from realfill.device.devices import choose_device
from realfill.device.process_group import ProcessGroup
from realfill.matching.selection import score_candidates
from realfill.models.lora import merge_adapters
from realfill.models.pixels import to_photo
from realfill.pipeline.session import Session
from realfill.runs.run import Run
from realfill.sampling.sample import sampling_input

FINISHED = 0.5  # of the seeds, which staged selection would go on with
QUARTER = 0.25  # that people look at


@torch.no_grad()
def guesses(work: Session, seed: int, after: Sequence[int]) -> Iterator[Tensor]:
    """The predicted clean latents (1, c, h, w) of a seed after these numbers of DDIM steps."""
    backbone, sample = work.adapted(), work.run.config.sample
    condition = backbone.condition(*sampling_input(work.scene, work.fit), [work.run.config.train.prompt])
    solver = backbone.process.solver("ddim", sample.steps)
    shape, generator = condition.masked.shape[1:], torch.Generator().manual_seed(seed)
    latents = torch.randn(1, *shape, generator=generator).to(backbone.device)
    with merge_adapters(backbone):
        for done, t in enumerate(solver.timesteps, 1):
            made = solver.step(backbone.predict(latents, t, condition), t, latents)
            latents = made.prev_sample
            if done in after:
                yield made.pred_original_sample


def counts(work: Session, seeds: Sequence[int], after: Sequence[int]) -> dict[int, list[int]]:
    """Matches in the hole by number of steps, one for each seed."""
    hole = work.fit.fillable_hole(work.scene.hole)
    found: dict[int, list[int]] = {}
    pictures: dict[int, list[tuple[int, Any]]] = {steps: [] for steps in after}
    for seed in seeds:
        for steps, latents in zip(after, guesses(work, seed, after), strict=True):
            pictures[steps].append((seed, to_photo(work.backbone.decode(latents)[0])))
    for steps, candidates in pictures.items():
        scores = score_candidates(work.matcher[0], work.scene.references, candidates, hole)
        found[steps] = [one.matches for one in scores]
    return found


def survival(early: Sequence[int], final: Sequence[int]) -> float:
    """The share of the final best quarter that is among the early best half; ties by the seeds' order."""
    best = np.argsort(-np.asarray(final), kind="stable")[: max(1, round(len(final) * QUARTER))]
    kept = np.argsort(-np.asarray(early), kind="stable")[: max(1, round(len(early) * FINISHED))]
    return float(np.isin(best, kept).mean())


def main(argv: list[str] | None = None) -> None:
    """Prints a line for each run, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of trained runs")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    args = parser.parse_args(argv)
    device, rows = choose_device(args.device), []
    for folder in args.runs:
        work = Session(Run.open(folder), lambda event: None, device=device, processes=ProcessGroup(device))
        whole = work.run.config.sample.steps
        after = sorted({max(1, round(whole * share)) for share in (0.1, 0.25, 0.5)} | {whole})
        found = counts(work, range(args.seeds), after)
        for steps in after[:-1]:
            rho = float(pd.Series(found[steps]).rank().corr(pd.Series(found[whole]).rank()))
            kept = survival(found[steps], found[whole])
            rows.append({"run": folder.name, "steps": steps, "of": whole, "rho": rho, "kept": kept})
            sys.stdout.write(
                f"{folder.name}, {steps} of {whole} steps: rank correlation {rho:+.2f}, "
                f"{kept:.0%} of the best quarter among the early best half\n"
            )
    if args.json:
        sys.stdout.write(json.dumps({"device": device, "command": sys.argv, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
