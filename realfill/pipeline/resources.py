"""What the stages of a run work with: scene, base, crop, memory, draft, matcher and adapter, each loaded once."""

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from realfill.errors import RunError
from realfill.events import Downloading
from realfill.geometry.draft import Draft, load_draft
from realfill.geometry.propose import load_proposals
from realfill.imaging.crop import CropTransform
from realfill.pipeline.session import Session
from realfill.runs.export import crop_of_run
from realfill.scene import scene as scenes
from realfill.scene.scene import crop_to_fill

if TYPE_CHECKING:
    from realfill.matching.matcher import Matcher
    from realfill.models.backbone import Backbone
    from realfill.models.out_of_memory import MemoryBudget
    from realfill.models.second_base import SecondBase

_TELL_EVERY = 2.0  # seconds between two reports of a download
_DRAFT_SIZE, _DRAFT_MULTIPLE = 512, 8  # where no base says them; the export takes the draft's own detail


class Resources:
    """What one session's stages share. Each attribute is loaded when it is first asked for, and then kept."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._base, self._fact = session.run.config.base, "base"  # what is loaded, and where run.json says so
        self._has_adapter = False
        self._second: SecondBase | None = None

    @functools.cached_property
    def scene(self) -> scenes.Scene:
        """The run's own copy of the scene."""
        run = self._session.run
        return scenes.load(run.scene_folder, variants=run.config.variants)

    def fetch_bases(self) -> None:
        """Downloads the bases that the run needs and that are not here; a stop ends it, and the next call goes on.

        Raises:
            WeightsError: one cannot be had, or there is no room for all of them.
        """
        from realfill.models.registry import fetch_bases

        session, config = self._session, self._session.run.config
        last = 0.0

        def watch(done: int, total: int, speed: float) -> None:
            nonlocal last
            session.check()
            if (now := time.monotonic()) - last >= _TELL_EVERY or done == total:
                last = now
                session.report(Downloading(done, total, speed))

        fetch_bases([config.base, *([config.sample.base] if config.sample.base else [])], watch)

    @functools.cached_property
    def backbone(self) -> "Backbone":
        """The base, on the device: the one that is trained, once seeds are made the one that makes them.

        Later processes must find the very weights that the first one used.

        Raises:
            WeightsError: it cannot be had.
            RunError: the base under that name has changed since the run began.
        """
        from realfill.models.cache import load_base

        session, run = self._session, self._session.run
        session.take_device()
        backbone = load_base(self._base, session.processes.device(session.device))
        backbone.use_mask_form(run.config.train.mask_form)
        spec = backbone.spec
        first = run.fact(self._fact)
        if first is not None and first["name"] == spec.name and first["weights_hash"] != spec.weights_hash:
            raise RunError(
                "The base '{name}' has changed since this run began; give a new --run folder.", name=spec.name
            )
        if session.processes.is_main:
            base = {"name": spec.name, "family": spec.family, "weights_hash": spec.weights_hash}
            precision = str(backbone.dtype).removeprefix("torch.")
            run.record(**{self._fact: base}, device=session.device, precision=precision)
        return backbone

    @functools.cached_property
    def crop(self) -> CropTransform:
        """How the target becomes the working size; the same for all the run's life (`fit` in run.json)."""
        run = self._session.run
        if known := crop_of_run(run):
            return known
        if run.config.guide.only:
            size, multiple = _DRAFT_SIZE, _DRAFT_MULTIPLE
        else:
            size, multiple = self.backbone.spec.size, self.backbone.spec.multiple
        fit = run.config.fit
        crop = crop_to_fill(self.scene, size=fit.size or size, multiple=multiple, context=fit.context)
        if self._session.processes.is_main:
            run.record(fit=crop.to_json())
        return crop

    @functools.cached_property
    def budget(self) -> "MemoryBudget":
        """What is computed at once, chosen from the memory that is free once the base is loaded."""
        from realfill.models.out_of_memory import plan_memory

        session = self._session
        processes = session.processes.count
        return plan_memory(self.backbone, self.crop, session.run.config, processes=processes, say=session.say)

    @functools.cached_property
    def draft(self) -> Draft | None:
        """The run's draft by geometry; None where it is not asked for."""
        run = self._session.run
        return load_draft(run.draft_folder) if run.config.guide.draft else None

    @functools.cached_property
    def proposals(self) -> list[Draft]:
        """The run's proposals, best first, or its draft where none were asked for.

        None where nothing but a model fills the hole.
        """
        run = self._session.run
        if self.draft is None:
            return []
        if run.config.guide.proposals:
            return load_proposals(run.proposals_folder)
        return [] if self.draft.reason and not run.config.guide.only else [self.draft]

    @functools.cached_property
    def matcher(self) -> "tuple[Matcher, str | None]":
        """The matcher, on the device, and what to say where another stands in for the one asked for.

        A run of the draft alone takes SIFT, as its proposals' score does: it waits for no device and no torch.

        Raises:
            WeightsError: the file that the run names cannot be used.
        """
        from realfill.matching.registry import FALLBACK, load_matcher, load_matcher_or_fallback

        session, config = self._session, self._session.run.config
        if config.guide.only:
            return load_matcher(config.select.model_copy(update={"matcher": FALLBACK, "weights": ""})), None
        session.take_device()
        return load_matcher_or_fallback(config.select, session.processes.device(session.device))

    def load_adapter(self) -> "Backbone":
        """Puts the run's adapter on the backbone, or the one of the checkpoint that its settings name; returns it.

        Raises:
            OptionError: there is no good checkpoint of that step.
        """
        from realfill.models import cache
        from realfill.models.lora import adapter_parameters
        from realfill.training.checkpoints import load_checkpoint_adapter

        run = self._session.run
        self._switch_base()
        if not self._has_adapter:
            cache.load_adapter(self.backbone, run.lora, run.config.train)
            self._has_adapter = True
        if step := run.config.sample.checkpoint:
            cache.forget_adapter()  # what is written over it now is not the finished one any more
            load_checkpoint_adapter(run.checkpoints, step, adapter_parameters(self.backbone))
        return self.backbone

    def _switch_base(self) -> None:
        """Puts the base that makes the seeds in the place of the trained one: both may not fit at once.

        Raises:
            WeightsError: it is of another family, so that the adapter cannot fit.
        """
        from realfill.models.second_base import check_family

        run = self._session.run
        other = run.config.sample.base
        if not other or self._fact == "sampling_base":
            return
        self._second = None
        for loaded in ("backbone", "budget"):
            self.__dict__.pop(loaded, None)
        self._base, self._fact, self._has_adapter = other, "sampling_base", False
        check_family(self.backbone, run.fact("base")["family"])

    @contextlib.contextmanager
    def draw_while_training(self) -> "Iterator[Backbone]":
        """The base that makes the seeds, with the adapter as far as it is trained: the trained one or a second one.

        Raises:
            WeightsError: as `load_adapter`.
        """
        from realfill.models.second_base import SecondBase

        session, config = self._session, self._session.run.config
        if not config.sample.base:
            yield self.backbone
            return
        if self._second is None:
            device = session.processes.device(session.device)
            self._second = SecondBase(config.sample.base, device, config.train)
        with self._second.draw(self.backbone) as second:
            yield second

    def note_adapter(self) -> None:
        """Says that the backbone carries the finished adapter already, having just been trained."""
        from realfill.models import cache

        session = self._session
        if session.processes.is_main:
            cache.note_adapter(self.backbone, session.run.lora, session.run.config.train)
        self._has_adapter = True
