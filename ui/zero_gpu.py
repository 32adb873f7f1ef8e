"""The GPU of a ZeroGPU Space: the one module of the page's process that imports torch, and only there.

`spaces.GPU` forks this process for each call and gives the fork a GPU for the seconds that it declares, on the quota of
whose request is being answered. So the base is put on the (pretended) GPU once, in this process; a call finds it
there, trains or fills until shortly before its time is over, saves, and ends. Nothing is compiled, and torch and OpenCV
keep to one thread each: their threads would not survive the fork.
"""

import contextvars
import logging
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import spaces

import cv2  # isort: skip  # spaces comes before whatever may touch CUDA
import torch  # isort: skip

from realfill.distributed.worker_process import own_locks
from realfill.errors import RealFillError
from realfill.events import Event
from realfill.jobs.queue import claim
from realfill.models.cache import ModelCache, keep_models
from realfill.pipeline.stages import complete
from realfill.pipeline.turn import Turn
from realfill.runs.run import Run

from .runs import turns

MODELS = ModelCache()
_log = logging.getLogger("realfill.page")


def open_turns(base: str, *, device: str = "cuda", seconds: float = turns.SECONDS) -> turns.Turns:
    """Loads the base, in the process that calls are forked from, and tells ZeroGPU that there will be calls.

    Raises:
        OptionError, WeightsError: as `models.registry.load_backbone`.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    spec = MODELS.base(base, device).spec

    @spaces.GPU(duration=_declare)  # type: ignore[untyped-decorator, unused-ignore]
    def work(folder: str, seconds: float) -> Iterator[str]:
        yield from _work(Path(folder), seconds, device)

    zero = getattr(spaces, "zero", None)
    if startup := getattr(zero, "startup", None):  # `Blocks.launch` would call it, which this page does without
        startup()
    return turns.Turns(work, base=base, size=spec.size, multiple=spec.multiple, seconds=seconds)


def _declare(folder: str, seconds: float) -> float:
    """The seconds that a call with these arguments asks for."""
    return seconds


def _work(folder: Path, seconds: float, device: str) -> Iterator[str]:
    """In the fork: trains and fills, and yields the name of each event. Errors are in the run's state then."""
    turn = Turn.lasting(seconds - turns.MARGIN)
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def complete_run() -> None:
        try:
            os.environ.update(own_locks(f"zero-{os.getpid()}"))  # the GPU is ours, and our seconds are counted
            with keep_models(MODELS), claim(run := Run.open(folder)) as mine:
                if mine:
                    complete(run, report=events.put, device=device, until="sample", turn=turn)
        except RealFillError as error:
            _log.info("%s: %s", folder.name, error)
        except Exception:
            _log.exception("a turn of %s failed", folder.name)
        finally:
            events.put(None)

    worker = threading.Thread(target=contextvars.copy_context().run, args=(complete_run,), name="turn")
    worker.start()
    try:
        while (event := events.get()) is not None:
            yield type(event).__name__
    finally:  # whoever asked has gone, or it is done
        turn.end()
        worker.join()
