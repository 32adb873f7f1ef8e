"""`python -m realfill.hand`: the process that stays warm. A worker starts it; see `realfill.hands`."""

import contextlib
import faulthandler
import importlib
from pathlib import Path

from realfill import hands
from realfill.__main__ import main
from realfill.errors import EXIT_DEFECT

# What the first run will need; imported while nobody waits for it.
_AHEAD = ("realfill.training", "realfill.sampling", "realfill.backbones.stable_diffusion")


def serve() -> None:
    """Completes the runs whose folders come in, one a line, each as `realfill complete` does it."""
    faulthandler.enable()  # what a crash of the process leaves in the run's log
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError):  # the run itself will say what is missing, in its own log
            for name in _AHEAD:
                importlib.import_module(name)
            from realfill import warm

            stack.enter_context(warm.kept())
        hands.serve(_complete)


def _complete(folder: Path) -> int:
    try:
        return main(["complete", "--queued", "--run", str(folder)])
    except SystemExit:
        return EXIT_DEFECT
    finally:
        with contextlib.suppress(ImportError):
            from realfill import warm

            warm.free_memory()


if __name__ == "__main__":
    serve()
