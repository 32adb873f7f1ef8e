"""The page: rail, tabs, status bar, and what happens when something is pressed.

Every handler is a method of plain values. What it returns names the components to change, so nothing
depends on their order.
"""

import html
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill import config
from realfill.errors import RealFillError, RunBusy, RunError, SceneError
from realfill.runs.run import Run
from realfill.runs.status import LIVE

from . import api
from .errors import speak_errors
from .rail import component
from .runs import costs
from .runs.jobs import Jobs
from .runs.pictures import Export
from .runs.projects import Projects
from .runs.thumbnails import Thumbs
from .runs.watch import Look, RunWatch
from .seed_handlers import SeedHandlers
from .tabs import browse, scene, train
from .tabs.scene import offer_answer, open_answer, read_inputs
from .tabs.train import cost_html, read_config
from .workbench.endpoints import payload_answer
from .workbench.payload import Payload

SECONDS = 1.0  # between looks at the run folder
REMEMBERED = 32  # runs whose events are kept in memory
PATIENCE = 10.0  # seconds that a run which has just ended may take to let go of its folder
BRAND = '<h1><span class="rf-logo" aria-hidden="true"></span>RealFill Studio</h1>'
WELCOME = "No project yet. Add photos, mark the missing part, start."
ADDRESS = """(id) => {
  const url = new URL(window.location);
  url.searchParams.delete('run');
  if (id) url.searchParams.set('project', id); else url.searchParams.delete('project');
  history.replaceState(null, '', url);
}"""
OFFER = "(scene) => { if (scene) window.dispatchEvent(new CustomEvent('realfill-offer', {detail: scene})); }"

Updates = dict[Component, Any]


