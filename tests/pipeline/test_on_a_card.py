"""Whole runs on pretended cards: every way through the pipeline that a GPU takes, where there is none."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from realfill import config
from realfill.config import Config, PresetName
from realfill.device.memory_plan import MemoryPlan
from realfill.errors import Interrupted
from realfill.events import DenoisingStep, Event, Notice, SeedReady, Stage, StageStarted, TrainStep
from realfill.models import out_of_memory
from realfill.models.stable_diffusion import StableDiffusionInpaint
from realfill.pipeline.stages import complete
from realfill.runs.run import Run
from tests.pretended_card import CARDS, PretendedCard, pretend_card

STEPS = 2
Listen = Callable[[Event, PretendedCard], None]


def settings(base: Path, preset: PresetName = "paper", **changes: Any) -> Config:
    """A preset in small, with changes whose names have `__` for the dot."""
    small = {
        "base": str(base),
        "train.steps": STEPS,
        "train.batch": 2,
        "guide.proposals": 1,
        "sample.seeds": "0-1",
        "sample.steps": 2,
        "select.matcher": "sift",
    }
    return config.make(preset, {**small, **{name.replace("__", "."): value for name, value in changes.items()}})


def run_on(
    card: str,
    folder: Path,
    scene: Path,
    wanted: Config,
    *,
    listen: Listen = lambda event, card: None,
    spills: bool = False,
    room: int | None = None,
    until: Stage = "export",
) -> tuple[list[Event], PretendedCard]:
    """What a run on a card reported, and the card; `room`: bytes that are free on it."""
    told: list[Event] = []
    with pretend_card(CARDS[card], spills=spills) as state:
        if room is not None:
            state.room = room

        def report(event: Event) -> None:
            told.append(event)
            listen(event, state)

        complete(folder, scene=scene, config=wanted, device="cuda", report=report, until=until)
    return told, state


def losses(told: list[Event]) -> list[float]:
    return [event.loss for event in told if isinstance(event, TrainStep)]


# ── every way through ──


PRECISIONS = {"RTX 3070": "bfloat16", "H200": "bfloat16", "T4": "float16", "GTX 1070": "float32"}
MATCHERS = {"sift": "", "xfeat": "", "loftr": "coarse_loftr/LoFTR_teacher.pt", "aliked": "aliked/aliked-t16.pth"}
CHOICES: dict[str, Sequence[Any]] = {
    "card": list(PRECISIONS),
    "preset": list(config.PRESETS),
    "select__matcher": list(MATCHERS),
    "sample__sampler": ["ddpm", "ddim", "dpm++"],
    "train__pool": [0, 3],
    "sample__guidance": [1.0, 3.0],
    "train__preview_every": [0, 2],
    "train__patience": [0, 1],
    "train__layers": ["attention", "all"],
}


def pairs_of(row: dict[str, Any]) -> set[frozenset[tuple[str, Any]]]:
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def cover_pairs(choices: dict[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows that have every value of every choice together with every value of every other one.

    Greedy: a row begins with a pair that is missing and takes, choice by choice, what adds most.
    """
    missing = {
        frozenset([(one, a), (other, b)]): {one: a, other: b}
        for one, other in itertools.combinations(choices, 2)
        for a, b in itertools.product(choices[one], choices[other])
    }
    rows = []
    while missing:
        row = next(iter(missing.values()))
        for name in (name for name in choices if name not in row):
            made = [{**row, name: value} for value in choices[name]]
            row = max(made, key=lambda candidate: len(pairs_of(candidate) & missing.keys()))
        rows.append({name: row[name] for name in choices})
        missing = {pair: values for pair, values in missing.items() if pair not in pairs_of(row)}
    return rows


ROWS = cover_pairs(CHOICES)
ALWAYS = [next(row for row in ROWS if row["card"] == card) for card in ("T4", "RTX 3070")]


