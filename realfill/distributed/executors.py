"""Several scenes at once: an executor calls a function with paths and has one result for each of them.

`Serial` and `Processes` need nothing but Python. SLURM (submitit_executor.py) and Ray (ray_executor.py) bring the same
calls to other machines: their workers hold a `WorkerProcess` each, as the threads of `Processes` do.
"""

import dataclasses
import functools
import platform
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

from realfill.distributed.results import ItemResult, Results, Value, call_function, retry_items
from realfill.distributed.worker_process import Place, Task, WorkerProcess, own_locks, share_cores
from realfill.errors import Interrupted


class Executor(Protocol):
    """Calls a task with every item, at other times and places."""

    def map(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        """One result for each item, as they come; no error of one item ends the others.

        Ended early, by `close` or Ctrl-C, it asks what is in work to save itself and waits for that.
        """
        ...


class Serial:
    """One after another, in this process; no time limit, and nothing is tried again."""

    def map(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        """See `Executor.map`; in the order given.

        Raises:
            Interrupted: the work was stopped, and with it this process.
        """
        with task.context():
            for item in items:
                result = call_function(task.function, item)
                if result.ending == "stopped":
                    raise Interrupted(result.sentence)
                yield dataclasses.replace(result, where=platform.node())


class Processes:
    """So many processes on this machine, one worker for each of `places`."""

    def __init__(self, places: Sequence[Place], *, retries: int = 0) -> None:
        self._places, self._retries = places, retries

    def map(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        """See `Executor.map`."""
        workers = [WorkerProcess(task, place) for place in self._places[: max(1, len(items))]]
        pool = ThreadPoolExecutor(len(workers), thread_name_prefix="worker")
        try:
            yield from retry_items(functools.partial(_share, pool, workers), items, self._retries)
        finally:
            for worker in workers:
                worker.stop()
            try:
                pool.shutdown(wait=True, cancel_futures=True)
            finally:  # a second Ctrl-C does not wait
                for worker in workers:
                    worker.kill()
                    worker.close()


def _share(pool: ThreadPoolExecutor, workers: Sequence[WorkerProcess[Value]], items: Sequence[Path]) -> Results[Value]:
    """Each item goes to the worker that is free first."""
    idle: queue.SimpleQueue[WorkerProcess[Value]] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def call(item: Path) -> ItemResult[Value]:
        worker = idle.get()
        try:
            return worker.call(item)
        finally:
            idle.put(worker)

    for future in as_completed([pool.submit(call, item) for item in items]):
        yield future.result()


def local_places(count: int, gpus: Sequence[str] = ()) -> list[Place]:
    """Places for so many workers on this machine: shared out among the GPUs (CUDA's names), else on the processor.

    The first on each device holds its lock as any run does; who asks for more of them there wants them at once. The
    processor's cores are shared out as threads.
    """
    places = []
    for index in range(count):
        environment: dict[str, str] = {}
        name = f"{platform.node()} worker {index + 1}"
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpu = gpus[index % len(gpus)]
            name += f" gpu {gpu}"
        else:
            environment |= share_cores(count)
        if index >= max(1, len(gpus)):
            environment |= own_locks(str(index))
        places.append(Place(name, environment))
    return places
