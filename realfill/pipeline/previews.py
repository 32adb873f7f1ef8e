"""Small pictures of one seed while training goes on: how the adapter learns the scene.

They are made between two steps and draw from generators of their own, so training's numbers stay the same.
"""

import contextlib
import dataclasses

from realfill.config import SampleConfig
from realfill.device.devices import is_out_of_memory
from realfill.errors import OutOfMemory
from realfill.events import PreviewReady
from realfill.pipeline.resources import Resources
from realfill.pipeline.session import Session
from realfill.sentences import Sentence

STEPS = 10  # denoising steps: enough to see what is there, a second or two
LONGEST = 20  # pictures kept; where more are due, every other one is left out


class PreviewMaker:
    """Makes `previews/<step>.png` of a run every `train.preview_every` steps."""

    def __init__(self, session: Session, resources: Resources) -> None:
        self._session, self._resources = session, resources
        train = session.run.config.train
        every = train.preview_every
        while every and train.steps // every > LONGEST:
            every *= 2
        self._every = every if session.processes.is_main else 0

    def make_if_due(self, step: int) -> None:
        """To be called when a step is done; makes a picture where one is due. Want of memory ends the previews only."""
        if not self._every or step % self._every:
            return
        try:
            self._make(step)
        except (OutOfMemory, RuntimeError, MemoryError) as error:
            if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
                raise
            self._every = 0
            self._session.say(
                Sentence("There is too little memory for previews beside the training; it goes on without them.")
            )

    def _make(self, step: int) -> None:
        from realfill.imaging.photo import save_photo
        from realfill.models.lora import enable_all_layers
        from realfill.models.out_of_memory import MemoryBudget
        from realfill.sampling import sample

        run, resources = self._session.run, self._resources
        backbone, training, seeds = resources.backbone, resources.budget.plan, run.config.sample
        try:
            with resources.draw_while_training() as drawing, enable_all_layers(drawing):
                candidates = sample.sample(
                    drawing,
                    resources.scene,
                    resources.crop,
                    _preview_settings(seeds),
                    prompt=run.config.train.prompt,
                    seeds=[seeds.seeds[0]],
                    # a budget of its own: what runs out of memory here must not slow what follows
                    budget=MemoryBudget(dataclasses.replace(training, seeds=1, pictures=1)),
                    watch=lambda step: self._session.check(),
                )
                with contextlib.closing(candidates):
                    photo = next(candidates).photo
        finally:
            backbone.use_plan(training)
        path = run.preview_path(step)
        path.parent.mkdir(exist_ok=True)
        save_photo(photo, path)
        self._session.report(PreviewReady(step))


def _preview_settings(config: SampleConfig) -> SampleConfig:
    """Few steps; no more than a distilled base takes, which makes nothing better of many."""
    steps = min(STEPS, config.steps) if config.base else STEPS
    return SampleConfig(sampler="ddim", steps=steps, guidance=config.guidance, hold=config.hold, batch=1)
