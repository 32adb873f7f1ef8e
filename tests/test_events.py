"""Events survive the way through a file, also between versions."""

import dataclasses
import json

import pytest

from realfill import events
from realfill.events import (
    DenoisingStep,
    Downloading,
    Failed,
    HeldOut,
    Notice,
    PreviewReady,
    ProposalReady,
    SeedReady,
    SeedScored,
    StageDone,
    StageStarted,
    TrainStep,
)

EXAMPLES: list[events.Event] = [
    StageStarted("train", 150, 50),
    StageDone("select", 1.5),
    Downloading(3, 16, 2.5),
    TrainStep(3, 150, 0.25, 2e-4, 4e-5, 1.25),
    PreviewReady(50),
    ProposalReady(2, 8, 1.5),
    HeldOut(50, 0.125),
    DenoisingStep(3, 25, 8),
    SeedReady(17, 1, 16, 0.5),
    SeedScored(17, 123, 1, 16),
    Notice("The hole is large; „Grüße“ × 2."),
    Failed("The disk is full.", True),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_round_trip(event: events.Event) -> None:
    line = json.dumps(events.to_json(event))
    assert "\n" not in line
    assert events.from_json(json.loads(line)) == event


def test_every_kind_has_an_example() -> None:
    assert {type(event) for event in EXAMPLES} == set(events._KINDS.values())


def test_what_a_newer_version_added_is_passed_over() -> None:
    assert events.from_json({**events.to_json(EXAMPLES[0]), "added": [1]}) == EXAMPLES[0]


@pytest.mark.parametrize(
    ("name", "value"), [("step", "<b>"), ("total", None), ("loss", [1]), ("seconds", {}), ("memory", "much")]
)
def test_values_of_another_kind_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        events.from_json({**events.to_json(EXAMPLES[3]), name: value})
    with pytest.raises(ValueError, match="stage"):
        events.from_json({"event": "StageStarted", "stage": "<b>", "total": 1})


@pytest.mark.parametrize("data", [{}, {"event": "Other"}, {"event": 7}, {"event": "Notice"}])
def test_anything_else_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"unknown event|[mM]issing"):
        events.from_json(data)


def test_events_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLES[0].total = 5  # type: ignore[misc, union-attr]
