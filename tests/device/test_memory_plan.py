"""Memory plans: chosen from what is free, lowered one by one, and told in a sentence."""

import os
from dataclasses import astuple
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest
import torch

from realfill import config
from realfill.bases import BASES
from realfill.device import devices, memory_plan
from realfill.device.devices import free_memory
from realfill.device.memory_plan import (
    MemoryPlan,
    MemoryUse,
    choose_plan,
    describe_cards,
    describe_lowering,
    describe_machine,
    describe_plan,
    gpu_memory,
    greatest_plan,
    lower_plan,
    memory_needs,
    plan_before_loading,
    plan_for_card,
)
from realfill.models.registry import choose_dtype
from tests.pretended_card import CARDS, pretend_card

MINI, PAPER = config.PRESETS["mini"], config.PRESETS["paper"]
WHOLE = MemoryPlan(items=16, seeds=64, pictures=16)


def ladder(plan: MemoryPlan, work: MemoryUse) -> list[MemoryPlan]:
    found = [plan]
    while smaller := lower_plan(found[-1], work):
        found.append(smaller)
    return found


@pytest.mark.parametrize("work", ["training", "filling", "coding"])
@pytest.mark.parametrize("given", [PAPER, MINI])
def test_every_lower_plan_needs_less_until_there_is_none(work: MemoryUse, given: config.Config) -> None:
    plans, needs = ladder(WHOLE, work), memory_needs(given, width=2)
    sizes = [needs.bytes_for(plan, work) for plan in plans]
    assert len(plans) > 4
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)
    assert lower_plan(plans[-1], work) is None


def test_training_goes_from_pieces_to_the_slow_ways() -> None:
    plans = ladder(WHOLE, "training")
    assert [plan.items for plan in plans[:5]] == [16, 8, 4, 2, 1]
    assert [(plan.parked, plan.recompute) for plan in plans[4:]] == [(False, False), (True, False), (True, True)]
    assert all(plan.pictures <= plan.items for plan in plans)
    assert {plan.seeds for plan in plans} == {64}


def test_more_memory_never_takes_less_at_once() -> None:
    needs = memory_needs(PAPER, width=2)
    plans = [choose_plan(free * 1e9, needs, WHOLE) for free in (0.1, 0.5, 1, 2, 4, 8, 12, 16, 20, 80)]
    assert [plan.items for plan in plans] == sorted(plan.items for plan in plans)
    assert [plan.seeds for plan in plans] == sorted(plan.seeds for plan in plans)
    assert plans[0] == MemoryPlan(1, 1, 1, parked=True, recompute=True, merged=False)
    assert plans[-1] == WHOLE


@pytest.mark.parametrize("gigabytes", [1.0, 4.0, 9.0, 20.0])
def test_what_is_chosen_fits(gigabytes: float) -> None:
    needs = memory_needs(PAPER, width=2)
    plan = choose_plan(gigabytes * 1e9, needs, WHOLE)
    for work in ("training", "filling", "coding"):
        assert needs.bytes_for(plan, work) < gigabytes * 1e9


def test_the_plans_of_the_usual_cards() -> None:
    """Estimates, but theirs: who changes the numbers behind them sees what a person would be told."""
    plans = [plan_for_card(PAPER, card * 2.0**30) for card in memory_plan.CARDS]
    assert [plan and plan.items for plan in plans] == [4, 8, 8, 16]
    assert not any(plan and plan.recompute for plan in plans)
    assert describe_cards(PAPER) == "Of a step's 16 items GPUs take at once: 8 GB 4, 12 GB 8, 16 GB 8, 24 GB 16."
    assert describe_cards(MINI) == "GPUs of 8 GB and more take all 4 items of a step at once."


@pytest.mark.parametrize(
    ("base", "card", "recompute"),
    [
        ("sdxl", 8, None),
        ("sdxl", 12, True),
        ("sdxl", 24, False),
        ("klein", 8, None),
        ("klein", 12, True),
        ("klein", 16, True),
        ("klein", 24, False),
        ("flux-fill", 24, None),
        ("flux-fill", 32, True),
    ],
)
def test_larger_bases_train_on_the_cards_that_their_row_names(base: str, card: int, recompute: bool | None) -> None:
    plan = plan_for_card(config.make("quick", {"base": base}), card * 2.0**30)
    assert (plan and plan.recompute) == recompute
    assert (plan is not None) == (card * 2.0**30 >= BASES[base].least_memory)


