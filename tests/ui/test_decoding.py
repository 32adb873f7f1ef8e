"""What the page's process does not do itself: no byte of an upload, and no scene in a run folder, is decoded there."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from realfill.config import Config
from realfill.errors import SceneError
from realfill.imaging import decode
from realfill.jobs import call_pool
from realfill.jobs.call_pool import Bounds, CallPool
from realfill.locks import Lock
from realfill.runs.run import Run
from realfill.scene import archive as scene_archive
from realfill.scene import examples
from tests.files16 import png
from tests.imaging.raws import dng
from tests.ui.test_workbench_endpoints import brought, value
from ui.access import uploads
from ui.decoding import decoder
from ui.errors import Question
from ui.runs import rendering
from ui.runs.jobs import Jobs
from ui.runs.pictures import Export
from ui.runs.scene_inputs import SceneInputs
from ui.runs.thumbnails import Thumbnails
from ui.workbench import endpoints


@pytest.fixture
def ask(folder: Path) -> dict[str, Question]:
    return {question.__name__: question for question in endpoints.questions()}


@pytest.fixture
def no_decoders(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, whatever decodes pixels in this process fails the test."""

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail("the page's process decoded a picture")

    def patch() -> None:
        for owner, name in (
            (decode, "read_original"), (decode, "_open"), (Image, "open"), (Image.Image, "load"),
            (cv2, "imdecode"), (cv2, "imread"), (scene_archive, "_open_archive"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, refuse)

    return patch


def test_no_question_of_the_workbench_decodes_here(
    ask: dict[str, Question], toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_decoders: Any
) -> None:
    monkeypatch.setattr(examples, "FOLDER", toy_scene.parent / "examples")
    shutil.copytree(toy_scene, toy_scene.parent / "examples" / "toy")
    given, mask = value(toy_scene), brought(toy_scene / "target" / "mask.png")
    Image.open(toy_scene / "target" / "target.png").save(tmp_path / "a.tif")
    foreign = brought(tmp_path / "a.tif")
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as packed:
        for path in toy_scene.rglob("*.png"):
            packed.write(path, path.relative_to(toy_scene.parent))
    archive = brought(tmp_path / "toy.zip")
    sent = [{"name": f"toy/{path.relative_to(toy_scene)}", "path": brought(path)} for path in toy_scene.rglob("*.png")]
    larger = given | {"extend": [6, 0, 0, 2]}
    no_decoders()
    questions: list[tuple[str, dict[str, Any]]] = [
        ("take_reference", {"path": given["references"][0]}),
        ("take_target", {"path": given["target"]}),
        ("take_target", {"path": given["target"], "preview": True}),
        ("take_target", {"path": foreign}),
        ("take_mask", {"path": mask, "scene": given}),
        ("give_mask", {"scene": larger}),
        ("list_examples", {}),
        ("open_example", {"name": "toy"}),
        ("open_zip", {"path": archive}),
        ("open_files", {"files": sent}),
        ("look_overlap", {"target": given["target"], "reference": given["references"][0]}),
    ]
    for name, asked in questions:
        answer = json.loads(json.dumps(ask[name](asked)))
        assert "error" not in answer, (name, answer)
    kept = ask["keep_scene"]({"scene": given})["draft"]
    assert ask["recall_scene"]({"draft": kept})["target"]["width"] == 120
    begun = ask["begin_draft"]({"scene": larger, "tab": "a"})
    assert ask["drop_draft"](begun) == {}


def test_a_scene_for_download_is_checked_elsewhere(
    ask: dict[str, Question], toy_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = value(toy_scene) | {"extend": [6, 0, 0, 0]}
    monkeypatch.setattr(decode, "read_original", None)  # zipping it is our own work, and decodes nothing
    monkeypatch.setattr(decode, "_open", None)
    answer = ask["give_scene"]({"scene": given})
    assert Path(answer["file"]).is_file()


def test_no_run_is_begun_or_shown_by_decoding_here(
    folder: Path, tmp_path: Path, toy_scene: Path, quick: Config, sampled: Run, no_decoders: Any
) -> None:
    runs_dir = tmp_path / "others"
    runs_dir.mkdir()
    worker = Lock(runs_dir / ".worker.lock")  # none is started
    assert worker.acquire()
    references = [Path(brought(path)) for path in sorted((toy_scene / "ref").iterdir())]
    target, mask = (Path(brought(toy_scene / "target" / f"{name}.png")) for name in ("target", "mask"))
    no_decoders()
    run = Jobs(runs_dir).start(SceneInputs(references, target, mask, "Toy"), quick)
    assert run.labels.name == "Toy" and run.config == quick
    assert sorted(path.name for path in (run.folder / "scene" / "target").iterdir()) == ["mask.png", "target.png"]
    frames = rendering.view_seed(sampled, 8, Export(8))["frames"]
    assert frames["whole"]["w"] == 120
    assert rendering.show_seam(sampled, 8, Export(8)).startswith("data:image/webp")
    assert Path(rendering.pack_export(sampled, "picture", Export(8), 8)).is_relative_to(folder)
    thumbnails = Thumbnails()
    thumbnails.url(sampled.seed_path(8))
    thumbnails._pool.submit(int).result(60)  # the one before it has ended
    assert thumbnails.url(sampled.seed_path(8)).endswith(".webp")
    worker.release()


def test_a_run_that_cannot_be_begun_leaves_nothing(
    folder: Path, tmp_path: Path, toy_scene: Path, quick: Config
) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    (tmp_path / "runs").mkdir()
    bad, target = Path(brought(tmp_path / "bad.png")), Path(brought(toy_scene / "target" / "target.png"))
    mask = Path(brought(toy_scene / "target" / "mask.png"))
    with pytest.raises(SceneError, match=r"^bad\.png is not a picture"):
        Jobs(tmp_path / "runs").start(SceneInputs([bad], target, mask), quick)
    assert not list((tmp_path / "runs").iterdir())


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[CallPool]:
    """The page's children with 64 MB each."""
    pool = CallPool(decoder._POOL._command, decoder.ROOT, Bounds(memory=64 * 2**20))
    monkeypatch.setattr(decoder, "_POOL", pool)
    yield pool
    pool.close()


def test_what_takes_too_much_memory_is_a_sentence_with_its_name(
    ask: dict[str, Question], tmp_path: Path, toy_scene: Path, small_pool: CallPool
) -> None:
    """16 bits, RGBA: some kilobytes that are 72 MB of pixels."""
    (tmp_path / "holiday.png").write_bytes(png(np.zeros((3000, 3000, 4), np.uint16)))
    path = brought(tmp_path / "holiday.png")
    assert Path(path).stat().st_size < 2**20
    for question in ("take_reference", "take_target"):
        sentence = ask[question]({"path": path})["error"]
        assert sentence.startswith("holiday.png takes more than 0.0625 GB of memory") and "save it again" in sentence
    given = value(toy_scene)
    references = [*given["references"], path]
    sentence = ask["give_scene"]({"scene": given | {"references": references}})["error"]
    assert sentence.startswith("One of ") and "holiday.png" in sentence
    assert "error" not in ask["take_target"]({"path": given["target"]})  # a fresh one goes on


def test_the_pages_children_are_two_with_three_gigabytes() -> None:
    assert decoder._POOL._bounds == Bounds() == Bounds(processes=2, memory=3 * 2**30)
    assert Bounds().waiting < 40 - 10  # of the page's threads some stay free
    assert decoder._POOL._command[:3] == (*decoder._POOL._command[:1], "-m", "realfill.cli.decode_process")
    assert "MALLOC_ARENA_MAX" in call_pool._ENVIRONMENT


def test_a_photo_is_decoded_once_for_all_that_is_shown_of_it(
    ask: dict[str, Question], toy_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, call = list[str](), decoder.call

    def count(name: str, subject: str, *arguments: Any, **options: Any) -> Any:
        asked.append(f"{name} {subject}")
        return call(name, subject, *arguments, **options)

    monkeypatch.setattr(decoder, "call", count)
    path = brought(toy_scene / "target" / "target.png")
    ask["take_target"]({"path": path, "preview": True})
    assert asked == ["read_facts target.png"]
    answer = endpoints.open_scene(toy_scene)
    assert sorted(asked[1:]) == [
        "read_facts target.png", "read_mask mask.png", "thumbnail 00.png", "thumbnail 01.png",
    ]  # fmt: skip
    assert answer["target"]["width"] == 120


@pytest.mark.usefixtures("folder")
def test_a_camera_raw_is_developed_in_a_child(tmp_path: Path, no_decoders: Callable[[], None]) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(dng())
    no_decoders()
    facts = decoder.read_facts(tmp_path / "a.dng", 64, endpoints.FOREIGN)
    assert (facts.format, facts.width, facts.height) == ("RAW", 128, 96)
    assert uploads.thumbnail_path(tmp_path / "a.dng", 64).stat().st_size > 100


def test_where_no_raws_are_developed_an_upload_gets_the_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "rawpy.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    (tmp_path / "a.dng").write_bytes(dng())
    pool = CallPool((sys.executable, "-m", "realfill.cli.decode_process", "ui.decoding.operations"), decoder.ROOT)
    try:
        arguments: dict[str, Any] = {
            "private_folder": str(tmp_path),
            "path": str(tmp_path / "a.dng"),
            "sizes": [],
            "formats": None,
        }
        with pytest.raises(SceneError, match=r"^a\.dng is a camera raw file; save it as TIFF or JPEG first\.$"):
            pool.call("read_facts", arguments, subject="a.dng", seconds=20.0)
    finally:
        pool.close()
