"""Training on the visitor's own Hugging Face account: what it costs and what happens to the photos, said before."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from realfill.sentences import Sentence

from ..markup import markup
from ..runs.hub_jobs import HOURS
from ..wiring import Updates, Values

WHAT_HAPPENS = Sentence(
    "Photos, mask and settings go to a private bucket of your own account at Hugging Face, which the Job reads. When "
    "it has ended, what it made is brought back here and the bucket is deleted. Hugging Face bills you by the minute. "
    "News of the Job comes while this page is open. This was never tried against the real service."
)


@dataclass(frozen=True)
class OwnGpu:
    """The components; `start` and the two before it are shown once prices are known."""

    prices: gr.Button
    machine: gr.Dropdown
    hours: gr.Dropdown
    start: gr.Button

    @property
    def shown(self) -> list[Component]:
        """What `show_machines` changes."""
        return [self.machine, self.hours, self.start]


def build() -> OwnGpu:
    """Renders the panel into the open gradio context."""
    with gr.Accordion(Sentence("Your own GPU"), open=False, elem_id="own-gpu"):
        gr.HTML(markup('<p class="rf-hint">{text}</p>', text=WHAT_HAPPENS))
        prices = gr.Button(Sentence("Show machines and prices"), size="sm", elem_id="own-gpu-prices")
        machine = gr.Dropdown(
            [], label=Sentence("Machine"), visible=False, filterable=False, min_width=320, elem_id="own-gpu-machine"
        )
        hours = gr.Dropdown(
            [(f"{hours} h" if hours > 1 else "1 h", hours) for hours in HOURS], value=HOURS[0], visible=False,
            label=Sentence("Time limit"), info=Sentence("The Job saves itself before it and ends."), filterable=False,
            min_width=320, elem_id="own-gpu-hours",
        )  # fmt: skip
        start = gr.Button(
            Sentence("Train on my Hugging Face account"),
            size="sm",
            variant="primary",
            visible=False,
            elem_id="own-gpu-start",
        )
    return OwnGpu(prices, machine, hours, start)


def show_machines(panel: OwnGpu | None, choices: Sequence[tuple[str, str]]) -> Updates:
    """The machines by name with their prices, the first one chosen."""
    if panel is None:
        return {}
    first = choices[0][1] if choices else None
    return {
        panel.machine: gr.update(choices=list(choices), value=first, visible=True),
        panel.hours: gr.update(visible=True),
        panel.start: gr.update(visible=True, interactive=bool(choices)),
    }


def read_choice(panel: OwnGpu | None, values: Values) -> tuple[str, float]:
    """The machine's name, empty where none was chosen, and the time limit in hours."""
    if panel is None:
        return "", HOURS[0]
    hours = values[panel.hours]
    return str(values[panel.machine] or ""), float(hours if hours in HOURS else HOURS[0])
