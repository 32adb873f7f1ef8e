"""Memory plans: how much is computed at once. Chosen from the free memory before the start, lowered where it runs out.

A plan changes no number beyond rounding: a batch in pieces has the same gradient, and a seed the same picture.
The sizes below are estimates: bytes counted over the networks' shapes without a device (every tensor that is kept for
the backward pass, and the most that live at once; `benchmarks/speed/memory_shapes.py`), not measured on a GPU yet.
"""

import functools
import importlib.metadata
import math
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from realfill.bases import BASES, estimated_as
from realfill.config import Config
from realfill.humanize import size
from realfill.sentences import Sentence

MemoryUse = Literal["training", "filling", "coding"]  # coding: what the autoencoder does
CARDS = (8, 12, 16, 24)  # GB as cards are sold, which means 2³⁰ bytes: the sizes that are stated
DRIVER = 0.8e9  # bytes that CUDA takes before anything is allocated, an estimate
SPARE = 0.3e9  # bytes left for workspaces of convolutions on a GPU, an estimate
USABLE = 0.92  # share of what is free that is planned with: the allocator's pieces never fit without gaps
# More than 32 seeds at once cost layouts and nothing is gained: diffusers' Upsample2D leaves channels-last from 64 on.
MOST_SEEDS, MOST_SEEDS_ELSEWHERE, MOST_PICTURES = 32, 8, 16
FEW_SEEDS = 4  # from which on room for more is made by leaving adapters unmerged, an estimate
MOST_ELEMENTS = 2**31 - 1  # of a tensor: some of CUDA's kernels count in 32 bits
# Elements a pixel of a picture or an item in the widest tensor: 256 channels of the decoder at full size; 8 times the
# first level's 320 channels in the U-Net's feed-forward layers, a cell of 8 × 8 pixels.
WIDEST_IN_AUTOENCODER, WIDEST_IN_UNET = 256, 40


@dataclass(frozen=True)
class MemoryPlan:
    """What is computed at once and where the autoencoder lies."""

    items: int  # training items; the batch of a step stays what it is
    seeds: int  # seeds that are denoised
    pictures: int  # pictures that the autoencoder encodes or decodes
    parked: bool = False  # the autoencoder lies in the computer's memory between uses; True where that is the device's
    recompute: bool = False  # the backward pass computes the activations again (gradient checkpointing), a third more
    merged: bool = True  # seeds are denoised with W + s·BA in W's place, which is put aside on the device meanwhile


def lower_plan(plan: MemoryPlan, work: MemoryUse, *, keep: Collection[str] = ()) -> MemoryPlan | None:
    """The next smaller plan for a kind of work; None: there is none.

    Args:
        keep: fields of the plan that stay, because a person gave them.
    """
    if work == "coding":
        return replace(plan, pictures=_half(plan.pictures)) if plan.pictures > 1 else None
    if work == "filling":
        may_halve = plan.seeds > 1 and "seeds" not in keep
        if plan.merged and not (may_halve and plan.seeds > FEW_SEEDS):
            return replace(plan, merged=False)
        if may_halve:
            return replace(plan, seeds=_half(plan.seeds))
    if work == "training" and plan.items > 1 and "items" not in keep:
        items = _half(plan.items)
        return replace(plan, items=items, pictures=min(plan.pictures, items))
    if not plan.parked:
        return replace(plan, parked=True, pictures=1)
    return replace(plan, recompute=True) if work == "training" and not plan.recompute else None


def _half(count: int) -> int:
    return math.ceil(count / 2)


@dataclass(frozen=True)
class MemoryNeeds:
    """Bytes that a base takes at one working size, beside weights that are on the device already."""

    weights: float
    autoencoder: float  # its share of the weights
    fixed: float  # of a training step, however few items
    item: float  # a training item, forward and backward
    item_again: float  # the same with recompute
    seed: float
    merged: float  # the adapted layers' own weights, put aside while seeds are denoised with W + s·BA
    encode: float  # a picture
    decode: float

    def bytes_for(self, plan: MemoryPlan, work: MemoryUse) -> float:
        """The most bytes that a kind of work has at once under a plan."""
        freed = self.autoencoder if plan.parked else 0.0
        if work == "coding":
            return plan.pictures * self.decode
        if work == "filling":
            return plan.seeds * self.seed + (self.merged if plan.merged else 0.0) - freed
        items = plan.items * (self.item_again if plan.recompute else self.item)
        return max(self.fixed + items - freed, plan.pictures * self.encode)


