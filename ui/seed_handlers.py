"""What happens when a seed is picked, marked, looked at or exported. Every handler takes plain values."""

from collections.abc import Mapping
from typing import Any, Literal, cast

import gradio as gr
from gradio.components import Component

from realfill.errors import RealFillError
from realfill.runs.export import choose_seed
from realfill.runs.run import Run

from .errors import speak_errors
from .runs import pictures, seed_view
from .runs.cells import current_seed
from .runs.jobs import Jobs
from .runs.pictures import Export, What, pack_export
from .tabs.browse import BrowseTab

FETCH = "() => setTimeout(() => document.querySelector('#download')?.click(), 100)"

Updates = dict[Component, Any]


class SeedHandlers:
    """The handlers of tab 3 that concern one seed."""

    def __init__(self, jobs: Jobs, tab: BrowseTab, run_id: Component) -> None:
        """`run_id` holds the id of the run that the page shows."""
        self._jobs, self._tab, self._run_id = jobs, tab, run_id
        self._place = gr.State(0)
        self._picked = gr.State(None)  # run and seed of an example, where nothing is written down

    def wire(self) -> None:
        """Connects the tab's components; in the open gradio context."""
        tab, quiet = self._tab, {"api_visibility": "private", "show_progress": "hidden"}
        given = {self._run_id, self._picked, *tab.look}
        shown = [tab.viewer, tab.seam, self._picked]
        tab.seeds.pick(self.pick, given, shown, trigger_mode="always_last", **quiet)
        tab.seeds.mark(self.mark, self._run_id, None, trigger_mode="multiple", **quiet)
        tab.feather.release(self.show, given, shown, trigger_mode="always_last", **quiet)
        tab.match_colour.input(self.show, given, shown, trigger_mode="always_last", **quiet)
        tab.feather.input(self.seam, {*given, self._place}, tab.seam, queue=False, trigger_mode="always_last", **quiet)
        tab.elsewhere.click(self.next_place, {*given, self._place}, [tab.seam, self._place], **quiet)
        exported = tab.export.click(self.export, {*given, tab.what}, tab.download, api_visibility="private")
        exported.success(None, js=FETCH, api_visibility="private")

    @speak_errors
    def pick(self, given: Mapping[Component, Any], event: gr.EventData) -> Updates:
        """Takes a seed for the result and shows it in full."""
        run, seed = self._jobs.view(given[self._run_id]), int(event._data["seed"])
        if run.labels.is_example:
            return {**self.shown(run, self._tab.export_of(given), seed), self._picked: (run.folder.name, seed)}
        choose_seed(run, seed)
        return self.shown(run, self._tab.export_of(given))

    @speak_errors
    def show(self, given: Mapping[Component, Any]) -> Updates:
        """The chosen seed again, blended otherwise."""
        if not given[self._run_id]:
            return {self._tab.seam: gr.skip()}
        run = self._jobs.view(given[self._run_id])
        return self.shown(run, self._tab.export_of(given), self._seed(run, given))

    @speak_errors
    def mark(self, run_id: str, event: gr.EventData) -> None:
        """Stars or hides a seed, or takes that back."""
        data, run = event._data, self._jobs.open(run_id)
        if data["kind"] in ("starred", "hidden") and int(data["seed"]) in run.seeds_done():
            run.labels.mark(int(data["seed"]), cast("Literal['starred', 'hidden']", data["kind"]), on=bool(data["on"]))

    @speak_errors
    def seam(self, given: Mapping[Component, Any]) -> str:
        """A piece of the border, blended as the slider says."""
        if not given[self._run_id]:
            return ""
        run, look = self._jobs.view(given[self._run_id]), self._tab.export_of(given)
        return _seam(run, look, int(given[self._place] or 0), self._seed(run, given))

    @speak_errors
    def next_place(self, given: Mapping[Component, Any]) -> Updates:
        """Another piece of the border."""
        place = int(given[self._place] or 0) + 1
        return {self._place: place, self._tab.seam: self.seam({**given, self._place: place})}

    @speak_errors
    def export(self, given: Mapping[Component, Any]) -> Updates:
        """Makes the file that was asked for, for download."""
        if not given[self._run_id]:
            raise gr.Error("There is nothing to export yet; start a run first.", print_exception=False)
        what = cast(What, given[self._tab.what])
        run = self._jobs.view(given[self._run_id])
        path = pack_export(run, what, self._tab.export_of(given), self._seed(run, given))
        return {self._tab.download: gr.DownloadButton(value=path)}

    def shown(self, run: Run, look: Export, seed: int | None = None) -> Updates:
        """Viewer and seam for a seed, else the run's chosen one."""
        seed = current_seed(run) if seed is None else seed
        try:
            return {self._tab.viewer: seed_view.value(run, seed, look), self._tab.seam: _seam(run, look, 0, seed)}
        except RealFillError:  # nothing is sampled yet, or its picture is being replaced at this moment
            return {self._tab.viewer: {"run": run.folder.name, "seed": None}, self._tab.seam: ""}

    def _seed(self, run: Run, given: Mapping[Component, Any]) -> int | None:
        """The seed that was picked of an example; None: what the run says."""
        name, seed = given.get(self._picked) or ("", None)
        return int(seed) if seed is not None and run.labels.is_example and name == run.folder.name else None


def _seam(run: Run, look: Export, place: int, seed: int | None) -> str:
    seed = current_seed(run) if seed is None else seed
    if seed is None or seed not in run.seeds_done():
        return ""
    address = pictures.seam(run, seed, look, place)
    if not address:
        return ""
    return f'<img src="{address}" alt="A piece of the seam, enlarged {pictures.ZOOM} times" draggable="false">'
