"""Settings as gradio components, generated from the config classes: label, hint and bounds come from there.

A `Form` is a set of dotted setting names. Handlers take it whole (`inputs=form.inputs`) and get one
mapping from component to value, so no callback has a parameter for each setting.
"""

import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import gradio as gr
from gradio.components import Component

from realfill import config
from realfill.config import Config
from realfill.sentences import Sentence

from .language.catalogue import translate
from .wiring import Values

MAIN = ("train.steps", "train.batch", "sample.seeds", "sample.steps", "select.matcher")
"""Settings shown at once; every other one is under "All settings"."""

NOT_HERE = frozenset(
    {
        *("base", "variants", "select.weights", "train.preview_every", "sample.checkpoint", "sample.base"),
        *("export.feather", "export.quality", "export.match_colour"),
    }
)
"""Settings with a place of their own on the page, and those that may name files of the server."""

WORDS: Mapping[str, str] = {
    "seed": Sentence("Seed of training"),
    "fit.size": Sentence("Working size"),
    "fit.context": Sentence("Context around the hole"),
    "train.steps": Sentence("Training steps"),
    "train.batch": Sentence("Items a step"),
    "train.micro_batch": Sentence("Items at once"),
    "train.learning_rate_unet": Sentence("Learning rate of the U-Net"),
    "train.learning_rate_text": Sentence("Learning rate of the text encoder"),
    "train.decay": Sentence("Learning rate decay"),
    "train.weight_decay": Sentence("Weight decay"),
    "train.clip_norm": Sentence("Gradient clipping"),
    "train.rank": Sentence("LoRA rank"),
    "train.alpha": Sentence("LoRA alpha"),
    "train.layers": Sentence("Layers with LoRA"),
    "train.prompt": Sentence("Prompt"),
    "train.prompt_dropout": Sentence("Prompt dropout"),
    "train.mask_dropout": Sentence("Mask dropout"),
    "train.layer_dropout": Sentence("LoRA dropout"),
    "train.mask_form": Sentence("Form of the mask"),
    "train.pool": Sentence("Pool of crops"),
    "train.crop": Sentence("Smallest crop"),
    "train.guided": Sentence("Warped references"),
    "train.aware": Sentence("Holes like the target's"),
    "train.checkpoint_every": Sentence("Checkpoint every"),
    "train.keep_checkpoints": Sentence("Checkpoints kept"),
    "train.patience": Sentence("Patience"),
    "guide.only": Sentence("Draft only"),
    "guide.draft": Sentence("Draft first"),
    "guide.warm": Sentence("Seeds from the draft"),
    "guide.strength": Sentence("Strength where references show it"),
    "guide.guess": Sentence("Strength where they do not"),
    "guide.known": Sentence("Draft counts as known"),
    "guide.bound": Sentence("Hold to the draft"),
    "guide.texture": Sentence("Keep texture"),
    "guide.detail": Sentence("Detail of the references"),
    "sample.seeds": Sentence("Seeds"),
    "sample.sampler": Sentence("Sampler"),
    "sample.steps": Sentence("Steps of a seed"),
    "sample.guidance": Sentence("Guidance"),
    "sample.batch": Sentence("Seeds at once"),
    "select.matcher": Sentence("Matcher"),
    "select.size": Sentence("Size for matching"),
    "select.confidence": Sentence("Least confidence of a match"),
}
"""What people call a setting; the names that `realfill settings` lists are for programs."""
_NAMES = re.compile("|".join(re.escape(name) for name in config.flat_fields() if "." in name))

EMPTY_IS_A_VALUE = frozenset({"train.prompt"})


class Form:
    """Components for some settings, and the way between their values and a Config."""

    def __init__(self, start: Config) -> None:
        """Fields are built with the values of `start`."""
        self._fields: dict[str, Component] = {}
        self._start = start

    def build(self, names: Iterable[str], *, prefix: str = "set") -> None:
        """Renders the named settings into the open gradio context; their elements' ids begin with `prefix`."""
        fields = config.flat_fields()
        for name in names:
            identity = f"{prefix}-{name.replace('.', '-')}"
            self._fields[name] = _component(name, fields[name], to_text(setting_value(self._start, name)), identity)

    @property
    def inputs(self) -> list[Component]:
        """All components, in the order in which `values` gives theirs."""
        return list(self._fields.values())

    def parts(self, names: Iterable[str]) -> list[Component]:
        """The components of some settings.

        Raises:
            KeyError: one of them was not built.
        """
        return [self._fields[name] for name in names]

    def values(self, settings: Config) -> list[Any]:
        """A Config's values as the components show them."""
        return [to_text(setting_value(settings, name)) for name in self._fields]

    def changes(self, values: Values) -> dict[str, Any]:
        """Dotted names and values for `config.make`, from what a handler was called with.

        A number or a list of seeds that was emptied keeps the preset's value; an emptied text is empty.
        """
        settings = {name: values[component] for name, component in self._fields.items()}
        return {
            name: value
            for name, value in settings.items()
            if value is not None and (value != "" or name in EMPTY_IS_A_VALUE)
        }


def other_names() -> list[str]:
    """Settings that are neither main nor excluded, in the order of the classes."""
    return [name for name in config.flat_fields() if name not in MAIN and name not in NOT_HERE]


def setting_value(settings: Config, name: str) -> Any:
    """A setting's value by its dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def to_text(value: Any) -> Any:
    """Seeds as people write them, `0-15`; anything else as it is."""
    if not isinstance(value, tuple):
        return value
    spans: list[list[int]] = []
    for seed in value:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def label(name: str) -> str:
    """`train.learning_rate_unet` → "Learning rate of the U-Net"; one without words of its own by its name."""
    words = WORDS.get(name) or name.rpartition(".")[2].replace("_", " ")
    return words[0].upper() + words[1:]


def speak_names(sentence: str) -> str:
    """A sentence in which settings are called as the page calls them: `needs guide.draft` → `needs “Draft first”`."""
    return _NAMES.sub(lambda name: translate("“{name}”", name=translate(label(name[0]))), sentence)


def _component(name: str, info: Any, value: Any, identity: str) -> Component:
    kind, low, high = _kind(info)
    common: dict[str, Any] = {
        "label": label(name),
        "info": speak_names(info.description),
        "value": value,
        "elem_id": identity,
    }
    if typing.get_origin(kind) is Literal:
        return gr.Dropdown(list(typing.get_args(kind)), filterable=False, **common)
    if kind is bool:
        return gr.Checkbox(**common)
    if kind is int:
        return gr.Number(minimum=low, maximum=high, precision=0, step=1, **common)
    if kind is float:
        return gr.Number(minimum=low, maximum=high, step=_step(value), **common)
    return gr.Textbox(max_lines=1, **common)


def _step(value: float) -> float:
    """A tenth of the value's leading digit's place: 0.5 → 0.1, 2e-4 → 1e-4."""
    return float(10.0 ** math.floor(math.log10(abs(value)))) if value and abs(value) < 1 else 0.1


def _kind(info: Any) -> tuple[Any, float | None, float | None]:
    """A field's type (`str` for a list of seeds), and its bounds, ends included; None where there is none."""
    kind = str if isinstance(info.annotation, types.GenericAlias) else info.annotation
    low = next((float(note.ge) for note in info.metadata if hasattr(note, "ge")), None)
    high = next((float(note.le) for note in info.metadata if hasattr(note, "le")), None)
    return kind, low, high
