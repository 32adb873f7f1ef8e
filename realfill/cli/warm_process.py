"""`python -m realfill.cli.warm_process`: the warm process, which completes one run after another.

It is the other end of `realfill.jobs.child_process.WarmProcess`; what stays loaded in it is the model cache.
"""

import contextlib
import faulthandler
import functools
import importlib
import sys
from pathlib import Path

from realfill.cli import main as command_line
from realfill.errors import EXIT_DEFECT, RealFillError
from realfill.garbage import collect_rarely
from realfill.jobs import child_process
from realfill.runs.run import Run

# What a run with a model needs; imported while nobody waits for it, or as the first of them begins.
_IMPORTED_AHEAD = ("realfill.training.train", "realfill.sampling.sample", "realfill.models.stable_diffusion")


def main() -> None:
    """Completes the runs whose folders come in, one a line, each as `realfill complete` does it."""
    collect_rarely()
    faulthandler.enable()  # what a crash of the process leaves in the run's log
    with contextlib.ExitStack() as kept:
        get_ready = functools.cache(lambda: _get_ready(kept))

        def work(folder: Path) -> int:
            if not _is_draft_alone(folder):
                get_ready()
            return _complete(folder)

        child_process.serve(work, between=get_ready)


def _get_ready(kept: contextlib.ExitStack) -> None:
    with contextlib.suppress(ImportError):  # the run itself will say what is missing, in its own log
        import_ahead()
        from realfill.models.cache import keep_models

        kept.enter_context(keep_models())


def _is_draft_alone(folder: Path) -> bool:
    """Whether a run needs none of the models: a person waits for it who did not wait for them to be imported."""
    with contextlib.suppress(RealFillError):  # the run itself will say it
        return Run.open(folder).config.guide.only
    return False


def import_ahead() -> None:
    """Imports what a run takes seconds to import.

    Raises:
        ImportError: the installation is broken.
    """
    for name in _IMPORTED_AHEAD:
        importlib.import_module(name)


def _complete(folder: Path) -> int:
    try:
        return command_line.main(["complete", "--queued", "--run", str(folder)])
    except SystemExit:
        return EXIT_DEFECT
    finally:
        if "realfill.models.cache" in sys.modules:
            from realfill.models import cache

            cache.release_unused_memory()


if __name__ == "__main__":
    main()
