"""What `spaces` 0.51 does on ZeroGPU, for tests: each call of a generator in a daemon that is forked for it.

Arguments and results are pickled, the quota is counted in seconds, and a call that goes past the seconds it declared
is killed. Seconds are what `clock` says; the one here counts what calls have yielded, so that tests wait for nothing.
"""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

FACTOR = 1.5  # what a second on half a card is counted as
Task = Callable[..., Iterator[Any]]


@dataclass
class Account:
    """A visitor's quota and calls."""

    left: float = float("inf")
    calls: list[str] = field(default_factory=list)  # how each ended: done, closed, aborted, quota exceeded
    started: int = 0  # reports of a Space that it is up


ACCOUNT = Account()
_FORK = multiprocessing.get_context("fork")


class zero:
    """`spaces.zero`."""

    @staticmethod
    def startup() -> None:
        """Reports that the Space is up."""
        ACCOUNT.started += 1


def GPU(*, duration: Callable[..., float]) -> Callable[[Task], Task]:
    """Decorates a generator function."""

    def decorate(task: Task) -> Task:
        def call(*args: Any) -> Iterator[Any]:
            seconds = duration(*args)
            if seconds * FACTOR > ACCOUNT.left:
                ACCOUNT.calls.append("quota exceeded")
                sentence = f"You have exceeded your free ZeroGPU quota ({seconds * FACTOR:.0f}s requested)."
                raise gr.Error(sentence, title="ZeroGPU quota exceeded", print_exception=False)
            yield from _call(task, pickle.dumps(args), seconds)

        return call

    return decorate


def _call(task: Task, arguments: bytes, seconds: float) -> Iterator[Any]:
    results: Any = _FORK.SimpleQueue()
    stop = _FORK.Event()
    process = _FORK.Process(target=_serve, args=(task, arguments, results, stop), daemon=True)
    process.start()
    used, ending = 0, "done"
    try:
        while (answer := results.get()) is not None:
            used += 1
            if used > seconds:
                ending = "aborted"
                process.kill()
                process.join()
                raise gr.Error("GPU task aborted", title="ZeroGPU worker error", print_exception=False)
            yield pickle.loads(answer)
    except GeneratorExit:
        ending = "closed"
        stop.set()
        while results.get() is not None:
            pass
        raise
    finally:
        process.join()
        ACCOUNT.left -= used * FACTOR
        ACCOUNT.calls.append(ending)


def _serve(task: Task, arguments: bytes, results: Any, stop: Any) -> None:
    """In the fork, in a thread, as there; the next result after a wish to stop closes the generator."""

    def iterate() -> None:
        generator = task(*pickle.loads(arguments))
        for result in generator:
            if stop.is_set():
                generator.close()  # type: ignore[attr-defined]
                break
            results.put(pickle.dumps(result))

    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(copy_context().run, iterate).result()
    finally:
        results.put(None)
