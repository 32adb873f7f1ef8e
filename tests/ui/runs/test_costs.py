from pathlib import Path

from realfill import config
from realfill.device.memory_plan import describe_machine
from realfill.events import StageDone, StageStarted
from ui.runs import costs
from ui.runs.story import Story

MINI = config.make("mini", {"train.steps": 150, "sample.seeds": "0-9"})


def test_before_the_first_run_it_says_that_it_does_not_know(tmp_path: Path) -> None:
    assert "150 steps: not measured yet on this machine" in costs.sentence(tmp_path, MINI)


def test_what_was_measured_is_told(tmp_path: Path) -> None:
    costs.remember(tmp_path, MINI, "step", [9.0, 2.0, 2.0, 2.0, 2.0, 2.0], 1_500_000_000)
    said = costs.sentence(tmp_path, MINI)
    assert said.startswith("Training about 5 min 00 s (150 steps at 2 s), 1.5 GB of memory. ")
    assert said.endswith(describe_machine(MINI))
    costs.remember(tmp_path, MINI, "seed", [3.0])
    assert "10 seeds about 30 s" in costs.sentence(tmp_path, MINI)
    assert "10 min" in costs.sentence(tmp_path, config.change(MINI, {"train.steps": 300}))


def test_another_base_batch_or_size_is_another_measurement(tmp_path: Path) -> None:
    costs.remember(tmp_path, MINI, "step", [2.0] * 6)
    for change in ({"base": "sd2"}, {"train.batch": 8}, {"fit.size": 512}, {"train.layers": "attention"}):
        assert costs.UNKNOWN in costs.sentence(tmp_path, config.change(MINI, change))
    assert costs.UNKNOWN not in costs.sentence(tmp_path, config.change(MINI, {"train.learning_rate_unet": 1e-4}))


def test_a_base_says_what_it_takes_here_or_what_others_measured(tmp_path: Path) -> None:
    assert "took others about 10 min (L40S)" in costs.base_time(tmp_path, "klein")
    klein = config.make("quick", {"base": "klein"})
    assert "huggingface/peft" in costs.sentence(tmp_path, klein)
    told = Story()
    for event in (
        *(StageStarted("prepare", 1), StageDone("prepare", 4.0), StageStarted("train", 300), StageDone("train", 300.0)),
        *(StageStarted("sample", 32), StageDone("sample", 64.0), StageStarted("select", 32), StageDone("select", 64.0)),
        *(StageStarted("export", 1), StageDone("export", 1.0)),
    ):
        told.add(event)
    costs.remember_stages(tmp_path, klein, told)
    assert costs.base_time(tmp_path, "klein").endswith(" here")
    assert "others" not in costs.base_time(tmp_path, "klein")


def test_a_few_steps_are_no_measurement(tmp_path: Path) -> None:
    costs.remember(tmp_path, MINI, "step", [2.0] * (costs.LEAST - 1))
    assert not (tmp_path / costs.NAME).exists()


def test_a_file_that_was_spoilt_is_measured_anew(tmp_path: Path) -> None:
    (tmp_path / costs.NAME).write_text("{")
    assert costs.UNKNOWN in costs.sentence(tmp_path, MINI)
    costs.remember(tmp_path, MINI, "step", [2.0] * 6)
    assert "5 min" in costs.sentence(tmp_path, MINI)


def test_the_draft_alone_costs_seconds(tmp_path: Path) -> None:
    assert "nothing is trained" in costs.sentence(tmp_path, config.change(MINI, {"guide.only": True}))


def test_whole_stages_are_remembered_by_the_item(tmp_path: Path) -> None:
    told = Story()
    for event in (StageStarted("train", 20, 10), StageDone("train", 30.0), StageStarted("sample", 4)):
        told.add(event)
    costs.remember_story(tmp_path, MINI, told)
    assert costs.stage_rates(tmp_path, MINI) == {"train": 3.0}
    assert costs.stage_rates(tmp_path, config.change(MINI, {"train.batch": 8})) == {}
    told.add(StageDone("sample", 8.0))
    costs.remember_story(tmp_path, MINI, told)
    assert costs.stage_rates(tmp_path, MINI) == {"train": 3.0, "sample": 2.0}
