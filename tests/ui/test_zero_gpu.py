"""The lane of a ZeroGPU Space, on a pretended one: calls in forks, with a deadline and a quota."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

spaces: Any = pytest.importorskip("spaces", reason="spaces is in requirements-dev.txt")

ROOT = Path(__file__).resolve().parents[2]
TRAINED = 25  # steps


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, _toy_scene: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("zero")
    command = [sys.executable, "-m", "tests.ui.zero_gpu_process", str(folder), str(_toy_scene), str(tiny_base)]
    environment = {**os.environ, "REALFILL_LOCKS": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_training_in_turns_equals_an_uninterrupted_one(told: dict[str, Any]) -> None:
    """Bit for bit on the processor: every loss, and the adapter's file; seeds and result are there in the end."""
    whole = told["whole"]
    assert told["started"] == 1  # the Space was reported to be up
    assert whole["calls"].count("done") == len(whole["calls"]) >= 6  # five and more for training, then the seeds
    assert whole["states"] == ["queued → queued"] * len(whole["calls"]) + ["queued → done"]
    assert whole["steps"] == list(range(1, TRAINED + 1))
    assert whole["losses"] and whole["adapter"] and whole["result"] and whole["seeds"] == [0, 1, 2]


def test_a_quota_that_is_used_up_is_a_sentence(told: dict[str, Any]) -> None:
    state, sentence, steps = told["refused"]["quota"]
    assert (state, steps) == ("stopped", 0)
    assert sentence.startswith("The GPU was not given: You have exceeded your free ZeroGPU quota")
    assert sentence.endswith("Resume goes on from here.")


def test_a_closed_tab_gives_the_gpu_back_and_keeps_the_steps(told: dict[str, Any]) -> None:
    state, _, steps = told["refused"]["closed"]
    assert state == "queued" and steps >= 1
    assert told["refused"]["calls"][1] == "closed"


def test_a_call_that_is_killed_costs_the_steps_since_the_last_checkpoint(told: dict[str, Any]) -> None:
    state, _, steps = told["refused"]["killed"]
    assert state == "queued" and steps > told["refused"]["closed"][2]
    assert told["refused"]["calls"][2] == "aborted"


def test_a_share_that_brings_nothing_further_is_not_asked_for_again(told: dict[str, Any]) -> None:
    state, sentence, steps = told["refused"]["short"]
    assert state == "failed" and "too short for one step or picture" in sentence
    assert steps == told["refused"]["killed"][2]


def test_a_stop_between_two_turns_is_heeded(told: dict[str, Any]) -> None:
    assert told["refused"]["stopped"] == ["stopped", "", 0]


def test_elsewhere_the_decorator_does_nothing() -> None:
    """The real package: what it decorates is left as it is."""

    def work() -> None: ...

    assert spaces.GPU(duration=1)(work) is work