@pytest.mark.parametrize(
    ("card", "dtype", "items", "seeds"),
    [
        ("GTX 1070", torch.float32, 1, 8),
        ("RTX 2070", torch.float16, 4, 32),
        ("T4", torch.float16, 8, 32),
        ("RTX 3070", torch.bfloat16, 4, 32),
        ("RTX 3060", torch.bfloat16, 8, 32),
        ("RTX 4060 Ti", torch.bfloat16, 8, 32),
        ("RTX 4090", torch.bfloat16, 16, 32),
        ("H200", torch.bfloat16, 16, 32),
    ],
)
def test_what_each_card_computes_in_and_how_much_at_once(card: str, dtype: torch.dtype, items: int, seeds: int) -> None:
    """Of `paper` on `sd2`; bf16 by emulation would need four times the memory on the older ones."""
    with pretend_card(CARDS[card]):
        found = choose_dtype("cuda")
        free = free_memory("cuda")
    assert found == dtype
    plan = plan_before_loading(PAPER, free, width=found.itemsize, gpu=True)
    assert plan is not None and (plan.items, plan.seeds, plan.recompute) == (items, seeds, False)


def test_filling_counts_the_weights_that_are_put_aside() -> None:
    """W + s·BA stands beside W while seeds are denoised."""
    needs = memory_needs(PAPER, width=2)
    more = memory_needs(config.change(PAPER, {"train.layers": "all"}), width=2)
    assert [needs.merged, more.merged] == pytest.approx([0.39e9, 2.15e9], rel=0.02)
    one = MemoryPlan(1, 1, 1)
    assert more.bytes_for(one, "filling") - needs.bytes_for(one, "filling") == pytest.approx(1.76e9, rel=0.02)


def test_adapters_stay_beside_the_weights_where_both_would_not_fit() -> None:
    """With adapters on all layers of a large base the weights put aside are as many as the weights."""
    plans = ladder(WHOLE, "filling")
    assert [(plan.seeds, plan.merged) for plan in plans[3:7]] == [(8, True), (4, True), (4, False), (2, False)]
    assert not lower_plan(MemoryPlan(1, 16, 1), "filling", keep=["seeds"]).merged  # type: ignore[union-attr]


