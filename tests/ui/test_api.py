"""The page for programs: the example of docs/api.md on the real server, and what the functions refuse."""

import json
import re
import time
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from realfill.bases import BASES
from realfill.events import Notice
from realfill.imaging import composite, photo
from realfill.jobs import queue
from realfill.runs.run import Run
from realfill.scene import scene
from tests.ui.conftest import ROOT, Server
from ui import api
from ui.api import Api
from ui.runs.jobs import Jobs

FEW = {"train.steps": 2, "train.batch": 1, "sample.seeds": "0-1", "sample.steps": 2, "select.matcher": "sift"}


def test_the_example_of_the_documentation(
    small: Server, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    for written, here in (
        ("http://localhost:7860", small.url),
        ('Path("scene")', f"Path({str(toy_scene)!r})"),
        ('{"train.steps": 100, "sample.seeds": "0-7"}', repr(FEW)),
    ):
        assert written in example
        example = example.replace(written, here)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["status"]["state"] == "done", names["status"]
    assert [one["rank"] for one in names["seeds"]] == [1, 2]
    run = Run.open(small.runs_dir / names["project"])
    assert run.labels.name == "My scene"
    assert run.labels.seed == names["seeds"][0]["seed"]
    loaded = scene.load(toy_scene)
    made, target = photo.read_photo(Path(names["picture"])), photo.read_photo(toy_scene / "target" / "target.png")
    far = composite.feather_alpha(loaded.hole, run.config.export.feather) == 0
    np.testing.assert_array_equal(made[far], target[far])


def test_a_client_gets_sentences(small: Server, toy_scene: Path) -> None:
    client = Client(small.url, verbose=False)
    target = handle_file(str(toy_scene / "target" / "target.png"))
    with pytest.raises(AppError, match="one to 5 references; 0 were given"):
        client.predict([], target, None, {}, "", api_name="/start_training")
    with pytest.raises(AppError, match="no such run here"):
        client.predict("nothing", api_name="/export")


class Page:
    """What the API asks of a page."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.base = jobs, "mini"


@pytest.fixture
def mine(tmp_path: Path, folder: Path) -> Api:
    (tmp_path / "runs").mkdir(exist_ok=True)
    return Api(Page(Jobs(tmp_path / "runs")))


@pytest.mark.parametrize("path", ["/etc/passwd", "", "relative.png", None, 3, {"path": "x"}])
def test_only_uploaded_files_are_taken(mine: Api, path: object) -> None:
    for given in ({"path": path}, path):
        with pytest.raises(gr.Error, match="upload"):
            mine.start_training([given], {"path": path})  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base": "/etc"}, "no base"),
        ({"base": "someone/else"}, "no base"),
        ({"select.weights": "/etc/passwd"}, "a file of the server"),
        ({"preset": "huge"}, "no preset"),
        ({"train.steps": -1}, "train.steps"),
        ({"nonsense": 1}, "no setting 'nonsense'"),
    ],
)
def test_settings_are_checked(mine: Api, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(gr.Error, match=words):
        mine.start_training([{"path": "a"}], {"path": "a"}, None, settings)


@pytest.mark.parametrize("odd", [5, ["x"], {"a": 1}, None, "\0", "x" * 10_000])
def test_a_project_that_is_no_name_is_a_sentence(mine: Api, odd: Any) -> None:
    for function in (mine.status, mine.list_seeds, mine.export):
        with pytest.raises(gr.Error, match="no such run here"):
            function(odd)


def test_programs_learn_what_each_base_is_and_takes(mine: Api) -> None:
    rows = {row["name"]: row for row in mine.list_bases()}
    assert list(rows) == list(BASES)
    assert rows["flux-fill"]["gated"] and not rows["flux-fill"]["commercial"]
    assert all(row["licence"] and row["gigabytes"] and row["time"] for row in rows.values())
    json.dumps(rows)


def test_arguments_of_another_kind_are_sentences(mine: Api, sampled: Run) -> None:
    for references in (5, "x", {"a": 1}):
        with pytest.raises(gr.Error, match="0 were given"):
            mine.start_training(references, {})  # type: ignore[arg-type]
    for settings in (5, ["x"], "x"):
        with pytest.raises(gr.Error, match="given by name"):
            mine.start_training([], {}, None, settings)  # type: ignore[arg-type]
    with pytest.raises(gr.Error, match="no preset"):
        mine.start_training([], {}, None, {"preset": ["x"]})
    odd_numbers: list[Any] = ["8", [8], True, 8.5, {}]
    for odd in odd_numbers:
        for name in ("seed", "feather"):
            with pytest.raises(gr.Error, match=f"{name} is a whole number"):
                mine.export(sampled.folder.name, **{name: odd})
    assert mine.export(sampled.folder.name, seed=8.0)["path"].endswith(".png")  # type: ignore[arg-type]


def test_status_and_seeds_of_what_has_not_begun(mine: Api, run: Run) -> None:
    project = run.folder.name
    found = mine.status(project)
    assert (found["state"], found["done"], found["seeds"], found["place"]) == ("stopped", 0, 0, 0)
    assert found["notices"] == []
    run.record(notices=["mask.png was scaled.", 5])
    run.append(Notice("mask.png was scaled."))
    run.append(Notice("It goes on."))
    assert mine.status(run.folder.name)["notices"] == ["mask.png was scaled.", "It goes on."]
    assert mine.list_seeds(project) == []
    with pytest.raises(gr.Error):
        mine.export(project)
    with pytest.raises(gr.Error, match="no such export"):
        mine.export(project, what="passwords")  # type: ignore[arg-type]


def test_uncounted_seeds_come_last(mine: Api, run: Run) -> None:
    for seed in (1, 2, 5):
        run.write_seed(seed, np.zeros((8, 8, 3), np.uint8))
    run.write("scores", {"seeds": [{"seed": 5, "matches": 9, "per_reference": [9]}]})
    found = mine.list_seeds(run.folder.name)
    assert [(one["seed"], one["rank"]) for one in found] == [(5, 1), (1, None), (2, None)]


def test_functions_are_typed_for_clients() -> None:
    with gr.Blocks() as blocks:
        api.publish(Page(Jobs(Path())))
    assert {fn.api_name for fn in blocks.fns.values()} == {
        "list_bases",
        "start_training",
        "status",
        "list_seeds",
        "export",
    }


def test_a_place_in_the_queue_is_told(mine: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs, "ensure_worker", lambda self: None)
    queue.submit(run)
    assert mine.status(run.folder.name)["place"] == 1


def test_programs_that_ask_often_look_at_the_queue_once_a_second(
    mine: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, now = [], [100.0]
    monkeypatch.setattr(Jobs, "tend", lambda self: looks.append(now[0]))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for seconds in (0.0, 0.4, 0.4, 0.4, 5.0):
        now[0] += seconds
        mine.status(run.folder.name)
    assert looks == pytest.approx([100.0, 101.2, 106.2])
