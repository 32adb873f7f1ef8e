"""Tab 1: references, target and mask, all in the workbench."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill.runs.run import Run
from realfill.scene.outpaint import Extension

from ..runs.scene_inputs import SceneInputs
from ..wiring import Values
from ..workbench.component import workbench
from ..workbench.endpoints import open_scene
from ..workbench.payload import read_payload, scene_inputs


@dataclass(frozen=True)
class SceneTab:
    """The tab's components."""

    workbench: gr.HTML

    @property
    def inputs(self) -> list[Component]:
        """What `read_inputs` reads."""
        return [self.workbench]


def build() -> SceneTab:
    """Renders the tab into the open gradio context."""
    return SceneTab(workbench())


def read_inputs(tab: SceneTab, values: Values) -> tuple[SceneInputs, bool]:
    """The scene as the workbench has it, and whether it is one of scene variants.

    Raises:
        SceneError: something is missing; the sentence says what to do.
    """
    return scene_inputs(read_payload(values[tab.workbench]))


def open_answer(run: Run) -> dict[str, Any]:
    """The value that makes the workbench show a run's scene; a handler returns it.

    The scene that was there before comes back with Ctrl+Z.

    Raises:
        SceneError: it is no scene.
    """
    return {"open": _open(run)}


def offer_answer(run: Run) -> dict[str, Any]:
    """As `open_answer`, for a fresh page, which sends it on as an event: what the tab itself remembers may stay.

    Raises:
        SceneError: it is no scene.
    """
    return {"offer": _open(run), "project": run.folder.name}


def _open(run: Run) -> dict[str, Any]:
    return open_scene(run.scene_folder, run.labels.name, Extension(*run.labels.extended))
