"""The loss on held-out patches while training goes on, and a sentence when it has stopped falling.

One to five photos leave none to spare, so held out means less here than elsewhere: crops, holes, times and noise come
from a random stream that training never draws from, and stay the same for the whole run; but training sees the same
places in other crops. The loss tells when more steps change little, not how well the scene is learnt. It is only
said: training goes on to its end. A run that is continued begins to compare anew.
"""

import functools

from realfill.device.memory_plan import MemoryPlan
from realfill.errors import OutOfMemory
from realfill.events import HeldOut
from realfill.pipeline.resources import Resources
from realfill.pipeline.session import Session
from realfill.sentences import Sentence

PATCHES = 8
OFTEN, SELDOM = 10, 50  # measurements in a training, at least; steps between them, at most


class HeldOutLoss:
    """Measures every few steps, where `train.patience` asks for it."""

    def __init__(self, session: Session, resources: Resources) -> None:
        self._session, self._resources = session, resources
        train = session.run.config.train
        self._patience = train.patience if session.processes.is_main else 0
        self._every = max(1, min(SELDOM, train.steps // OFTEN))
        self._best, self._best_step, self._misses = float("inf"), 0, 0

    def measure_if_due(self, step: int) -> None:
        """To be called when a step is done; measures where it is time. Want of memory ends the measuring only."""
        if not self._patience or step % self._every:
            return
        try:
            loss = self._resources.budget.run(self._resources.backbone, "training", self._loss)
        except OutOfMemory:
            self._patience = 0
            self._session.say(Sentence("There is too little memory for held-out patches beside the training."))
            return
        self._session.report(HeldOut(step, loss))
        self._compare(step, loss)

    def _compare(self, step: int, loss: float) -> None:
        if loss < self._best:
            self._best, self._best_step, self._misses = loss, step, 0
            return
        self._misses += 1
        if self._misses == self._patience:  # once, until it falls again
            self._session.say(
                Sentence(
                    "The loss on held-out patches has not fallen since step {step}; stopping now loses little.",
                    step=self._best_step,
                )
            )

    def _loss(self, plan: MemoryPlan) -> float:
        """The mean over all patches, every layer's adapter on."""
        import torch

        from realfill.models.lora import enable_all_layers
        from realfill.training.loss import realfill_loss

        backbone = self._resources.backbone
        with torch.no_grad(), enable_all_layers(backbone):
            losses = [
                realfill_loss(backbone, piece.items, t=piece.t, noise=piece.noise, context=piece.context)
                for piece in self._patches.split(plan.items)
            ]
        return float(torch.cat(losses).mean())

    @functools.cached_property
    def _patches(self):  # type: ignore[no-untyped-def]  # its types would import torch
        """The items as the network takes them, their times, spread evenly, and all other photos beside them."""
        import torch

        from realfill import seeds
        from realfill.training.batches import ItemPick, draw_picks, keep_references, prepare_views
        from realfill.training.context import SceneContext
        from realfill.training.loader import Step
        from realfill.training.loss import encode_batch

        resources, config = self._resources, self._session.run.config
        backbone = resources.backbone
        train = config.train.model_copy(update={"mask_dropout": 0.0, "guided": 0.0})
        views = keep_references(prepare_views(resources.scene, resources.crop, train, cell=backbone.spec.loss_cell))
        keys = [(config.seed, seeds.Stream.HELD_OUT, index) for index in range(PATCHES)]
        picks = [ItemPick(train.prompt, None, seeds.rng(*key)) for key in keys]
        items = encode_batch(backbone, draw_picks(views, train, picks))
        shape, scene = items.items.clean.shape[1:], SceneContext(backbone, views)
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seeds.key(*key))) for key in keys]
        return Step(
            items,
            t=backbone.process.spread_times(PATCHES).to(backbone.device),
            noise=torch.stack(noise).to(backbone.device),
            context=tuple(scene.all(numbers) for numbers in items.context),
        )
