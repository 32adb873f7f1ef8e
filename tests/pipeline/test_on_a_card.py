"""Whole runs on pretended cards: every way through the pipeline that a GPU takes, where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from realfill import config
from realfill.config import Config
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


def settings(base: Path, **changes: Any) -> Config:
    """`paper` in small, with changes whose names have `__` for the dot."""
    small = {
        "base": str(base),
        "train.steps": STEPS,
        "train.batch": 2,
        "sample.seeds": "0-1",
        "sample.steps": 2,
        "select.matcher": "sift",
    }
    return config.make("paper", {**small, **{name.replace("__", "."): value for name, value in changes.items()}})


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


# Each with other choices of pool, sampler, guidance, previews, held-out losses, draft and adapted layers.
WAYS = [
    ("RTX 3070", {"train__pool": 0, "sample__sampler": "ddpm", "sample__guidance": 1.0}),
    pytest.param(
        *("H200", {"train__pool": 3, "sample__sampler": "ddim", "sample__guidance": 3.0, "train__patience": 1}),
        marks=pytest.mark.long,
    ),
    ("T4", {"train__pool": 3, "sample__sampler": "dpm++", "train__preview_every": 2, "train__layers": "all"}),
    pytest.param(
        *("GTX 1070", {"train__pool": 0, "sample__sampler": "ddim", "guide__draft": True, "guide__warm": 0.5}),
        marks=pytest.mark.long,
    ),
]
PRECISIONS = {"RTX 3070": "bfloat16", "H200": "bfloat16", "T4": "float16", "GTX 1070": "float32"}


@pytest.mark.parametrize(("card", "changes"), WAYS)
def test_a_whole_run_passes_on_every_generation_of_cards(
    card: str, changes: dict[str, Any], tiny_base: Path, toy_scene: Path, tmp_path: Path
) -> None:
    """No operation meets operands of two devices; what is computed in is the card's own arithmetic."""
    _, state = run_on(card, tmp_path / "run", toy_scene, settings(tiny_base, **changes))
    run = Run.open(tmp_path / "run")
    assert run.result.exists() and len(run.seeds_done()) >= 2
    assert (run.fact("device"), run.fact("precision")) == ("cuda", PRECISIONS[card])
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
