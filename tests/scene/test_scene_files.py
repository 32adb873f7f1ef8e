"""Files beside photos: the same rules for a folder and for a zip of it."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.errors import SceneError
from realfill.imaging import raw
from realfill.imaging.decode import SUFFIXES
from realfill.scene import archive as scene_archive
from realfill.scene import scene
from realfill.scene.scene_files import FILMS, SIDECARS, pictures

Read = Callable[[Mapping[str, bytes]], tuple[list[str], list[str]]]  # names of references, notices
NEVER_PICTURES = [
    "1.jpg.out.pp3", "1.jpg.dop", "1.on1", "1.xmp", "1.jpg.xmp", "1.MOV", "1.mp4", "1.CR3", "1.nef", "Icon\r", "Icon",
    "Thumbs.db", ".DS_Store", "._1.jpg", "desktop.ini", "1.AAE", "1.THM", "1.json", ".1.jpg.icloud", "1.acr",
]  # fmt: skip


def picture(shade: int = 90, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(file, kind)
    return file.getvalue()


def mask() -> bytes:
    file, hole = io.BytesIO(), np.zeros((20, 30), np.uint8)
    hole[5:9, 5:9] = 255
    Image.fromarray(hole).save(file, "PNG")
    return file.getvalue()


PARTS = {"target/target.png": picture(kind="PNG"), "target/mask.png": mask()}


@pytest.fixture(params=["folder", "zip"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    """Reads a scene of these files through one of the doors."""

    def read_folder(files: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
        for name, data in files.items():
            (tmp_path / "trip" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "trip" / name).write_bytes(data)
        loaded = scene.load(tmp_path / "trip")
        return [str(photo[0, 0, 0]) for photo in loaded.references], list(loaded.notices)

    def read_zip(files: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
        with zipfile.ZipFile(tmp_path / "trip.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(f"trip/{name}", data)
        _, notices = scene_archive.look_inside(tmp_path / "trip.zip")
        scene_archive.unpack(tmp_path / "trip.zip", tmp_path / "out")
        loaded = scene.load(tmp_path / "out")
        return [str(photo[0, 0, 0]) for photo in loaded.references], [*notices, *loaded.notices]

    return read_folder if request.param == "folder" else read_zip


def test_what_lies_beside_photos_is_passed_over_and_does_not_count(read: Read) -> None:
    photos = {f"ref/{number}.jpg": picture(10 * number) for number in range(1, 6)}
    beside = {f"ref/{name}": b"not a picture" for name in NEVER_PICTURES}
    beside |= {
        "ref/@eaDir/1.jpg/SYNOFILE_THUMB_M.jpg": picture(),
        "target/target.xmp": b"x",
        "target/mask.psd.xmp": b"x",
    }
    assert read({**PARTS, **photos, **beside}) == (["10", "20", "30", "40", "50"], [])


@pytest.mark.parametrize("name", ["2.gif", "2.avif", "2.psd", "2", "clip.mov", "2.jpg.part"])
def test_what_could_be_meant_as_a_picture_is_named(read: Read, name: str) -> None:
    references, notices = read({**PARTS, "ref/1.jpg": picture(10), f"ref/{name}": b"whatever"})
    assert references == ["10"]
    assert len(notices) == 1 and notices[0].startswith(
        f"ref/{name} is no picture by its ending and was left out; use JPEG"
    )


@pytest.mark.parametrize("names", [["1.NEF"], ["1.CR3", "2.cr3"], ["1.dng", "1.xmp"]])
def test_of_raws_alone_the_sentence_says_what_to_do(read: Read, names: list[str]) -> None:
    with pytest.raises(SceneError, match=rf"{names[0][:2]}.* camera raw|00\..* camera raw"):
        read({**PARTS, **{f"ref/{name}": b"II*\0" + bytes(100) for name in names}})


@pytest.mark.parametrize(("name", "part"), [("mask.gif", "mask"), ("target.psd", "target")])
def test_a_part_that_is_no_picture_by_its_ending_is_named(read: Read, name: str, part: str) -> None:
    others = {key: data for key, data in PARTS.items() if part not in key.split("/")[1]}
    with pytest.raises(SceneError, match=rf"target/{name} is no picture by its ending; save it as JPEG, PNG"):
        read({**others, "ref/1.jpg": picture(), f"target/{name}": b"whatever"})


@pytest.mark.parametrize("name", ["ref/2.jpg", "target/mask.png", "target/gt.png"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, name: str) -> None:
    for place, data in {**PARTS, "ref/1.jpg": picture()}.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(data)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/gone/photo.jpg")
    with pytest.raises(SceneError, match=rf"{name} is a link to /gone/photo\.jpg, where nothing is"):
        scene.load(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(tmp_path / "whole.jpg")
    (tmp_path / "whole.jpg").write_bytes(mask() if name.endswith("mask.png") else picture())
    assert len(scene.load(tmp_path).references) == (2 if name.startswith("ref") else 1)


def test_no_ending_is_of_two_kinds() -> None:
    kinds = [SUFFIXES, raw.SUFFIXES, SIDECARS, FILMS]
    assert len(frozenset().union(*kinds)) == sum(map(len, kinds))
    assert all(ending == ending.lower() and ending.startswith(".") for kind in kinds for ending in kind)


def test_folders_named_as_pictures_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "c.jpg").write_bytes(picture())
    assert [path.name for path in pictures(tmp_path)] == ["c.jpg"]
