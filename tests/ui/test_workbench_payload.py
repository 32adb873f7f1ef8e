import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from realfill.arrays import Hole
from realfill.errors import SceneError
from realfill.imaging import decode
from realfill.scene import scene
from realfill.scene.outpaint import Extension
from ui.runs.scene_inputs import SceneInputs
from ui.workbench import mask_rle, payload
from ui.workbench.mask_rle import reduce_mask
from ui.workbench.payload import drop_lost, read_mask_file, read_payload, scene_inputs


def brought(folder: Path, path: Path) -> str:
    place = folder / "uploads" / path.parent.name / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    return str(place)


def marked(inputs: SceneInputs) -> Hole:
    """What is missing in the target that a run will have."""
    assert inputs.mask is not None
    return decode.read_original(inputs.mask).pixels > 0


@pytest.fixture
def value(folder: Path, toy_scene: Path) -> dict[str, Any]:
    """The toy scene as the browser sends it: its mask painted."""
    hole = scene.load(toy_scene).hole
    return {
        "references": [brought(folder, path) for path in sorted((toy_scene / "ref").iterdir())],
        "target": brought(folder, toy_scene / "target" / "target.png"),
        "strokes": mask_rle.encode(hole),
        "extend": [0, 0, 0, 0],
        "mask": None,
        "variants": False,
        "pending": 0,
    }


def test_what_was_painted_is_the_hole(value: dict[str, Any], toy_scene: Path) -> None:
    inputs, variants = scene_inputs(read_payload(value))
    assert not variants
    assert [str(path) for path in inputs.references] == value["references"]
    assert str(inputs.target) == value["target"]
    assert np.array_equal(marked(inputs), scene.load(toy_scene).hole)


def test_there_and_back_it_is_the_same_scene(value: dict[str, Any]) -> None:
    value |= {"extend": [1, 2, 3, 4], "mask": value["target"], "variants": True, "name": "Toy"}
    again = read_payload(value).to_json()
    assert again == {name: value[name] for name in again}
    assert read_payload(None).to_json() == read_payload("").to_json() == read_payload({}).to_json()


def test_an_extended_target_keeps_its_pixels_and_the_upload_its_bytes(value: dict[str, Any], tmp_path: Path) -> None:
    before = Path(value["target"]).read_bytes()
    inputs, _ = scene_inputs(read_payload(value | {"extend": [10, 0, 20, 5]}))
    assert Path(value["target"]).read_bytes() == before
    assert inputs.target.name == "target.png"
    old, new = decode.read_original(Path(value["target"])), decode.read_original(inputs.target)
    assert (new.height, new.width) == (old.height + 5, old.width + 30)
    assert np.array_equal(new.pixels[: old.height, 10 : 10 + old.width], old.pixels)
    scene.assemble(tmp_path / "scene", inputs.references, inputs.target, inputs.mask)
    made = scene.load(tmp_path / "scene")
    assert made.hole[:, :10].all()
    assert made.hole[:, -20:].all()
    assert made.hole[-5:].all()
    assert np.array_equal(made.hole[: old.height, 10 : 10 + old.width], mask_rle.decode(value["strokes"]))
    assert scene_inputs(read_payload(value | {"extend": [10, 0, 20, 5]}))[0].target == inputs.target


def test_outpainting_alone_needs_no_painting(value: dict[str, Any]) -> None:
    inputs, _ = scene_inputs(read_payload(value | {"extend": [0, 8, 0, 0], "strokes": None}))
    assert marked(inputs)[:8].all()
    assert not marked(inputs)[8:].any()


def test_a_loaded_mask_counts_at_its_own_size(folder: Path, toy_scene: Path, value: dict[str, Any]) -> None:
    """Not as the canvas shows it: one pixel of a large mask is one pixel of the run's."""
    hole = np.zeros((3000, 4000), np.bool_)
    hole[100, 100] = True
    Image.fromarray(np.zeros((3000, 4000, 3), np.uint8)).save(toy_scene / "target" / "target.png")
    Image.fromarray(hole).save(toy_scene / "target" / "mask.png")
    target, mask = (brought(folder, toy_scene / "target" / f"{name}.png") for name in ("target", "mask"))
    shown = mask_rle.encode(reduce_mask(hole))
    inputs, _ = scene_inputs(read_payload(value | {"target": target, "mask": mask, "strokes": shown}))
    assert np.array_equal(marked(inputs), hole)


def test_a_mask_saved_with_the_extension_is_understood(folder: Path, tmp_path: Path, value: dict[str, Any]) -> None:
    found = read_payload(value | {"extend": [4, 6, 2, 0]})
    assert found.target is not None
    original = decode.read_original(found.target)
    Image.fromarray(payload.whole_hole(found, original).astype(np.uint8) * 255).save(tmp_path / "mask.png")
    drawn = decode.read_original(tmp_path / "mask.png")
    inner, _ = read_mask_file(drawn, "mask.png", original, found.extension)
    assert np.array_equal(inner, mask_rle.decode(value["strokes"]))


def test_variants_need_no_mask(value: dict[str, Any]) -> None:
    inputs, variants = scene_inputs(read_payload(value | {"variants": True, "strokes": None}))
    assert variants
    assert inputs.mask is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"references": []}, "no reference yet"),
        ({"references": None}, "no reference yet"),
        ({"target": None}, "no target yet"),
        ({"strokes": None}, "Nothing is marked yet"),
        ({"pending": 1}, "still being uploaded"),
        ({"references": ["/etc/passwd"]}, "upload it again"),
        ({"references": "/etc/passwd"}, "upload it again"),
        ({"references": [["x"]]}, "upload it again"),
        ({"references": ["http://169.254.169.254/"]}, "upload it again"),
        ({"references": ["x"] * 65}, "upload it again"),
        ({"target": "/etc/passwd"}, "upload it again"),
        ({"target": "https://example.org/a.png"}, "upload it again"),
        ({"target": {"path": "/etc/passwd"}}, "upload it again"),
        ({"mask": "/proc/self/environ"}, "upload it again"),
        ({"extend": [0, 0, 0]}, "20000 pixels"),
        ({"extend": [0, 0, 0, -1]}, "20000 pixels"),
        ({"extend": [0, 0, 0, 1.5]}, "20000 pixels"),
        ({"extend": [0, 0, 0, True]}, "20000 pixels"),
        ({"extend": "all"}, "20000 pixels"),
        ({"extend": [20_000] * 4}, "megapixels"),
        ({"strokes": {"height": 4, "width": 4, "runs": "AAQ="}}, "reload the page"),
        ({"strokes": mask_rle.encode(np.ones((300, 20), np.bool_))}, "another photo"),
    ],
)
def test_what_is_missing_or_forged_is_a_sentence(value: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SceneError, match=sentence):
        scene_inputs(read_payload(value | change))


@pytest.mark.parametrize("forged", [3, "x", [1], ["references"]])
def test_what_is_no_scene_is_refused(forged: object) -> None:
    with pytest.raises(SceneError, match="reload the page"):
        read_payload(forged)


def test_lost_files_are_left_out(value: dict[str, Any]) -> None:
    Path(value["references"][0]).unlink()
    found, lost = drop_lost(value)
    assert lost
    assert [str(path) for path in found.references] == value["references"][1:]
    assert found.strokes is not None
    Path(value["target"]).unlink()
    found, lost = drop_lost(value | {"extend": [1, 1, 1, 1]})
    assert lost
    assert (found.target, found.strokes, found.extension) == (None, None, Extension())


def test_nothing_lost_is_said_so(value: dict[str, Any]) -> None:
    assert drop_lost(value)[1] is False
