"""The components that show a run: which ones a handler may change, and what they show of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from realfill.config import PRESETS
from realfill.runs.run import Run
from realfill.sentences import Sentence

from .language.catalogue import translate
from .markup import EMPTY, markup
from .runs.costs import whole_time
from .runs.watch import RunSnapshot
from .tabs.browse import BrowseTab, list_checkpoints
from .tabs.scene import SceneTab
from .tabs.train import WAYS, TrainTab
from .wiring import Updates
from .workbench.endpoints import payload_answer
from .workbench.payload import Payload

WELCOME = Sentence("No project yet. Add photos, mark the missing part, start.")
START = Sentence("Train for a better one")
AGAIN = Sentence("Again as a new project")


NOTHING = ("",)  # what is seen where no project is open: a key of no run


@dataclass(frozen=True)
class RunView:
    """Three tabs, the status bar, and what is hidden: which run is shown, in which state, and when to look again."""

    run_id: Component  # of the run that is shown; empty: none
    seen: Component  # the key of the snapshot that is shown
    timer: gr.Timer
    tabs: gr.Tabs
    status: gr.HTML
    try_draft: gr.Button
    start: gr.Button
    stop: gr.Button
    resume: gr.Button
    same_scene: gr.Checkbox
    more_steps: gr.Number
    go_further: gr.Button
    scene: SceneTab
    train: TrainTab
    browse: BrowseTab

    @property
    def look_outputs(self) -> list[Component]:
        """What changes while a run is watched."""
        buttons = [
            self.try_draft,
            self.start,
            self.stop,
            self.resume,
            self.more_steps,
            self.go_further,
            self.same_scene,
        ]
        bar = [self.status, *buttons, self.timer, self.seen, self.run_id]
        training = [self.train.plot, self.train.facts, self.train.strip, self.train.notices]
        again = [self.browse.checkpoint, self.browse.make_again, *self.browse.again.inputs]
        seeds = [self.browse.seeds, self.browse.viewer, self.browse.seam]
        return [*bar, *training, self.train.cost, *seeds, *again]

    @property
    def project_outputs(self) -> list[Component]:
        """What opening a project may change."""
        return [*self.look_outputs, *self.browse.export_inputs, self.tabs, self.scene.workbench]

    @property
    def load_outputs(self) -> list[Component]:
        """What a fresh page is told."""
        return [*self.project_outputs, self.train.way, self.train.base]

    def show(self, snapshot: RunSnapshot, seen: tuple[Any, ...] | None) -> Updates:
        """What a snapshot changes in a page that shows the one with the key `seen`; None: in a fresh page."""
        ended, run = not snapshot.is_live, snapshot.run
        updates: Updates = {
            **self._show_buttons(snapshot),
            self.seen: snapshot.key(),
            self.status: snapshot.bar(),
            self.timer: gr.Timer(active=snapshot.has_news),
            self.same_scene: gr.update(visible=ended and run.is_trained and not run.config.guide.only),
            self.train.facts: snapshot.facts(),
            self.browse.make_again: gr.update(interactive=bool(snapshot.grid()["more"])),
        }
        if seen is None:
            updates |= self._show_settings(snapshot.run)
            updates[self.run_id] = snapshot.run.folder.name
            updates[self.same_scene]["value"] = False
        if seen is None or snapshot.strip != seen[-3]:
            updates[self.train.strip] = snapshot.previews()
        if seen is None or snapshot.losses_key() != seen[-2]:
            updates[self.train.plot] = snapshot.losses()
            updates[self.train.notices] = snapshot.notices()
        if seen is None or snapshot.seeds_key() != seen[-1]:
            updates[self.browse.seeds] = snapshot.grid()
        return updates

    def show_nothing(self) -> Updates:
        """An empty page for a new project."""
        training = {self.train.plot: None, self.train.facts: "", self.train.strip: "", self.train.notices: ""}
        browsing = {self.browse.seeds: None, self.browse.viewer: None, self.browse.seam: ""}
        tabs = {self.tabs: gr.Tabs(selected="scene")}
        own: Updates = {self.seen: NOTHING, self.run_id: ""}
        own[self.scene.workbench] = {"open": payload_answer(Payload())}
        return {**training, **self.show_idle(), **browsing, **tabs, **own}

    def show_idle(self) -> Updates:
        """What stands below where no project is open."""
        return {
            **dict.fromkeys((self.stop, self.resume, self.more_steps, self.go_further), gr.update(visible=False)),
            self.try_draft: gr.update(visible=True),
            self.start: gr.update(visible=True, value=translate(START), variant="secondary"),
            self.same_scene: gr.update(visible=False, value=False),
            self.browse.make_again: gr.update(interactive=False),
            self.status: status_html(WELCOME),
            self.timer: gr.Timer(active=False),
        }

    def _show_buttons(self, snapshot: RunSnapshot) -> Updates:
        """One button that is what can be done now; training further stands beside it."""
        state, live, example = snapshot.status.state, snapshot.is_live, snapshot.run.labels.is_example
        ends = live and snapshot.run.stop_requested()
        trained = not live and not example and bool(snapshot.run.checkpoint_steps())
        only = state == "done" and snapshot.run.config.guide.only and not example
        again = {"value": translate(START if only else AGAIN), "variant": "primary" if only else "secondary"}
        return {
            self.try_draft: gr.update(visible=False),
            self.start: gr.update(visible=not live, **again),
            self.stop: gr.update(
                visible=live, interactive=not ends, value=translate("Stopping…") if ends else translate("Stop")
            ),
            self.resume: gr.update(visible=not live and not example and state != "done"),
            self.more_steps: gr.update(visible=trained),
            self.go_further: gr.update(visible=trained),
        }

    def _show_settings(self, run: Run) -> Updates:
        """The fields that make the seeds again, as the run has them."""
        again, sample = self.browse.again, run.config.sample
        values = dict(zip(again.inputs, again.values(run.config), strict=True))
        choices = list_checkpoints(run.checkpoint_steps(), run.adapter_steps)
        known = sample.checkpoint if sample.checkpoint in [value for _, value in choices] else 0
        return {**values, self.browse.checkpoint: gr.update(choices=choices, value=known)}


def draft_label(runs_dir: Path) -> str:
    """What the button says that has the draft made: how long it takes, as it was measured here."""
    whole = whole_time(runs_dir, PRESETS["mini"].model_copy(update={"guide": WAYS["draft"]}))
    time = whole.span() if whole else translate("some seconds")
    return translate("Try it now: {time}, no training", time=time)


def status_html(sentence: str) -> Markup:
    """The status bar where no run is shown; the page's script says there what the scene still lacks."""
    idle = Markup(' data-idle="yes"') if sentence == WELCOME else EMPTY
    template = '<div class="rf-status" role="status"{idle}><span class="rf-line">{line}</span></div>'
    return markup(template, line=translate(sentence), idle=idle)
