"""Tab 2: base, preset, how the hole is filled, and settings with what they cost here; how training goes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from realfill import config
from realfill.bases import BASES, EMBEDDED, base_facts, default_preset, estimated_as
from realfill.config import PRESET_LABELS, PRESETS, PROPOSALS, Config, GuideConfig, PresetName
from realfill.device.memory_plan import gpu_memory
from realfill.humanize import size
from realfill.sentences import Sentence

from .. import forms
from ..errors import speak_errors
from ..forms import Form
from ..language.catalogue import translate, translate_measures
from ..markup import as_text, join_markup, markup
from ..plot import component
from ..runs import costs
from ..runs.turns import Turns
from ..wiring import QUIET, Updates, Values
from . import own_gpu
from .own_gpu import OwnGpu

PREVIEWS = [("off", 0), *((f"every {steps}", steps) for steps in (10, 25, 50, 100))]
PREVIEW = 25
WAYS: Mapping[str, GuideConfig] = {
    "guided": PRESETS[default_preset(EMBEDDED)].guide,
    "paper": PRESETS["paper"].guide,
    "draft": GuideConfig(only=True, proposals=PROPOSALS),
}
"""Ways to fill the hole, each with the settings that it stands for."""
WAY_WORDS: Mapping[str, tuple[str, str]] = {
    "draft": (
        Sentence("Draft only"),
        Sentence("no training, no model. What no reference shows is made of the scene's texture."),
    ),
    "guided": (Sentence("Guided"), Sentence("trains, and keeps what the references show.")),
    "paper": (Sentence("Paper"), Sentence("trains on the photos alone, to the letter of the paper.")),
}
"""What each way is called and what it gives; the quickest first."""
_TRAINING = ("train.steps", "train.batch", "sample.seeds", "sample.steps")  # what the draft alone does not need


@dataclass(frozen=True)
class TrainTab:
    """The tab's components."""

    base: gr.Radio
    preset: gr.Dropdown
    way: gr.Radio
    previews: gr.Dropdown
    form: Form
    cost: gr.HTML
    plot: gr.HTML
    facts: gr.HTML
    strip: gr.HTML
    notices: gr.HTML
    own_gpu: OwnGpu | None = None  # where visitors can sign in
    turns: Turns | None = None  # where the GPU is had in turns
    offered: Collection[str] = tuple(BASES)  # bases that can be chosen

    @property
    def inputs(self) -> list[Component]:
        """What `read_config` reads."""
        return [self.base, self.preset, self.way, self.previews, *self.form.inputs]


def build(start_base: str, runs_dir: Path, *, own_account: bool = False, turns: Turns | None = None) -> TrainTab:
    """Renders the tab into the open gradio context; `runs_dir` remembers what training costs here.

    `own_account`: whether visitors may train on an account of theirs. `turns`: who hands out the GPU, if anybody.
    """
    form = Form(config.make(default_preset(start_base), {"base": start_base}))
    offered = turns.bases if turns and not own_account else tuple(BASES)
    with gr.Row(equal_height=False, elem_classes="rf-fill"):
        with gr.Column(scale=0, min_width=360, elem_id="settings"):
            settings = _build_settings(start_base, form, runs_dir, offered)
            panel = own_gpu.build() if own_account else None
        with gr.Column(scale=1, elem_id="progress"):
            progress = _build_progress()
    tab = TrainTab(form=form, own_gpu=panel, turns=turns, offered=offered, **settings, **progress)
    _wire(tab, runs_dir)
    return tab


def _build_settings(start_base: str, form: Form, runs_dir: Path, offered: Collection[str]) -> dict[str, Component]:
    """The left column, by the names of TrainTab's fields: what decides most as cards, the rest under Advanced."""
    preset = default_preset(start_base)
    presets = [(label, name) for name, label in PRESET_LABELS.items()]
    first = config.make(preset, {"base": start_base})
    way = gr.Radio(
        way_choices(runs_dir, first), value=fill_way(first.guide), label="How the hole is filled",
        elem_id="way", elem_classes="rf-cards",
    )  # fmt: skip
    base = gr.Radio(
        base_choices(start_base, runs_dir, offered),
        value=start_base,
        label="Base model",
        elem_id="base",
        elem_classes="rf-cards",
    )
    cost = gr.HTML("", elem_id="cost", elem_classes="rf-hint")
    with gr.Accordion("Advanced", open=False, elem_id="all-settings"):
        preset_box = gr.Dropdown(
            presets, value=preset, label="Preset", filterable=False, elem_id="preset",
            info="Sets all of the settings below.",
        )  # fmt: skip
        form.build(forms.MAIN)
        previews = gr.Dropdown(
            PREVIEWS, value=PREVIEW, label="Previews", info="Steps between quick pictures of one seed.",
            filterable=False, elem_id="previews",
        )  # fmt: skip
        form.build(forms.other_names())
    return {"base": base, "preset": preset_box, "way": way, "previews": previews, "cost": cost}


def _build_progress() -> dict[str, Component]:
    """The right column, by the names of TrainTab's fields."""
    curve = component.loss_plot("loss")
    facts = gr.HTML("", elem_id="facts")
    strip = gr.HTML("", elem_id="strip")
    notices = gr.HTML("", elem_id="notices")
    return {"plot": curve, "facts": facts, "strip": strip, "notices": notices}


