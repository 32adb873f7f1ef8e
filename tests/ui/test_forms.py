from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realfill import config
from realfill.config import PRESETS, parse_seeds
from realfill.errors import OptionError
from realfill.events import StageDone, StageStarted
from ui import forms
from ui.forms import Form
from ui.runs import costs
from ui.runs.story import Story
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


def test_settings_have_words_for_people() -> None:
    assert set(forms.WORDS) <= set(config.flat_fields())
    for name, info in config.flat_fields().items():
        assert "." not in forms.label(name) and "_" not in forms.label(name)
        assert not any(other in forms.speak_names(info.description) for other in config.flat_fields() if "." in other)
    assert forms.speak_names("It needs guide.draft.") == "It needs “Draft first”."


def test_a_base_says_before_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train, "gpu_memory", lambda: 0.0)
    sd2 = config.make("quick", {})
    told = train.cost_html(tmp_path, sd2, "quick")
    assert "needs a GPU with 8.0 GB" in told and "downloads 5.2 GB" in told and "Preset: quick" in told
    monkeypatch.setattr(train, "gpu_memory", lambda: 24e9)
    assert "needs a GPU" not in train.cost_html(tmp_path, sd2, "quick")
    assert "download" not in train.cost_html(tmp_path, PRESETS["mini"], "mini")


def test_each_way_says_what_it_takes_here(tmp_path: Path) -> None:
    before = {way: card for card, way in train.way_choices(tmp_path, PRESETS["mini"])}
    assert before["draft"].startswith("Draft only\nSome seconds: ")
    assert before["guided"].startswith("Guided\nNot measured yet on this machine: ")
    told = Story()
    for event in (StageStarted("prepare", 1), StageDone("prepare", 20.0), StageStarted("train", 75)):
        told.add(event)
    for event in (StageDone("train", 150.0), StageStarted("sample", 16), StageDone("sample", 16.0)):
        told.add(event)
    for event in (StageStarted("select", 24), StageDone("select", 24.0)):
        told.add(event)
    costs.remember_stages(tmp_path, PRESETS["mini"], told)
    cards = {way: card for card, way in train.way_choices(tmp_path, PRESETS["mini"])}
    assert cards["guided"].startswith("Guided\n2 min 50 s to 4 min 40 s: ")


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
    assert way in train.WAY_WORDS


def test_presets_are_shown_as_the_way_they_fill() -> None:
    shown = {name: fill_way(preset.guide) for name, preset in PRESETS.items()}
    assert shown == {"mini": "guided", "quick": "paper", "paper": "paper", "patient": "paper"}
    assert train.WAYS["guided"] == PRESETS["mini"].guide and train.WAYS["paper"] == PRESETS["paper"].guide
