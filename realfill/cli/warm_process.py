"""`python -m realfill.cli.warm_process`: the process that stays warm; see `realfill.jobs.child_process`."""

import contextlib
import faulthandler
import importlib
from pathlib import Path

from realfill.cli.main import main
from realfill.errors import EXIT_DEFECT
from realfill.jobs import child_process

# What the first run will need; imported while nobody waits for it.
_AHEAD = ("realfill.training.train", "realfill.sampling.sample", "realfill.models.stable_diffusion")


def serve() -> None:
    """Completes the runs whose folders come in, one a line, each as `realfill complete` does it."""
    faulthandler.enable()  # what a crash of the process leaves in the run's log
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError):  # the run itself will say what is missing, in its own log
            for name in _AHEAD:
                importlib.import_module(name)
            from realfill.models.cache import keep_models

            stack.enter_context(keep_models())
        child_process.serve(_complete)


def _complete(folder: Path) -> int:
    try:
        return main(["complete", "--queued", "--run", str(folder)])
    except SystemExit:
        return EXIT_DEFECT
    finally:
        with contextlib.suppress(ImportError):
            from realfill.models import cache

            cache.free_memory()


if __name__ == "__main__":
    serve()
