"""The components that show a run: which ones a handler may change, and what they show of it."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from realfill.runs.run import Run

from .markup import markup
from .runs.watch import RunSnapshot
from .tabs.browse import BrowseTab, list_checkpoints
from .tabs.scene import SceneTab
from .tabs.train import TrainTab
from .wiring import Updates
from .workbench.endpoints import payload_answer
from .workbench.payload import Payload

WELCOME = "No project yet. Add photos, mark the missing part, start."


@dataclass(frozen=True)
class RunView:
    """Three tabs, the status bar, and what is hidden: which run is shown, in which state, and when to look again."""

    run_id: Component  # of the run that is shown; empty: none
    seen: Component  # the key of the snapshot that is shown
    timer: gr.Timer
    tabs: gr.Tabs
    status: gr.HTML
    stop: gr.Button
    resume: gr.Button
    same_scene: gr.Checkbox
    scene: SceneTab
    train: TrainTab
    browse: BrowseTab

    @property
    def look_outputs(self) -> list[Component]:
        """What changes while a run is watched."""
        bar = [self.status, self.stop, self.resume, self.same_scene, self.timer, self.seen, self.run_id]
        training = [self.train.plot, self.train.facts, self.train.strip, self.train.notices, self.train.go_further]
        again = [self.browse.checkpoint, self.browse.make_again, *self.browse.again.inputs]
        seeds = [self.browse.seeds, self.browse.viewer, self.browse.seam]
        return [*bar, *training, self.train.cost, *seeds, *again]

    @property
    def project_outputs(self) -> list[Component]:
        """What opening a project may change."""
        return [*self.look_outputs, *self.browse.export_inputs, self.tabs, self.scene.workbench]

    def show(self, snapshot: RunSnapshot, seen: tuple[Any, ...] | None) -> Updates:
        """What a snapshot changes in a page that shows the one with the key `seen`; None: in a fresh page."""
        ended, run = not snapshot.is_live, snapshot.run
        updates: Updates = {
            self.seen: snapshot.key(),
            self.status: snapshot.bar(),
            self.timer: gr.Timer(active=snapshot.has_news),
            self.stop: gr.update(interactive=snapshot.is_live, value="Stop"),
            self.resume: gr.update(interactive=ended and snapshot.status.state != "done"),
            self.same_scene: gr.update(visible=ended and run.is_trained and not run.config.guide.only),
            self.train.facts: snapshot.facts(),
            self.train.go_further: gr.update(interactive=ended and bool(snapshot.run.checkpoint_steps())),
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
        ended = gr.update(interactive=False)
        training = {self.train.plot: None, self.train.facts: "", self.train.strip: "", self.train.notices: ""}
        buttons = dict.fromkeys((self.stop, self.resume, self.train.go_further, self.browse.make_again), ended)
        browsing = {self.browse.seeds: None, self.browse.viewer: None, self.browse.seam: ""}
        tabs = {self.tabs: gr.Tabs(selected="scene"), self.timer: gr.Timer(active=False)}
        own: Updates = {self.seen: None, self.run_id: "", self.status: status_html(WELCOME)}
        own[self.same_scene] = gr.update(visible=False, value=False)
        own[self.scene.workbench] = {"open": payload_answer(Payload())}
        return {**training, **buttons, **browsing, **tabs, **own}

    def _show_settings(self, run: Run) -> Updates:
        """The fields that make the seeds again, as the run has them."""
        again, sample = self.browse.again, run.config.sample
        values = dict(zip(again.inputs, again.values(run.config), strict=True))
        choices = list_checkpoints(run.checkpoint_steps(), run.adapter_steps)
        known = sample.checkpoint if sample.checkpoint in [value for _, value in choices] else 0
        return {**values, self.browse.checkpoint: gr.update(choices=choices, value=known)}


def status_html(sentence: str) -> Markup:
    """The status bar where no run is shown."""
    return markup('<div class="rf-status" role="status"><span class="rf-line">{line}</span></div>', line=sentence)
