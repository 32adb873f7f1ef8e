"""The table of bases: presets and defaults that follow from it."""

from typing import get_args

import pytest

from realfill import config
from realfill.bases import BASES, EMBEDDED, PREFERRED, default_base, default_preset


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
