"""What happens when a seed is picked, marked, looked at or exported. Every handler takes plain values."""

from typing import Literal, cast

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from realfill.errors import RealFillError
from realfill.runs.export import choose_seed
from realfill.runs.run import Run

from .errors import speak_errors
from .language.catalogue import translate
from .markup import EMPTY, markup
from .runs import pictures
from .runs.cells import current_seed
from .runs.jobs import Jobs
from .runs.pictures import Export, What
from .runs.rendering import pack_export, show_seam, view_seed
from .tabs.browse import BrowseTab
from .wiring import PRIVATE, QUIET, Updates, Values

FETCH = "() => setTimeout(() => document.querySelector('#download')?.click(), 100)"


class SeedHandlers:
    """The handlers of tab 3 that concern one seed."""

    def __init__(self, jobs: Jobs, tab: BrowseTab, run_id: Component) -> None:
        """`run_id` holds the id of the run that the page shows."""
        self._jobs, self._tab, self._run_id = jobs, tab, run_id
        self._place = gr.State(0)
        self._picked = gr.State(None)  # run and seed of an example, where nothing is written down

    def wire(self) -> None:
        """Connects the tab's components; in the open gradio context."""
        tab = self._tab
        inputs = {self._run_id, self._picked, *tab.export_inputs}
        outputs = [tab.viewer, tab.seam, self._picked]
        tab.seeds.pick(self.pick, inputs, outputs, trigger_mode="always_last", **QUIET)
        tab.seeds.mark(self.mark, self._run_id, None, trigger_mode="multiple", **QUIET)
        tab.feather.release(self.show, inputs, outputs, trigger_mode="always_last", **QUIET)
        tab.match_colour.input(self.show, inputs, outputs, trigger_mode="always_last", **QUIET)
        tab.feather.input(self.seam, {*inputs, self._place}, tab.seam, queue=False, trigger_mode="always_last", **QUIET)
        tab.elsewhere.click(self.next_place, {*inputs, self._place}, [tab.seam, self._place], **QUIET)
        exported = tab.export.click(self.export, {*inputs, tab.what}, tab.download, **PRIVATE)
        exported.success(None, js=FETCH, **PRIVATE)

    @speak_errors
    def pick(self, values: Values, event: gr.EventData) -> Updates:
        """Takes a seed for the result and shows it in full."""
        run, seed = self._jobs.view(values[self._run_id]), int(event._data["seed"])
        if run.labels.is_example:
            return {**self.show_seed(run, self._tab.read_export(values), seed), self._picked: (run.folder.name, seed)}
        choose_seed(run, seed)
        return self.show_seed(run, self._tab.read_export(values))

    @speak_errors
    def show(self, values: Values) -> Updates:
        """The chosen seed again, blended otherwise."""
        if not values[self._run_id]:
            return {self._tab.seam: gr.skip()}
        run = self._jobs.view(values[self._run_id])
        return self.show_seed(run, self._tab.read_export(values), self._seed(run, values))

    @speak_errors
    def mark(self, run_id: str, event: gr.EventData) -> None:
        """Stars or hides a seed, or takes that back."""
        data, run = event._data, self._jobs.open(run_id)
        if data["kind"] in ("starred", "hidden") and int(data["seed"]) in run.seeds_done():
            run.labels.mark(int(data["seed"]), cast("Literal['starred', 'hidden']", data["kind"]), on=bool(data["on"]))

    @speak_errors
    def seam(self, values: Values) -> Markup:
        """A piece of the border, blended as the slider says."""
        if not values[self._run_id]:
            return EMPTY
        run, export = self._jobs.view(values[self._run_id]), self._tab.read_export(values)
        return _seam(run, export, int(values[self._place] or 0), self._seed(run, values))

    @speak_errors
    def next_place(self, values: Values) -> Updates:
        """Another piece of the border."""
        place = int(values[self._place] or 0) + 1
        return {self._place: place, self._tab.seam: self.seam({**values, self._place: place})}

    @speak_errors
    def export(self, values: Values) -> Updates:
        """Makes the file that was asked for, for download."""
        if not values[self._run_id]:
            raise gr.Error("There is nothing to export yet; start a run first.", print_exception=False)
        what = cast(What, values[self._tab.what])
        run = self._jobs.view(values[self._run_id])
        path = pack_export(run, what, self._tab.read_export(values), self._seed(run, values))
        return {self._tab.download: gr.DownloadButton(value=path)}

    def show_seed(self, run: Run, export: Export, seed: int | None = None) -> Updates:
        """Viewer and seam for a seed, else the run's chosen one."""
        seed = current_seed(run) if seed is None else seed
        try:
            return {self._tab.viewer: view_seed(run, seed, export), self._tab.seam: _seam(run, export, 0, seed)}
        except RealFillError:  # nothing is sampled yet, or its picture is being replaced at this moment
            return {self._tab.viewer: {"run": run.folder.name, "seed": None}, self._tab.seam: EMPTY}

    def _seed(self, run: Run, values: Values) -> int | None:
        """The seed that was picked of an example; None: what the run says."""
        name, seed = values.get(self._picked) or ("", None)
        return int(seed) if seed is not None and run.labels.is_example and name == run.folder.name else None


def _seam(run: Run, export: Export, place: int, seed: int | None) -> Markup:
    seed = current_seed(run) if seed is None else seed
    if seed is None or seed not in run.seeds_done():
        return EMPTY
    address = show_seam(run, seed, export, place)
    if not address:
        return EMPTY
    words = translate("A piece of the seam, enlarged {zoom} times", zoom=pictures.ZOOM)
    return markup('<img src="{address}" alt="{words}" draggable="false">', address=address, words=words)
