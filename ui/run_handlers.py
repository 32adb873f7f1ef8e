"""What happens to runs: started, stopped, resumed, changed, opened, watched.

Every handler is a method of plain values. What it returns names the components to change, so nothing
depends on their order.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from realfill import config
from realfill.config import PRESETS, Config
from realfill.errors import OptionError, RealFillError, RunBusy, RunError, SceneError
from realfill.runs.run import Run
from realfill.runs.status import LIVE
from realfill.sentences import Sentence

from .access import visitors
from .errors import asked_field, speak_errors, strip_folders
from .language.catalogue import retell, translate
from .markup import as_text
from .run_view import RunView, draft_label, status_html
from .runs import costs
from .runs.hub_jobs import HubJobs
from .runs.jobs import Jobs
from .runs.pictures import Export
from .runs.scene_inputs import SceneInputs
from .runs.watch import RunSnapshot, RunWatches
from .seed_handlers import SeedHandlers
from .tabs import own_gpu
from .tabs.scene import offer_answer, open_answer, read_inputs
from .tabs.train import WAYS, first_words, read_config
from .wiring import Updates, Values
from .workbench.payload import read_payload, scene_inputs

PATIENCE = 10.0  # seconds that a run which has just ended may take to let go of its folder
TABS = ("scene", "train", "browse")
DELETED = Sentence("This project was deleted; the bin keeps it for a day.")
MOST_SEEDS = 64  # that can be asked for at once


class RunHandlers:
    """The handlers of a page that concern a whole run."""

    def __init__(self, jobs: Jobs, base: str, view: RunView, seed_handlers: SeedHandlers) -> None:
        """`base` is what new runs start from unless another is chosen."""
        self._jobs, self._base = jobs, base
        self._view, self._seed_handlers = view, seed_handlers
        self._watches = RunWatches(jobs.folder)

    # ── what is asked of runs ──

    @speak_errors
    def start(self, values: Values) -> Updates:
        """Makes a run of the scene and the settings and starts it, with the shown project's adapter where asked."""
        inputs, variants = read_inputs(self._view.scene, values)
        settings = read_config(self._view.train, values, variants=variants)
        if settings.guide.only and self._is_draft_alone(values[self._view.run_id]):  # the button promises training
            settings = settings.model_copy(update={"guide": WAYS["guided"]})
        trained = self._jobs.view(values[self._view.run_id]) if values[self._view.same_scene] else None
        return self._start(inputs, settings, trained)

    @speak_errors
    def start_draft(self, values: Values) -> Updates:
        """Makes a run of the scene whose fill is the draft alone, and starts it."""
        inputs, variants = read_inputs(self._view.scene, values)
        if variants:
            raise SceneError("A draft needs known pixels around what is missing; choose “What I mark” for one.")
        return self._start(inputs, PRESETS["mini"].model_copy(update={"base": self._base, "guide": WAYS["draft"]}))

    @speak_errors
    def enqueue(self, values: Values, event: gr.EventData) -> None:
        """Makes a run of a scene that came with a folder of scenes, by the settings as they stand."""
        inputs, variants = scene_inputs(read_payload(event._data.get("scene")))
        self._jobs.start(inputs, read_config(self._view.train, values, variants=variants))

    @speak_errors
    def list_machines(self) -> Updates:
        """What the visitor's own account can train on, with prices."""
        hub, token = self._own_account()
        choices = [(translate(machine.label()), machine.name) for machine in hub.machines(token)]
        return own_gpu.show_machines(self._view.train.own_gpu, choices)

    @speak_errors
    def start_elsewhere(self, values: Values) -> Updates:
        """As `start`, on the visitor's own account, as a Job on the machine that was chosen."""
        inputs, variants = read_inputs(self._view.scene, values)
        settings = read_config(self._view.train, values, variants=variants)
        (hub, token), name, hours = self._own_account(), *own_gpu.read_choice(self._view.train.own_gpu, values)
        machine = next((one for one in hub.machines(token) if one.name == name), None)
        if machine is None:
            raise OptionError(Sentence("Choose a machine for the Job first."))
        return self._start(inputs, settings, submit=lambda run: hub.start(run, token, machine, hours))

    def _own_account(self) -> tuple[HubJobs, str]:
        hub, token = self._jobs.hub, visitors.hub_token()
        if hub is None or not token:
            raise OptionError(Sentence("Sign in with Hugging Face first: the Job runs on your own account there."))
        return hub, token

    def _start(
        self,
        inputs: SceneInputs,
        settings: Config,
        trained: Run | None = None,
        submit: Callable[[Run], None] | None = None,
    ) -> Updates:
        run = self._jobs.start(inputs, settings, trained=trained, submit=submit)
        return {**self._open(run.folder.name), self._view.tabs: gr.Tabs(selected=fitting_tab(run))}

    def _is_draft_alone(self, run_id: str) -> bool:
        """Whether the run that the page shows is filled by its draft alone, and done."""
        if not run_id:
            return False
        run = self._jobs.view(run_id)
        return run.config.guide.only and run.status().state == "done"

    @speak_errors
    def stop(self, run_id: str) -> Updates:
        """Asks the run to stop after the current step or seed."""
        self._jobs.stop(self._jobs.open(run_id))
        return self._show(run_id)

    @speak_errors
    def resume(self, run_id: str) -> Updates:
        """Puts a stopped, interrupted or failed run back into the queue."""
        self._requeue(self._jobs.open(run_id))
        return self._show(run_id)

    @speak_errors
    def go_further(self, run_id: str, steps: float | None) -> Updates:
        """Trains a run for more steps than were asked for at first."""
        run = self._jobs.open(run_id)
        return self._change(run, {"train.steps": run.config.train.steps + int(steps or 0)})

    @speak_errors
    def add_seeds(self, run_id: str, event: gr.EventData) -> Updates:
        """Makes pictures with seeds that were not asked for yet."""
        run = self._jobs.open(run_id)
        first, count = max(run.config.sample.seeds) + 1, min(MOST_SEEDS, max(1, int(event._data["count"])))
        return self._change(run, {"sample.seeds": (*run.config.sample.seeds, *range(first, first + count))})

    @speak_errors
    def make_again(self, values: Values) -> Updates:
        """Makes all seeds with another sampler, guidance or checkpoint."""
        run, browse = self._jobs.open(values[self._view.run_id]), self._view.browse
        changes = {**browse.again.changes(values), "sample.checkpoint": values[browse.checkpoint] or 0}
        if config.change(run.config, changes) == run.config:
            raise gr.Error("The seeds were made with these settings; change one of them.", print_exception=False)
        return self._change(run, changes)

    def take_turn(self, run_id: str) -> Iterator[None]:
        """One turn of the shown run, where it waits for one: the page asks again and again while the run goes on."""
        with contextlib.suppress(RunError):  # deleted meanwhile: the next look says so
            yield from self._jobs.take_turn(self._jobs.open(run_id))

    # ── which run is shown ──

    @speak_errors
    def attach(self, run_id: str) -> Updates:
        """Shows a project from scratch, its scene too; the scene that was there comes back with Ctrl+Z."""
        updates = self._open(run_id)
        try:
            run = self._jobs.view(run_id)
            updates[self._view.tabs] = gr.Tabs(selected=fitting_tab(run))
            return {**updates, self._view.scene.workbench: open_answer(run)}
        except SceneError:  # one of an older kind; its pictures are there all the same
            return updates

    def blank(self) -> Updates:
        """Shows an empty page for a new project."""
        nothing = self._view.show_nothing()
        return {**nothing, self._view.try_draft: gr.update(visible=True, value=draft_label(self._jobs.runs_dir))}

    def load(self, asked: Any, request: gr.Request) -> Updates:
        """A fresh page: the run its address names, or the newest one, on the tab that was open or else fits it.

        `asked` is what the page's script says: {"tab": a tab's name, or empty}.
        """
        query = request.query_params
        tab = asked_field(asked, "tab")
        try:
            run_id = str(query.get("project") or query.get("run") or "") or self._jobs.latest_id()
            updates: Updates = self._open(run_id) if run_id else {}
            if run_id:
                shown = tab if tab in TABS else fitting_tab(self._jobs.view(run_id))
                updates[self._view.tabs] = gr.Tabs(selected=shown)
        except RealFillError as error:
            updates = {self._view.status: status_html(strip_folders(retell(error.sentence)))}
        return {**self._first_words(), **updates}

    def _first_words(self) -> Updates:
        """What a fresh page says of this machine, as it was measured last, in the visitor's language."""
        return {
            self._view.try_draft: gr.update(value=draft_label(self._jobs.runs_dir)),
            **first_words(self._view.train, self._base, self._jobs.runs_dir),
        }

    @speak_errors
    def restore(self, run_id: str) -> Any:
        """The scene of the project that a fresh page opened; the tab may have a later one of its own."""
        if not run_id:
            return gr.skip()
        try:
            return offer_answer(self._jobs.view(run_id))
        except (SceneError, RunError):
            return gr.skip()

    @speak_errors
    def glance(self, run_id: str, seen: tuple[Any, ...] | None, news: int) -> int:
        """`news`, and one more where the page should look what is new."""
        try:
            return (news or 0) + int(not run_id or self._watches.look(run_id).key() != seen)
        except RunError:
            return (news or 0) + 1

    @speak_errors
    def tick(self, run_id: str, seen: tuple[Any, ...] | None, tab: str = "") -> Any:
        """What changed since the last look; nothing at all where nothing did. `tab` is the one that is open."""
        if not run_id:  # an answer about the project that was open before came after it was left
            return self._view.show_idle()
        if seen is not None and seen[0] != run_id:  # asked for before another project was opened, or none
            return {self._view.seen: None}
        try:
            snapshot = self._watches.look(run_id)
        except RunError as error:  # deleted in another tab: said once, not every second
            sentence = DELETED if self._jobs.is_deleted(run_id) else strip_folders(retell(error.sentence))
            return {self._view.timer: gr.Timer(active=False), self._view.status: status_html(sentence)}
        if snapshot.key() == seen:
            return gr.skip()
        if not snapshot.run.labels.was_made_elsewhere:
            costs.remember_story(self._jobs.runs_dir, snapshot.run.config, snapshot.story)
        updates = self._view.show(snapshot, seen)
        if seen is None or snapshot.is_live:
            return {**updates, **self._show_first(snapshot, seen)}
        if snapshot.status.state == "done" and tab == "train":  # who draws or looks elsewhere is not taken away
            updates[self._view.tabs] = gr.Tabs(selected="browse")
        return {**updates, **self._show_end(snapshot)}

    def _open(self, run_id: str) -> Updates:
        """A project from scratch, without its scene."""
        snapshot = self._watches.look(run_id)
        self._jobs.tend()
        export, browse = snapshot.run.config.export, self._view.browse
        return {
            **self._view.show(snapshot, None),
            **self._seed_handlers.show_seed(snapshot.run, Export.from_config(export)),
            browse.feather: export.feather,
            browse.match_colour: export.match_colour,
            browse.quality: gr.update(value=export.quality),
        }

    def _show(self, run_id: str) -> Updates:
        return self._view.show(self._watches.look(run_id), None)

    def _change(self, run: Run, changes: Mapping[str, Any]) -> Updates:
        """Gives a run other settings and has it go on."""
        if run.status().state in LIVE:
            raise gr.Error("This project is at work; wait until it has finished, or stop it.", print_exception=False)
        run.update(config.change(run.config, changes))
        self._requeue(run)
        return self._show(run.folder.name)

    def _requeue(self, run: Run) -> None:
        """Puts a run into the queue. Its process says that it has ended a moment before it lets go of the folder."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._jobs.resume(run)
                return
            except RunBusy:
                if run.status().state in LIVE or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _show_first(self, snapshot: RunSnapshot, seen: tuple[Any, ...] | None) -> Updates:
        """The first picture of a run in full, as soon as it is there, while the others are being made."""
        run = snapshot.run
        if seen is None or seen[-1][0] or not snapshot.cells:
            return {}
        return self._seed_handlers.show_seed(run, Export.from_config(run.config.export))

    def _show_end(self, snapshot: RunSnapshot) -> Updates:
        """What a run that has just ended adds: what it cost and, where nobody picked a seed, the best one in full."""
        run, export = snapshot.run, snapshot.run.config.export
        turns = self._view.train.turns
        where = turns.describe(run.config, self._jobs.runs_dir) if turns else None
        cost: Updates = {self._view.train.cost: as_text(costs.sentence(self._jobs.runs_dir, run.config, where))}
        if run.labels.seed is not None:
            return cost
        return {**cost, **self._seed_handlers.show_seed(run, Export.from_config(export))}


def fitting_tab(run: Run) -> str:
    """The tab on which there is most to see of a run: its pictures, once some are there and nobody works on it."""
    state = run.status().state
    shows_pictures = state == "done" or run.config.guide.only or (state not in LIVE and bool(run.seeds_done()))
    return "browse" if shows_pictures else "train"
