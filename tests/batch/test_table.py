"""The rows of a batch are what the run folders say, and no name does anything in a spreadsheet or a browser."""

import csv
import html.parser
from pathlib import Path

import numpy as np
import pytest

from realfill import config
from realfill.batch.record import BatchRecord, read_scenes
from realfill.batch.report import make_thumbnails, write_report
from realfill.batch.table import SceneRow, SceneState, exit_code, scene_row, write_csv
from realfill.distributed.results import ItemResult
from realfill.errors import OptionError
from realfill.events import StageDone
from realfill.imaging.photo import save_photo
from realfill.runs.run import Run

EVIL = '<img src=x onerror="alert(1)">&\'='


def _row(name: str, state: SceneState) -> SceneRow:
    return SceneRow(name, state, 0, 0, 0, 0, 0, None, None, "", 0, "")


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["done", "done"], 0),
        (["done", "bad"], 1),
        (["done", "failed", "stopped"], 1),
        (["bad", "bad"], 2),
        (["done", "interrupted"], 3),
        (["waiting"], 3),
        ([], 0),
    ],
)
def test_exit_codes(states: list[SceneState], code: int) -> None:
    assert exit_code([_row("a", state) for state in states]) == code


def test_a_row_is_read_from_its_run_folder(toy_scene: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config.make("mini", {}), toy_scene)
    for seconds in (2.0, 3.5):  # of two tries
        run.append(StageDone("train", seconds))
    run.append(StageDone("sample", 1.0))
    run.write_seed(7, np.zeros((8, 8, 3), np.uint8))
    run.write("scores", {"matcher": "sift", "seeds": [{"seed": 7, "matches": 12}]})
    run.enter("done")
    known = {"ending": "done", "where": "host", "tries": 2, "sentence": "old"}
    row = scene_row(tmp_path, "a", known)
    assert row == SceneRow("a", "done", 0, 5.5, 1.0, 0, 0, 12, 7, "host", 2, "")
    assert row.seconds == 6.5


def test_what_a_run_folder_cannot_say(toy_scene: Path, tmp_path: Path) -> None:
    assert scene_row(tmp_path, "a", {}).state == "waiting"
    assert scene_row(tmp_path, "a", {"ending": "bad", "sentence": "No mask."}).error == "No mask."
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text("[]")
    broken = scene_row(tmp_path, "b", {})
    assert broken.state == "failed" and "run.json" in broken.error


def test_records_of_shards_are_read_together(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="realfill batch ROOT"):
        read_scenes(tmp_path)
    for number in (1, 2):
        record = BatchRecord(tmp_path, f"{number}/2")
        record.begin({"timeout": 60}, {f"s{number}": tmp_path})
        record.add(f"s{number}", ItemResult(tmp_path / f"s{number}", "timeout", sentence="late", where="here", tries=3))
    BatchRecord(tmp_path, "1/2").begin({"timeout": 5}, {"s3": tmp_path})
    scenes = read_scenes(tmp_path)
    assert set(scenes) == {"s1", "s2", "s3"} and scenes["s1"]["tries"] == 3 and scenes["s2"]["where"] == "here"


def test_no_name_is_a_formula(tmp_path: Path) -> None:
    write_csv(tmp_path / "batch.csv", [_row(name, "done") for name in ("=1+1", "-x", "@x", "plain, with comma")])
    with (tmp_path / "batch.csv").open(newline="") as file:
        names = [line["scene"] for line in csv.DictReader(file)]
    assert names == ["'=1+1", "'-x", "'@x", "plain, with comma"]


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_no_name_or_error_is_markup(toy_scene: Path, tmp_path: Path) -> None:
    name = EVIL.replace("/", "")
    run = Run.create(tmp_path / name, config.make("mini", {}), toy_scene)
    save_photo(np.full((90, 120, 3), 90, np.uint8), run.result)
    make_thumbnails(tmp_path, name)
    row = SceneRow(name, "failed", 1, 2, 3, 4, 5, 6, 7, EVIL, 1, f"</td><script>alert(2)</script>{EVIL}")
    page = _Tags()
    page.feed(write_report(tmp_path, [row]).read_text())
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 2 and all("onerror" not in attributes for attributes in pictures)
    assert [tag for tag, _ in page.tags].count("script") == 1
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert len(links) == 3 and all(link.startswith("./%3Cimg") for link in links)
    thumbs = sorted(path.name for path in (tmp_path / "batch-thumbs").iterdir())
    assert thumbs == [f"{name}-after.jpg", f"{name}-before.jpg"]