class Page:
    """The one page over one folder of runs."""

    def __init__(self, jobs: Jobs, base: str = "mini") -> None:
        """`base` is what new runs start from unless another is chosen."""
        self.jobs, self.base = jobs, base
        self.projects = Projects(jobs)
        self._watches: OrderedDict[str, RunWatch] = OrderedDict()
        self._guard = threading.Lock()
        self._thumbs = Thumbs()
        with gr.Blocks(title="RealFill Studio", analytics_enabled=False, fill_width=True) as self.blocks:
            self.run_id: Component = gr.Textbox(visible="hidden", elem_id="run-id")
            self.seen = gr.State(None)
            # counts the glances at which there was something new; a State's change is not told without the queue
            self.news = gr.Number(0, visible="hidden", elem_id="news")
            self.offer = gr.JSON(visible="hidden", elem_id="offer")  # the workbench's own value may change meanwhile
            self.timer = gr.Timer(SECONDS, active=False)
            with gr.Row(elem_id="desk", equal_height=False):
                with gr.Column(scale=0, min_width=40, elem_id="side"):
                    gr.HTML(BRAND, elem_id="brand")
                    self.rail = component.build()
                with gr.Column(scale=1, elem_id="work"):
                    self._tabs()
                    self._bar()
            self.browsing = SeedHandlers(jobs, self.browse, self.run_id)
            # what opening a project may change, and the event that follows and names it in the browser's address
            self.opened: list[Component] = [*self.shown, *self.browse.look, self.tabs, self.scene.workbench]
            self.address = {"fn": None, "inputs": self.run_id, "js": ADDRESS, "api_visibility": "private"}
            self._wire()
            component.wire(self.rail, self)
            api.publish(self)

    def _tabs(self) -> None:
        with gr.Tabs(elem_id="tabs") as self.tabs:
            with gr.Tab("1  Scene", id="scene"):
                self.scene = scene.build()
            with gr.Tab("2  Train", id="train"):
                self.train = train.build(self.base, self.jobs.runs_dir)
            with gr.Tab("3  Browse and export", id="browse"):
                self.browse = browse.build()

    def _bar(self) -> None:
        with gr.Row(elem_id="bar"):
            self.status = gr.HTML(_idle(WELCOME), elem_id="status")
            self.start_button = gr.Button("Start", variant="primary", size="sm", elem_id="start")
            self.stop = gr.Button("Stop", size="sm", interactive=False, elem_id="stop")
            self.resume = gr.Button("Resume", size="sm", interactive=False, elem_id="resume")

    @property
    def shown(self) -> list[Component]:
        """What changes while a run is watched."""
        here = [self.status, self.stop, self.resume, self.timer, self.seen, self.run_id]
        training = [self.train.plot, self.train.facts, self.train.strip, self.train.notices, self.train.go_further]
        again = [self.browse.checkpoint, self.browse.make_again, *self.browse.again.inputs]
        seeds = [self.browse.seeds, self.browse.viewer, self.browse.seam]
        return [*here, *training, self.train.cost, *seeds, *again]

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        inputs = set(self.scene.inputs + self.train.inputs)
        opened, shown = self.opened, self.shown
        started = self.start_button.click(self.start, inputs, opened, api_visibility="private")
        started.success(**self.address)
        # gradio spends some milliseconds on every component that a handler may change, also where it changes none
        once = {"queue": False, "trigger_mode": "once", **quiet}
        self.timer.tick(self.glance, [self.run_id, self.seen, self.news], self.news, **once)
        self.news.change(self.tick, [self.run_id, self.seen], shown, **once)
        self.stop.click(self.ask_stop, self.run_id, shown, **quiet)
        self.resume.click(self.go_on, self.run_id, shown, **quiet)
        loaded = self.blocks.load(self.load, None, opened, **quiet)
        loaded.success(**self.address)
        restored = loaded.success(self.restore, self.run_id, self.offer, **quiet)  # nobody waits for it
        restored.success(None, self.offer, js=OFFER, api_visibility="private")
        self.train.go_further.click(self.go_further, [self.run_id, self.train.more_steps], shown, **quiet)
        self.browse.seeds.more(self.more_seeds, self.run_id, shown, **quiet)
        again = {self.run_id, self.browse.checkpoint, *self.browse.again.inputs}
        self.browse.make_again.click(self.make_again, again, shown, **quiet)
        self.browsing.wire()

    # ── runs ──

    @speak_errors
    def start(self, given: Mapping[Component, Any]) -> Updates:
        """Makes a run of what was given and starts it."""
        inputs, variants = read_inputs(self.scene, given)
        run = self.jobs.start(inputs, read_config(self.train, given, variants=variants))
        return {**self._attach(run.folder.name), self.tabs: gr.Tabs(selected="train")}

    @speak_errors
    def ask_stop(self, run_id: str) -> Updates:
        """Asks the run to stop after the current step or seed."""
        self.jobs.open(run_id).request_stop()
        return {**self._show(self._look(run_id), None), self.stop: gr.update(interactive=False, value="Stopping…")}

    @speak_errors
    def go_on(self, run_id: str) -> Updates:
        """Puts a stopped, interrupted or failed run back into the queue."""
        self._requeue(self.jobs.open(run_id))
        return self._show(self._look(run_id), None)

    @speak_errors
    def go_further(self, run_id: str, steps: float | None) -> Updates:
        """Trains a run for more steps than were asked for at first."""
        run = self.jobs.open(run_id)
        wanted = run.config.train.steps + int(steps or 0)
        return self._change(run, {"train.steps": wanted})

    @speak_errors
    def more_seeds(self, run_id: str, event: gr.EventData) -> Updates:
        """Makes pictures with seeds that were not asked for yet."""
        run = self.jobs.open(run_id)
        first, count = max(run.config.sample.seeds) + 1, min(64, max(1, int(event._data["count"])))
        return self._change(run, {"sample.seeds": (*run.config.sample.seeds, *range(first, first + count))})

    @speak_errors
    def make_again(self, given: Mapping[Component, Any]) -> Updates:
        """Makes all seeds with another sampler, guidance or checkpoint."""
        run = self.jobs.open(given[self.run_id])
        changes = {**self.browse.again.changes(given), "sample.checkpoint": given[self.browse.checkpoint] or 0}
        if config.change(run.config, changes) == run.config:
            raise gr.Error("The seeds were made with these settings; change one of them.", print_exception=False)
        return self._change(run, changes)

    @speak_errors
    def attach(self, run_id: str) -> Updates:
        """Shows a project from scratch, its scene too; the scene that was there comes back with Ctrl+Z."""
        shown = self._attach(run_id)
        try:
            run = self.jobs.view(run_id)
            if run.labels.is_example:
                shown[self.tabs] = gr.Tabs(selected="browse")
            return {**shown, self.scene.workbench: open_answer(run.scene_folder, run.labels.name)}
        except SceneError:  # one of an older kind; its pictures are there all the same
            return shown

    @speak_errors
    def restore(self, run_id: str) -> Any:
        """The scene of the project that a fresh page opened; the tab may have a later one of its own."""
        if not run_id:
            return gr.skip()
        try:
            run = self.jobs.view(run_id)
            return offer_answer(run.scene_folder, run.labels.name, run_id)
        except (SceneError, RunError):
            return gr.skip()

    def _attach(self, run_id: str) -> Updates:
        look = self._look(run_id)
        self.jobs.tend()
        export = look.run.config.export
        given = Export(export.feather, "png", export.quality, export.match_colour)
        return {
            **self._show(look, None),
            **self.browsing.shown(look.run, given),
            self.browse.feather: export.feather,
            self.browse.match_colour: export.match_colour,
            self.browse.quality: gr.update(value=export.quality),
        }

    def blank(self) -> Updates:
        """Shows an empty page for a new project."""
        ended = gr.update(interactive=False)
        training = {self.train.plot: None, self.train.facts: "", self.train.strip: "", self.train.notices: ""}
        buttons = dict.fromkeys((self.stop, self.resume, self.train.go_further, self.browse.make_again), ended)
        browsing = {self.browse.seeds: None, self.browse.viewer: None, self.browse.seam: ""}
        tabs = {self.tabs: gr.Tabs(selected="scene"), self.timer: gr.Timer(active=False)}
        own: Updates = {self.seen: None, self.run_id: "", self.status: _idle(WELCOME)}
        own[self.scene.workbench] = {"open": payload_answer(Payload())}
        return {**training, **buttons, **browsing, **tabs, **own}

    def load(self, request: gr.Request) -> Updates:
        """A fresh page: the run its address names, or the newest one."""
        query = request.query_params
        try:
            run_id = str(query.get("project") or query.get("run") or "") or self.jobs.latest()
            shown = self._attach(run_id) if run_id else {}
        except (RealFillError, gr.Error) as error:
            shown = {self.status: _idle(str(error).strip("'"))}
        return {**shown, self.train.cost: cost_html(self.base, self.jobs.runs_dir)}

    @speak_errors
    def glance(self, run_id: str, seen: tuple[Any, ...] | None, news: int) -> int:
        """`news`, and one more where the page should look what is new."""
        try:
            return (news or 0) + int(not run_id or self._look(run_id).key() != seen)
        except RunError:
            return (news or 0) + 1

    @speak_errors
    def tick(self, run_id: str, seen: tuple[Any, ...] | None) -> Any:
        """What changed since the last look; nothing at all where nothing did."""
        if not run_id:
            return {self.timer: gr.Timer(active=False)}
        try:
            look = self._look(run_id)
        except RunError as error:  # deleted in another tab: said once, not every second
            return {self.timer: gr.Timer(active=False), self.status: _idle(html.escape(str(error)))}
        if look.key() == seen:
            return gr.skip()
        self._remember_costs(look)
        shown = self._show(look, seen)
        return shown if look.live or seen is None else {**shown, **self._ended(look)}

    def _change(self, run: Run, changes: Mapping[str, Any]) -> Updates:
        """Gives a run other settings and has it go on."""
        if run.status().state in LIVE:
            raise gr.Error("This project is at work; wait until it has finished, or stop it.", print_exception=False)
        run.update(config.change(run.config, changes))
        self._requeue(run)
        return self._show(self._look(run.folder.name), None)

    def _requeue(self, run: Run) -> None:
        """Puts a run into the queue. Its process says that it has ended a moment before it lets go of the folder."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.jobs.resume(run)
                return
            except RunBusy:
                if run.status().state in LIVE or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _ended(self, look: Look) -> Updates:
        """What a run that has just ended adds: what it cost and, where nobody picked a seed, the best one in full."""
        run, export = look.run, look.run.config.export
        cost: Updates = {self.train.cost: costs.sentence(self.jobs.runs_dir, run.config)}
        if run.labels.seed is not None:
            return cost
        return {**cost, **self.browsing.shown(run, Export(export.feather, match_colour=export.match_colour))}

    def _remember_costs(self, look: Look) -> None:
        story = look.story
        if story.stage in ("sample", "select", "export"):
            costs.remember(self.jobs.runs_dir, look.run.config, "step", story.step_seconds, story.memory)
        if story.stage in ("select", "export"):
            costs.remember(self.jobs.runs_dir, look.run.config, "seed", story.seed_seconds)

    def _look(self, run_id: str) -> Look:
        with self._guard:
            folder = self.jobs.folder(run_id)
            watch = self._watches.pop(run_id, None) or RunWatch(Run.open(folder), self._thumbs)
            self._watches[run_id] = watch
            if len(self._watches) > REMEMBERED:
                self._watches.popitem(last=False)
            return watch.look()

    def _show(self, look: Look, seen: tuple[Any, ...] | None) -> Updates:
        key = look.key()
        ended = not look.live
        updates: Updates = {
            self.seen: key,
            self.status: look.bar(),
            self.timer: gr.Timer(active=look.news),
            self.stop: gr.update(interactive=look.live, value="Stop"),
            self.resume: gr.update(interactive=ended and look.status.state != "done"),
            self.train.facts: look.facts(),
            self.train.go_further: gr.update(interactive=ended and bool(look.run.checkpoint_steps())),
            self.browse.make_again: gr.update(interactive=bool(look.grid()["more"])),
        }
        if seen is None:
            updates |= self._settings(look.run)
            updates[self.run_id] = look.run.folder.name
        if seen is None or look.strip != seen[-3]:
            updates[self.train.strip] = look.previews()
        if seen is None or look.losses_key() != seen[-2]:
            updates[self.train.plot] = look.losses()
            updates[self.train.notices] = look.notices()
        if seen is None or look.seeds_key() != seen[-1]:
            updates[self.browse.seeds] = look.grid()
        return updates

    def _settings(self, run: Run) -> Updates:
        """The fields that make the seeds again, as the run has them."""
        again, sample = self.browse.again, run.config.sample
        values = dict(zip(again.inputs, again.values(run.config), strict=True))
        choices = browse.checkpoints(run.checkpoint_steps(), run.adapter_steps)
        known = sample.checkpoint if sample.checkpoint in [value for _, value in choices] else 0
        return {**values, self.browse.checkpoint: gr.update(choices=choices, value=known)}


def _idle(sentence: str) -> str:
    return f'<div class="rf-status" role="status"><span class="rf-line">{sentence}</span></div>'
