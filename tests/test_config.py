"""Settings: the paper to the letter, names and values checked, text as typed understood."""

import pytest
from pydantic import ValidationError

from realfill import config
from realfill.config import Config, TrainConfig
from realfill.errors import OptionError


def test_paper_is_the_paper() -> None:
    """method.md, "Training" and "Filling"."""
    paper = config.PRESETS["paper"]
    assert paper.base == "sd2"
    assert (paper.train.steps, paper.train.batch, paper.train.rank) == (2000, 16, 8)
    assert (paper.train.learning_rate_unet, paper.train.learning_rate_text) == (2e-4, 4e-5)
    assert {paper.train.prompt_dropout, paper.train.mask_dropout, paper.train.layer_dropout} == {0.1}
    assert paper.train.layers == "attention"
    assert paper.train.prompt == "a photo of sks"
    assert (paper.sample.sampler, paper.sample.steps, paper.sample.guidance) == ("ddpm", 200, 1.0)
    assert paper.sample.seeds == tuple(range(64))
    assert paper.select.matcher == "loftr"


def test_quick_differs_from_paper_in_length_and_by_a_pool() -> None:
    quick, paper = config.PRESETS["quick"], config.PRESETS["paper"]
    assert paper.train.pool == 0
    assert quick.train == paper.train.model_copy(update={"steps": 500, "pool": 256})
    assert (quick.sample.sampler, quick.sample.steps) == ("dpm++", 25)
    assert quick.select == paper.select and quick.export == paper.export


def test_patient_is_the_papers_base_in_little_work_and_tells_what_it_takes() -> None:
    patient, paper = config.PRESETS["patient"], config.PRESETS["paper"]
    assert patient.base == paper.base
    assert patient.train.steps * patient.train.batch <= 400 and patient.train.pool > 0
    assert patient.train.checkpoint_every <= 5  # resumable over nights: a step takes a minute
    assert patient.sample.steps * len(patient.sample.seeds) <= 100
    assert "hours of one core" in config.PRESET_LABELS["patient"]


@pytest.mark.parametrize("preset", list(config.PRESETS))
def test_presets_survive_json(preset: config.PresetName) -> None:
    made = config.PRESETS[preset]
    assert config.validate(made.model_dump(mode="json")) == made
    assert config.validate(Config.model_validate_json(made.model_dump_json()).model_dump()) == made


def test_every_setting_says_what_it_is() -> None:
    for name, field in config.flat_fields().items():
        assert field.description and field.description[0].isupper() and field.description.endswith("."), name


def test_changes_by_dotted_name_as_typed() -> None:
    made = config.make("mini", {"train.steps": "7", "sample.seeds": "0-2,9", "base": "sd2", "variants": "true"})
    assert (made.train.steps, made.sample.seeds, made.base, made.variants) == (7, (0, 1, 2, 9), "sd2", True)
    assert made.train.batch == config.PRESETS["mini"].train.batch
    assert config.PRESETS["mini"].train.steps != 7


def test_change_keeps_everything_else() -> None:
    before = config.make("paper", {"train.steps": 3})
    after = config.change(before, {"export.feather": 0})
    assert after.export.feather == 0
    assert after.model_copy(update={"export": before.export}) == before
    assert config.change(before, {}) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train.step": 5}, "no setting 'train.step'"),
        ({"train": 5}, "no setting 'train'"),
        ({"train.steps.more": 5}, "no setting"),
        ({"steps": 5}, "train.steps"),  # the list of names helps
        ({"train.steps": "many"}, "train.steps"),
        ({"train.steps": -1}, "greater than or equal to 0"),
        ({"train.learning_rate_unet": "nan"}, "learning_rate_unet"),
        ({"select.matcher": "surf"}, "select.matcher"),
        ({"sample.seeds": "3-1"}, "3-1"),
        ({"sample.seeds": ""}, "list of seeds"),
        ({"sample.seeds": ()}, "sample.seeds"),
        ({"export.quality": 101}, "export.quality"),
    ],
)
def test_what_does_not_exist_or_fit_is_refused_in_a_sentence(changes: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        config.make("mini", changes)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_configs_are_frozen_and_closed() -> None:
    made = config.make("mini", {})
    with pytest.raises(ValidationError):
        made.base = "sd2"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        TrainConfig(stepz=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("17", (17,)), ("0-3", (0, 1, 2, 3)), ("5,1,5", (5, 1)), (" 1 , 2 - 3 ", (1, 2, 3)), ("000017", (17,))],
)
def test_seeds_as_people_write_them(text: str, seeds: tuple[int, ...]) -> None:
    assert config.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "a", "1;2", "0-5000", "1.5", "9" * 11, "0x1", "²"])
def test_other_text_is_no_list_of_seeds(text: str) -> None:
    with pytest.raises(OptionError, match="write it like"):
        config.parse_seeds(text)


@pytest.mark.parametrize("seeds", [[-1], [-5, 3], [2**70]])
def test_seeds_that_no_picture_can_have_are_refused(seeds: list[int]) -> None:
    with pytest.raises(OptionError, match="seeds"):
        config.make("mini", {"sample.seeds": seeds})
