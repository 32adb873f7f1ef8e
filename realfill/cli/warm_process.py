"""`python -m realfill.cli.warm_process`: the warm process, which completes one run after another.

It is the other end of `realfill.jobs.child_process.WarmProcess`; what stays loaded in it is the model cache.
"""

import contextlib
import faulthandler
import importlib
from pathlib import Path

from realfill.cli import main as command_line
from realfill.errors import EXIT_DEFECT
from realfill.jobs import child_process

# What the first run will need; imported while nobody waits for it.
_IMPORTED_AHEAD = ("realfill.training.train", "realfill.sampling.sample", "realfill.models.stable_diffusion")


def main() -> None:
    """Completes the runs whose folders come in, one a line, each as `realfill complete` does it."""
    faulthandler.enable()  # what a crash of the process leaves in the run's log
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError):  # the run itself will say what is missing, in its own log
            import_ahead()
            from realfill.models.cache import keep_models

            stack.enter_context(keep_models())
        child_process.serve(_complete)


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
        with contextlib.suppress(ImportError):
            from realfill.models import cache

            cache.release_unused_memory()


if __name__ == "__main__":
    main()