def test_the_rows_have_every_pair_of_choices() -> None:
    covered = set().union(*(pairs_of(row) for row in ROWS))
    names = itertools.combinations(CHOICES.items(), 2)
    assert len(covered) == sum(len(one) * len(other) for (_, one), (_, other) in names)
    assert len(ROWS) <= 24


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if row in ALWAYS else [pytest.mark.long]) for row in ROWS],
    ids=lambda row: "-".join(str(value) for value in row.values()),
)
def test_a_whole_run_passes_on_every_generation_of_cards(
    row: dict[str, Any], tiny_base: Path, toy_scene: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """No operation meets operands of two devices; what is computed in is the card's own arithmetic."""
    changes = dict(row)
    card, file = changes.pop("card"), MATCHERS[row["select__matcher"]]
    weights = str(request.getfixturevalue("shared") / "weights" / file) if file else ""
    wanted = settings(tiny_base, **changes, select__weights=weights, select__size=64)
    _, state = run_on(card, tmp_path / "run", toy_scene, wanted)
    run = Run.open(tmp_path / "run")
    assert run.result.exists() and {0, 1} <= set(run.seeds_done())
    assert (run.fact("device"), run.fact("precision")) == ("cuda", PRECISIONS[card])
    assert run.read("scores")["matcher"] == row["select__matcher"]
    assert state.peak > 0 and state.copies["to the computer"] > 0


def test_losses_on_a_card_are_those_of_the_processor(tiny_base: Path, toy_scene: Path, tmp_path: Path) -> None:
    here: list[Event] = []
    wanted = settings(tiny_base)
    complete(tmp_path / "cpu", scene=toy_scene, config=wanted, device="cpu", report=here.append, until="train")
    for card in ("T4", "H200"):
        told, _ = run_on(card, tmp_path / card, toy_scene, wanted, until="train")
        assert losses(told) == pytest.approx(losses(here), rel=0.02)  # bf16 rounds


# ── memory ──


def test_memory_that_another_program_takes_lowers_the_plan_and_changes_no_loss(
    tiny_base: Path, toy_scene: Path, tmp_path: Path
) -> None:
    wanted = settings(tiny_base, train__steps=4, train__batch=4)

    def grab(event: Event, card: PretendedCard) -> None:
        if isinstance(event, TrainStep) and event.step == 2:
            card.room = card.live + 4_000_000

    whole, _ = run_on("RTX 4090", tmp_path / "whole", toy_scene, wanted, until="train")
    short, _ = run_on("RTX 4090", tmp_path / "short", toy_scene, wanted, listen=grab, until="train")
    assert any("Memory ran out" in event.sentence for event in short if isinstance(event, Notice))
    assert losses(short) == pytest.approx(losses(whole), rel=0.01)  # bf16 rounds pieces otherwise


def test_a_card_whose_driver_spills_is_capped_at_what_was_free(
    tiny_base: Path, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan far too great comes down instead of running from the computer's memory."""
    monkeypatch.setattr(out_of_memory, "choose_plan", lambda *_, **__: MemoryPlan(items=4, seeds=4, pictures=4))
    wanted = settings(tiny_base, train__steps=1, train__batch=4)
    told, card = run_on("RTX 3070", tmp_path / "run", toy_scene, wanted, spills=True, room=6_000_000, until="train")
    assert any("Memory ran out" in event.sentence for event in told if isinstance(event, Notice))
    assert card.fraction < 1
    assert card.spilled <= 0


# ── stopping ──


def test_a_stop_is_heeded_within_a_denoising_step_and_drops_its_group(
    tiny_base: Path, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    predict = StableDiffusionInpaint.predict

    def counted(self: Any, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        return predict(self, *args)

    monkeypatch.setattr(StableDiffusionInpaint, "predict", counted)

    def stop(event: Event, card: PretendedCard) -> None:
        nonlocal calls
        if isinstance(event, StageStarted) and event.stage == "sample":
            calls = 0
        if isinstance(event, DenoisingStep) and event.step == 2 and calls == 2:
            Run.open(tmp_path / "run").request_stop()

    wanted = settings(tiny_base, train__steps=1, sample__steps=8)
    with pytest.raises(Interrupted):
        run_on("RTX 4090", tmp_path / "run", toy_scene, wanted, listen=stop)
    assert calls <= 3
    assert not Run.open(tmp_path / "run").seeds_done()


def test_a_stop_before_the_last_step_keeps_the_group_and_its_time_is_shared(
    tiny_base: Path, toy_scene: Path, tmp_path: Path
) -> None:
    ready: list[SeedReady] = []

    def stop(event: Event, card: PretendedCard) -> None:
        if isinstance(event, DenoisingStep) and (event.step, event.total) == (7, 8):
            Run.open(tmp_path / "run").request_stop()
        if isinstance(event, SeedReady):
            ready.append(event)

    wanted = settings(tiny_base, train__steps=1, sample__steps=8, sample__batch=2, sample__seeds="0-3")
    with pytest.raises(Interrupted):
        run_on("RTX 4090", tmp_path / "run", toy_scene, wanted, listen=stop)
    assert Run.open(tmp_path / "run").seeds_done() == [0, 1]
    seconds = [event.seconds for event in ready]
    assert min(seconds) > 0.3 * max(seconds)  # each has its share of the group's steps


# ── resuming ──


@pytest.mark.parametrize("card", ["T4", pytest.param("RTX 3070", marks=pytest.mark.long)])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_by_bit(
    card: str, tiny_base: Path, toy_scene: Path, tmp_path: Path
) -> None:
    wanted = settings(tiny_base, train__steps=2, train__checkpoint_every=1)

    def stop(event: Event, card: PretendedCard) -> None:
        if isinstance(event, TrainStep) and event.step == 1:
            Run.open(tmp_path / "parts").request_stop()

    run_on(card, tmp_path / "whole", toy_scene, wanted, until="train")
    with pytest.raises(Interrupted):
        run_on(card, tmp_path / "parts", toy_scene, wanted, listen=stop)
    run_on(card, tmp_path / "parts", toy_scene, wanted, until="train")
    one, other = (
        load_file(Run.open(tmp_path / name).lora / "pytorch_lora_weights.safetensors") for name in ("whole", "parts")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
