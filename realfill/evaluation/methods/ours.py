"""RealFill itself, exactly as `realfill complete` runs it, and its base without any training."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from realfill import config as settings
from realfill.config import Config, flatten
from realfill.evaluation.methods.base import Method, NoResult, Setup
from realfill.pipeline import stages
from realfill.runs.export import crop_of_run, enlarge
from realfill.runs.run import Run
from realfill.sampling.sample import Candidate
from realfill.scene.scene import Scene


class RealFill:
    """A run in the method's own folder: it resumes, and it opens in the page."""

    def __init__(self, setup: Setup, config: Config) -> None:
        self._setup, self._config = setup, config

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        config = settings.change(self._config, {"sample.seeds": tuple(seeds)})
        stages.complete(
            self._setup.work,
            scene=self._setup.folder,
            config=config,
            report=self._setup.report,
            device=self._setup.device,
            until="sample",
        )
        run = Run.open(self._setup.work)
        fit = crop_of_run(run)
        if fit is None:
            raise NoResult(f"The run in {run.folder} ended without a working size.")
        drafted = [seed for seed in run.seeds_done() if run.kind(seed) == "guided"]
        self._setup.facts.update(base=run.fact("base"), from_draft=drafted)
        for seed in seeds:
            photo = enlarge(run, scene, seed, fit)  # with the references' detail, as it is exported
            yield Candidate(seed, np.where(fit.covered_hole()[..., None], photo, scene.target))


def realfill(setup: Setup) -> Method:
    """With the settings asked for."""
    return RealFill(setup, setup.config)


def untrained(setup: Setup) -> Method:
    """The same base, fixed prompt and sampler, with no step of training."""
    return RealFill(setup, settings.change(setup.config, {"train.steps": 0}))


def realfill_settings(setup: Setup) -> dict[str, Any]:
    """What decides the pictures: every setting but the seeds, and what only decides how it is carried out."""
    passing = ("sample.seeds", "sample.batch", "train.micro_batch", "train.checkpoint_every", "train.keep_checkpoints")
    skipped = (*passing, "select.", "export.")
    return {name: value for name, value in flatten(setup.config).items() if not name.startswith(skipped)}


def untrained_settings(setup: Setup) -> dict[str, Any]:
    """As `realfill_settings`; of training only the prompt matters."""
    return {
        name: value
        for name, value in realfill_settings(setup).items()
        if name == "train.prompt" or not name.startswith("train.")
    }
