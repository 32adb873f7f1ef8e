"""`python -m realfill.cli.turn_process RUN STAGE SIZE MULTIPLE`: what of a run that is done in turns needs no GPU.

The page starts it before the first turn (prepare) and after the last one (export), in a process of its own, so that
geometry and matching cost nobody's share of the GPU. SIZE and MULTIPLE are the base's, which is not loaded for it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from realfill.errors import RealFillError, exit_code
from realfill.events import Stage
from realfill.garbage import collect_rarely
from realfill.jobs.queue import claim
from realfill.pipeline.stages import complete
from realfill.pipeline.turn import Turn
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import crop_to_fill


def main(arguments: Sequence[str]) -> int:
    """Works up to the stage and returns an exit code; what went wrong stands in the run's state."""
    collect_rarely()
    folder, stage, size, multiple = arguments
    try:
        run = Run.open(Path(folder))
        with claim(run) as mine:
            if mine:
                _record_crop(run, int(size), int(multiple))
                complete(run, device="cpu", until=cast("Stage", stage), turn=Turn())
    except RealFillError as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    return 0


def _record_crop(run: Run, size: int, multiple: int) -> None:
    if run.fact("fit") is None:
        fit, scene = run.config.fit, scenes.load(run.scene_folder, variants=run.config.variants)
        run.record(fit=crop_to_fill(scene, size=fit.size or size, multiple=multiple, context=fit.context).to_json())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
