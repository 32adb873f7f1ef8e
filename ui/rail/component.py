"""The left rail: all projects with thumbnail, state and date; open, rename, duplicate, delete with undo.

The component's value is {"projects": […], "examples": […], "bin": […], "current": id, "at": when read, "paused",
"ordered": whether the queue's order is a person's to change} as JSON, where no id means the one of before; its rows are
keyed by id, and what the person does comes back as one event, `act`, with {what, id, name}. A folder of scenes that is
dropped on the rail is uploaded by its script and comes back as the event `enqueue`, with {scenes}.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from gradio.components import Component

from realfill.errors import RunError
from realfill.runs.status import LIVE
from realfill.sentences import Sentence

from ..access import visitors
from ..errors import answer_errors, speak_errors
from ..html_component import folder_script, html_component, read_asset
from ..language.catalogue import translate
from ..markup import markup
from ..runs.jobs import Jobs
from ..runs.projects import Projects
from ..wiring import QUIET, Updates, Values
from ..workbench import endpoints

SECONDS = 2.0  # between looks at the list while some project is live; otherwise nobody looks
PASSING = Sentence("Projects here are lost when this Space restarts; export what you want to keep.")
WAITING = ("queued", "interrupted")
_HERE = Path(__file__).parent

CSS = read_asset(_HERE, "rail.css")


class RailHost(Protocol):
    """What the rail asks of the page."""

    blocks: gr.Blocks
    jobs: Jobs
    projects: Projects
    run_id: Component  # the open project's id
    project_outputs: list[Component]  # all that `attach` and `blank` may change
    queue_inputs: set[Component]  # what `enqueue` is called with
    address: dict[str, Any]  # the event that writes the open project into the address; follows every change of it

    def attach(self, run_id: str) -> Updates:
        """Shows a project from scratch."""

    def blank(self) -> Updates:
        """Shows an empty page for a new project."""

    def enqueue(self, values: Values, event: gr.EventData) -> None:
        """Makes a run of a scene that was brought, and puts it into the queue."""


@dataclass(frozen=True)
class Rail:
    """The rail's components."""

    list: gr.HTML
    seen: gr.State
    timer: gr.Timer


def build(*, lasting: bool = True) -> Rail:
    """Renders the rail into the open gradio context; `lasting`: whether projects are there after a restart."""
    rows = html_component(
        _HERE, "rail", "rail", questions=[answer_errors(endpoints.open_files)], before=folder_script()
    )
    if not lasting:
        gr.HTML(markup('<p class="rf-hint">{text}</p>', text=PASSING), elem_id="passing")
    if visitors.can_sign_in():
        _sign_in()
    return Rail(rows, gr.State(None), gr.Timer(SECONDS, active=False))


def _sign_in() -> None:
    """The button of a Space that knows its visitors; the one who presses it leaves for Hugging Face and comes back."""
    button = gr.LoginButton("Sign in", variant="secondary", size="sm", elem_id="sign-in")
    button.load_event_to_attach = None  # it would be open to programs

    def button_text() -> str:
        name = visitors.user()
        return translate("Sign out {name}", name=name) if name else translate("Sign in")

    gr.on(None, button_text, None, button, queue=False, **QUIET)


def wire(rail: Rail, page: RailHost) -> None:
    """Lets the rail act on the page, and follow it."""
    mine = [rail.list, rail.seen, rail.timer]
    handlers = RailHandlers(rail, page)
    acted = rail.list.act(handlers.act, page.run_id, [*page.project_outputs, *mine], trigger_mode="multiple", **QUIET)
    acted.success(**page.address)
    queued = rail.list.enqueue(page.enqueue, page.queue_inputs, None, trigger_mode="multiple", **QUIET)
    queued.then(handlers.look, [page.run_id, rail.seen], mine, queue=False, **QUIET)
    rail.timer.tick(handlers.look, [page.run_id, rail.seen], mine, queue=False, trigger_mode="once", **QUIET)
    page.blocks.load(handlers.load, None, mine, queue=False, **QUIET)
    page.run_id.change(handlers.look, [page.run_id, rail.seen], mine, queue=False, **QUIET)


class RailHandlers:
    """What happens when something is pressed in the rail."""

    def __init__(self, rail: Rail, page: RailHost) -> None:
        self._rail, self._page = rail, page
        projects = page.projects
        self._do: dict[str, Callable[[str, str], str | None]] = {
            "open": lambda run_id, _: run_id,
            "new": lambda run_id, _: "",
            "rename": projects.rename,
            "duplicate": lambda run_id, _: projects.duplicate(run_id),
            "undo": lambda run_id, _: projects.restore(run_id),
            "own": lambda run_id, _: projects.take_example(run_id),
            "move": lambda run_id, place: page.jobs.move(run_id, int(place) if place.isdecimal() else 0),
            "pause": lambda run_id, _: page.jobs.pause(),
            "unpause": lambda run_id, _: page.jobs.unpause(),
            "refresh": lambda run_id, _: None,
        }

    @speak_errors
    def act(self, run_id: str, event: gr.EventData) -> Updates:
        """Does what was pressed, and opens another project where that follows from it."""
        asked = {name: str(event._data.get(name, "")) for name in ("what", "id", "name")}
        if asked["what"] == "delete":
            self._page.projects.delete(asked["id"])
            then = "" if asked["id"] == run_id else None
        elif asked["what"] in self._do:
            then = self._do[asked["what"]](asked["id"], asked["name"])
        else:
            raise RunError("The rail cannot do that.")
        updates = {} if then is None else self._page.attach(then) if then else self._page.blank()
        return {**updates, **self._show(run_id if then is None else then, None)}

    @speak_errors
    def load(self) -> Updates:
        """The list for a fresh page, which may open no project; which one it opens is for others to say."""
        return self._show(None, None)

    @speak_errors
    def look(self, run_id: str, seen: Any) -> Any:
        """What changed in the list since the last look; nothing at all where nothing did."""
        return self._show(run_id, seen) or gr.skip()

    def _show(self, current: str | None, seen: Any) -> Updates:
        at = time.time()  # answers overtake one another: the page keeps the list that was read last
        projects = [dataclasses.asdict(one) for one in self._page.projects.listing()]
        # a worker that was killed leaves waiting runs, and one that reads as interrupted
        waits = any(one["state"] in WAITING for one in projects) and self._page.jobs.tend()
        shelf = self._page.projects.examples()
        examples = [{**dataclasses.asdict(one), "name": translate(one.name)} for one in shelf]
        thrown = [dataclasses.asdict(one) for one in self._page.projects.bin()]
        value = {"projects": projects, "examples": examples, "bin": thrown, "current": current, "at": at}
        value |= {"paused": self._page.jobs.is_paused, "ordered": not visitors.is_space()}
        if seen and {**seen, "at": at} == value:
            return {}
        live = waits or any(one["state"] in LIVE or not one["thumb"] for one in [*projects, *examples])
        return {self._rail.list: value, self._rail.seen: value, self._rail.timer: gr.Timer(active=live)}
