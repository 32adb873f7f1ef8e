"""Work on several cores: items side by side, each share on its own cores, instead of all cores on every item.

A small network's operations are too short to be cut in pieces: threads that share one wait for each other thousands of
times a step, and for as long as anything else runs on one of their cores. Shares meet once.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from realfill.models.fast.switch import use_fast

Share = TypeVar("Share")
Result = TypeVar("Result")


def split_lanes(device: torch.device, count: int) -> list[slice]:
    """Consecutive shares of `count` items, in their order: one a lane on a processor, elsewhere a single one.

    How many there are depends on the count and on torch's threads alone, so results can be had again.
    """
    lanes = count_lanes(count, torch.get_num_threads()) if device.type == "cpu" and use_fast() else 1
    edges = [round(lane * count / lanes) for lane in range(lanes + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def map_parallel(compute: Callable[[Share], Result], shares: Sequence[Share]) -> list[Result]:
    """`compute` of each share, in their order; side by side in threads that inherit whether gradients are kept.

    The shares part torch's threads among them; a single one is computed in this thread with all of them.

    Raises:
        Exception: what the first share that failed raised, after all that began have ended.
    """
    if len(shares) == 1:
        return [compute(shares[0])]
    cores, lanes, grad = torch.get_num_threads(), len(shares), torch.is_grad_enabled()

    def compute_share(share: Share) -> Result:
        with torch.set_grad_enabled(grad):
            return compute(share)

    threads = ThreadPoolExecutor(lanes, "lane", initializer=functools.partial(torch.set_num_threads, cores // lanes))
    try:
        with threads:
            return list(threads.map(compute_share, shares))
    finally:
        torch.set_num_threads(cores)  # the lanes' number became that of every thread yet to come


def count_lanes(count: int, cores: int) -> int:
    """How many shares take the least time, where each has an equal number of cores; the most of those."""
    return min(range(1, min(count, cores) + 1), key=lambda lanes: (-(-count // lanes) / (cores // lanes), -lanes))
