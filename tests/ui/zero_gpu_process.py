"""`python -m tests.ui.zero_gpu_process FOLDER SCENE BASE`: turns on a pretended ZeroGPU, told as JSON.

A process of its own, since calls are forked from it: torch must not have started threads there.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import fake_spaces

CLOCK = itertools.count()  # a second passes at each look


def _make(folder: Path, scene: Path, base: str, steps: int, every: int = 1000) -> Any:
    from realfill import config
    from realfill.runs.run import Run

    changes = {
        **{"base": base, "sample.seeds": "0-2", "sample.steps": 2, "select.matcher": "sift", "guide.draft": False},
        **{"train.steps": steps, "train.batch": 1, "train.rank": 2, "train.pool": 0, "train.checkpoint_every": every},
    }
    return Run.ensure(folder, config.make("mini", changes), scene)


def _steps(run: Any) -> list[tuple[int, float]]:
    from realfill.events import TrainStep

    return [(event.step, event.loss) for event in run.events()[0] if isinstance(event, TrainStep)]


def _states(run: Any, turns: Any) -> Iterator[str]:
    """The state after each turn, until the run waits for no more."""
    while (state := run.status().state) == "queued":
        for _ in turns.take(run):
            pass
        yield f"{state} → {run.status().state}"


def _train_in_turns(folder: Path, scene: Path, base: str, turns: Any) -> dict[str, Any]:
    """25 steps in turns of about five, against as many without an interruption."""
    from realfill.pipeline.stages import complete
    from realfill.runs.run import Run

    run, whole = _make(folder / "turns", scene, base, 25), _make(folder / "whole", scene, base, 25)
    turns.wait(run)
    states = list(_states(run, turns))
    run = Run.open(run.folder)
    complete(whole, device="cpu")
    return {
        "states": states,
        "calls": list(fake_spaces.ACCOUNT.calls),
        "steps": [step for step, _ in _steps(run)],
        "losses": _steps(run) == _steps(whole),
        "adapter": _adapter(run) == _adapter(whole),
        "result": run.result.exists(),
        "seeds": run.seeds_done(),
    }


def _adapter(run: Any) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.lora.iterdir() if path.suffix == ".safetensors"}


def _be_refused(folder: Path, scene: Path, base: str, turns: Any) -> dict[str, Any]:
    """Quota, a tab that is closed, a call that is killed, a stop, and a share that is too short."""
    run, done = _make(folder / "refused", scene, base, 1000, 5), _make(folder / "turns", scene, base, 25)
    run.record(fit=done.fact("fit"))
    told: dict[str, Any] = {}
    account = fake_spaces.ACCOUNT
    account.calls.clear()

    def take(name: str) -> None:
        if run.status().state != "queued":
            turns.wait(run)
        for _ in turns.take(run):
            pass
        status = run.status()
        told[name] = [status.state, status.sentence, max(run.checkpoint_steps(), default=0)]

    account.left = 3.0
    take("quota")
    account.left = float("inf")
    turns.wait(run)
    listener = turns.take(run)
    next(listener)
    listener.close()
    told["closed"] = [run.status().state, "", max(run.checkpoint_steps(), default=0)]
    from ui.runs import turns as shares

    shares.MARGIN = -1e6  # it does not look at the clock, and is killed
    take("killed")
    shares.MARGIN = 15.0
    take("short")
    shares.MARGIN = 8.0
    turns.wait(run)
    run.request_stop()
    told["stopped"] = [run.status().state, "", len(list(turns.take(run)))]
    told["calls"] = account.calls
    return told


def main() -> None:
    """Tells what came of it."""
    folder, scene, base = map(Path, sys.argv[1:])
    sys.modules["spaces"] = fake_spaces
    from realfill.pipeline import turn
    from ui import zero_gpu

    turn.read_clock = lambda: float(next(CLOCK))
    turns = zero_gpu.open_turns(str(base), device="cpu", seconds=15.0)
    told = {"started": fake_spaces.ACCOUNT.started, "whole": _train_in_turns(folder, scene, str(base), turns)}
    told["refused"] = _be_refused(folder, scene, str(base), turns)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
