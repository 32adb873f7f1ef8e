"""The exported picture: which seed, what it is blended from, and the record of how it was made."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill import config
from realfill.errors import OptionError, RunError
from realfill.imaging import holes
from realfill.runs.export import (
    choose_seed,
    chosen_seed,
    crop_of_run,
    export_file,
    export_record,
    pack_lora,
    pack_pictures,
    pack_project,
    render_export,
)
from realfill.runs.run import Run
from realfill.scene import scene
from realfill.scene.scene import crop_to_fill


@pytest.fixture
def run(toy_scene: Path, tmp_path: Path) -> Run:
    """As sampling leaves it, with grey pictures, and a crop that leaves little room around the hole."""
    made = Run.create(tmp_path / "run", config.make("mini", {"export.feather": 40}), toy_scene)
    crop = crop_to_fill(scene.load(toy_scene), size=50, multiple=8, context=0.1)
    made.record(fit=crop.to_json(), base={"name": "mini", "weights_hash": "abc"})
    for seed in (3, 5, 9):
        made.write_seed(seed, np.full((crop.height, crop.width, 3), 200, np.uint8))
    return made


def _scores(run: Run, counts: dict[int, int]) -> None:
    run.write("scores", {"seeds": [{"seed": seed, "matches": count} for seed, count in counts.items()]})


def test_the_choice_a_persons_then_the_rankings_then_any(run: Run) -> None:
    assert chosen_seed(run) == (3, None)
    _scores(run, {5: 20, 9: 10, 77: 5})
    assert chosen_seed(run) == (5, 20)
    choose_seed(run, 9)
    assert chosen_seed(run) == (9, 10)
    run.seed_path(9).unlink()
    assert chosen_seed(run) == (5, 20)
    choose_seed(run, None)
    with pytest.raises(OptionError, match=r"seed 77; there are 3, 5"):
        choose_seed(run, 77)


def test_a_run_without_pictures_says_how_to_make_some(toy_scene: Path, tmp_path: Path) -> None:
    bare = Run.create(tmp_path / "bare", config.make("mini", {}), toy_scene)
    with pytest.raises(RunError, match="realfill sample"):
        chosen_seed(bare)
    with pytest.raises(RunError, match="has not begun"):
        render_export(bare, scene.load(bare.scene_folder), 0, "png")


def test_a_feather_wider_than_what_was_generated_stays_smooth(run: Run) -> None:
    """Beyond the crop nothing was generated: there the target itself is blended in, so it does not change."""
    given = scene.load(run.scene_folder)
    picture = np.asarray(Image.open(io.BytesIO(render_export(run, given, 5, "png"))))
    crop = crop_of_run(run)
    assert crop is not None
    outside = ~crop.covered_hole()
    near = holes.distance_from_hole(given.hole) <= run.config.export.feather
    assert (outside & near).any()
    np.testing.assert_array_equal(picture[outside], given.target[outside])
    edge = ~outside & ~given.hole & (holes.distance_from_hole(outside) <= 1)
    assert np.abs(picture[edge].astype(int) - given.target[edge]).max() <= 1 + 255 / 41  # it fades out towards there
    inner = np.abs(picture[given.hole].astype(int) - 200)
    assert inner.max() <= 2


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.tif", "TIFF"), ("a.webp", "WEBP")])
def test_the_name_says_the_format(run: Run, tmp_path: Path, name: str, kind: str) -> None:
    assert export_file(run, tmp_path / "out" / name) == 3
    with Image.open(tmp_path / "out" / name) as picture:
        assert (picture.format, picture.size) == (kind, (120, 90))


@pytest.mark.parametrize("name", ["a.gif", "a", "png", "a.heic", ".png.txt"])
def test_other_names_are_refused_before_any_work(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="does not say a format"):
        export_file(run, tmp_path / name)


@pytest.mark.parametrize(
    "name", ["scene/target/target.png", "seeds/000003.png", "confidence.png", "new/a.png", "link.png"]
)
def test_nothing_of_the_run_is_written_over(run: Run, tmp_path: Path, name: str) -> None:
    (run.folder / "confidence.png").write_bytes(b"dear")
    (tmp_path / "link.png").symlink_to(run.seed_path(5))
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(OptionError, match="belongs to the run"):
        export_file(run, (tmp_path if name == "link.png" else run.folder) / name)
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_beside_the_run_s_own_result_there_is_room_for_others(run: Run) -> None:
    for _ in range(2):  # again over what is there
        assert export_file(run, run.folder / "final.jpg") == 3


def test_the_record_says_all_that_made_it(run: Run) -> None:
    _scores(run, {5: 20, 9: 10})
    record = json.loads(json.dumps(export_record(run, 9)))
    assert (record["seed"], record["matches"]) == (9, 10)
    assert record["base"]["weights_hash"] == "abc"
    assert config.validate(record["config"]) == run.config
    assert record["versions"]["numpy"]


def _unzipped(data: io.BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(data) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_several_pictures_in_one_zip_are_what_each_alone_is(run: Run) -> None:
    given, packed = scene.load(run.scene_folder), io.BytesIO()
    pack_pictures(run, given, [9, 3], "tiff", packed)
    found = _unzipped(packed)
    assert list(found) == ["000009.tif", "000003.tif", "settings.json"]
    assert found["000003.tif"] == render_export(run, given, 3, "tiff")
    assert json.loads(found["settings.json"])["config"]["export"]["feather"] == 40


def test_the_adapter_leaves_with_its_settings_and_not_before_it_is_there(run: Run) -> None:
    with pytest.raises(RunError, match="no adapter yet"):
        pack_lora(run, io.BytesIO())
    run.lora.mkdir()
    (run.lora / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
    packed = io.BytesIO()
    pack_lora(run, packed)
    found = _unzipped(packed)
    assert found["pytorch_lora_weights.safetensors"] == b"weights"
    assert json.loads(found["settings.json"])["base"]["weights_hash"] == "abc"


def test_a_packed_project_opens_elsewhere(run: Run, tmp_path: Path) -> None:
    run.labels.update(name="Grandmother's garden")
    (run.folder / "log.txt").write_text("/home/me")
    (tmp_path / "secret").write_text("secret")
    (run.folder / "link").symlink_to(tmp_path / "secret")
    packed = io.BytesIO()
    pack_project(run, packed)
    found = _unzipped(packed)
    assert not {"log.txt", "lock", "stop", "link"} & found.keys()
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "elsewhere")
    again = Run.open(tmp_path / "elsewhere")
    assert (again.labels.name, again.config, again.seeds_done()) == (run.labels.name, run.config, [3, 5, 9])
    assert np.array_equal(scene.load(again.scene_folder).hole, scene.load(run.scene_folder).hole)


def test_matching_colours_is_done_where_it_is_asked_for(run: Run) -> None:
    given = scene.load(run.scene_folder)
    plain = np.asarray(Image.open(io.BytesIO(render_export(run, given, 5, "png"))))
    export = run.config.export.model_copy(update={"match_colour": True})
    run.update(run.config.model_copy(update={"export": export}))
    met = np.asarray(Image.open(io.BytesIO(render_export(run, given, 5, "png"))))
    far = holes.distance_from_hole(given.hole) > 40
    assert np.array_equal(met[far], plain[far])
    assert (plain[given.hole] == 200).all() and met[given.hole].mean() < 195  # the target is darker than the grey


def test_no_packer_follows_links(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("secret")
    run.lora.mkdir()
    (run.lora / "adapter.safetensors").write_bytes(b"weights")
    (run.lora / "file").symlink_to(tmp_path / "elsewhere" / "secret")
    (run.lora / "folder").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for pack in (pack_lora, pack_project):
        into = io.BytesIO()
        pack(run, into)
        with zipfile.ZipFile(into) as archive:
            assert not [name for name in archive.namelist() if "file" in name or "folder" in name or "secret" in name]
            assert [name for name in archive.namelist() if name.endswith("adapter.safetensors")]
    run.lora.rename(tmp_path / "lora")
    run.lora.symlink_to(tmp_path / "lora", target_is_directory=True)
    with pytest.raises(RunError, match="no adapter"):
        pack_lora(run, io.BytesIO())


def test_a_fit_that_was_changed_by_hand_is_a_sentence(run: Run) -> None:
    data, scene_of_run = json.loads((run.folder / "run.json").read_text()), scene.load(run.scene_folder)
    fit = data["fit"]
    for changed in ({**fit, "box": [0, 0, 1e9, 1e9]}, {**fit, "photo_width": fit["photo_width"] + 1}, "x", {}):
        (run.folder / "run.json").write_text(json.dumps({**data, "fit": changed}))
        with pytest.raises(RunError, match="fit"):
            render_export(Run.open(run.folder), scene_of_run, 3, "png")
