"""The page: header, tabs, and what happens when something is pressed.

Every handler is a method of plain values. What it returns names the components to change, so nothing
depends on their order.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill import exporting
from realfill.errors import RealFillError
from ui import pictures
from ui.jobs import Jobs
from ui.speak import spoken
from ui.tabs import browse, scene, train
from ui.view import Look, Watch

SECONDS = 1.0  # between looks at the run folder
REMEMBERED = 32  # runs whose events are kept in memory
BRAND = "<h1>RealFill Studio</h1><p>Completes a photo from its references</p>"
ADDRESS = """(id) => {
  const url = new URL(window.location);
  if (id) url.searchParams.set('run', id); else url.searchParams.delete('run');
  history.replaceState(null, '', url);
}"""
FETCH = "() => setTimeout(() => document.querySelector('#download')?.click(), 100)"

Updates = dict[Component, Any]


class Page:
    """The one page over one folder of runs."""

    def __init__(self, jobs: Jobs, base: str = "mini") -> None:
        """`base` is what new runs start from unless another is chosen."""
        self.jobs = jobs
        self._watches: OrderedDict[str, Watch] = OrderedDict()
        self._guard = threading.Lock()
        with gr.Blocks(title="RealFill Studio", analytics_enabled=False, fill_width=True) as self.blocks:
            self._header()
            with gr.Tabs(elem_id="tabs") as self.tabs:
                with gr.Tab("1  Scene", id="scene"):
                    self.scene = scene.build()
                with gr.Tab("2  Train", id="train"):
                    self.train = train.build(base)
                with gr.Tab("3  Browse and export", id="browse"):
                    self.browse = browse.build()
            self._wire()

    def _header(self) -> None:
        with gr.Row(elem_id="bar"):
            gr.HTML(BRAND, elem_id="brand")
            self.status = gr.HTML(_idle("No run yet. Add photos, mark the missing part, start."), elem_id="status")
            self.runs = gr.Dropdown(
                [], label="Run", show_label=False, container=False, filterable=False, visible=False, elem_id="runs"
            )
            self.start_button = gr.Button("Start", variant="primary", size="sm", elem_id="start")
            self.stop = gr.Button("Stop", size="sm", interactive=False, elem_id="stop")
            self.resume = gr.Button("Resume", size="sm", interactive=False, elem_id="resume")
        self.run_id = gr.Textbox(visible="hidden", elem_id="run-id")
        self.seen = gr.State(None)
        self.timer = gr.Timer(SECONDS, active=False)

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        shown = [
            self.status, self.stop, self.resume, self.timer, self.seen, self.runs, self.run_id,
            self.train.plot, self.train.notices, self.browse.seeds,
        ]  # fmt: skip
        picked = [self.browse.chosen, self.browse.compare, self.browse.download]
        inputs = set(self.scene.inputs + self.train.inputs)
        address: dict[str, Any] = {"fn": None, "inputs": self.run_id, "js": ADDRESS, "api_visibility": "private"}

        started = self.start_button.click(self.start, inputs, [*shown, *picked, self.tabs], api_visibility="private")
        started.success(**address)
        self.timer.tick(self.tick, [self.run_id, self.seen], shown, queue=False, trigger_mode="once", **quiet)
        self.stop.click(self.ask_stop, self.run_id, shown, **quiet)
        self.resume.click(self.go_on, self.run_id, shown, **quiet)
        switched = self.runs.input(self.attach, self.runs, [*shown, *picked], **quiet)
        switched.success(**address)
        loaded = self.blocks.load(self.load, None, [*shown, *picked], **quiet)
        loaded.success(**address)

        self.browse.seeds.select(self.choose, [self.run_id, self.browse.feather], picked, api_visibility="private")
        self.browse.feather.release(self.show_chosen, [self.run_id, self.browse.feather], picked, **quiet)
        settings = [self.run_id, self.browse.feather, self.browse.kind, self.browse.quality]
        exported = self.browse.export.click(self.export, settings, self.browse.download, api_visibility="private")
        exported.success(None, js=FETCH, api_visibility="private")

    # ── runs ──

    @spoken
    def start(self, given: Mapping[Component, Any]) -> Updates:
        """Makes a run of what was given and starts it."""
        inputs, variants = scene.inputs_of(self.scene, given)
        run = self.jobs.start(inputs, train.config_of(self.train, given, variants=variants))
        return {**self.attach(run.folder.name), self.tabs: gr.Tabs(selected="train")}

    @spoken
    def ask_stop(self, run_id: str) -> Updates:
        """Asks the run to stop after the current step or seed."""
        self.jobs.open(run_id).request_stop()
        return {**self._show(self._look(run_id), None), self.stop: gr.update(interactive=False, value="Stopping…")}

    @spoken
    def go_on(self, run_id: str) -> Updates:
        """Puts a stopped, interrupted or failed run back into the queue."""
        self.jobs.resume(self.jobs.open(run_id))
        return self._show(self._look(run_id), None)

    @spoken
    def attach(self, run_id: str) -> Updates:
        """Shows a run from scratch."""
        look = self._look(run_id)
        if look.status.state == "queued":
            self.jobs.ensure_worker()
        return {**self._show(look, None), **self._pick(run_id, look.run.config.export.feather)}

    def load(self, request: gr.Request) -> Updates:
        """A fresh page: the run its address names, or the newest one."""
        asked = str(request.query_params.get("run", ""))
        try:
            run_id = asked or ("" if os.environ.get("SPACE_ID") else self.jobs.latest())
            return self.attach(run_id) if run_id else {self.status: gr.skip()}
        except (RealFillError, gr.Error) as error:
            return {self.status: _idle(str(error).strip("'"))}

    @spoken
    def tick(self, run_id: str, seen: tuple[Any, ...] | None) -> Any:
        """What changed since the last look; nothing at all where nothing did."""
        if not run_id:
            return {self.timer: gr.Timer(active=False)}
        look = self._look(run_id)
        return gr.skip() if look.key() == seen else self._show(look, seen)

    def _look(self, run_id: str) -> Look:
        with self._guard:
            watch = self._watches.pop(run_id, None) or Watch(self.jobs.open(run_id))
            self._watches[run_id] = watch
            if len(self._watches) > REMEMBERED:
                self._watches.popitem(last=False)
            return watch.look()

    def _show(self, look: Look, seen: tuple[Any, ...] | None) -> Updates:
        key = look.key()
        updates: Updates = {
            self.seen: key,
            self.status: look.bar(),
            self.timer: gr.Timer(active=look.live),
            self.stop: gr.update(interactive=look.live, value="Stop"),
            self.resume: gr.update(interactive=not look.live and look.status.state != "done"),
        }
        if seen is None:
            names = self.jobs.names() if not os.environ.get("SPACE_ID") else []
            updates[self.runs] = gr.update(choices=names, value=look.run.folder.name, visible=bool(names))
            updates[self.run_id] = look.run.folder.name
        if seen is None or look.losses_key() != seen[-2]:
            updates[self.train.plot] = gr.LinePlot(value=look.losses(), x_lim=[0, max(1, look.story.steps)])
            updates[self.train.notices] = look.notices()
        if seen is None or look.seeds_key() != seen[-1]:
            updates[self.browse.seeds] = look.gallery()
        return updates

    # ── one seed ──

    @spoken
    def choose(self, run_id: str, feather: int, event: gr.SelectData) -> Updates:
        """Takes the pressed seed for the result and shows it in the photo."""
        value = event.value if isinstance(event.value, dict) else {}
        seed = browse.seed_of(value.get("caption"))
        run = self.jobs.open(run_id)
        if seed is not None:
            exporting.choose(run, seed)
        return self._pick(run_id, feather)

    @spoken
    def show_chosen(self, run_id: str, feather: int) -> Updates:
        """The chosen seed again, with another feather."""
        return self._pick(run_id, feather)

    @spoken
    def export(self, run_id: str, feather: int, kind: pictures.Kind, quality: int) -> Updates:
        """Makes the file of the chosen seed, or of the best one, for download."""
        if not run_id:
            raise gr.Error("There is nothing to export yet; start a run first.", print_exception=False)
        path = pictures.exported(self.jobs.open(run_id), pictures.Export(int(feather), kind, int(quality)))
        return {self.browse.download: gr.DownloadButton(value=path, interactive=True)}

    def _pick(self, run_id: str, feather: int) -> Updates:
        run = self.jobs.open(run_id) if run_id else None
        seed = run.chosen if run is not None else None
        none = gr.DownloadButton(value=None, interactive=False)
        if run is None or seed is None or seed not in run.seeds_done():
            hint = "Choose a seed to see it in the photo."
            return {self.browse.chosen: hint, self.browse.compare: None, self.browse.download: none}
        return {
            self.browse.chosen: f"**Seed {seed}** in the photo; the slider compares it with the target.",
            self.browse.compare: pictures.compared(run, seed, int(feather)),
            self.browse.download: none,
        }


def _idle(sentence: str) -> str:
    return f'<div class="rf-status" role="status"><span class="rf-line">{sentence}</span></div>'
