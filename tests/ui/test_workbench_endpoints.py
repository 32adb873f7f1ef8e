"""The workbench's questions, asked as the browser asks them: with JSON, some of it forged."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from realfill.imaging.crop import crop_around
from realfill.runs.labels import LONGEST_NAME
from realfill.scene import examples, scene
from ui.access import quotas, uploads
from ui.access.bodies import Refused
from ui.access.quotas import Account, Ledger, Quota
from ui.decoding import decoder
from ui.errors import Answer, Question
from ui.workbench import endpoints, mask_rle
from ui.workbench.endpoints import open_scene
from ui.workbench.payload import read_payload, scene_inputs


@pytest.fixture
def ask(folder: Path) -> dict[str, Question]:
    return {question.__name__: question for question in endpoints.questions()}


def brought(path: Path) -> str:
    place = uploads.folder() / "uploads" / path.parent.name / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    return str(place)


def value(toy_scene: Path) -> dict[str, Any]:
    return {
        "references": [brought(path) for path in sorted((toy_scene / "ref").iterdir())],
        "target": brought(toy_scene / "target" / "target.png"),
        "strokes": mask_rle.encode(scene.load(toy_scene).hole),
        "extend": [0, 0, 0, 0],
    }


def hole_in(answer: Answer) -> Any:
    return mask_rle.decode(json.loads(json.dumps(answer["strokes"])))


def test_a_reference_gets_a_thumbnail(ask: dict[str, Question], toy_scene: Path) -> None:
    path = brought(sorted((toy_scene / "ref").iterdir())[0])
    answer = ask["take_reference"]({"path": path})
    assert answer["path"] == path
    with Image.open(answer["thumb"]) as image:
        assert image.format == "WEBP"


@pytest.mark.parametrize("suffix", [".heic", ".tif"])
def test_what_browsers_cannot_show_is_rendered_here(ask: dict[str, Question], tmp_path: Path, suffix: str) -> None:
    pillow_heif.register_heif_opener(thumbnails=False)
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(tmp_path / f"a{suffix}")
    path = brought(tmp_path / f"a{suffix}")
    answer = ask["take_target"]({"path": path})
    assert (answer["path"], answer["width"], answer["height"]) == (path, 80, 60)
    with Image.open(answer["picture"]) as image:
        assert (image.format, image.size) == ("WEBP", (80, 60))


def test_a_target_that_browsers_show_is_shown_from_its_own_bytes(ask: dict[str, Question], toy_scene: Path) -> None:
    path = brought(toy_scene / "target" / "target.png")
    answer = ask["take_target"]({"path": path})
    assert answer["picture"] == path
    assert answer["strokes"] is None
    assert ask["take_target"]({"path": path, "preview": True})["picture"] != path


def test_a_targets_transparent_part_comes_marked(ask: dict[str, Question], tmp_path: Path) -> None:
    pixels = np.full((40, 50, 4), 255, np.uint8)
    pixels[10:20, 5:30, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(hole_in(ask["take_target"]({"path": brought(tmp_path / "a.png")})), pixels[..., 3] == 0)


def test_a_mask_file_goes_out_and_comes_back(ask: dict[str, Question], toy_scene: Path) -> None:
    given = value(toy_scene)
    saved = ask["give_mask"]({"scene": given})
    assert saved["name"] == "target-mask.png"
    answer = ask["take_mask"]({"path": brought(Path(saved["file"])), "scene": given | {"strokes": None}})
    assert np.array_equal(hole_in(answer), scene.load(toy_scene).hole)
    assert answer["notices"] == []


def test_a_mask_saved_with_an_extension_stays_in_place_when_that_changes(
    ask: dict[str, Question], toy_scene: Path, tmp_path: Path
) -> None:
    given = value(toy_scene) | {"extend": [10, 0, 0, 0]}
    saved = ask["give_mask"]({"scene": given})
    answer = ask["take_mask"]({"path": brought(Path(saved["file"])), "scene": given | {"strokes": None}})
    later = given | {"strokes": answer["strokes"], "mask": answer["mask"], "extend": [0, 0, 0, 4]}
    again = ask["give_mask"]({"scene": later})
    assert np.array_equal(np.asarray(Image.open(again["file"]))[:-4] > 0, scene.load(toy_scene).hole)


def test_a_mask_of_another_size_is_taken_with_a_sentence(
    ask: dict[str, Question], toy_scene: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.tri(45, 60, dtype=np.uint8) * 255).save(tmp_path / "half.png")
    answer = ask["take_mask"]({"path": brought(tmp_path / "half.png"), "scene": value(toy_scene)})
    assert hole_in(answer).shape == (90, 120)
    assert "scaled" in answer["notices"][0]


def test_a_mask_that_marks_nothing_is_refused(ask: dict[str, Question], toy_scene: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(tmp_path / "black.png")
    answer = ask["take_mask"]({"path": brought(tmp_path / "black.png"), "scene": value(toy_scene)})
    assert "marks nothing" in answer["error"]


def test_a_scene_goes_out_as_a_zip_and_comes_back(ask: dict[str, Question], toy_scene: Path, tmp_path: Path) -> None:
    given = value(toy_scene) | {"extend": [6, 0, 0, 0]}
    saved = ask["give_scene"]({"scene": given})
    assert saved["name"] == "target.zip"
    with zipfile.ZipFile(saved["file"]) as archive:
        archive.extractall(tmp_path / "out")
    loaded = scene.load(tmp_path / "out" / "target")  # as the command line takes it
    assert loaded.hole.shape == (90, 126)
    assert loaded.hole[:, :6].all()
    answer = ask["open_zip"]({"path": brought(Path(saved["file"]))})
    assert np.array_equal(hole_in(answer), loaded.hole)
    assert len(answer["references"]) == 2
    assert (answer["target"]["width"], answer["target"]["height"]) == (126, 90)
    assert ask["keep_scene"]({"scene": answer | {"target": answer["target"]["path"], "references": []}})["draft"]
    assert not list((uploads.folder() / "packed").rglob("*.png"))


def test_a_scene_of_variants_comes_back_as_one(ask: dict[str, Question], toy_scene: Path) -> None:
    saved = ask["give_scene"]({"scene": value(toy_scene) | {"variants": True, "strokes": None}})
    answer = ask["open_zip"]({"path": brought(Path(saved["file"]))})
    assert answer["variants"] is True
    assert answer["strokes"] is None


def test_a_folder_is_opened_by_its_files(ask: dict[str, Question], toy_scene: Path) -> None:
    sent = [
        {"name": f"/toy/{path.relative_to(toy_scene)}", "path": brought(path)}
        for path in sorted(toy_scene.rglob("*")) if path.is_file()
    ]  # fmt: skip
    answer = ask["open_files"]({"files": sent})
    assert np.array_equal(hole_in(answer), scene.load(toy_scene).hole)
    assert answer["mask"] is not None
    assert answer["name"] == "toy"


def test_a_photo_as_a_mask_is_understood_or_refused_on_every_door(
    ask: dict[str, Question], toy_scene: Path, tmp_path: Path
) -> None:
    hole, mask = scene.load(toy_scene).hole, toy_scene / "target" / "mask.png"
    given = value(toy_scene)
    with Image.open(toy_scene / "target" / "gt.png") as truth:
        photo = np.array(truth)
    Image.fromarray(photo).save(toy_scene / "target" / "target.png")
    for name, pixels in (("red", np.where(hole[..., None], np.array([255, 0, 0], np.uint8), photo)), ("plain", photo)):
        Image.fromarray(pixels).save(mask)
        archive = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for path in (*toy_scene.glob("ref/*"), *toy_scene.glob("target/*")):
                packed.write(path, path.relative_to(toy_scene))
        given["target"] = brought(toy_scene / "target" / "target.png")
        uploaded = shutil.copyfile(mask, tmp_path / f"{name}.png")
        answers = [
            ask["take_mask"]({"path": brought(uploaded), "scene": given}), ask["open_zip"]({"path": brought(archive)})
        ]  # fmt: skip
        for answer in answers:
            if name == "red":
                assert np.array_equal(hole_in(answer), hole)
                assert "is the photo with a part painted red" in answer["notices"][0]
            else:
                assert "is the photo itself, with nothing painted in it" in answer["error"]


@pytest.mark.parametrize("door", ["open_files", "open_zip"])
def test_files_beside_photos_are_passed_over_and_others_are_named(
    ask: dict[str, Question], toy_scene: Path, tmp_path: Path, door: str
) -> None:
    names = ["0.png.out.pp3", "0.png.dop", "0.MOV", "0.CR3", "Icon\r", "Thumbs.db", "clip.gif"]
    if door == "open_zip":
        for name in names:
            (toy_scene / "ref" / name).write_bytes(b"")
        with zipfile.ZipFile(tmp_path / "toy.zip", "w") as archive:
            for path in toy_scene.rglob("*"):
                archive.write(path, f"toy/{path.relative_to(toy_scene)}")
        answer = ask[door]({"path": brought(tmp_path / "toy.zip")})
    else:
        sent = [
            {"name": f"/toy/{path.relative_to(toy_scene)}", "path": brought(path)}
            for path in sorted(toy_scene.rglob("*")) if path.is_file()
        ]  # fmt: skip
        others: list[object] = [*(f"/toy/ref/{name}" for name in names), 7, None]
        answer = ask[door]({"files": sent, "others": others})
    assert len(answer["references"]) == 2 and answer["name"] == "toy"
    assert [notice[:47] for notice in answer["notices"]] == ["ref/clip.gif is no picture by its ending and wa"]


def test_a_scene_is_called_as_where_it_comes_from(ask: dict[str, Question], toy_scene: Path, tmp_path: Path) -> None:
    given = value(toy_scene)
    assert read_payload(given).name == ""  # own photos: whoever starts takes the name of the target's file
    saved = ask["give_scene"]({"scene": given | {"name": "  A day\n at the sea  "}})
    assert saved["name"] == "A day at the sea.zip"
    trip = tmp_path / "Trip.zip"
    shutil.copyfile(saved["file"], trip)
    opened = ask["open_zip"]({"path": brought(trip)})
    assert opened["name"] == "Trip"
    assert read_payload(opened | {"references": [], "target": None, "mask": None}).name == "Trip"
    assert read_payload({"name": "x" * 199}).name == "x" * LONGEST_NAME
    assert read_payload({"name": ["x"]}).name == ""


def test_one_copy_of_a_folder_serves_many_looks(folder: Path, toy_scene: Path) -> None:
    first = open_scene(toy_scene, "Toy")
    assert open_scene(toy_scene, "Toy") == first
    assert len(list((uploads.folder() / "opened").glob("*/*"))) == 1
    Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(toy_scene / "target" / "target.png")
    assert open_scene(toy_scene, "Toy")["target"]["path"] != first["target"]["path"]


def test_a_scene_folder_is_copied_and_shown(ask: dict[str, Question], toy_scene: Path) -> None:
    answer = open_scene(toy_scene)
    assert all(Path(photo["path"]).is_relative_to(uploads.folder()) for photo in answer["references"])
    (toy_scene / "target" / "mask.png").unlink()
    assert open_scene(toy_scene)["strokes"] is None


def test_a_scene_is_kept_and_recalled(ask: dict[str, Question], toy_scene: Path) -> None:
    given = value(toy_scene) | {"extend": [0, 3, 0, 0]}
    draft = ask["keep_scene"]({"scene": given, "draft": None})["draft"]
    answer = json.loads(json.dumps(ask["recall_scene"]({"draft": draft})))
    assert [photo["path"] for photo in answer["references"]] == given["references"]
    assert answer["target"]["path"] == given["target"]
    assert answer["extend"] == [0, 3, 0, 0]
    assert np.array_equal(hole_in(answer), scene.load(toy_scene).hole)
    assert ask["keep_scene"]({"scene": {}, "draft": draft}) == {"draft": draft}
    assert ask["recall_scene"]({"draft": draft})["references"] == []
    for unknown in ("x" * 22, "../x", None, 3):
        assert ask["recall_scene"]({"draft": unknown}) == {}


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    """The account of a visitor named "one" in a small ledger."""
    made = Ledger(folder, Quota(visitor=4 * uploads.BLOCK, spare=0))
    token = quotas._ACCOUNT.set(Account(made, "one"))
    yield made
    quotas._ACCOUNT.reset(token)


def zipped(path: Path, files: Mapping[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return brought(path)


def opened_folders() -> list[Path]:
    return list((uploads.folder() / "opened").glob("*"))


def test_what_cannot_be_opened_leaves_nothing_behind(ask: dict[str, Question], toy_scene: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"<svg/>")
    photo, bad = toy_scene / "target" / "target.png", tmp_path / "bad.png"
    archive = zipped(tmp_path / "a.zip", {"ref/a.png": photo.read_bytes(), "target/target.png": bad.read_bytes()})
    assert "target.png" in ask["open_zip"]({"path": archive})["error"]
    sent = [{"name": "s/ref/a.png", "path": brought(photo)}, {"name": "s/target/target.png", "path": brought(bad)}]
    assert "target.png" in ask["open_files"]({"files": sent})["error"]
    assert opened_folders() == []


def test_what_is_unpacked_counts_in_the_day_of_who_asked(
    ask: dict[str, Question], toy_scene: Path, tmp_path: Path, ledger: Ledger
) -> None:
    photo = (toy_scene / "target" / "target.png").read_bytes()
    large = photo + bytes(3 * uploads.BLOCK - 2 * len(photo))  # a zip makes nothing of the rest
    archive = zipped(tmp_path / "a.zip", {"ref/a.png": photo, "target/target.png": large})
    assert Path(archive).stat().st_size < uploads.BLOCK
    assert "error" not in ask["open_zip"]({"path": archive})
    assert "come back tomorrow" in ask["open_zip"]({"path": archive})["error"]
    place = tmp_path / "large.png"
    place.write_bytes(large)
    sent = [{"name": "target/target.png", "path": brought(place)}]
    assert "come back tomorrow" in ask["open_files"]({"files": sent})["error"]
    assert len(opened_folders()) == 1
    ledger.admit("one", uploads.BLOCK)
    with pytest.raises(Refused):
        ledger.admit("one", 1)


def test_what_is_kept_counts_in_the_day_of_who_asked(ask: dict[str, Question], ledger: Ledger) -> None:
    drafts = [ask["keep_scene"]({"scene": {}})["draft"] for _ in range(4)]
    assert ask["keep_scene"]({"scene": {"name": "x"}, "draft": drafts[0]}) == {"draft": drafts[0]}
    assert "come back tomorrow" in ask["keep_scene"]({"scene": {}})["error"]
    assert len(list((uploads.folder() / "drafts").iterdir())) == 4


@pytest.mark.parametrize("asked", ["give_mask", "give_scene", "begin_draft", "extended"])
def test_what_is_made_counts_in_the_day_of_who_asked(
    asked: str, ask: dict[str, Question], toy_scene: Path, ledger: Ledger
) -> None:
    given = value(toy_scene) | {"tab": "a"}
    ledger.admit("one", 4 * uploads.BLOCK - 20)
    if asked == "extended":
        with pytest.raises(Refused, match="come back tomorrow"):
            scene_inputs(read_payload(given | {"extend": [6, 0, 0, 0]}))
    else:
        assert "come back tomorrow" in ask[asked]({"scene": given, "tab": "a"})["error"]


def test_the_newest_scenes_of_a_visitor_stay(
    ask: dict[str, Question], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_DRAFTS", 2)
    for visitor in ("one", "another"):
        quotas._ACCOUNT.set(Account(ledger, visitor))
        for _ in range(3):
            ask["keep_scene"]({"scene": {}})
    assert len(list((uploads.folder() / "drafts").iterdir())) == 4


def test_a_recalled_scene_tells_what_is_lost(ask: dict[str, Question], toy_scene: Path) -> None:
    given = value(toy_scene)
    draft = ask["keep_scene"]({"scene": given})["draft"]
    Path(given["references"][0]).unlink()
    answer = ask["recall_scene"]({"draft": draft})
    assert len(answer["references"]) == 1
    assert "not on the server any more" in answer["notices"][0]


def test_overlap_is_counted_and_remembered(
    ask: dict[str, Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    photo = Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).resize((480, 360), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "a.png")
    photo.rotate(6).save(tmp_path / "b.png")
    Image.new("RGB", (300, 200)).save(tmp_path / "c.png")
    a, b, c = (brought(tmp_path / f"{name}.png") for name in "abc")
    same = ask["look_overlap"]({"target": a, "reference": b})
    assert same["shared"] > 50
    assert same["little"] is False
    assert ask["look_overlap"]({"target": a, "reference": c}) == {"shared": 0, "little": True}
    assert ask["look_overlap"]({"target": a, "reference": a}) == {"same": True}
    monkeypatch.setattr(decoder, "call", None)  # a second look reads nothing
    assert ask["look_overlap"]({"target": a, "reference": b}) == same


def test_what_is_in_a_box_is_marked(ask: dict[str, Question], tmp_path: Path) -> None:
    photo = Image.new("RGB", (200, 150), (120, 160, 120))
    photo.paste((200, 20, 20), (80, 50, 120, 100))
    photo.save(tmp_path / "sign.png")
    target = brought(tmp_path / "sign.png")
    answer = ask["mark_object"]({"target": target, "box": [70, 40, 130, 110]})
    hole = hole_in(answer)
    assert hole[50:100, 80:120].all() and hole.sum() < 60 * 70
    for box in ([70, 40, 70, 110], [-50, -50, 900, 900]):
        assert "Nothing stands out" in ask["mark_object"]({"target": target, "box": box})["error"]
    for forged in (None, [1, 2, 3], [1, 2, 3, "4"], [1.5, 2, 3, 4]):
        assert "draw it again" in ask["mark_object"]({"target": target, "box": forged})["error"]


def test_the_thing_at_a_point_is_marked_and_rough_marks_are_fitted(ask: dict[str, Question], tmp_path: Path) -> None:
    photo = Image.new("RGB", (200, 150), (120, 160, 120))
    photo.paste((200, 20, 20), (80, 50, 120, 100))
    photo.save(tmp_path / "sign.png")
    target = brought(tmp_path / "sign.png")
    pointed = hole_in(ask["mark_object"]({"target": target, "box": [100, 75, 100, 75]}))
    assert pointed[50:100, 80:120].all() and pointed.sum() < 60 * 70
    rough = np.zeros((150, 200), np.bool_)
    rough[44:110, 70:126] = True
    scene = {"target": target, "strokes": mask_rle.encode(rough)}
    fitted = hole_in(ask["fit_marks"]({"scene": scene}))
    assert fitted[50:100, 80:120].all() and fitted.sum() < 50 * 60
    assert "Nothing is marked" in ask["fit_marks"]({"scene": {"target": target}})["error"]


def test_what_a_base_sees_is_what_the_run_will_crop(ask: dict[str, Question]) -> None:
    hole = np.zeros((900, 1200), np.bool_)
    hole[200:500, 300:420] = True
    asked: dict[str, Any] = {
        "hole": [300, 200, 420, 500],
        "width": 1200,
        "height": 900,
        "context": 0.5,
        "size": 256,
        "multiple": 32,
    }
    crop = crop_around(hole, size=256, multiple=32, context=0.5)
    seen = ask["frame_context"](asked)
    assert seen["box"] == list(crop.box) and (seen["width"], seen["height"]) == (crop.width, crop.height)
    assert seen["enlargement"] == 1 / crop.scale
    forged: list[dict[str, Any]] = [
        {"hole": [300, 200, 300, 500]}, {"hole": [0, 0, 1, 901]}, {"hole": None}, {"width": 10**9}, {"size": 0},
        {"multiple": 0}, {"context": -1}, {"context": float("nan")}, {"context": "1"}, {"height": 900.5},
    ]  # fmt: skip
    for change in forged:
        assert "cannot be drawn" in ask["frame_context"](asked | change)["error"]


def test_a_photo_that_is_too_small_is_told(ask: dict[str, Question], tmp_path: Path) -> None:
    for width, height, told in ((1, 1, True), (200, 40, True), (64, 64, False)):
        Image.new("RGB", (width, height)).save(tmp_path / f"{width}.png")
        path = brought(tmp_path / f"{width}.png")
        for question in ("take_reference", "take_target"):
            assert ("only" in ask[question]({"path": path})["notice"]) == told


def test_an_example_opens_as_a_scene(
    ask: dict[str, Question], toy_scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "FOLDER", toy_scene.parent / "examples")
    assert ask["list_examples"]({}) == {"examples": []}
    shutil.copytree(toy_scene, toy_scene.parent / "examples" / "toy")
    (found,) = ask["list_examples"]({})["examples"]
    assert found["name"] == "toy"
    assert Path(found["thumb"]).is_file()
    answer = ask["open_example"]({"name": "toy"})
    assert np.array_equal(hole_in(answer), scene.load(toy_scene).hole)
    assert answer["name"] == "toy"
    assert "no example 'x'" in ask["open_example"]({"name": "x"})["error"]


FORGED: list[Any] = [None, 3, "x", [], {}, {"path": None}, {"path": "/etc/passwd"}, {"path": "http://127.0.0.1/"},
          {"path": {"path": "/etc/passwd"}}, {"scene": 3}, {"scene": {"target": "/etc/passwd"}},
          {"files": [{"name": "ref/a.png", "path": "/etc/passwd"}]}, {"files": 3}, {"name": ["x"]}]  # fmt: skip


@pytest.mark.parametrize("asked", FORGED, ids=repr)
def test_forged_questions_are_answered_by_a_sentence(ask: dict[str, Question], asked: Any) -> None:
    for name, question in ask.items():
        if name in ("list_examples", "keep_scene", "recall_scene", "drop_draft"):  # these have an answer to nothing
            continue
        answer = question(asked)
        assert answer["error"].endswith(".")
        assert "defect" not in answer["error"], name
        assert "/etc" not in answer["error"]


def test_a_defect_is_a_sentence(ask: dict[str, Question], monkeypatch: pytest.MonkeyPatch, toy_scene: Path) -> None:
    monkeypatch.setattr(decoder, "thumbnail", None)
    answer = ask["take_reference"]({"path": brought(toy_scene / "target" / "target.png")})
    assert "defect" in answer["error"]


def test_what_is_no_photo_is_a_sentence_without_folders(ask: dict[str, Question], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(io.BytesIO(b"<svg onload=alert(1)>").getvalue())
    for name in ("take_reference", "take_target"):
        answer = ask[name]({"path": brought(tmp_path / "a.png")})
        assert "a.png is not a picture" in answer["error"]
        assert str(uploads.folder()) not in answer["error"]


def test_a_zip_without_references_is_a_sentence(ask: dict[str, Question], toy_scene: Path, tmp_path: Path) -> None:
    shutil.rmtree(toy_scene / "ref")
    archive = brought(Path(shutil.make_archive(str(tmp_path / "bare"), "zip", toy_scene)))
    assert "no reference photos" in ask["open_zip"]({"path": archive})["error"]
    listed = [{"name": f"toy/target/{name}", "path": brought(toy_scene / "target" / name)} for name in ("target.png",)]
    assert "no reference photos" in ask["open_files"]({"files": listed})["error"]


def test_links_in_a_scene_folder_are_not_followed(ask: dict[str, Question], toy_scene: Path, folder: Path) -> None:
    first = sorted((toy_scene / "ref").iterdir())[0]
    (toy_scene / "ref" / "zz.png").symlink_to(first)
    assert len(open_scene(toy_scene)["references"]) == 2
