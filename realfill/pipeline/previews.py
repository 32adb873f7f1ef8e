"""Small pictures of one seed while training goes on: how the adapter learns the scene.

They are made between two steps and draw from generators of their own, so training's numbers stay the same.
"""

import dataclasses

from realfill.config import SampleConfig
from realfill.errors import OutOfMemory
from realfill.events import PreviewReady
from realfill.pipeline.session import Session, closed

STEPS = 10  # denoising steps: enough to see what is there, a second or two
LONGEST = 20  # pictures kept; where more are due, every other one is left out


class PreviewMaker:
    """Makes `previews/<step>.png` of a run every `train.preview_every` steps."""

    def __init__(self, work: Session) -> None:
        self._work = work
        wanted = work.run.config.train
        every = wanted.preview_every
        while every and wanted.steps // every > LONGEST:
            every *= 2
        self._every = every if work.processes.is_main else 0

    def after(self, step: int) -> None:
        """To be called after each step; makes a picture where one is due. Want of memory ends the previews only."""
        if not self._every or step % self._every:
            return
        try:
            self._make(step)
        except OutOfMemory:
            self._every = 0
            self._work.say("There is too little memory for previews beside the training; it goes on without them.")

    def _make(self, step: int) -> None:
        from realfill.imaging.photo import save_photo
        from realfill.models.lora import enable_all_layers
        from realfill.models.out_of_memory import MemoryBudget
        from realfill.sampling import sample

        run, training = self._work.run, self._work.economy.plan
        least = MemoryBudget(
            dataclasses.replace(training, seeds=1, pictures=1)
        )  # its own: it must not slow what follows
        seed = run.config.sample.seeds[0]
        wanted = SampleConfig(sampler="ddim", steps=STEPS, guidance=run.config.sample.guidance, batch=1)
        found = sample.sample(
            self._work.backbone,
            self._work.scene,
            self._work.fit,
            wanted,
            prompt=run.config.train.prompt,
            seeds=[seed],
            within=least,
        )
        try:
            with enable_all_layers(self._work.backbone), closed(found):
                photo = next(found).photo
        finally:
            self._work.backbone.use_plan(training)
        folder = run.folder / "previews"
        folder.mkdir(exist_ok=True)
        save_photo(photo, folder / f"{step:06d}.png")
        self._work.report(PreviewReady(step))
