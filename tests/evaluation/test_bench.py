"""`bench`, `bench-score` and `bench-get` as a person or a script meets them."""

import json
import os
import shutil
import signal
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realfill.cli.main import main
from realfill.evaluation.store import Store
from realfill.imaging.photo import save_photo
from realfill.training.checkpoints import TrainState

pytest.importorskip("torchmetrics", reason="torchmetrics is in requirements-bench.txt")


def _run(arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    data: dict[str, Any] = json.loads(captured.out.splitlines()[-1])
    return code, data, captured.out + captured.err


def test_bench_then_the_same_again_then_more(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench"
    command = ["bench", root, "-o", out, "--method", "telea", "--method", "ns", "--matchers", "sift", "--base", "mini"]
    code, data, output = _run([*command, "--scenes", "2"], capsys)
    assert code == 0 and "2 new pictures, 2 scored" in output
    assert [(row["method"], row["scenes"]) for row in data["table_1"]] == [("telea", 1), ("ns", 1)]
    assert all(row["values"]["psnr"] > 5 for row in data["table_1"])
    stamps = {path: path.stat().st_mtime_ns for path in (out / "pictures").rglob("*.png")}
    code, data, output = _run(command, capsys)
    assert code == 0 and "2 done, 0 new pictures, 0 scored" in output and data["table_1"][0]["scenes"] == 2
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    facts = Store(out).facts()
    assert facts["scenes"] == ["2", "10"] and facts["root"] == str(root.resolve())
    for name in ("report.html", "results.json", "seeds.csv"):
        assert (out / name).stat().st_size > 100


def test_files_of_somebody_else_are_not_written_over(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "tables.md").write_text("dear")
    (tmp_path / "photo.jpg").write_text("dear")
    pictures = root / "2" / "target"
    (tmp_path / "theirs").mkdir()
    shutil.copytree(pictures, tmp_path / "theirs" / "2")
    for folder, words in (
        (tmp_path / "thesis", "holds tables.md and no benchmark"),
        (tmp_path / "photo.jpg", "is a file"),
    ):
        for command in (
            ["bench", root, "-o", folder, "--method", "telea", "--matchers", "sift", "--base", "mini"],
            ["bench-score", folder, "--root", root, "--add", f"theirs={tmp_path / 'theirs'}", "--matchers", "sift"],
        ):
            code, data, _ = _run(command, capsys)
            assert code == 2 and words in data["error"]
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["tables.md"]
    assert (tmp_path / "photo.jpg").read_text() == "dear"


def test_a_copy_of_the_scenes_will_do_and_other_scenes_will_not(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--method", "telea", "--matchers", "sift", "--base", "mini", "-o", tmp_path / "bench"]
    _run(["bench", root, *command], capsys)
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    code, _, output = _run(["bench", copy, *command], capsys)
    assert code == 0 and "0 new pictures, 0 scored" in output
    save_photo(np.zeros((90, 120, 3), np.uint8), root / "2" / "target" / "gt.png")
    code, data, _ = _run(["bench", root, *command], capsys)
    assert code == 2 and "holds a benchmark of" in data["error"]
    os.rename(copy / "2", copy / "3")
    os.rename(copy / "10", copy / "30")
    code, data, _ = _run(["bench", root, *command], capsys)
    assert code == 2 and "holds a benchmark of" in data["error"]


def test_prompts_are_for_these_scenes(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"7": "a photo of a wall"}))
    command = ["bench", root, "-o", tmp_path / "bench", "--method", "telea", "--prompts", file]
    code, data, _ = _run(command, capsys)
    assert code == 2 and "none of these scenes" in data["error"]
    file.write_text(json.dumps({"2": "a photo\nof a wall"}))
    assert _run([*command, "--matchers", "sift", "--base", "mini"], capsys)[0] == 0


def test_every_example_scene_has_a_prompt() -> None:
    """Short enough for CLIP's 77 tokens: about four and a half letters each."""
    from realfill.evaluation.generate import read_prompt
    from realfill.scene import examples

    for example in examples.examples():
        text = read_prompt(example.folder)
        assert text.startswith("a photo of ") and 150 < len(text) < 345, example.name


def test_scores_again_with_other_peoples_pictures(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, theirs = tmp_path / "bench", tmp_path / "theirs"
    for name in ("2", "10"):
        (theirs / name).mkdir(parents=True)
        shutil.copyfile(root / name / "target" / "gt.png", theirs / name / "0.png")
    given = ["bench-score", out, "--add", f"theirs={theirs}", "--matchers", "sift", "--device", "cpu"]
    code, data, _ = _run([*given, "--root", root], capsys)
    assert code == 0 and data["table_1"][0]["values"]["psnr"] == 100
    save_photo(np.zeros((90, 120, 3), np.uint8), theirs / "2" / "0.png")
    code, data, _ = _run(["bench-score", out, "--add", f"theirs={theirs}"], capsys)  # it knows its scenes by now
    assert code == 0 and data["table_1"][0]["values"]["psnr"] < 60
    moved = shutil.move(out, tmp_path / "elsewhere")
    code, again, output = _run(["bench-score", moved], capsys)
    assert code == 0 and again["table_1"] == data["table_1"] and "0 scored" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "nowhere", "-o", "OUT"], "no folder"),
        (["bench", "ROOT", "-o", "OUT", "--method", "magic"], "no method 'magic'"),
        (["bench", "ROOT", "-o", "OUT", "--scenes", "77"], "no scene '77'"),
        (["bench", "ROOT", "-o", "OUT", "--scenes", "1"], "ground truth"),
        (["bench", "ROOT", "-o", "OUT", "--matchers", "surf"], "no matcher 'surf'"),
        (["bench", "ROOT", "-o", "OUT", "--matchers", "sift,aliked=nowhere.pth"], "no file"),
        (["bench", "ROOT", "-o", "OUT", "--references", "1-9"], "beyond 1-5"),
        (["bench", "ROOT", "-o", "OUT", "--weights", "nowhere"], "no folder nowhere"),
        (["bench", "ROOT", "-o", "OUT", "--prompts", "ROOT/2/target/gt.png"], "JSON"),
        (["bench", "ROOT", "-o", "OUT", "--set", "train.step=3"], "no setting"),
        (["bench", "ROOT", "-o", "OUT", "--variants"], "variants"),
        (["bench-score", "OUT"], "--root"),
        (["bench-score", "OUT", "--root", "ROOT"], "holds no pictures"),
        (["bench-score", "OUT", "--root", "ROOT", "--add", "theirs"], "no name and folder"),
        (["bench-get", "nowhere.zip"], "no file"),
    ],
)
def test_refusals_are_one_sentence(
    arguments: list[str], words: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"OUT": str(tmp_path / "out"), "ROOT": str(root), "ROOT/2/target/gt.png": str(root / "2/target/gt.png")}
    code, data, output = _run([places.get(one, one) for one in arguments], capsys)
    assert code == 2 and words in data["error"] and "Traceback" not in output
    assert not (tmp_path / "out" / "pictures").exists()