def choose_plan(free: float, needs: MemoryNeeds, most: MemoryPlan, *, keep: Collection[str] = ()) -> MemoryPlan:
    """The greatest plan up to `most` whose needs fit into `free` bytes, or else the smallest one."""
    works: tuple[MemoryUse, ...] = ("training", "filling", "coding")
    plan = most
    for work in works:
        while needs.bytes_for(plan, work) > USABLE * free - SPARE and (smaller := lower_plan(plan, work, keep=keep)):
            plan = smaller
    return plan


def greatest_plan(config: Config, *, gpu: bool, batch: int = 0, pixels: int = 0) -> tuple[MemoryPlan, tuple[str, ...]]:
    """The plan that no want of memory lowers, and the fields of it that the person gave.

    Args:
        gpu: CUDA, with memory of its own. Elsewhere pictures are coded one by one: several gain nothing there.
        batch: items of a step that this process computes; 0: all.
        pixels: of the working size; 0: as the config has it.
    """
    train, sample = config.train, config.sample
    pixels = pixels or working_pixels(config)
    most_seeds = min(MOST_SEEDS if gpu else MOST_SEEDS_ELSEWHERE, len(sample.seeds))
    most_items = max(1, MOST_ELEMENTS // (WIDEST_IN_UNET * pixels))
    plan = MemoryPlan(
        items=min(train.micro_batch or train.batch, batch or train.batch, most_items),
        seeds=min(sample.batch or most_seeds, most_items),
        pictures=min(MOST_PICTURES, max(1, MOST_ELEMENTS // (WIDEST_IN_AUTOENCODER * pixels))) if gpu else 1,
        parked=not gpu,
    )
    settings = {"items": train.micro_batch, "seeds": sample.batch}
    return plan, tuple(name for name, value in settings.items() if value)


# ── what a base needs ──


def working_pixels(config: Config) -> int:
    """Pixels of the working size that a config asks for, or of its base's own."""
    return (config.fit.size or estimated_as(config.base).size) ** 2


def memory_needs(config: Config, *, width: int, computed: int = 0, pixels: int = 0, denoiser: int = 0) -> MemoryNeeds:
    """What the base of a config needs. One that has no row in `bases` is taken as its family's, in proportion.

    Args:
        width: bytes of a weight: 2 in bf16, 4 in fp32.
        computed: bytes of a number in products where they are narrower than weights (autocast); 0: as `width`.
        pixels: of the working size; 0: as the config has it.
        denoiser: parameters of one that was loaded; 0: not known.
    """
    base = estimated_as(config.base)
    known = base.memory
    share = denoiser / known.denoiser if denoiser and config.base not in BASES else 1.0
    area = (pixels or working_pixels(config)) / base.size**2
    # Parameters grow with the square of a network's width, activations with the width itself.
    wider = max(1.0, width / known.width)
    counts = (known.item, known.item_again, known.seed, known.encode, known.decode)
    item, item_again, seed, encode, decode = (count * area * math.sqrt(share) for count in counts)
    every_layer = config.train.layers == "all"
    layers, layers_again = known.every_layer if every_layer else (1.0, 1.0)
    parameters = (known.denoiser + known.others) * share
    # Products in another precision keep a rounded copy of every weight for the backward pass.
    copies = parameters - known.autoencoder * share if computed and computed < width else 0.0
    return MemoryNeeds(
        weights=parameters * width,
        autoencoder=known.autoencoder * share * width,
        fixed=known.fixed * share * wider + copies * computed,
        item=item * layers * wider,
        item_again=item_again * layers_again * wider,
        seed=seed * wider,
        merged=known.adapted[every_layer] * share * width,
        encode=encode * wider,
        decode=decode * wider,
    )


def plan_before_loading(config: Config, free: float, *, width: int, gpu: bool, computed: int = 0) -> MemoryPlan | None:
    """The plan that a run would take with `free` bytes before its base is loaded; None: it would not fit at all."""
    needs = memory_needs(config, width=width, computed=computed)
    most, keep = greatest_plan(config, gpu=gpu)
    left = free - needs.weights
    plan = choose_plan(left, needs, most, keep=keep)
    return plan if needs.bytes_for(plan, "training") <= left else None


def plan_for_card(config: Config, total: float, *, width: int = 2) -> MemoryPlan | None:
    """The plan on a GPU with `total` bytes where nothing else runs; weights in bf16 unless `width` is 4."""
    return plan_before_loading(config, total - DRIVER, width=width, gpu=True)


# ── as people read it ──


def describe_plan(plan: MemoryPlan | None, batch: int) -> Sentence:
    """`all 16 items of a step at once`, `4 of a step's 16 items at once`: what training does under a plan."""
    if plan is None:
        return Sentence("too little memory for the base")
    if batch == 1:
        items = Sentence("the one item of a step at once")
    elif plan.items >= batch:
        items = Sentence("all {batch} items of a step at once", batch=batch)
    else:
        items = Sentence("{items} of a step's {batch} items at once", items=plan.items, batch=batch)
    if not plan.recompute:
        return items
    return Sentence("{items}, activations computed twice to save memory, which takes a third longer", items=items)


def describe_lowering(old: MemoryPlan, new: MemoryPlan) -> str:
    """`going on with 2 instead of 4 training items at once`: what is smaller in a plan than in the one old."""
    parts = []
    if new.items < old.items:
        parts.append(f"{new.items} instead of {old.items} training items at once")
    if new.seeds < old.seeds:
        parts.append(f"{new.seeds} instead of {old.seeds} seeds at once")
    if new.merged < old.merged:
        parts.append("the adapter beside the weights instead of added to them")
    if new.parked > old.parked:
        parts.append("the autoencoder in the computer's memory while it rests")
    elif new.pictures < old.pictures and new.items == old.items:
        parts.append(f"{new.pictures} instead of {old.pictures} pictures at once in the autoencoder")
    if new.recompute > old.recompute:
        parts.append("activations computed twice, which takes a third longer")
    return f"going on with {' and '.join(parts)}"


def describe_cards(config: Config) -> str:
    """`Of a step's 16 items GPUs take at once: 8 GB 4, 12 GB 8, 16 GB 8, 24 GB 16.`"""
    plans = {card: plan_for_card(config, card * 2.0**30) for card in CARDS}
    if plans[CARDS[0]] == plans[CARDS[-1]]:
        return f"GPUs of {CARDS[0]} GB and more take {describe_plan(plans[CARDS[0]], config.train.batch)}."
    each = ", ".join(f"{card} GB {_brief(plan)}" for card, plan in plans.items())
    return f"Of a step's {config.train.batch} items GPUs take at once: {each}."


def _brief(plan: MemoryPlan | None) -> str:
    if plan is None:
        return "none"
    return f"{plan.items} (activations computed twice)" if plan.recompute else str(plan.items)


def describe_machine(config: Config) -> Sentence:
    """What training would do on this machine by the memory of its GPU, or free in the computer; for the page."""
    total = gpu_memory()
    if total:
        plan = plan_for_card(config, total)
        place = Sentence("this GPU of {size}", size=size(total))
    else:
        import psutil  # type: ignore[import-untyped, unused-ignore]

        plan = plan_before_loading(config, psutil.virtual_memory().available, width=4, gpu=False)
        place = Sentence("this computer")
    what = describe_plan(plan, config.train.batch)
    if plan is None:
        return Sentence("By estimate {place} has {what}.", place=place, what=what)
    return Sentence("By estimate {place} takes {what}.", place=place, what=what)


@functools.cache
def gpu_memory() -> float:
    """Bytes of the largest NVIDIA GPU of this machine that torch is built for; 0: none. torch is not asked."""
    try:
        if importlib.metadata.version("torch").endswith("+cpu"):
            return 0.0
        command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError, importlib.metadata.PackageNotFoundError):
        return 0.0
    return max((int(size) * 2.0**20 for size in answer.split() if size.isdecimal()), default=0.0)
