"""Tab 2: base, preset and settings; how training goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill import config
from realfill.config import PRESETS, Config, PresetName
from ui import forms, theme
from ui.forms import Form
from ui.speak import spoken

BASES = {"mini": "mini · embedded", "sd2": "sd2 · needs a GPU"}
PRESET_NAMES = [
    ("mini · for mini", "mini"),
    ("quick · 500 steps", "quick"),
    ("paper · in full", "paper"),
]


@dataclass(frozen=True)
class TrainTab:
    """The tab's components."""

    base: gr.Dropdown
    preset: gr.Dropdown
    form: Form
    plot: gr.LinePlot
    notices: gr.HTML

    @property
    def inputs(self) -> list[Component]:
        """What `config_of` reads."""
        return [self.base, self.preset, *self.form.inputs]


def build(start_base: str) -> TrainTab:
    """Renders the tab into the open gradio context."""
    preset = config.default_preset(start_base)
    form = Form(PRESETS[preset])
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=400):
            with gr.Row():
                base_box = gr.Dropdown(
                    _bases(start_base), value=start_base, label="Base", filterable=False, elem_id="base"
                )
                preset_box = gr.Dropdown(PRESET_NAMES, value=preset, label="Preset", filterable=False, elem_id="preset")
            with gr.Column(elem_id="settings"):
                form.build(forms.MAIN)
                with gr.Accordion("All settings", open=False, elem_id="all-settings"):
                    form.build(forms.other_names())
        with gr.Column(scale=1):
            plot = gr.LinePlot(
                x="step",
                y="loss",
                color="line",
                color_map={"each step": theme.RAW, "smoothed": theme.SMOOTHED},
                colors_in_legend=["each step", "smoothed"],
                label="Loss",
                show_label=False,
                x_title="step",
                y_title="loss",
                color_title="line",
                height=500,
                buttons=["export", "fullscreen"],
                elem_id="loss",
            )
            notices = gr.HTML("", elem_id="notices")
    tab = TrainTab(base_box, preset_box, form, plot, notices)
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    base_box.input(config.default_preset, base_box, preset_box, **quiet)
    preset_box.change(lambda name: form.values(PRESETS[name]), preset_box, form.inputs, **quiet)
    return tab


def _bases(start: str) -> list[tuple[str, str]]:
    """What to show and the name of every base that can be chosen; the operator's own one first."""
    own = [] if start in BASES else [(Path(start).name, start)]
    return own + [(label, name) for name, label in BASES.items()]


@spoken
def config_of(tab: TrainTab, given: Mapping[Component, Any], *, variants: bool) -> Config:
    """The settings that were given.

    Raises:
        gr.Error: one of them does not fit; the sentence names it.
    """
    preset: PresetName = given[tab.preset]
    return config.make(preset, {**tab.form.changes(given), "base": given[tab.base], "variants": variants})
