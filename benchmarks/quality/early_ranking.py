"""Does an early guess rank seeds as the finished picture does? `python -m benchmarks.quality.early_ranking RUN …
[--json]`.

Staged selection would count matches of what the model expects to come out (the predicted x_0) after some of the steps
and finish only the best seeds. For trained runs, all seeds from noise, this says how the early counts rank beside the
final ones, and how much of the final best quarter would have been finished. Nothing is written.

Sixteen seeds of a run with `mini` take about a minute on two CPU cores.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.options import base_parser, print_json
from realfill.device.devices import choose_device
from realfill.device.process_group import ProcessGroup
from realfill.matching.selection import score_candidates
from realfill.models.lora import merge_adapters
from realfill.models.pixels import to_photo
from realfill.pipeline.resources import Resources
from realfill.pipeline.session import Session
from realfill.runs.run import Run
from realfill.sampling.sample import sampling_input

FINISHED = 0.5  # of the seeds, which staged selection would go on with
QUARTER = 0.25  # that people look at


@torch.no_grad()
def predict_latents(run: Run, resources: Resources, seed: int, after: Sequence[int]) -> Iterator[Tensor]:
    """The predicted clean latents (1, c, h, w) of a seed after these numbers of DDIM steps."""
    backbone, sample = resources.load_adapter(), run.config.sample
    image = backbone.image_condition(sampling_input(resources.scene, resources.crop))
    condition = backbone.condition(image, [run.config.train.prompt])
    solver = backbone.process.solver("ddim", sample.steps)
    shape = backbone.spec.latent_shape(resources.crop.height, resources.crop.width)
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, *shape, generator=generator).to(backbone.device)
    with merge_adapters(backbone):
        for count, t in enumerate(solver.timesteps, 1):
            step = solver.step(backbone.predict(latents, t, condition), t, latents)
            latents = step.prev_sample
            if count in after:
                yield step.pred_original_sample


def count_matches(run: Run, resources: Resources, seeds: Sequence[int], after: Sequence[int]) -> dict[int, list[int]]:
    """Matches in the hole by number of steps, one for each seed."""
    hole = resources.crop.fillable_hole(resources.scene.hole)
    matches: dict[int, list[int]] = {}
    pictures: dict[int, list[tuple[int, Any]]] = {steps: [] for steps in after}
    for seed in seeds:
        for steps, latents in zip(after, predict_latents(run, resources, seed, after), strict=True):
            pictures[steps].append((seed, to_photo(resources.backbone.decode(latents)[0])))
    for steps, candidates in pictures.items():
        scores = score_candidates(resources.matcher[0], resources.scene.references, candidates, hole)
        matches[steps] = [score.matches for score in scores]
    return matches


def survival(early: Sequence[int], final: Sequence[int]) -> float:
    """The share of the final best quarter that is among the early best half; ties by the seeds' order."""
    best = np.argsort(-np.asarray(final), kind="stable")[: max(1, round(len(final) * QUARTER))]
    finished = np.argsort(-np.asarray(early), kind="stable")[: max(1, round(len(early) * FINISHED))]
    return float(np.isin(best, finished).mean())


def main(argv: list[str] | None = None) -> None:
    """Prints a line for each run, and their mean."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of trained runs")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args(argv)
    device, rows = choose_device(args.device), []
    for folder in args.runs:
        run = Run.open(folder)
        resources = Resources(Session(run, lambda event: None, device=device, processes=ProcessGroup(device)))
        total = run.config.sample.steps
        after = sorted({max(1, round(total * part)) for part in (0.1, 0.25, 0.5)} | {total})
        matches = count_matches(run, resources, range(args.seeds), after)
        for steps in after[:-1]:
            rho = float(pd.Series(matches[steps]).rank().corr(pd.Series(matches[total]).rank()))
            share = survival(matches[steps], matches[total])
            rows.append({"run": folder.name, "steps": steps, "of": total, "rho": rho, "kept": share})
            sys.stdout.write(
                f"{folder.name}, {steps} of {total} steps: rank correlation {rho:+.2f}, "
                f"{share:.0%} of the best quarter among the early best half\n"
            )
    if args.json:
        print_json(device=device, rows=rows)


if __name__ == "__main__":
    main()
