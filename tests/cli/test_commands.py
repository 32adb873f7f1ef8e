"""The command line as a person or a script meets it: exit codes, one sentence, one JSON object, and no kill matters."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from realfill import config
from realfill.bases import BASES
from realfill.cli.main import main
from realfill.events import TrainStep
from realfill.jobs import queue
from realfill.runs.run import Run
from realfill.scene import examples

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def quick(tiny_base: Path) -> list[str]:
    """Options under which the whole method takes a few seconds."""
    changes = [
        "train.steps=6",
        "train.batch=2",
        "train.rank=2",
        "train.layers=attention",
        "sample.steps=2",
        "sample.batch=1",
    ]
    sets = [part for change in changes for part in ("--set", change)]
    return ["--base", str(tiny_base), "--device", "cpu", "--seeds", "0-2", "--matcher", "sift", *sets]


def _start(arguments: Sequence[object], launcher: Sequence[str] = ("-m", "realfill")) -> "subprocess.Popen[str]":
    command = [sys.executable, *launcher, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _last(text: str) -> dict[str, Any]:
    data = json.loads(text.splitlines()[-1])
    assert isinstance(data, dict)
    return data


def _weights(folder: Path) -> dict[str, bytes]:
    tensors = load_file(folder / "lora" / "pytorch_lora_weights.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("check", "bases", "complete", "train", "sample", "select", "export", "worker", "settings"):
        assert f"\n  {command} " in text
        assert main([command, "--help"]) == 0
    assert "--matcher-weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["complete"], "Give a scene folder"),
        (["complete", "nowhere", "--run", "RUN"], "nowhere"),
        (["complete", "SCENE", "--run", "RUN", "--set", "train.steps"], "no value"),
        (["complete", "SCENE", "--run", "RUN", "--set", "train.step=3"], "no setting 'train.step'"),
        (["complete", "SCENE", "--run", "RUN", "--seeds", "a-b"], "not a list of seeds"),
        (["complete", "SCENE", "--run", "RUN", "--matcher", "surf"], "select.matcher"),
        (["complete", "SCENE", "--run", "RUN", "--preset", "best"], "best"),
        (["complete", "SCENE", "--run", "RUN", "--device", "tpu"], "no device 'tpu'"),
        (["complete", "SCENE", "--run", "RUN", "--unknown"], "--unknown"),
        (["complete", "--example", "no-such-scene", "--run", "RUN"], "no example 'no-such-scene'"),
        (["complete", "SCENE", "--example", "x"], "not both"),
        (["complete", "SCENE", "--run", "FILE"], "target.png is a file; give a folder for the run"),
        (["sample", "FILE"], "target.png is a file; give a folder for the run"),
        (["draft", "SCENE", "-o", "FILE"], "is the scene's own target.png"),
        (["draft", "SCENE", "-o", "a.png", "--confidence", "b.jpg"], "end its name in .png"),
        (["sample", "RUN"], "no run in"),
        (["select", "RUN"], "no run in"),
        (["export", "RUN"], "no run in"),
        (["export", "RUN", "-o", "out.gif"], "does not say a format"),
        (["worker", "RUN"], "no folder"),
        (["fly"], "fly"),
    ],
)
def test_refusals_are_one_sentence(
    arguments: list[str], words: str, toy_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    target = toy_scene / "target" / "target.png"
    places, before = {"SCENE": str(toy_scene), "RUN": str(run), "FILE": str(target)}, target.read_bytes()
    given = [places.get(argument, argument) for argument in arguments]
    if "--base" not in given and given[0] == "complete":
        given += ["--base", "mini"]
    assert main(given) == 2
    text = capsys.readouterr()
    assert words in text.err and text.err.count("\n") == 1
    assert text.out == ""
    assert not run.exists() and target.read_bytes() == before


def test_a_refusal_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(tmp_path / "none"), "--json"]) == 2
    text = capsys.readouterr()
    assert _last(text.out) == {"error": text.err.strip(), "exit": 2}


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(name: str) -> examples.Example:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(examples, "find", broken)
    assert main(["complete", "--example", "x"]) == 1
    assert "Traceback" in (text := capsys.readouterr().err)
    assert text.splitlines()[-1] == "This is a defect in RealFill (ZeroDivisionError: oh)."


def test_refusals_do_not_wait_for_torch() -> None:
    calls = "main(['sample', 'none']); main(['--help'])"
    code = f"import sys; from realfill.cli.main import main; {calls}; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False"


def test_bases_and_settings_as_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bases"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == list(BASES)
    assert sum(line.startswith("    time of a scene: ") for line in lines) == len(BASES)
    assert main(["bases", "--json"]) == 0
    rows = _last(capsys.readouterr().out)["bases"]
    assert [row["name"] for row in rows] == list(BASES)
    told = {
        "name",
        "family",
        "size",
        "licence",
        "commercial",
        "gated",
        "gigabytes",
        "least_memory",
        "preset",
        "source",
        "time",
        "present",
    }
    assert all(set(row) == told for row in rows)
    assert main(["settings"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name} = " in text for name in config.flat_fields())
    assert main(["settings", "--json"]) == 0
    assert _last(capsys.readouterr().out)["settings"]["train.steps"]["default"] == 2000


def test_check_is_content_when_mini_works(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["check", "--json", "--runs-dir", str(tmp_path)])
    found = _last(capsys.readouterr().out)
    assert code == (0 if found["works"] else 2)
    assert {"python", "device", "base mini"} <= {finding["name"] for finding in found["findings"]}
    assert main(["check", "--runs-dir", str(tmp_path)]) == code
    assert "device: " in capsys.readouterr().out


def test_the_stages_by_hand(
    toy_scene: Path, quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(toy_scene), "--run", str(run), *quick]) == 0
    assert capsys.readouterr().out.splitlines() == [str(run)]
    assert main(["sample", str(run), "--json"]) == 0
    assert _last(capsys.readouterr().out)["result"] is None
    assert main(["select", str(run)]) == 0
    assert main(["export", str(run), "--json"]) == 0
    first = _last(capsys.readouterr().out)
    assert first["result"] == str(run / "result.png")
    other = next(seed for seed in (0, 1, 2) if seed != first["seed"])
    out = tmp_path / "out.jpg"
    assert main(["export", str(run), "--seed", str(other), "-o", str(out), "--json"]) == 0
    second = _last(capsys.readouterr().out)
    assert (second["seed"], second["result"]) == (other, str(out))
    with Image.open(out) as picture:
        assert (picture.format, picture.size) == ("JPEG", (120, 90))
    assert main(["export", str(run), "--seed", "77"]) == 2
    assert "no picture of seed 77" in capsys.readouterr().err
    assert main(["complete", "--run", str(run), "--set", "train.rank=7"]) == 2
    assert "train.rank = 2, not 7" in capsys.readouterr().err


# The command line in processes that signal themselves the moment an event was reported for the n-th time; they are
# forked where everything is imported. Prints their exit codes, a signal's as its negative, and their runs' states.
SIGNALLED = """
import json, os, sys
from pathlib import Path
from realfill.cli import commands, warm_process
from realfill.cli.main import main
from realfill.runs.run import Run
moments, folder, *arguments = sys.argv[1:]
warm_process.import_ahead()
def run_until(name, count, number):
    seen = []
    def report(event):
        seen.append(type(event).__name__)
        if seen.count(name) == count:
            os.kill(os.getpid(), number)
    report.close = lambda: None
    commands.Progress = lambda: report
    os._exit(main([*arguments, folder]))
