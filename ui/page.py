"""The page: rail, tabs, status bar, and which handler each event calls."""

from typing import Any

import gradio as gr
from gradio.components import Component

from realfill.bases import EMBEDDED

from . import api
from .machine import component as machine
from .rail import component
from .run_handlers import RunHandlers
from .run_view import START, WELCOME, RunView, draft_label, status_html
from .runs.jobs import Jobs
from .runs.projects import Projects
from .seed_handlers import SeedHandlers
from .tabs import browse, scene, train
from .wiring import PRIVATE, QUIET, Values

TURNS = 16  # that visitors may have at once; ZeroGPU lets them wait for one another
SECONDS = 1.0  # between looks at the run folder
BRAND = '<h1><span class="rf-logo" aria-hidden="true"></span>RealFill Studio</h1>'
ADDRESS = "() => window.realfill.address()"
ASKED = "() => [window.realfill.asked()]"
FIT = "(fit) => { if (fit) window.dispatchEvent(new CustomEvent('realfill-fit', {detail: fit})); }"
SHOWN_TAB = "(id, seen) => [id, seen, window.realfill.tab()]"
OFFER = "(scene) => { if (scene) window.dispatchEvent(new CustomEvent('realfill-offer', {detail: scene})); }"


class Page:
    """The one page over one folder of runs."""

    def __init__(self, jobs: Jobs, base: str = EMBEDDED) -> None:
        """`base` is what new runs start from unless another is chosen."""
        self.jobs, self.base = jobs, base
        self.projects = Projects(jobs)
        with gr.Blocks(title="RealFill Studio", analytics_enabled=False, fill_width=True) as self.blocks:
            self.run_id: Component = gr.Textbox(visible="hidden", elem_id="run-id")
            self.seen = gr.State(None)
            # counts the glances at which there was something new; a State's change is not told without the queue
            self.news = gr.Number(0, visible="hidden", elem_id="news")
            # filled by the page's script before a handler is asked: the tab that is open, and what the address names
            self.shown_tab: Component = gr.Textbox(visible="hidden")
            self.asked: Component = gr.JSON(visible="hidden")
            self.offer = gr.JSON(visible="hidden", elem_id="offer")  # the workbench's own value may change meanwhile
            self.fit = gr.JSON(visible="hidden", elem_id="fit")  # what the canvas needs to show what the model sees
            self.timer = gr.Timer(SECONDS, active=False)
            self._build_desk()
            self.view = RunView(
                run_id=self.run_id,
                seen=self.seen,
                timer=self.timer,
                tabs=self.tabs,
                status=self.status,
                try_draft=self.try_draft,
                start=self.start_button,
                stop=self.stop_button,
                resume=self.resume_button,
                same_scene=self.same_scene,
                more_steps=self.more_steps,
                go_further=self.go_further,
                scene=self.scene,
                train=self.train,
                browse=self.browse,
            )
            self.seed_handlers = SeedHandlers(jobs, self.browse, self.run_id)
            self.run_handlers = RunHandlers(jobs, base, self.view, self.seed_handlers)
            # what the rail asks for: opening a project, or none, and naming it in the browser's address
            self.attach, self.blank = self.run_handlers.attach, self.run_handlers.blank
            self.project_outputs = self.view.project_outputs
            self.enqueue, self.queue_inputs = self.run_handlers.enqueue, {*self.train.inputs}
            self.address = {"fn": None, "inputs": self.run_id, "js": ADDRESS, **PRIVATE}
            self._wire()
            component.wire(self.rail, self)
            api.publish(self)

    def _build_desk(self) -> None:
        with gr.Row(elem_id="desk", equal_height=False):
            with gr.Column(scale=0, min_width=40, elem_id="side"):
                gr.HTML(BRAND, elem_id="brand")
                self.rail = component.build(lasting=self.jobs.lasting)
                machine.build(self.jobs, self.projects)
            with gr.Column(scale=1, elem_id="work"):
                self._build_tabs()
                self._build_bar()

    def _build_tabs(self) -> None:
        with gr.Tabs(elem_id="tabs") as self.tabs:
            with gr.Tab("1  Scene", id="scene"):
                self.scene = scene.build()
            with gr.Tab("2  Train", id="train"):
                self.train = train.build(
                    self.base, self.jobs.runs_dir, own_account=self.jobs.hub is not None, turns=self.jobs.turns
                )
            with gr.Tab("3  Browse and export", id="browse"):
                self.browse = browse.build(self.jobs)

    def _build_bar(self) -> None:
        with gr.Row(elem_id="bar"):
            self.status = gr.HTML(status_html(WELCOME), elem_id="status")
            self.same_scene = gr.Checkbox(
                label="Same scene, another photo: use this project's adapter",
                visible=False,
                elem_id="same-scene",
                container=False,
                scale=0,
                min_width=330,
            )
            self.more_steps = gr.Number(
                50, minimum=1, maximum=100_000, precision=0, label="Steps", visible=False, elem_id="more-steps",
                min_width=100,
            )  # fmt: skip
            self.go_further = gr.Button("Continue training", size="sm", visible=False, elem_id="go-further")
            self.try_draft = gr.Button(
                draft_label(self.jobs.runs_dir), variant="primary", size="sm", elem_id="try-draft"
            )
            # one of the three is what can be done now
            self.start_button = gr.Button(START, size="sm", elem_id="start")
            self.stop_button = gr.Button("Stop", size="sm", visible=False, elem_id="stop")
            self.resume_button = gr.Button("Resume", variant="primary", size="sm", visible=False, elem_id="resume")

    def _wire(self) -> None:
        handlers, outputs = self.run_handlers, self.view.look_outputs
        inputs = {self.run_id, self.same_scene, *self.scene.inputs, *self.train.inputs}
        for button, handler in ((self.start_button, handlers.start), (self.try_draft, handlers.start_draft)):
            started = button.click(handler, inputs, self.project_outputs, **QUIET)
            started.success(**self.address)
        if (panel := self.train.own_gpu) is not None:
            panel.prices.click(handlers.list_machines, None, panel.shown, **QUIET)
            elsewhere = panel.start.click(
                handlers.start_elsewhere, {*inputs, panel.machine, panel.hours}, self.project_outputs, **QUIET
            )
            elsewhere.success(**self.address)
        self.stop_button.click(handlers.stop, self.run_id, outputs, **QUIET)
        self.resume_button.click(handlers.resume, self.run_id, outputs, **QUIET)
        self.go_further.click(handlers.go_further, [self.run_id, self.more_steps], outputs, **QUIET)
        self.browse.seeds.more(handlers.add_seeds, self.run_id, outputs, **QUIET)
        again = {self.run_id, self.browse.checkpoint, *self.browse.again.inputs}
        self.browse.make_again.click(handlers.make_again, again, outputs, **QUIET)
        self._wire_looks(outputs)
        self._wire_load()
        self._wire_fit()
        self.seed_handlers.wire()

    def _wire_fit(self) -> None:
        """Tells the canvas what the model will see, and the form how much of it a person wants there."""
        [context, size], feather = self.train.form.parts(train.FIT), self.browse.feather
        changes = [self.blocks.load, self.train.base.change, context.change, size.change, feather.change]
        told = gr.on(
            changes, self._tell_fit, {self.train.base, context, size, feather}, self.fit,
            queue=False, trigger_mode="always_last", **QUIET,
        )  # fmt: skip
        told.success(None, self.fit, js=FIT, **PRIVATE)
        self.scene.workbench.fit(self._take_context, None, context, queue=False, **QUIET)

    def _tell_fit(self, values: Values) -> dict[str, Any]:
        return {**train.fit_facts(self.train, values), "feather": int(values[self.browse.feather] or 0)}

    def _take_context(self, event: gr.EventData) -> Any:
        context = event._data.get("context")
        return min(max(float(context), 0.0), 8.0) if isinstance(context, (int, float)) else gr.skip()

    def _wire_looks(self, outputs: list[Component]) -> None:
        # gradio spends some milliseconds on every component that a handler may change, also where it changes none
        once: dict[str, Any] = {"queue": False, "trigger_mode": "once", **QUIET}
        self.timer.tick(self.run_handlers.glance, [self.run_id, self.seen, self.news], self.news, **once)
        asked = [self.run_id, self.seen, self.shown_tab]
        self.news.change(self.run_handlers.tick, asked, [*outputs, self.tabs], js=SHOWN_TAB, **once)
        if self.jobs.turns is not None or self.jobs.hub is not None:
            # in the queue: the GPU is given to who asks, and given back where nobody listens any more
            turn: dict[str, Any] = {"trigger_mode": "once", "concurrency_limit": TURNS, **QUIET}
            self.timer.tick(self.run_handlers.take_turn, self.run_id, None, **turn)

    def _wire_load(self) -> None:
        loaded = self.blocks.load(self.run_handlers.load, self.asked, self.view.load_outputs, js=ASKED, **QUIET)
        loaded.success(**self.address)
        restored = loaded.success(self.run_handlers.restore, self.run_id, self.offer, **QUIET)  # nobody waits for it
        restored.success(None, self.offer, js=OFFER, **PRIVATE)
