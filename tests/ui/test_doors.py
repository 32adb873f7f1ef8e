"""Odd files by every way that a scene can come in: folder, zip, batch, API, the page. All say the same."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from realfill.batch.complete import CompleteScene
from realfill.config import Config
from realfill.errors import SceneError
from realfill.locks import Lock
from realfill.runs.run import Run
from realfill.scene import archive
from tests.imaging.test_decode import float_tiff
from tests.ui.test_api import Page
from tests.ui.test_workbench_endpoints import brought
from ui.api import Api
from ui.runs.jobs import Jobs
from ui.workbench import endpoints


def _paint(folder: Path, *, share: float = 1.0) -> None:
    """The mask is the photo, painted over in red."""
    photo, hole = (np.array(Image.open(folder / "target" / f"{name}.png")) for name in ("gt", "mask"))
    Image.fromarray(photo).save(folder / "target" / "target.png")
    part = (hole.reshape(*photo.shape[:2], -1)[:, :, :1] > 127) * share
    Image.fromarray(np.rint(photo * (1 - part) + np.array([255, 0, 0]) * part).astype(np.uint8)).save(
        folder / "target" / "mask.png"
    )


def _exchange(folder: Path, name: str, data: Callable[[bytes], bytes]) -> None:
    path = folder / name
    path.write_bytes(data(path.read_bytes()))


def _float_target(folder: Path) -> None:
    (folder / "target" / "target.png").unlink()
    (folder / "target" / "target.tif").write_bytes(float_tiff())


def _mask_of_another_shape(folder: Path) -> None:
    mask = Image.open(folder / "target" / "mask.png")
    mask.resize((mask.width, 2 * mask.height)).save(folder / "target" / "mask.png")


def _photo_as_mask(folder: Path) -> None:
    reference = Image.open(sorted((folder / "ref").iterdir())[0])
    reference.crop((7, 5, reference.width, reference.height)).save(folder / "target" / "mask.png")


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a float TIFF": (_float_target, "target.tif has 32-bit floating-point colours; export it with 8 or 16 bits."),
    "a photo as mask": (_photo_as_mask, "mask.png is a photo, not black and white; paint the missing part white"),
    "a target cut off": (
        lambda folder: _exchange(folder, "target/target.png", lambda data: data[: len(data) // 2]),
        "target.png is damaged or cut off",
    ),
}
SAID: dict[str, tuple[Callable[[Path], None], str]] = {
    "a painted photo as mask": (_paint, "mask.png is the photo with a part painted red; that part is filled in."),
    "a photo under half transparent paint": (
        lambda folder: _paint(folder, share=0.5), "mask.png is the photo with a part painted over;",
    ),
    "a mask of another shape": (_mask_of_another_shape, "although its shape differs; check the hole."),
    "odd notes": (
        lambda folder: _exchange(
            folder, "target/target.png", lambda data: data[:33] + b"\0\0\0\4tEXta\0bcwxyz" + data[33:]
        ),
        "",
    ),
}  # fmt: skip


@pytest.fixture
def runs(folder: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder of runs for which no worker is started."""
    place = tmp_path / "runs"
    place.mkdir()
    worker = Lock(place / ".worker.lock")
    assert worker.acquire()
    yield place
    worker.release()


def _parts(scene: Path) -> tuple[list[Path], Path, Path]:
    (target,) = (path for path in (scene / "target").iterdir() if path.stem == "target")
    return sorted((scene / "ref").iterdir()), target, scene / "target" / "mask.png"


def by_folder(scene: Path, runs: Path, quick: Config) -> list[str]:
    return Run.create(runs / "own", quick, scene).scene_notices


def by_zip(scene: Path, runs: Path, quick: Config) -> list[str]:
    with zipfile.ZipFile(scene.parent / "scene.zip", "w") as packed:
        for path in scene.rglob("*.*"):
            packed.write(path, path.relative_to(scene.parent))
    archive.unpack(scene.parent / "scene.zip", scene.parent / "unpacked")
    return Run.create(runs / "own", quick, scene.parent / "unpacked").scene_notices


def by_batch(scene: Path, runs: Path, quick: Config) -> list[str]:
    """As far as the method, which begins once the scene is in its run."""
    run = Run.ensure(runs / scene.name, quick, scene)
    work = CompleteScene(runs, lambda _: quick)
    assert not work.is_done(scene)
    return run.scene_notices


def by_api(scene: Path, runs: Path, quick: Config) -> list[str]:
    references, target, mask = _parts(scene)
    api = Api(Page(Jobs(runs)))
    sent: list[Any] = [{"path": brought(path)} for path in (*references, target, mask)]
    try:
        made = api.start_training(sent[:-2], sent[-2], sent[-1], {"preset": "mini", "sample.seeds": "0"})
    except gr.Error as error:
        raise SceneError(error.message) from error
    notices = api.status(made["project"])["notices"]
    assert isinstance(notices, list)
    return notices


def by_page(scene: Path, runs: Path, quick: Config) -> list[str]:
    ask = {question.__name__: question for question in endpoints.questions()}
    references, target, mask = _parts(scene)
    given: dict[str, Any] = {
        "references": [brought(path) for path in references], "target": brought(target), "strokes": None,
        "extend": [0, 0, 0, 0],
    }  # fmt: skip
    answers = [ask["take_reference"]({"path": path}) for path in given["references"]]
    answers += [ask["take_target"]({"path": given["target"]})]
    answers += [ask["take_mask"]({"path": brought(mask), "scene": given})]
    for answer in answers:
        if "error" in answer:
            raise SceneError(answer["error"])
    return [notice for answer in answers for notice in answer.get("notices", ())]


DOORS = [by_folder, by_zip, by_batch, by_api, by_page]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_has_one_sentence_and_leaves_nothing(
    kind: str, door: Callable[[Path, Path, Config], list[str]], toy_scene: Path, runs: Path, quick: Config
) -> None:
    change, sentence = REFUSED[kind]
    change(toy_scene)
    with pytest.raises(SceneError) as refused:
        door(toy_scene, runs, quick)
    assert str(refused.value).startswith(sentence)
    assert [path.name for path in runs.iterdir()] == [".worker.lock"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", SAID)
def test_what_is_understood_is_said(
    kind: str, door: Callable[[Path, Path, Config], list[str]], toy_scene: Path, runs: Path, quick: Config
) -> None:
    change, sentence = SAID[kind]
    change(toy_scene)
    notices = [notice for notice in door(toy_scene, runs, quick) if notice.startswith("mask.png")]
    assert len(notices) == (sentence != "") and all(sentence in notice for notice in notices)
