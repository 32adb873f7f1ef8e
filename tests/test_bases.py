"""The table of bases: presets and defaults that follow from it."""

import json
from pathlib import Path
from typing import get_args

import pytest

from realfill import assets, config
from realfill.bases import (
    BASES,
    EMBEDDED,
    FAMILIES,
    PREFERRED,
    default_base,
    default_preset,
    describe_time,
    find_family,
    preset_changes,
)


def test_the_default_preset_fits_the_base() -> None:
    assert default_preset("mini") == "mini"
    assert default_preset("sd2") == default_preset("/some/folder") == "quick"


@pytest.mark.parametrize("name", BASES)
def test_every_base_begins_with_a_preset_that_exists(name: str) -> None:
    assert BASES[name].preset in get_args(config.PresetName)
    assert config.PRESETS[BASES[name].preset].base in BASES


def test_the_default_base_is_the_one_that_the_memory_holds() -> None:
    enough = BASES[PREFERRED].least_memory
    assert [default_base(memory) for memory in (0, enough - 1, enough)] == [EMBEDDED, EMBEDDED, PREFERRED]
    assert BASES[EMBEDDED].is_embedded and not BASES[PREFERRED].is_embedded


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("preset", get_args(config.PresetName))
def test_every_preset_for_a_base_is_settings(name: str, preset: config.PresetName) -> None:
    made = config.make(preset, {"base": name})
    assert made.base == name
    for setting, value in preset_changes(name, preset).items():
        assert config.flatten(made)[setting] == value
    chosen = config.make(preset, {"base": name, "train.steps": 7, "train.rank": 3})
    assert (chosen.train.steps, chosen.train.rank) == (7, 3)


def test_the_presets_of_stable_diffusion_are_the_presets() -> None:
    for name, preset in (("sd2", "paper"), ("sd2", "quick"), ("mini", "mini")):
        assert not preset_changes(name, preset)


@pytest.mark.parametrize("name", BASES)
def test_every_base_says_how_long_it_takes_and_who_measured_it(name: str) -> None:
    said, row = describe_time(name, config.default_items(name)), BASES[name]
    assert row.time is None or row.figure is None
    if row.time is None and row.figure is None:
        assert said == "not known yet"
    if row.figure is not None:
        assert "others" in said and row.figure.source in said and row.figure.card in said
        assert row.figure.source not in describe_time(name, 1200, brief=True)
    assert describe_time("somebody/else", 1200) == "not known yet"


def test_others_figures_grow_with_the_items() -> None:
    assert "about 22 min (RTX 3090 Ti)" in describe_time("sdxl", 1200)
    assert "about 224 min" in describe_time("sdxl", 12_000)


def test_klein_begins_as_others_train_it_and_holds_what_it_would_drift_from() -> None:
    quick = config.make("quick", {"base": "klein"})
    assert (quick.train.steps, quick.train.batch, quick.train.rank, quick.train.layers) == (300, 4, 16, "all")
    assert (quick.train.learning_rate_unet, quick.train.low_noise, quick.train.context_dropout) == (1e-4, 1.0, 0.5)
    assert quick.sample.hold and quick.export.match_colour
    assert (quick.sample.steps, quick.sample.guidance) == (4, 1.0) and quick.sample.base.endswith("klein-4B")
    paper = config.make("paper", {"base": "klein"})
    assert (paper.train.steps, paper.train.batch, paper.train.rank) == (2000, 16, 16)
    folder = preset_changes(BASES["klein"].source, "quick")  # the base alone, by hub id
    assert (folder["sample.steps"], folder["sample.guidance"]) == (50, 4.0) and "sample.base" not in folder


def test_a_family_is_told_by_what_a_folder_says_that_it_is(tmp_path: Path) -> None:
    assert find_family(str(tmp_path)) is None
    for family in FAMILIES.values():
        for class_name in family.classes:
            (tmp_path / "model_index.json").write_text(f'{{"_class_name": "{class_name}"}}')
            assert FAMILIES[find_family(str(tmp_path)) or ""] is family
    assert {find_family(name) for name in BASES} == set(FAMILIES)
    assert all(find_family(base.source) == base.family for base in BASES.values())


def test_the_embedded_base_works_on_the_sides_that_its_row_says() -> None:
    """As `inpainting_unet` reads them from the network: a cell of the autoencoder, halved by all levels but one."""
    folder = assets.FOLDER / BASES["mini"].source
    unet, vae = (json.loads((folder / part / "config.json").read_text()) for part in ("unet", "vae"))
    cell = 2 ** (len(vae["block_out_channels"]) - 1)
    assert BASES["mini"].multiple == cell * 2 ** (len(unet["block_out_channels"]) - 1)
    assert BASES["mini"].size == cell * unet["sample_size"]
