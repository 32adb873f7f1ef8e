"""The page for programs: `list_bases`, `start_training`, `status`, `list_seeds`, `export`, and nothing else is public.

docs/api.md shows them with `gradio_client`. They do what the page does, by the same functions, for the same
visitor; what a client sends is checked as what a browser sends is.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, get_args

import gradio as gr

from realfill import config
from realfill.bases import BASES, base_record, default_preset
from realfill.config import Config
from realfill.errors import OptionError, SceneError
from realfill.imaging.encode import FORMATS, Format
from realfill.jobs.queue import queue_position
from realfill.runs.export import choose_seed
from realfill.runs.labels import LONGEST_NAME
from realfill.scene.scene import MOST_REFERENCES

from .access.uploads import check_path
from .errors import speak_plain_errors, strip_folders
from .runs.jobs import Jobs
from .runs.pictures import Export, What
from .runs.rendering import pack_export
from .runs.scene_inputs import SceneInputs
from .runs.story import Story
from .runs.watch import time_left

TEND_SECONDS = 1.0  # between two looks at the queue for programs that ask how far they are


class ApiHost(Protocol):
    """What the API asks of the page."""

    jobs: Jobs
    base: str


class Api:
    """The public functions over the jobs of a page."""

    def __init__(self, page: ApiHost) -> None:
        self._jobs, self._base = page.jobs, page.base
        self._tended = -TEND_SECONDS

    @speak_plain_errors
    def start_training(
        self,
        references: list[dict[str, Any]],
        target: dict[str, Any],
        mask: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        name: str = "",
    ) -> dict[str, Any]:
        """Start a project from uploaded files: one to five references, a target, and a mask whose white is filled in.

        Without a mask the target's transparent part is filled in, or everything with the setting "variants".
        Settings are named as `realfill settings` lists them, such as {"base": "mini", "train.steps": 150}; "preset"
        is paper, quick or mini. Training, filling in and ranking follow by themselves. Returns the project's id.
        """
        wanted = self._config(settings or {})
        photos = [_file(one) for one in _items(references)]
        if not 1 <= len(photos) <= MOST_REFERENCES:
            raise SceneError(f"A scene takes one to {MOST_REFERENCES} references; {len(photos)} were given.")
        inputs = SceneInputs(photos, _file(target), None if mask is None or wanted.variants else _file(mask))
        run = self._jobs.start(inputs, wanted)
        if text := " ".join(str(name).split())[:LONGEST_NAME]:
            run.labels.update(name=text)
        return {"project": run.folder.name}

    @speak_plain_errors
    def list_bases(self) -> list[dict[str, Any]]:
        """The bases by name: licence, gigabytes to download, pixels, bytes of memory to train, and time of a scene."""
        return [base_record(name, config.default_items(name)) for name in BASES]

    @speak_plain_errors
    def status(self, project: str) -> dict[str, Any]:
        """What a project is doing: state, a sentence, stage with done and total, seconds left, place in the queue, and
        notices: sentences about the scene's files and what was done with them.

        The states are queued, running, stopped, interrupted, failed and done.
        """
        run = self._jobs.view(project)
        self._tend()
        story, state = Story(), run.status()
        for event in run.events()[0]:
            story.add(event)
        left = time_left(run, state, story)
        return {
            "project": project,
            "name": run.labels.name,
            "state": state.state,
            "sentence": strip_folders(state.sentence),
            "stage": story.stage,
            "done": story.done,
            "total": story.total,
            "seconds_left": left.middle if left else None,
            "place": queue_position(run),
            "seeds": len(run.seeds_done()),
            "notices": [strip_folders(one) for one in dict.fromkeys([*run.scene_notices, *story.notices])],
        }

    @speak_plain_errors
    def list_seeds(self, project: str) -> list[dict[str, Any]]:
        """The seeds made so far: counted ones first, most matches first; then the others, without rank and matches."""
        run = self._jobs.view(project)
        made = run.seeds_done()
        counted = [one for one in run.read("scores").get("seeds", []) if one["seed"] in made]
        ranked = {one["seed"] for one in counted}
        ranking = [
            {"seed": one["seed"], "rank": rank, "matches": one["matches"], "per_reference": one["per_reference"]}
            for rank, one in enumerate(counted, 1)
        ]
        rest = [seed for seed in made if seed not in ranked]
        return ranking + [{"seed": seed, "rank": None, "matches": None, "per_reference": []} for seed in rest]

    @speak_plain_errors
    def export(
        self,
        project: str,
        seed: int | None = None,
        what: What = "picture",
        kind: Format = "png",
        feather: int | None = None,
    ) -> dict[str, Any]:
        """Make a file for download: a seed's picture (the best one's by default) at the target's own size, or more.

        `feather` is in the target's pixels; `kind` is the format of pictures.
        """
        run = self._jobs.view(project)
        kept = run.config.export
        if what not in get_args(What) or kind not in FORMATS:
            raise OptionError("There is no such export; see docs/api.md for the ones there are.")
        picked = None if seed is None else _whole(seed, "seed")
        if picked is not None and not run.labels.is_example:
            choose_seed(run, picked)
        width = kept.feather if feather is None else _whole(feather, "feather")
        wanted = Export(width, kind, kept.quality, match_colour=kept.match_colour)
        return {"path": pack_export(run, what, wanted, picked), "meta": {"_type": "gradio.FileData"}}

    def _tend(self) -> None:
        """Sees to a worker, however often programs ask: a look at the queue reads the state of every run."""
        now = time.monotonic()
        if now - self._tended >= TEND_SECONDS:
            self._tended = now
            self._jobs.tend()

    def _config(self, settings: Mapping[str, Any]) -> Config:
        """The settings asked for; a base by name only, and no file of the server."""
        if not isinstance(settings, Mapping):
            raise OptionError('Settings are given by name, such as {"train.steps": 150}.')
        changes = {str(name): value for name, value in settings.items()}
        base = str(changes.setdefault("base", self._base))
        if base not in (*BASES, self._base):
            raise OptionError(f"There is no base '{base}' here; the bases are {', '.join(BASES)}.")
        for name in ("select.weights", "sample.base"):
            if name in changes:
                raise OptionError(f"{name} can name a file of the server; only who runs it can set that.")
        preset: Any = changes.pop("preset", None) or default_preset(base)
        if preset not in list(config.PRESETS):  # a list: what a client sends may be no key
            raise OptionError(f"There is no preset '{preset}'; the presets are {', '.join(config.PRESETS)}.")
        return config.make(preset, changes)


def publish(page: ApiHost) -> None:
    """Offers the API in the open gradio context."""
    api = Api(page)
    functions: list[Callable[..., Any]] = [api.list_bases, api.start_training, api.status, api.list_seeds, api.export]
    for function in functions:
        gr.api(function, api_name=function.__name__, concurrency_limit=2)


def _items(value: object) -> list[Any]:
    """What stands in a list that a client sends; nothing, where it sends something else."""
    return value if isinstance(value, list) else []


def _whole(number: object, name: str) -> int:
    """A whole number as a client sends it; some languages know only floats.

    Raises:
        OptionError: it is anything else.
    """
    if type(number) is int or (isinstance(number, float) and number.is_integer()):
        return int(number)
    raise OptionError(f"{name} is a whole number.")


def _file(file: object) -> Path:
    """The uploaded file that a client names."""
    path = file.get("path") if isinstance(file, dict) else None
    uploaded = check_path(path if isinstance(path, str) else None)
    if uploaded is None:
        raise SceneError("Give files by gradio_client.handle_file(PATH), so that they are uploaded.")
    return uploaded
