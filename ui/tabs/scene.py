"""Tab 1: references, target and mask, all in the workbench."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill.sentences import Sentence

from ..language.catalogue import translate
from ..runs.scene_inputs import SceneInputs
from ..wiring import Values
from ..workbench.component import workbench
from ..workbench.endpoints import open_scene
from ..workbench.payload import read_payload, scene_inputs

EXTENDED = Sentence("The photo was extended for this project; here the new part belongs to it and is marked.")


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


def open_answer(folder: Path, name: str = "", *, extended: bool = False) -> dict[str, Any]:
    """The value that makes the workbench show a scene folder, of a run for instance; a handler returns it.

    The scene that was there before comes back with Ctrl+Z. `extended`: the target is larger than the photo was.

    Raises:
        SceneError: it is no scene.
    """
    answer = open_scene(folder, name)
    return {"open": {**answer, "notices": [*answer["notices"], *([translate(EXTENDED)] if extended else [])]}}


def offer_answer(folder: Path, name: str, run_id: str) -> dict[str, Any]:
    """As `open_answer`, for a fresh page, which sends it on as an event: what the tab itself remembers may stay.

    Raises:
        SceneError: it is no scene.
    """
    return {"offer": open_scene(folder, name), "project": run_id}
