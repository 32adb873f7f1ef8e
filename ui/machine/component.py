"""The dialog "Models and machine": its markup and script, and the questions that it asks, each answered by JSON."""

import dataclasses
import threading
from pathlib import Path
from typing import Any

import gradio as gr

from realfill.errors import RunError
from realfill.runs.listing import run_folders
from realfill.runs.status import LIVE

from ..access import visitors
from ..errors import Answer, Question, answer_errors, strip_folders
from ..html_component import html_component, read_asset
from ..language.catalogue import retell
from ..runs.jobs import TRASH, Jobs
from ..runs.projects import Projects
from .usage import Meter, folder_bytes, free_bytes
from .weights import Downloads, list_weights, remove_weights

MOST_LISTED = 12  # projects, the largest first
CSS = read_asset(Path(__file__).parent, "machine.css")


def build(jobs: Jobs, projects: Projects) -> gr.HTML:
    """Renders the dialog, closed, into the open gradio context."""
    return html_component(Path(__file__).parent, "machine", "machine", questions=questions(jobs, projects))


def questions(jobs: Jobs, projects: Projects, downloads: Downloads | None = None) -> list[Question]:
    """The functions that the browser may call, each by its own name. Every argument is whatever a client sent."""
    meter, fetching, one_by_one = Meter(), downloads or Downloads(), threading.Lock()

    def look_live(asked: Any) -> Answer:
        """Memory, processor and GPUs now, and how far downloads are."""
        return {
            **dataclasses.asdict(meter.look()),
            "downloads": {name: _tell(said) for name, said in fetching.look().items()},
        }

    def look_disk(asked: Any) -> Answer:
        """What takes room: the asking visitor's projects, those in the bin, weights; and what is free."""
        with one_by_one:
            mine, thrown = projects.listing(), {one.id for one in projects.bin()}
            folders = [jobs.folder(one.id) for one in mine]
            binned = [folder for folder in run_folders(jobs.runs_dir / TRASH) if folder.name in thrown]
            sizes = folder_bytes([*folders, *binned])
        free, total = free_bytes(jobs.runs_dir)
        largest = sorted(mine, key=lambda one: -sizes[one.id])[:MOST_LISTED]
        return {
            "projects": [{"id": one.id, "name": one.name, "bytes": sizes[one.id]} for one in largest],
            "projects_bytes": sum(sizes[one.id] for one in mine),
            "bin": {"count": len(binned), "bytes": sum(sizes[folder.name] for folder in binned)},
            "weights": [dataclasses.asdict(one) for one in list_weights()],
            "free": free,
            "total": total,
            "owned": not visitors.is_space(),
        }

    def empty_bin(asked: Any) -> Answer:
        """Removes for good what the asking visitor deleted."""
        projects.empty_bin()
        return {}

    def fetch_weights(asked: Any) -> Answer:
        """Begins to fetch the weights of a base."""
        _check_owner()
        fetching.begin(str(asked))
        return {}

    def cancel_fetch(asked: Any) -> Answer:
        """Ends that; what came stays."""
        _check_owner()
        fetching.cancel(str(asked))
        return {}

    def drop_weights(asked: Any) -> Answer:
        """Removes the weights of a base."""
        _check_owner()
        fetching.cancel(str(asked))
        live = [run.config.base for folder in jobs.folders() if (run := jobs.view(folder.name)).status().state in LIVE]
        remove_weights(str(asked), live)
        return {}

    return [answer_errors(one) for one in (look_live, look_disk, empty_bin, fetch_weights, cancel_fetch, drop_weights)]


def _tell(said: dict[str, Any]) -> dict[str, Any]:
    """What a download said, in the visitor's language."""
    return {**said, "error": strip_folders(retell(said["error"]))} if "error" in said else said


def _check_owner() -> None:
    """Raises:
    RunError: strangers share this machine.
    """
    if visitors.is_space():
        raise RunError("The weights of this Space are its owner's to change.")
