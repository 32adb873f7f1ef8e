"""Tab 2: base, preset, how the hole is filled, and settings with what they cost here; how training goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from realfill import config
from realfill.bases import BASES, EMBEDDED, default_preset, describe_base
from realfill.config import PRESET_LABELS, PRESETS, PROPOSALS, Config, GuideConfig, PresetName
from realfill.errors import OptionError

from .. import forms
from ..errors import speak_errors
from ..forms import Form
from ..markup import as_text
from ..plot import component
from ..runs import costs
from ..wiring import QUIET, Values

PREVIEWS = [("off", 0), *((f"every {steps}", steps) for steps in (10, 25, 50, 100))]
PREVIEW = 25
WAYS: Mapping[str, GuideConfig] = {
    "guided": PRESETS[default_preset(EMBEDDED)].guide,
    "paper": PRESETS["paper"].guide,
    "draft": GuideConfig(only=True, proposals=PROPOSALS),
}
"""Ways to fill the hole, each with the settings that it stands for."""
WAY_WORDS = [
    # the first line is the name, the second what it costs and gives
    (
        "Guided by the references' geometry\nTraining and some seconds. Seeds that keep what the references show.",
        "guided",
    ),
    ("Paper\nTraining. Seeds from what was learnt of the photos alone, to the letter of the paper.", "paper"),
    (
        "Draft only\nSeconds, no training, no model. Proposals; what no reference shows is the scene's texture.",
        "draft",
    ),
]
_TRAINING = ("train.steps", "train.batch", "sample.seeds", "sample.steps")  # what the draft alone does not need


@dataclass(frozen=True)
class TrainTab:
    """The tab's components."""

    base: gr.Dropdown
    base_facts: gr.HTML
    preset: gr.Dropdown
    way: gr.Radio
    previews: gr.Dropdown
    form: Form
    cost: gr.HTML
    plot: gr.HTML
    facts: gr.HTML
    strip: gr.HTML
    notices: gr.HTML
    more_steps: gr.Number
    go_further: gr.Button

    @property
    def inputs(self) -> list[Component]:
        """What `read_config` reads."""
        return [self.base, self.preset, self.way, self.previews, *self.form.inputs]


def build(start_base: str, runs_dir: Path) -> TrainTab:
    """Renders the tab into the open gradio context; `runs_dir` remembers what training costs here."""
    form = Form(config.make(default_preset(start_base), {"base": start_base}))
    with gr.Row(equal_height=False, elem_classes="rf-fill"):
        with gr.Column(scale=0, min_width=360, elem_id="settings"):
            settings = _build_settings(start_base, form)
        with gr.Column(scale=1, elem_id="progress"):
            progress = _build_progress()
    tab = TrainTab(form=form, **settings, **progress)
    _wire(tab, runs_dir)
    return tab


def _build_settings(start_base: str, form: Form) -> dict[str, Component]:
    """The left column, by the names of TrainTab's fields."""
    preset = default_preset(start_base)
    presets = [(label, name) for name, label in PRESET_LABELS.items()]
    with gr.Row():
        base = gr.Dropdown(_bases(start_base), value=start_base, label="Base", filterable=False, elem_id="base")
        preset_box = gr.Dropdown(presets, value=preset, label="Preset", filterable=False, elem_id="preset")
    base_facts = gr.HTML(as_text(describe_base(start_base)), elem_id="base-facts", elem_classes="rf-hint")
    way = gr.Radio(WAY_WORDS, value=fill_way(PRESETS[preset].guide), label="How the hole is filled", elem_id="way")
    cost = gr.HTML("", elem_id="cost", elem_classes="rf-hint")
    form.build(forms.MAIN)
    previews = gr.Dropdown(
        PREVIEWS,
        value=PREVIEW,
        label="Train · preview",
        info="Steps between quick pictures of one seed.",
        filterable=False,
        elem_id="previews",
    )
    with gr.Accordion("All settings", open=False, elem_id="all-settings"):
        form.build(forms.other_names())
    about = {"base": base, "base_facts": base_facts, "preset": preset_box}
    return {**about, "way": way, "previews": previews, "cost": cost}


