"""Work on several cores: items side by side, each share on its own cores, instead of all cores on every item.

A small network's operations are too short to be cut in pieces: threads that share one wait for each other thousands of
times a step, and for as long as anything else runs on one of their cores. Shares meet once.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")


def map_parallel(device: torch.device, count: int, compute: Callable[[int, int], Result]) -> list[Result]:
    """What `compute(start, stop)` returns for consecutive shares of `count` items, in their order.

    On a processor the shares run side by side in threads that inherit whether gradients are kept; elsewhere there is
    one share. How many there are depends on the count and on torch's threads alone, so results can be had again.

    Raises:
        Exception: what the first share that failed raised, after all that began have ended.
    """
    cores = torch.get_num_threads()
    lanes = count_lanes(count, cores) if device.type == "cpu" else 1
    if lanes == 1:
        return [compute(0, count)]
    edges = [round(lane * count / lanes) for lane in range(lanes + 1)]
    grad = torch.is_grad_enabled()

    def share(start: int, stop: int) -> Result:
        with torch.set_grad_enabled(grad):
            return compute(start, stop)

    threads = ThreadPoolExecutor(lanes, "lane", initializer=functools.partial(torch.set_num_threads, cores // lanes))
    try:
        with threads:
            return list(threads.map(share, edges[:-1], edges[1:]))
    finally:
        torch.set_num_threads(cores)  # the lanes' number became that of every thread yet to come


def count_lanes(count: int, cores: int) -> int:
    """How many shares take the least time, where each has an equal number of cores; the most of those."""
    return min(range(1, min(count, cores) + 1), key=lambda lanes: (-(-count // lanes) / (cores // lanes), -lanes))
