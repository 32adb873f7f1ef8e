"""One scene of a batch, as `realfill complete` would do it; what an executor's workers call."""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realfill import config as settings
from realfill.config import Config
from realfill.errors import RealFillError
from realfill.jobs.child_process import LOG, redirect_output
from realfill.runs.run import Run


@dataclass(frozen=True)
class CompleteScene:
    """Completes the run of a scene's folder; picklable.

    `make_config` gives the settings for a run folder, which may hold a run already.
    """

    runs: Path
    make_config: Callable[[Path], Config]
    device: str = "auto"

    def __call__(self, scene: Path) -> None:
        """Does what is missing; what is printed goes to the run's log.txt.

        Raises:
            RealFillError: as `pipeline.complete`.
        """
        from realfill.pipeline import stages

        folder = self.runs / scene.name
        run = Run.ensure(folder, self.make_config(folder), scene)
        with redirect_output(folder / LOG):
            try:
                stages.complete(run, device=self.device)
            except RealFillError:
                raise
            except Exception:  # a defect: its sentence goes to the table, where it came from to the log
                traceback.print_exc()
                raise

    def is_done(self, scene: Path) -> bool:
        """Whether there is nothing to do for a scene.

        Raises:
            RealFillError: its run does not open.
        """
        folder = self.runs / scene.name
        if not (folder / "run.json").exists():
            return False
        run = Run.open(folder)
        return run.status().state == "done" and run.result.is_file() and run.config == self.make_config(folder)

    def lower_memory(self, scene: Path) -> None:
        """Halves what a run computes at once, whose process was killed: a system does that where memory is full.

        The result stays the same (`train.micro_batch`).
        """
        with contextlib.suppress(RealFillError):  # there is no run yet, or somebody works on it: no reason to end here
            run = Run.open(self.runs / scene.name)
            half = max(1, (run.config.train.micro_batch or run.config.train.batch) // 2)
            with run.lock():
                run.update(settings.change(run.config, {"train.micro_batch": half}))


@contextlib.contextmanager
def warm_models() -> Iterator[None]:
    """What a worker's process keeps for all its scenes: the libraries' silence and the last base."""
    from realfill.models.cache import keep_models
    from realfill.models.registry import silence_libraries

    silence_libraries()
    with keep_models():
        yield