ended = []
for name, count, number in json.loads(moments):
    child = os.fork() or run_until(name, count, number)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ended.append([code, Run.open(Path(folder)).status().state])
print(json.dumps(ended))
"""


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_killed_in_every_stage_it_ends_as_if_never_killed(
    toy_scene: Path, quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["complete", str(toy_scene), *quick, "--set", "train.checkpoint_every=2", "--json", "--run"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main([*arguments, str(whole)]) == 0
    out, err = capsys.readouterr()
    result = _last(out)
    assert set(result) >= {"run", "result", "seed", "matches", "seconds"}
    assert "training" in err

    moments = [("TrainStep", 3, signal.SIGTERM)]
    moments += [(name, 2, signal.SIGKILL) for name in ("TrainStep", "SeedReady", "SeedScored")]
    moments += [("StageStarted", 2, signal.SIGKILL)]  # matching goes on, and export begins
    with _start([json.dumps(moments), killed, *arguments], ["-c", SIGNALLED]) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == [[3, "stopped"], *[[-signal.SIGKILL, "running"]] * 4], err
    assert main([*arguments, str(killed)]) == 0
    again = _last(capsys.readouterr().out)
    assert (again["seed"], again["matches"]) == (result["seed"], result["matches"])
    assert list(again["seconds"]) == ["export"]  # all the rest was there
    assert _weights(killed) == _weights(whole)
    one, other = Run.open(whole), Run.open(killed)
    assert one.read("scores") == other.read("scores")
    for seed in (0, 1, 2):
        np.testing.assert_array_equal(one.read_seed(seed), other.read_seed(seed))
    assert other.status().state == "done"


def test_a_worker_completes_what_is_queued(
    toy_scene: Path, quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_dir = tmp_path / "runs"
    assert main(["train", str(toy_scene), "--run", str(runs_dir / "a"), *quick]) == 0
    run, stopped = Run.open(runs_dir / "a"), Run.create(runs_dir / "b", config.Config(), toy_scene)
    queue.submit(run)
    queue.submit(stopped)
    stopped.request_stop()
    with _start(["worker", runs_dir, "--idle", "0.5"]) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert "Working on a." in err and "done" in err
    assert run.status().state == "done", (run.folder / "log.txt").read_text()
    assert stopped.status().state == "stopped" and stopped.events()[0] == []
    assert main(["complete", "--queued", "--run", str(run.folder)]) == 0  # no longer queued: nothing to do


def test_the_queue_is_listed_paused_and_resumed(
    toy_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_dir = tmp_path / "runs"
    run = Run.create(runs_dir / "a", config.Config(), toy_scene)
    queue.submit(run)
    assert main(["queue", str(runs_dir)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"1  a  {run.folder}", "1 waiting."]
    assert main(["queue", str(runs_dir), "--pause", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"paused": True, "waiting": [str(run.folder)]}
    assert queue.is_paused(runs_dir)
    assert main(["queue", str(runs_dir), "--resume"]) == 0
    assert not queue.is_paused(runs_dir)
    assert main(["queue", str(tmp_path / "nowhere")]) == 2


@pytest.mark.skipif(os.name != "posix", reason="two processes on one CPU need gloo")
@pytest.mark.long
def test_two_processes_train_one_run(toy_scene: Path, quick: list[str], tmp_path: Path) -> None:
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    more = ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m", "realfill"]
    arguments = ["train", toy_scene, *quick, "--json", "--run"]
    with _start([*arguments, tmp_path / "two"], [*launcher, *more]) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert main([*map(str, arguments), str(tmp_path / "one")]) == 0
    losses = [
        [event.loss for event in Run.open(tmp_path / name).events()[0] if isinstance(event, TrainStep)]
        for name in ("one", "two")
    ]
    assert len(losses[0]) == len(losses[1]) == 6  # one of the two writes
    # Shares of another size are summed in another order; bf16 rounds that.
    exact = Run.open(tmp_path / "one").fact("precision") == "float32"
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5 if exact else 2e-3)
    assert Run.open(tmp_path / "two").is_trained


def test_a_finished_run_fills_another_target_without_training(
    quick: list[str], toy_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, new, other = tmp_path / "trained", tmp_path / "new", tmp_path / "other"
    assert main(["train", str(toy_scene), "--run", str(trained), *quick]) == 0
    shutil.copytree(toy_scene, other)
    photo = np.asarray(Image.open(other / "target" / "target.png"))
    Image.fromarray(photo[:, ::-1]).save(other / "target" / "target.png")
    asked = ["sample", str(trained), "--scene", str(other), "--to", str(new), "--device", "cpu"]
    assert main(asked) == 0
    run = Run.open(new)
    assert run.seeds_done() == [0, 1, 2] and not run.checkpoint_steps()
    assert _weights(new) == _weights(trained)
    assert "taken from the run trained and knows 3 photos; 2 of this scene's 2 references" in capsys.readouterr().err
    assert main(asked) == 0  # goes on, here with nothing to do
    assert main(["export", str(new)]) == 0 and run.result.exists()
    assert main(["sample", str(trained), "--scene", str(toy_scene), "--to", str(trained)]) == 2
    assert main(["sample", str(trained), "--to", str(new)]) == 2
