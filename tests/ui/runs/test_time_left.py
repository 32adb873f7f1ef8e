import pytest

from realfill import config
from realfill.config import Config
from realfill.events import Event, ProposalReady, SeedReady, SeedScored, StageDone, StageStarted, TrainStep
from ui.runs.story import Story
from ui.runs.time_left import TimeLeft, estimate

MINI = config.make("mini", {"train.steps": 100, "sample.seeds": "0-9"})
LEARNED = {"prepare": 10.0, "train": 2.0, "sample": 1.0, "select": 1.0, "export": 1.0}
WHOLE = 10 + 100 * 2 + 10 * 1 + 18 * 1 + 1  # the proposals are ranked, too


def story(*told: Event) -> Story:
    made = Story()
    for event in told:
        made.add(event)
    return made


def steps(first: int, last: int, seconds: float) -> list[Event]:
    return [TrainStep(number, 100, 0.5, 1e-3, 1e-4, seconds) for number in range(first, last + 1)]


def left(told: Story, learned: dict[str, float], settings: Config = MINI) -> TimeLeft:
    found = estimate(told, settings, 3, learned)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_before_anything_is_known_nothing_is_said() -> None:
    assert estimate(Story(), MINI, 3, {}) is None
    assert estimate(story(StageStarted("train", 100)), MINI, 3, {}) is None


def test_what_earlier_runs_took_is_said_at_once_as_a_range() -> None:
    at_first = left(Story(), LEARNED)
    assert at_first.low < WHOLE < at_first.high and at_first.share == 0
    assert at_first.span() == "3 min 10 s to 5 min 10 s"


def test_all_stages_count_until_the_end() -> None:
    told = story(StageStarted("train", 100), *steps(1, 90, 2.0))
    found = left(told, LEARNED)
    rest = 10 * 2 + 10 + 18 + 1
    assert found.low < rest < found.high < 2 * rest
    assert found.share == pytest.approx(180 / (180 + rest), abs=0.05)


def test_what_was_never_measured_is_guessed_from_a_step_of_training() -> None:
    found = left(story(StageStarted("train", 100), *steps(1, 50, 3.0)), {})
    assert found.low > 50 * 3 * 0.85  # training alone
    assert found.high > found.low * 1.3  # and nobody knows the rest


def test_the_draft_alone_trains_nothing() -> None:
    only = config.change(MINI, {"guide.only": True})
    assert left(Story(), LEARNED, only).high < 30


def test_a_part_that_is_silent_for_long_is_not_said_to_be_nearly_done() -> None:
    only = config.change(MINI, {"guide.only": True})
    told = story(StageStarted("prepare", 1), StageDone("prepare", 4.0), StageStarted("prepare", 8))  # in two parts
    soon, late = (estimate(told, only, 3, {"prepare": 10.0, "select": 1.0}, waited) for waited in (3.0, 300.0))
    assert soon is not None and soon.high < 10 + 8 + 10
    assert late is not None and late.high > 100 and late.share > soon.share


def test_at_the_end_hardly_anything_is_left() -> None:
    told = story(
        StageStarted("train", 100), *steps(1, 100, 2.0), StageDone("train", 210.0), StageStarted("sample", 10),
        *(SeedReady(seed, seed + 1, 10, 1.0) for seed in range(10)), StageDone("sample", 10.0),
        StageStarted("select", 18), *(SeedScored(seed, 1, seed + 1, 18) for seed in range(17)),
    )  # fmt: skip
    found = left(told, LEARNED)
    assert found.high < 4 and found.share > 0.95
    assert found.span() == "a few seconds"


def test_work_that_begins_once_more_is_measured_anew() -> None:
    told = story(StageStarted("select", 2), StageDone("select", 9.0), StageStarted("export", 1), StageDone("export", 1))
    told.add(StageStarted("sample", 10, 2))
    assert told.spent == {} and left(told, LEARNED).share == 0


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1, 3, "a few seconds"),
        (3, 33, "less than 35 s"),
        (52, 61, "about 55 s"),
        (100, 130, "about 2 min 00 s"),
        (100, 290, "1 min 40 s to 4 min 50 s"),
        (3500, 9000, "58 min to 2 h 30 min"),
    ],
)
def test_a_range_is_said_while_it_is_one(low: float, high: float, said: str) -> None:
    assert TimeLeft(low, high, 0.5).span() == said


def test_what_was_learned_of_getting_ready_is_of_all_proposals_until_some_are_made() -> None:
    only = config.change(MINI, {"guide.only": True, "sample.seeds": "0"})
    before, after = story(StageStarted("prepare", 8)), story(StageStarted("prepare", 8), ProposalReady(1, 8, 3.0))
    ranking = 8 * 1.0 + 1.0
    assert left(before, LEARNED, only).middle == pytest.approx(10 + ranking, rel=0.1)
    assert left(after, LEARNED, only).middle == pytest.approx(7 * 3 + ranking, rel=0.2)