@pytest.mark.parametrize("base", [name for name, row in BASES.items() if row.least_memory])
def test_every_base_trains_fills_and_decodes_on_the_card_that_its_row_names(base: str) -> None:
    settings = config.make("quick", {"base": base})
    total = -(-BASES[base].least_memory // 4e9) * 4 * 2.0**30  # cards have 8, 12, 16, … times 2³⁰ bytes
    plan, needs = plan_for_card(settings, total), memory_needs(settings, width=2)
    assert plan is not None
    left = total - memory_plan.DRIVER - needs.weights
    for work in ("training", "filling", "coding"):
        assert needs.bytes_for(plan, work) < left, work


def test_no_tensor_has_more_elements_than_kernels_count() -> None:
    large = config.change(PAPER, {"fit.size": 1024, "train.batch": 256})
    plan, _ = greatest_plan(large, gpu=True)
    assert plan.pictures * 256 * 1024**2 < 2**31 <= (plan.pictures + 1) * 256 * 1024**2
    assert plan.items * 40 * 1024**2 < 2**31


def test_products_in_another_precision_keep_a_copy_of_the_weights() -> None:
    """Measured for `sd2` on a processor: 2.6 GB however few items."""
    assert memory_needs(PAPER, width=4, computed=2).fixed == pytest.approx(2.6e9, rel=0.1)
    assert memory_needs(PAPER, width=4, computed=4).fixed == memory_needs(PAPER, width=4).fixed


def test_weights_that_are_mapped_from_files_are_no_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(psutil.Process().memory_info(), "shared"):
        pytest.skip("this system does not tell")
    monkeypatch.setattr(devices, "describe_device", lambda name: devices.Device(name, "", 10**12, 10**12))
    file = tmp_path / "weights"
    file.write_bytes(bytes(50_000_000))
    before = free_memory("cpu")
    mapped = torch.from_file(str(file), size=50_000_000, dtype=torch.uint8)
    assert int(mapped.sum()) == 0  # read, so that it lies in memory
    assert free_memory("cpu") <= before - 49_000_000


def test_a_card_without_room_for_the_weights_is_told_so() -> None:
    assert plan_for_card(PAPER, 2e9) is None
    large = config.change(PAPER, {"fit.size": 2048})
    assert "8 GB none" in describe_cards(large)
    assert "too little memory" in describe_plan(None, 16)


def test_a_number_that_the_person_gave_wins() -> None:
    given = config.change(PAPER, {"train.micro_batch": 5, "sample.batch": 9})
    most, keep = greatest_plan(given, gpu=True)
    assert (most.items, most.seeds) == (5, 9)
    plan = choose_plan(3e9, memory_needs(given, width=2), most, keep=keep)
    assert (plan.items, plan.seeds) == (5, 9)
    assert plan.recompute
    alone = lower_plan(plan, "training")  # but where memory runs out indeed, it goes down
    assert alone is not None and alone.items == 3


def test_larger_pictures_wider_weights_and_more_adapters_need_more() -> None:
    plain = memory_needs(PAPER, width=2)
    assert memory_needs(PAPER, width=4).item > plain.item
    assert memory_needs(config.change(PAPER, {"fit.size": 1024}), width=2).item == pytest.approx(4 * plain.item)
    assert memory_needs(config.change(PAPER, {"train.layers": "all"}), width=2).item > plain.item


def test_an_unknown_base_is_taken_as_sd2_in_proportion() -> None:
    unknown = config.change(PAPER, {"base": "someone/else"})
    assert memory_needs(unknown, width=2) == memory_needs(PAPER, width=2)
    small = memory_needs(unknown, width=2, denoiser=8_660_000)
    assert small.weights == pytest.approx(0.01 * memory_needs(PAPER, width=2).weights)
    assert small.item == pytest.approx(0.1 * memory_needs(PAPER, width=2).item)


def test_elsewhere_than_on_a_gpu_there_is_no_other_memory_to_park_in() -> None:
    plan, keep = greatest_plan(MINI, gpu=False)
    assert astuple(plan) == (4, 8, 1, True, False, True)
    assert keep == ()


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (MemoryPlan(4, 64, 4), "4 instead of 16 training items at once"),
        (MemoryPlan(16, 8, 16), "8 instead of 64 seeds at once"),
        (MemoryPlan(16, 64, 2), "2 instead of 16 pictures at once in the autoencoder"),
        (MemoryPlan(16, 64, 1, parked=True), "the autoencoder in the computer's memory while it rests"),
        (MemoryPlan(16, 64, 16, recompute=True), "activations computed twice, which takes a third longer"),
    ],
)
def test_what_was_lowered_is_said(now: MemoryPlan, said: str) -> None:
    assert describe_lowering(WHOLE, now) == f"going on with {said}"


def test_a_plan_is_told() -> None:
    assert describe_plan(WHOLE, 16) == "all 16 items of a step at once"
    assert describe_plan(MemoryPlan(4, 8, 4), 16) == "4 of a step's 16 items at once"
    assert describe_plan(MemoryPlan(1, 8, 1), 1) == "the one item of a step at once"
    assert "a third longer" in describe_plan(MemoryPlan(1, 8, 1, recompute=True), 16)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell script as a program")
def test_the_gpu_is_seen_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 8192\necho 12288\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0")
    gpu_memory.cache_clear()
    try:
        assert gpu_memory() == 12 * 2**30
        assert "this GPU of 12.9 GB takes 8 of a step's 16 items" in describe_machine(PAPER)
        monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0+cpu")
        gpu_memory.cache_clear()
        assert gpu_memory() == 0
        assert "this computer" in describe_machine(MINI)
    finally:
        gpu_memory.cache_clear()


def test_the_estimates_are_what_the_shapes_count() -> None:
    """Who makes a step need more, or much less, meets this: `python -m benchmarks.speed.memory_shapes` counts anew."""
    from realfill.models.registry import is_present

    if not is_present("mini"):
        pytest.skip("the embedded base is not in this checkout")
    from benchmarks.speed import memory_shapes

    planned = memory_needs(config.change(MINI, {"train.layers": "attention"}), width=4)
    counter = memory_shapes.make_counter("mini")
    assert list(counter.count_adapted().values()) == pytest.approx(BASES["mini"].memory.adapted, rel=0.02)
    counted = counter.count_bytes(["attention"])
    assert {name: getattr(planned, name) for name in counted} == pytest.approx(counted, rel=0.25)