def _build_progress() -> dict[str, Component]:
    """The right column, by the names of TrainTab's fields."""
    curve = component.loss_plot("loss")
    facts = gr.HTML("", elem_id="facts")
    strip = gr.HTML("", elem_id="strip")
    with gr.Row(elem_id="further", equal_height=True):
        notices = gr.HTML("", elem_id="notices")
        more_steps = gr.Number(
            50, minimum=1, maximum=100_000, precision=0, label="More steps", elem_id="more-steps", min_width=110
        )
        go_further = gr.Button("Continue training", size="sm", interactive=False, elem_id="go-further")
    numbers = {"plot": curve, "facts": facts, "strip": strip, "notices": notices}
    return {**numbers, "more_steps": more_steps, "go_further": go_further}


def _wire(tab: TrainTab, runs_dir: Path) -> None:
    def price(values: Values) -> Markup:
        try:
            return as_text(costs.sentence(runs_dir, read_config(tab, values, variants=False)))
        except gr.Error as error:
            return as_text(error.message)
        except OptionError as error:
            return as_text(error)

    def fill_preset(preset: PresetName, base: str) -> list[Any]:
        settings = config.make(preset, {"base": base})
        return [*tab.form.values(settings), fill_way(settings.guide)]

    # The form follows both: a preset may differ for a base, and two bases may begin with the same preset.
    preset = {"fn": fill_preset, "inputs": [tab.preset, tab.base], "outputs": [*tab.form.inputs, tab.way], **QUIET}
    tab.base.input(default_preset, tab.base, tab.preset, **QUIET).then(**preset)
    tab.preset.change(**preset)
    tab.base.change(lambda base: as_text(describe_base(base)), tab.base, tab.base_facts, **QUIET)
    _agree(tab)
    gr.on(
        [tab.base.change, *(field.change for field in tab.form.parts([*forms.MAIN, "guide.only"]))],
        price,
        {*tab.inputs},
        tab.cost,
        trigger_mode="always_last",
        **QUIET,
    )


def fill_way(guide: GuideConfig) -> str:
    """The way of filling that settings amount to, whatever their details."""
    return "draft" if guide.only else "guided" if guide.draft else "paper"


def _agree(tab: TrainTab) -> None:
    """Lets the choice and the settings under "All settings" follow each other."""
    only, draft = tab.form.parts(["guide.only", "guide.draft"])
    names = [f"guide.{name}" for name in GuideConfig.model_fields]
    needless = [*tab.form.parts(_TRAINING), tab.previews]

    def fill_settings(way: str) -> list[Any]:
        return [forms.to_text(value) for value in WAYS[way].model_dump().values()]

    def agree(only: bool, draft: bool) -> Sequence[Any]:
        return draft, only, fill_way(GuideConfig(only=only, draft=draft))

    tab.way.input(fill_settings, tab.way, tab.form.parts(names), **QUIET)
    only.input(lambda on, draft: agree(on, on or draft), [only, draft], [draft, only, tab.way], **QUIET)
    draft.input(lambda on, only: agree(on and only, on), [draft, only], [draft, only, tab.way], **QUIET)
    tab.way.change(lambda way: [gr.update(interactive=way != "draft") for _ in needless], tab.way, needless, **QUIET)


def cost_html(start_base: str, runs_dir: Path) -> Markup:
    """The cost of what the tab shows at first."""
    first = config.make(default_preset(start_base), {"base": start_base})
    return as_text(costs.sentence(runs_dir, first))


def _bases(start: str) -> list[tuple[str, str]]:
    """What to show and the name of every base that can be chosen; the operator's own one first."""
    own = [] if start in BASES else [(Path(start).name, start)]
    return own + [(base.label, name) for name, base in BASES.items()]


@speak_errors
def read_config(tab: TrainTab, values: Values, *, variants: bool) -> Config:
    """The settings as the tab has them.

    Raises:
        gr.Error: one of them does not fit; the sentence names it.
    """
    preset: PresetName = values[tab.preset]
    every = 0 if values[tab.way] == "draft" else values[tab.previews] or 0
    apart = {"base": values[tab.base], "variants": variants, "train.preview_every": every}
    return config.make(preset, {**tab.form.changes(values), **apart})
