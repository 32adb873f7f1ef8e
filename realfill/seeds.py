"""Where randomness starts: every random number is a pure function of a key such as (seed, step, index).

Nothing in the project reads a global random state, so resuming at step k needs no stored generator:
the draws of step k are made from (seed, k, index) again.
"""

import hashlib
from enum import IntEnum

import numpy as np

DRAFT = -1  # stands among the seeds for the draft, its first proposal; -2, -3 … for the others, as they were made


class Stream(IntEnum):
    """Independent streams under one seed, so that adding a draw to one never shifts another."""

    BATCH = 1  # which photo, crop and hole, which dropouts
    NOISE = 2  # diffusion time and noise of a training item
    LAYERS = 3  # which LoRA layers a step drops
    INIT = 4  # initial values of the adapter
    POOL = 5  # crops and holes of the pools encoded in advance
    HELD_OUT = 6  # crops, holes and noise that only measure
    CONTEXT = 7  # which photos stand beside a training item, and in which order


def key(*parts: int) -> int:
    """A 63-bit number that depends on every part and on their order; seeds a generator of any library."""
    digest = hashlib.sha256(",".join(str(int(part)) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def rng(*parts: int) -> np.random.Generator:
    """A numpy generator for the key `parts`."""
    return np.random.default_rng(key(*parts))


def is_proposal(seed: int) -> bool:
    """Whether a number among the seeds stands for a proposal of the draft, which no model made."""
    return seed < 0


def proposal_seed(number: int) -> int:
    """What stands among the seeds for a proposal; they are counted from 1, as they were made."""
    return DRAFT + 1 - number


def proposal_number(seed: int) -> int:
    """The number of a proposal among the seeds."""
    return DRAFT + 1 - seed


def starts_from_draft(seed: int, share: float) -> bool:
    """Whether a seed starts from the draft: an even `share` of all seeds, the same whoever asks."""
    return int((seed + 1) * share + 1e-9) > int(seed * share + 1e-9)


def starting_rank(seed: int, share: float, count: int) -> int:
    """The rank of the proposal, one of `count`, that a seed starts from which starts from the draft; 0 is the best.

    They take turns, the same whoever asks and however many seeds there are.
    """
    return int(seed * share + 1e-9) % count
