import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from realfill.errors import SceneError
from realfill.scene import archive as scene_archive
from realfill.scene import scene
from realfill.scene.archive import look_inside


def picture(shade: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_packed_and_unpacked_a_scene_is_the_same(toy_scene: Path, tmp_path: Path) -> None:
    scene_archive.pack(toy_scene, tmp_path / "toy.zip")
    scene_archive.unpack(tmp_path / "toy.zip", tmp_path / "again")
    one, other = scene.load(toy_scene), scene.load(tmp_path / "again")
    assert [photo.tobytes() for photo in one.references] == [photo.tobytes() for photo in other.references]
    assert np.array_equal(one.hole, other.hole)
    assert one.target.tobytes() == other.target.tobytes()
    assert other.truth is not None
    with zipfile.ZipFile(tmp_path / "toy.zip") as archive:
        assert all(name.startswith("toy/") for name in archive.namelist())


def test_what_has_no_part_in_a_scene_is_passed_over(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {
        "trip/ref/IMG_10.PNG": picture(10), "trip/ref/IMG_9.png": picture(9), "trip/ref/.hidden.png": b"x",
        "trip/ref/IMG_9.xmp": b"x", "trip/target/target.png": picture(), "trip/target/Mask.PNG": picture(255),
        "trip/target/notes.txt": b"x", "trip/run.exe": b"x", "trip/scene.json": b"{}", "trip/other/ref.png": b"x",
        "__MACOSX/trip/ref/._IMG_9.png": b"x", "trip/ref/sub/IMG_1.png": b"x",
    })  # fmt: skip
    scene_archive.unpack(archive, tmp_path / "scene")
    assert files_in(tmp_path / "scene") == ["ref/00.png", "ref/01.png", "target/mask.png", "target/target.png"]
    assert (tmp_path / "scene" / "ref" / "00.png").read_bytes() == picture(9)  # 9 before 10


@pytest.mark.parametrize(
    "name",
    [
        "../ref/a.png", "../../../ref/a.png", "/ref/a.png", "C:\\ref\\a.png", "..\\ref\\a.png",
        "ref/../../ref/a.png", "s/../../ref/a.png", "ref/" + "x" * 3000 + ".png", "ref/a\x01b.png",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "deep" / "er"
    inner.mkdir(parents=True)
    root = name.replace("\\", "/").rpartition("ref/")[0]
    archive = zipped(inner / "a.zip", {name: picture(), f"{root}target/target.png": picture()})
    if ".." in name:  # as good as hidden
        with pytest.raises(SceneError, match="no scene"):
            scene_archive.unpack(archive, inner / "scene")
        assert files_in(tmp_path) == ["deep/er/a.zip"]
        return
    scene_archive.unpack(archive, inner / "scene")
    assert files_in(tmp_path) == ["deep/er/a.zip", "deep/er/scene/ref/00.png", "deep/er/scene/target/target.png"]


def test_links_are_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("ref/a.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("target/target.png", picture())
    scene_archive.unpack(tmp_path / "a.zip", tmp_path / "scene")
    assert files_in(tmp_path / "scene") == ["target/target.png"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.txt": b"hello"}, "no scene"),
        ({"ref/a.png": picture()}, "no scene"),
        ({"a/target/target.png": picture(), "b/target/target.png": picture()}, "2 scenes"),
        ({f"ref/{n}.png": picture(n) for n in range(6)} | {"target/target.png": picture()}, "6 reference photos"),
        ({"target/target.png": picture(), "target/target.jpg": picture()}, r"target\.jpg and target\.png; keep one"),
        ({f"{n}.txt": b"" for n in range(2001)}, "over 2000 files"),
    ],
)
def test_what_is_no_scene_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, files: dict[str, bytes], sentence: str
) -> None:
    archive = zipped(tmp_path / "a.zip", files)
    with pytest.raises(SceneError, match=sentence):
        scene_archive.unpack(archive, tmp_path / "scene")
    assert files_in(tmp_path) == ["a.zip"]
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_bomb_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_archive, "MOST_BYTES", 3_000_000)
    bomb = zipped(tmp_path / "a.zip", {"ref/a.png": bytes(2_000_000), "target/target.png": bytes(2_000_000)})
    assert bomb.stat().st_size < 10_000
    with pytest.raises(SceneError, match="too large unpacked"):
        scene_archive.unpack(bomb, tmp_path / "scene")
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("cut", [0, 4, 100, -30])
def test_damaged_archives_are_a_sentence(toy_scene: Path, tmp_path: Path, cut: int) -> None:
    scene_archive.pack(toy_scene, tmp_path / "a.zip")
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(data[:cut])
    with pytest.raises(SceneError, match=r"b\.zip is not a zip file"):
        scene_archive.unpack(tmp_path / "b.zip", tmp_path / "scene")


def test_a_damaged_lzma_archive_is_a_sentence(toy_scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("lzma")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(toy_scene / "target" / "target.png", "target/target.png")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[80:200] = b"\xff" * 120  # in the stream
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(SceneError, match=r"a\.zip is not a zip file that can be read"):
        scene_archive.unpack(tmp_path / "a.zip", tmp_path / "scene")
    assert not (tmp_path / "scene").exists()


def test_the_size_is_that_of_the_scene_alone(toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"ref/a.png": bytes(5000), "target/target.png": bytes(7000)}
    archive = zipped(tmp_path / "a.zip", parts | {"notes.txt": bytes(90_000), "other/b.png": bytes(90_000)})
    assert look_inside(archive)[0] == 12_000
    scene_archive.unpack(archive, tmp_path / "scene")
    assert sum(path.stat().st_size for path in (tmp_path / "scene").rglob("*.png")) == 12_000
    monkeypatch.setattr(scene_archive, "MOST_BYTES", 11_999)
    with pytest.raises(SceneError, match="too large unpacked"):
        look_inside(archive)


def test_no_more_is_unpacked_than_the_archive_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"target/target.png": bytes(2_000_000)})
    lie = archive.read_bytes().replace((2_000_000).to_bytes(4, "little"), (3000).to_bytes(4, "little"))
    archive.write_bytes(lie)
    assert look_inside(archive)[0] == 3000
    copy, copied = scene_archive._copy, list[int]()

    def counted(source: IO[bytes], target: Path, limit: int, name: str) -> int:
        try:
            return copy(source, target, limit, name)
        finally:
            copied.append(target.stat().st_size)

    monkeypatch.setattr(scene_archive, "_copy", counted)
    with pytest.raises(SceneError):
        scene_archive.unpack(archive, tmp_path / "scene")
    assert copied and copied[0] <= 3000


def test_flipped_bytes_never_get_through_unseen(toy_scene: Path, tmp_path: Path) -> None:
    scene_archive.pack(toy_scene, tmp_path / "a.zip")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[500] ^= 0xFF  # inside the first photo
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(SceneError):
        scene_archive.unpack(tmp_path / "b.zip", tmp_path / "scene")
    assert not (tmp_path / "scene").exists()


def test_files_of_a_folder_are_gathered_like_an_archive(toy_scene: Path, tmp_path: Path) -> None:
    given = [(f"toy/{path.relative_to(toy_scene)}", path) for path in toy_scene.rglob("*") if path.is_file()]
    scene_archive.gather(given, tmp_path / "scene")
    assert np.array_equal(scene.load(tmp_path / "scene").hole, scene.load(toy_scene).hole)


def test_what_is_no_scene_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SceneError, match="no scene"):
        scene_archive.pack(tmp_path / "empty", tmp_path / "a.zip")
    assert os.listdir(tmp_path) == ["empty"]