def _wire(tab: TrainTab, runs_dir: Path) -> None:
    def price(values: Values) -> Markup:
        try:
            return cost_html(runs_dir, read_config(tab, values, variants=False), values[tab.preset], tab.turns)
        except gr.Error as error:
            return as_text(error.message)

    def time_ways(values: Values) -> Any:
        try:
            return gr.update(choices=way_choices(runs_dir, read_config(tab, values, variants=False)))
        except gr.Error:  # a setting that does not fit is told where the price stands
            return gr.skip()

    def fill_preset(preset: PresetName, base: str) -> list[Any]:
        settings = config.make(preset, {"base": base})
        return [*tab.form.values(settings), fill_way(settings.guide)]

    # The form follows both: a preset may differ for a base, and two bases may begin with the same preset.
    preset = {"fn": fill_preset, "inputs": [tab.preset, tab.base], "outputs": [*tab.form.inputs, tab.way], **QUIET}
    tab.base.input(default_preset, tab.base, tab.preset, **QUIET).then(**preset)
    tab.preset.change(**preset)
    _agree(tab)
    gr.on(
        [tab.base.change, *(field.change for field in tab.form.parts([*forms.MAIN, "guide.only"]))],
        price,
        {*tab.inputs},
        tab.cost,
        trigger_mode="always_last",
        **QUIET,
    )
    # not with every field: an answer that comes while somebody walks a list by keys would take the place away
    gr.on([tab.base.change, tab.preset.change], time_ways, {*tab.inputs}, tab.way, trigger_mode="always_last", **QUIET)


def fill_way(guide: GuideConfig) -> str:
    """The way of filling that settings amount to, whatever their details."""
    return "draft" if guide.only else "guided" if guide.draft else "paper"


def _agree(tab: TrainTab) -> None:
    """Lets the choice and the settings under Advanced follow each other."""
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


def way_choices(runs_dir: Path, settings: Config) -> list[tuple[str, str]]:
    """The ways as cards: the first line is the name, the second what it takes on this machine and gives."""

    def card(way: str) -> tuple[str, str]:
        (name, words), guide = WAY_WORDS[way], WAYS[way]
        if fill_way(settings.guide) == way:
            guide = settings.guide
        whole = costs.whole_time(runs_dir, settings.model_copy(update={"guide": guide}))
        unknown = translate("some seconds") if way == "draft" else translate(costs.UNKNOWN)
        time = whole.span() if whole else unknown
        return f"{translate(name)}\n{time[0].upper()}{time[1:]}: {translate(words)}", way

    return [card(way) for way in WAY_WORDS]


def cost_html(runs_dir: Path, settings: Config, preset: PresetName, turns: Turns | None = None) -> Markup:
    """What the settings that the tab shows cost here, and what their base needs."""
    words = [costs.sentence(runs_dir, settings, turns.describe(settings, runs_dir) if turns else None)]
    if not settings.guide.only:
        shown = translate("Preset: {preset}.", preset=translate(PRESET_LABELS[preset]))
        words = [*([] if turns else base_warnings(settings.base)), *words, shown]
    return join_markup(markup("<p>{sentence}</p>", sentence=sentence) for sentence in words)


def base_warnings(name: str) -> list[str]:
    """What to know before a run begins from a base: what it downloads, and whether this machine can."""
    base = BASES.get(name)
    if base is None or base.is_embedded:
        return []
    download = translate_measures(f"{base.gigabytes:g} GB")
    warnings = [translate("{name} downloads {size} when it is used for the first time.", name=name, size=download)]
    memory = gpu_memory()
    if memory < base.least_memory:
        needs = {"name": name, "least": translate_measures(size(base.least_memory)), "embedded": EMBEDDED}
        if memory:
            sentence = Sentence(
                "{name} needs a GPU with {least} of memory and this machine has one of {memory}: expect many hours, or "
                "choose {embedded}.",
                memory=translate_measures(size(memory)),
                **needs,
            )
        else:
            sentence = Sentence(
                "{name} needs a GPU with {least} of memory and this machine has none that can be used: expect many "
                "hours, or choose {embedded}.",
                **needs,
            )
        warnings.insert(0, translate(sentence))
    return warnings


def first_words(tab: TrainTab, start_base: str, runs_dir: Path) -> Updates:
    """What the tab says at first of this machine, in the visitor's language: its cards, and what they cost."""
    preset = default_preset(start_base)
    settings = config.make(preset, {"base": start_base})
    return {
        tab.way: gr.update(choices=way_choices(runs_dir, settings)),
        tab.base: gr.update(choices=base_choices(start_base, runs_dir, tab.offered)),
        tab.cost: cost_html(runs_dir, settings, preset, tab.turns),
    }


def base_choices(start: str, runs_dir: Path, offered: Collection[str] = tuple(BASES)) -> list[tuple[str, str]]:
    """What to show and the name of every base that can be chosen; the operator's own one first."""
    own = [] if start in BASES else [(f"{Path(start).name}\n{translate('Your own.')}", start)]
    names = [name for name in BASES if name in offered]
    facts = {name: " · ".join(map(translate, [*base_facts(name), costs.base_time(runs_dir, name)])) for name in names}
    return own + [(f"{name}\n{translate_measures(facts[name])}", name) for name in names]


FIT = ("fit.context", "fit.size")


def fit_facts(tab: TrainTab, values: Values) -> dict[str, Any]:
    """What the canvas needs to show what the model will see: context, and the base's size and multiple in pixels."""
    context, size = (values[field] for field in tab.form.parts(FIT))
    base = estimated_as(values[tab.base])
    return {"context": float(context or 0.0), "size": int(size or base.size), "multiple": base.multiple}


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