def test_bench_get(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, data, _ = _run(["bench-get"], capsys)
    assert code == 0 and "realfill.github.io" in data["where"]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root.parent))
    code, data, _ = _run(["bench-get", tmp_path / "all.zip", "-o", tmp_path / "out"], capsys)
    assert code == 0 and data["scenes"] == 2 and data["others"] == 1


@pytest.mark.long
def test_workers_make_the_same_table(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", root, "--method", "telea", "--matchers", "sift", "--base", "mini"]
    _, alone, _ = _run([*command, "-o", tmp_path / "one"], capsys)
    code, several, _ = _run([*command, "-o", tmp_path / "two", "--workers", 2], capsys)
    assert code == 0
    for row in (*alone["table_1"], *several["table_1"]):
        del row["seconds"], row["cpu_seconds"]
    assert several["table_1"] == alone["table_1"]


def test_a_stop_in_training_loses_nothing(
    root: Path, tmp_path: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in training; the same command goes on and ends with what an undisturbed one makes."""
    changes = ["train.steps=4", "train.batch=2", "train.rank=2", "train.layers=attention", "train.checkpoint_every=1"]
    changes += ["sample.steps=2", "train.pool=0", "guide.draft=false"]
    sets = [part for change in changes for part in ("--set", change)]
    command = ["bench", root, "--method", "untrained", "--method", "realfill", "--scenes", "2", "--seeds", "0-1"]
    command += ["--matchers", "sift", "--base", tiny_base, "--preset", "mini", "--device", "cpu", *sets]
    out, undisturbed = tmp_path / "stopped", tmp_path / "undisturbed"

    def save_and_stop(state: TrainState, folder: Path, **options: Any) -> None:
        save(state, folder, **options)
        if state.step == 2:
            signal.raise_signal(signal.SIGINT)

    save = TrainState.save
    with monkeypatch.context() as patch:
        patch.setattr(TrainState, "save", save_and_stop)
        code, data, _ = _run([*command, "-o", out], capsys)
    assert code == 3 and "goes on" in data["error"]
    assert list((out / "runs" / "realfill" / "2" / "checkpoints").glob("0*"))
    assert not (out / "pictures" / "realfill" / "2" / "000000.png").exists()
    for folder in (out, undisturbed):
        assert _run([*command, "-o", folder], capsys)[0] == 0
    for name in ("untrained", "realfill"):
        for seed in ("000000.png", "000001.png"):
            pair = [(folder / "pictures" / name / "2" / seed).read_bytes() for folder in (out, undisturbed)]
            assert pair[0] == pair[1]


def test_a_scene_that_cannot_be_used_does_not_end_the_others(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    shutil.copytree(root, scenes)
    save_photo(np.zeros((8, 8, 3), np.uint8), scenes / "2" / "target" / "gt.png")
    command = ["bench", scenes, "-o", out, "--method", "telea", "--matchers", "sift", "--base", "mini"]
    code, data, output = _run(command, capsys)
    assert code == 3 and "1 of 2 scenes could not be done (2)" in data["error"] and "gt.png" in data["error"]
    assert "1 of 2: 2 is left out" in output and "10 done, 1 new pictures" in output
    assert json.loads((out / "results.json").read_text())["table_1"][0]["scenes"] == 1
    shutil.copy(root / "2" / "target" / "gt.png", scenes / "2" / "target" / "gt.png")
    code, data, _ = _run(command, capsys)
    assert code == 0 and data["table_1"][0]["scenes"] == 2
