"""`batch`, `batch-status` and `batch-retry` as a person or a script meets them."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from realfill.cli.engines import parse_slurm
from realfill.cli.main import main
from realfill.errors import OptionError
from realfill.runs.run import Run


@pytest.fixture(autouse=True)
def own_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))


def _run(arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    data: dict[str, Any] = json.loads(captured.out.splitlines()[-1])
    return code, data, captured.err


def test_bad_scenes_are_told_and_the_same_command_does_what_is_missing(
    toy_scene: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, runs = tmp_path / "scenes", tmp_path / "runs"
    for name in ("one", "two"):
        shutil.copytree(toy_scene, root / name)
    (root / "two" / "target" / "mask.png").unlink()
    changes = ["train.steps=2", "train.batch=2", "train.rank=2", "train.layers=attention", "sample.steps=2"]
    sets = [part for change in [*changes, "guide.draft=false", "train.pool=0"] for part in ("--set", change)]
    command = ["batch", root, "--runs", runs, "--base", tiny_base, "--preset", "mini", "--device", "cpu"]
    command += ["--seeds", "0", "--matcher", "sift", *sets]

    code, data, text = _run(command, capsys)
    assert code == 1 and "two: bad." in text and "mask" in text and "2/2" in text
    assert {row["scene"]: row["state"] for row in data["scenes"]} == {"one": "done", "two": "bad"}
    assert not (runs / "two").exists() and Run.open(runs / "one").result.is_file()
    before = (runs / "one" / "events.jsonl").read_bytes()

    shutil.copy(toy_scene / "target" / "mask.png", root / "two" / "target" / "mask.png")
    code, data, _ = _run(["batch-retry", runs], capsys)
    assert code == 0 and [row["state"] for row in data["scenes"]] == ["done", "done"]
    assert (runs / "one" / "events.jsonl").read_bytes() == before
    assert Run.open(runs / "two").config == Run.open(runs / "one").config

    (runs / "batch.csv").unlink()
    code, data, _ = _run(["batch-status", runs], capsys)
    assert code == 0 and len(data["scenes"]) == 2
    with (runs / "batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scene"] for row in rows] == ["one", "two"] and all(float(row["train_seconds"]) > 0 for row in rows)
    assert "one-after.jpg" in (runs / "batch.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["batch", "nowhere", "--runs", "RUNS"], "no folder nowhere"),
        (["batch", "ROOT", "--runs", "ROOT"], "outside"),
        (["batch", "ROOT", "--runs", "RUNS", "--shard", "3/2"], "as 2/20"),
        (["batch", "ROOT", "--runs", "RUNS", "--scenes", "x"], "no scene 'x'"),
        (["batch", "ROOT", "--runs", "RUNS", "--set", "train.step=3"], "no setting 'train.step'"),
        (["batch", "ROOT", "--runs", "RUNS", "--engine", "submitit", "--slurm", "gpu"], "partition=gpu"),
        (["batch", "ROOT", "--runs", "RUNS", "--engine", "magic"], "magic"),
        (["batch-status", "RUNS"], "no batch in"),
        (["batch-retry", "RUNS"], "no batch in"),
    ],
)
def test_refusals_are_one_sentence_and_leave_nothing(
    arguments: list[str], words: str, toy_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"ROOT": str(tmp_path / "scenes"), "RUNS": str(tmp_path / "runs")}
    shutil.copytree(toy_scene, tmp_path / "scenes" / "a")
    given = [places.get(argument, argument) for argument in arguments]
    given += ["--base", "mini"] if given[0] == "batch" else []
    assert main(given) == 2
    text = capsys.readouterr()
    assert words in text.err and text.err.count("\n") == 1 and text.out == ""
    assert not (tmp_path / "runs").exists()


def test_what_sbatch_gets() -> None:
    assert parse_slurm("partition=gpu, gpus-per-node=2") == {"partition": "gpu", "gpus_per_node": "2"}
    with pytest.raises(OptionError, match="no value"):
        parse_slurm("partition")
