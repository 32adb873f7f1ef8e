from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realfill import config
from realfill.config import PRESETS, parse_seeds
from realfill.errors import OptionError
from ui import forms
from ui.forms import Form
from ui.tabs import train
from ui.tabs.train import fill_way


@pytest.fixture
def form() -> Form:
    with gr.Blocks(analytics_enabled=False):
        made = Form(PRESETS["mini"])
        made.build(forms.MAIN)
        made.build(forms.other_names())
    return made


def test_every_setting_is_on_the_page_or_excluded_by_name() -> None:
    assert {*forms.MAIN, *forms.other_names()} | forms.NOT_HERE == set(config.flat_fields())
    assert not {*forms.MAIN, *forms.other_names()} & forms.NOT_HERE


@pytest.mark.parametrize("preset", list(PRESETS))
def test_what_the_form_shows_of_a_preset_makes_that_preset(form: Form, preset: config.PresetName) -> None:
    given_back = dict(zip(form.inputs, form.values(PRESETS[preset]), strict=True))
    made = config.make(preset, form.changes(given_back))
    assert made == PRESETS[preset]


def test_an_emptied_field_keeps_the_preset_but_an_empty_prompt_is_one(form: Form) -> None:
    shown: dict[Any, Any] = dict(zip(form.inputs, form.values(PRESETS["mini"]), strict=True))
    by_name = dict(zip([*forms.MAIN, *forms.other_names()], form.inputs, strict=True))
    shown[by_name["train.steps"]] = None
    shown[by_name["sample.seeds"]] = ""
    shown[by_name["train.prompt"]] = ""
    changes = form.changes(shown)
    assert "train.steps" not in changes
    assert "sample.seeds" not in changes
    assert config.make("mini", changes).train.prompt == ""


def test_bounds_and_hints_come_from_the_config(form: Form) -> None:
    steps = form.inputs[0]
    field = config.flat_fields()["train.steps"]
    assert isinstance(steps, gr.Number)
    assert (steps.minimum, steps.maximum, steps.precision) == (0, 100_000, 0)
    assert steps.info == field.description


def test_a_value_out_of_bounds_is_a_sentence(form: Form) -> None:
    shown = dict(zip(form.inputs, form.values(PRESETS["mini"]), strict=True))
    shown[form.inputs[1]] = 0
    with pytest.raises(OptionError, match=r"train\.batch"):
        config.make("mini", form.changes(shown))


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=30, unique=True))
def test_seeds_written_and_read_are_the_same(seeds: list[int]) -> None:
    assert parse_seeds(forms.to_text(tuple(seeds))) == tuple(seeds)


def test_runs_of_seeds_are_written_short() -> None:
    assert forms.to_text((0, 1, 2, 3, 17, 19, 20)) == "0-3,17,19-20"


@pytest.mark.parametrize("way", list(train.WAYS))
def test_a_way_of_filling_is_what_its_settings_say(way: str) -> None:
    guide = train.WAYS[way]
    assert fill_way(guide) == way
    made = config.make("quick", {f"guide.{name}": value for name, value in guide.model_dump().items()})
    assert made.guide == guide and fill_way(made.guide) == way
    assert way in [value for _, value in train.WAY_WORDS]


def test_presets_are_shown_as_the_way_they_fill() -> None:
    shown = {name: fill_way(preset.guide) for name, preset in PRESETS.items()}
    assert shown == {"mini": "guided", "quick": "paper", "paper": "paper"}
    assert train.WAYS["guided"] == PRESETS["mini"].guide and train.WAYS["paper"] == PRESETS["paper"].guide
