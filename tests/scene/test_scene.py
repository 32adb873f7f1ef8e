"""Every input rule: what a scene folder may hold, how a mask is understood, and each refusal's sentence."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image

from realfill.errors import DiskFull, OptionError, RunError, SceneError
from realfill.imaging.crop import CropTransform
from realfill.imaging.decode import rotate_upright
from realfill.scene import scene
from realfill.scene.scene import Scene
from realfill.seeds import rng
from tests import files16

H, W = 40, 60
Array = npt.NDArray[Any]


def noise(seed: int = 0, height: int = H, width: int = W) -> npt.NDArray[np.uint8]:
    return rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def box(height: int = H, width: int = W) -> npt.NDArray[np.bool_]:
    """Off centre, so that every wrong turn shows."""
    hole = np.zeros((height, width), np.bool_)
    hole[height // 8 : height // 2, width // 2 : width * 9 // 10] = True
    return hole


def save(path: Path, pixels: Array, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def white(hole: Array) -> Array:
    return hole.astype(np.uint8) * np.uint8(255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two references, a target and its mask."""
    root = tmp_path / "kitchen"
    save(root / "ref" / "0.png", noise(1))
    save(root / "ref" / "1.png", noise(2, 30, 50))
    save(root / "target" / "target.png", noise(3))
    save(root / "target" / "mask.png", white(box()))
    return root


def same(one: Scene, other: Scene) -> bool:
    arrays = [(one.hole, other.hole), (one.target, other.target), (one.original.pixels, other.original.pixels)]
    arrays += zip(one.references, other.references, strict=True)
    if one.truth is not None and other.truth is not None:
        arrays.append((one.truth, other.truth))
    equal = all(np.array_equal(left, right) and left.dtype == right.dtype for left, right in arrays)
    return equal and (one.truth is None) == (other.truth is None)


# ---- the folder


def test_a_scene_is_read(folder: Path) -> None:
    loaded = scene.load(folder)
    assert loaded.name == "kitchen"
    assert [reference.shape for reference in loaded.references] == [(H, W, 3), (30, 50, 3)]
    assert np.array_equal(loaded.hole, box())
    assert np.array_equal(loaded.original.pixels, noise(3))
    assert np.array_equal(loaded.target[~loaded.hole], noise(3)[~box()])
    assert loaded.truth is None and loaded.notices == ()


def test_without_references_none_is_decoded(folder: Path) -> None:
    whole = scene.load(folder)
    for path in (folder / "ref").iterdir():
        path.write_bytes(b"no picture")
    alone = scene.load(folder, references=False)
    assert not alone.references and len(whole.references) > 0
    assert np.array_equal(alone.target, whole.target) and np.array_equal(alone.hole, whole.hole)


def test_what_the_file_holds_in_the_hole_is_not_in_the_target(folder: Path) -> None:
    """Paint of any colour there: the same scene for the model, and colours that occur in the known part."""
    before = scene.load(folder)
    for paint in (0, 255, noise(9)):
        save(
            folder / "target" / "target.png", np.where(box()[..., None], np.uint8(0) + paint, noise(3)).astype(np.uint8)
        )
        assert np.array_equal(scene.load(folder).target, before.target)
    known = {tuple(colour) for colour in noise(3)[~box()].tolist()}
    assert {tuple(colour) for colour in before.target[box()].tolist()} <= known
    left_edge = before.target[H // 4, W // 2]
    assert np.array_equal(left_edge, noise(3)[H // 4, W // 2 - 1])  # the nearest one


def test_dotfiles_sidecars_and_folders_are_ignored(folder: Path) -> None:
    before = scene.load(folder)
    names = [
        ".DS_Store",
        "Thumbs.db",
        "._0.png",
        "0.json",
        "0.xmp",
        "notes.txt",
        "desktop.ini",
        "0.PNG.XMP",
        ".hidden.png",
    ]
    for name in names:
        (folder / "ref" / name).write_bytes(b"not a picture")
        (folder / "target" / name).write_bytes(b"not a picture")
    for name in ("target.xmp", "mask.json", "._target.jpg", "target.txt"):
        (folder / "target" / name).write_bytes(b"not a picture")
    (folder / "ref" / "@eaDir").mkdir()
    assert same(scene.load(folder), before)


def test_references_are_in_natural_order(tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(folder / "ref")
    for level, name in enumerate(["IMG_2.png", "img_10.png", "img_010b.png", "Z.png"]):
        save(folder / "ref" / name, np.full((4, 4, 3), 10 * level, np.uint8))
    assert [int(reference[0, 0, 0]) for reference in scene.load(folder).references] == [0, 10, 20, 30]


def test_names_may_have_any_case_and_format(folder: Path) -> None:
    (folder / "target" / "target.png").rename(folder / "target" / "Target.PNG")
    (folder / "target" / "mask.png").unlink()
    save(folder / "target" / "MASK.TIF", white(box()))
    assert np.array_equal(scene.load(folder).hole, box())


def test_truth_is_read_and_left_out_when_its_size_differs(folder: Path) -> None:
    save(folder / "target" / "gt.png", noise(7))
    assert np.array_equal(scene.load(folder).truth, noise(7))  # type: ignore[arg-type]
    save(folder / "target" / "gt.png", noise(7, 20, 20))
    loaded = scene.load(folder)
    assert loaded.truth is None
    assert any("gt has another size" in notice for notice in loaded.notices)


def test_lossy_targets_are_announced_as_re_encoded(folder: Path) -> None:
    (folder / "target" / "target.png").unlink()
    save(folder / "target" / "target.jpg", noise(3))
    notices = scene.load(folder).notices
    assert len(notices) == 1 and notices[0].startswith("target.jpg (JPEG) cannot be written back bit for bit")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "L16", "RGB16", "RGBA16", "HEIC"])
def test_a_target_of_any_kind_makes_a_scene(folder: Path, mode: str) -> None:
    pixels, target = noise(3), folder / "target"
    (target / "target.png").unlink()
    if mode == "HEIC":
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(target / "target.heic")
    elif mode.endswith("16"):
        channels = {"L16": 1, "RGB16": 3, "RGBA16": 4}[mode]
        deep = np.dstack([pixels.astype(np.uint16) * np.uint16(257), np.full((H, W), 65535, np.uint16)])
        (target / "target.png").write_bytes(files16.png(deep[:, :, 0] if channels == 1 else deep[:, :, :channels]))
    else:
        Image.fromarray(pixels).convert(mode).save(target / ("target.tif" if mode == "CMYK" else "target.png"))
    loaded = scene.load(folder)
    assert loaded.target.shape == (H, W, 3) and loaded.target.dtype == np.uint8
    assert loaded.original.bit_exact == (mode not in ("CMYK", "HEIC"))
    if mode in ("RGB", "RGBA", "RGB16", "RGBA16"):
        assert np.array_equal(loaded.target[~box()], pixels[~box()])


# ---- refusals


def remove(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).unlink()


def write(path: str, data: bytes) -> Callable[[Path], object]:
    return lambda root: (root / path).write_bytes(data)


def six_references(root: Path) -> None:
    for index in range(2, 6):
        save(root / "ref" / f"{index}.png", noise(index))


def huge(root: Path) -> None:
    Image.new("1", (10_000, 5_001)).save(root / "ref" / "1.png")


def no_references(root: Path) -> None:
    for path in (root / "ref").iterdir():
        path.unlink()
    (root / "ref" / "notes.txt").write_text("nothing here")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no reference": (no_references, "The scene has no reference photo; put 1 to 5 into ref/"),
    "no ref folder": (lambda root: shutil.rmtree(root / "ref"), "The scene has no reference photo"),
    "six references": (six_references, "The scene has 6 reference photos and the most are 5; keep those"),
    "no target": (remove("target/target.png"), "kitchen/target has no target picture; name it target.png"),
    "two targets": (
        lambda root: save(root / "target" / "target.jpg", noise()), "target.jpg and target.png; keep one of them"
    ),
    "no target folder": (lambda root: shutil.rmtree(root / "target"), "is not a scene; a scene is a folder with ref/"),
    "no mask": (remove("target/mask.png"), "There is no mask for target.png; add target/mask.png"),
    "empty mask": (lambda root: save(root / "target/mask.png", white(~box() & box())), "mask.png marks nothing"),
    "full mask": (lambda root: save(root / "target/mask.png", white(~box() | box())), "mask.png marks all of"),
    "not an image": (write("ref/1.png", b"hello"), "1.png is not a picture that can be read, or is damaged; use JPEG"),
    "unreadable mask": (write("target/mask.png", b"hello"), "mask.png is not a picture"),
    "truncated": (
        lambda root: (root / "target/target.png").write_bytes((root / "target/target.png").read_bytes()[:3000]),
        "target.png is damaged or cut off; copy it again",
    ),
    "over 50 megapixels": (huge, "1.png has 50.0 megapixels and the most accepted is 50; save it smaller"),
    "animated": (
        lambda root: Image.fromarray(noise()).save(
            root / "ref/1.png", save_all=True, append_images=[Image.fromarray(noise(1))]
        ),
        "1.png holds 2 frames or pages; save",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_is_one_sentence_with_the_thing_and_the_cure(folder: Path, case: str) -> None:
    spoil, part = REFUSED[case]
    spoil(folder)
    with pytest.raises(SceneError) as caught:
        scene.load(folder)
    sentence = str(caught.value)
    assert part in sentence
    assert sentence.endswith((".", ").")) and "\n" not in sentence and ";" in sentence


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_without_permission_is_refused(folder: Path) -> None:
    (folder / "ref" / "0.png").chmod(0)
    with pytest.raises(SceneError, match=r"0\.png cannot be read .*; check its permissions"):
        scene.load(folder)


def test_variants_need_no_mask_and_take_everything(folder: Path) -> None:
    (folder / "target" / "mask.png").unlink()
    loaded = scene.load(folder, variants=True)
    assert loaded.hole.all() and loaded.hole.shape == (H, W)
    assert (loaded.target == 127).all()  # a blank canvas
    save(folder / "target" / "mask.png", white(box() | True))
    assert scene.load(folder, variants=True).hole.all()


# ---- masks


def layer(colour: tuple[int, int, int], alpha: Array) -> Array:
    return np.dstack([np.full((*alpha.shape, 3), colour, np.uint8), alpha])


MASKS: dict[str, Callable[[Array], Array]] = {
    "grey": white,
    "two levels apart": lambda hole: np.where(hole, 200, 60).astype(np.uint8),
    "RGB": lambda hole: np.repeat(white(hole)[..., None], 3, 2),
    "RGBA, alpha 255": lambda hole: np.dstack([white(hole)] * 3 + [np.full(hole.shape, 255, np.uint8)]),
    "RGBA, alpha 0": lambda hole: np.dstack([white(hole)] * 3 + [np.zeros(hole.shape, np.uint8)]),
    "white strokes on a transparent layer": lambda hole: layer((255, 255, 255), white(hole)),
    "black strokes on a transparent layer": lambda hole: layer((0, 0, 0), white(hole)),
    "red strokes on a transparent layer": lambda hole: layer((220, 30, 30), white(hole)),
    "half-transparent strokes": lambda hole: layer((220, 30, 30), (hole * np.uint8(160)).astype(np.uint8)),
    "a photo with the part erased": lambda hole: np.dstack([noise(8, *hole.shape), 255 - white(hole)]),
    "black and white with a transparent margin": lambda hole: np.dstack(
        [white(hole)] * 3 + [np.where(np.arange(hole.shape[1]) < 3, 0, 255) * np.ones_like(hole, np.uint8)]
    ).astype(np.uint8),
    "red on black": lambda hole: np.dstack([white(hole), np.zeros((*hole.shape, 2), np.uint8)]),
}


@pytest.mark.parametrize("kind", MASKS)
def test_every_usual_kind_of_mask_gives_the_same_hole(folder: Path, kind: str) -> None:
    save(folder / "target" / "mask.png", MASKS[kind](box()))
    assert np.array_equal(scene.load(folder).hole, box())


def test_a_jpeg_mask_with_its_noise_is_still_two_levels(folder: Path) -> None:
    (folder / "target" / "mask.png").unlink()
    save(folder / "target" / "mask.jpg", white(box()), quality=75)
    assert np.array_equal(scene.load(folder).hole, box())


def test_grey_levels_are_cut_in_the_middle(folder: Path) -> None:
    levels = np.tile(np.linspace(0, 255, W).astype(np.uint8), (H, 1))
    save(folder / "target" / "mask.png", levels)
    assert np.array_equal(scene.load(folder).hole, levels >= 128)


def test_sixteen_bit_and_palette_masks(folder: Path) -> None:
    path = folder / "target" / "mask.png"
    path.write_bytes(files16.png(box().astype(np.uint16) * np.uint16(65535)))
    assert np.array_equal(scene.load(folder).hole, box())
    Image.fromarray(white(box())).convert("P").save(path)
    assert np.array_equal(scene.load(folder).hole, box())
    Image.fromarray(white(box())).convert("1").save(path)
    assert np.array_equal(scene.load(folder).hole, box())


def test_without_a_mask_file_the_transparent_part_is_the_hole(folder: Path) -> None:
    (folder / "target" / "mask.png").unlink()
    save(folder / "target" / "target.png", np.dstack([noise(3), 255 - white(box())]))
    assert np.array_equal(scene.load(folder).hole, box())
    save(folder / "target" / "target.png", np.dstack([noise(3), np.full((H, W), 255, np.uint8)]))
    with pytest.raises(SceneError, match=r"target\.png's transparent part marks nothing to fill; paint"):
        scene.load(folder)


def test_with_a_mask_file_an_opaque_or_transparent_target_changes_nothing(folder: Path) -> None:
    save(folder / "target" / "target.png", np.dstack([noise(3), 255 - white(~box())]))
    assert np.array_equal(scene.load(folder).hole, box())


@pytest.mark.parametrize(("height", "width"), [(80, 120), (20, 30), (54, 80), (30, 60)])
def test_a_mask_of_another_size_is_scaled_and_said(folder: Path, height: int, width: int) -> None:
    save(folder / "target" / "mask.png", white(box(height, width)))
    loaded = scene.load(folder)
    assert loaded.hole.shape == (H, W)
    assert (loaded.hole != box()).mean() < 0.08  # the border moves by a pixel
    assert f"mask.png is {width}×{height} and was scaled to the target's 60×40" in loaded.notices[0]
    assert ("check the hole" in loaded.notices[0]) == (width / height == 2)


def test_a_thin_stroke_of_a_large_mask_is_not_lost(folder: Path) -> None:
    large = np.zeros((400, 600), np.bool_)
    large[203, 100:500] = True
    save(folder / "target" / "mask.png", white(large))
    assert scene.load(folder).hole[20, 10:50].all()


# ---- orientation


def turned(folder: Path, orientation: int, *, suffix: str = "png") -> Image.Exif:
    """The target stored with an orientation so that upright it is noise(3)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(folder / "target" / f"target.{suffix}", stored(noise(3), orientation), exif=exif)
    return exif


def stored(pixels: Array, orientation: int) -> Array:
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    return rotate_upright(pixels, inverse)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_target_with_an_upright_mask(folder: Path, orientation: int) -> None:
    turned(folder, orientation)
    loaded = scene.load(folder)
    assert np.array_equal(loaded.original.pixels, noise(3))
    assert np.array_equal(loaded.hole, box())
    assert loaded.notices == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_turned_by_its_own_exif(folder: Path, orientation: int) -> None:
    exif = turned(folder, orientation)
    save(folder / "target" / "mask.png", stored(white(box()), orientation), exif=exif)
    assert np.array_equal(scene.load(folder).hole, box())


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_that_lies_as_the_target_is_stored_is_turned_with_it(folder: Path, orientation: int) -> None:
    turned(folder, orientation)
    save(folder / "target" / "mask.png", stored(white(box()), orientation))
    loaded = scene.load(folder)
    assert np.array_equal(loaded.hole, box())
    assert loaded.notices == ()


def test_turned_references_stand_upright(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "ref" / "0.png", stored(noise(1), 6), exif=exif)
    assert np.array_equal(scene.load(folder).references[0], noise(1))


# ---- what is written beside a scene


def test_outputs_onto_the_scene_or_each_other_are_refused(folder: Path, tmp_path: Path) -> None:
    save(folder / "target" / "gt.png", noise(7))
    (tmp_path / "link.png").symlink_to(folder / "target" / "target.png")
    os.link(folder / "ref" / "0.png", tmp_path / "hard.png")
    (tmp_path / "in").symlink_to(folder / "target")
    (tmp_path / "out.png").write_bytes(b"an earlier result")
    (tmp_path / "again.png").symlink_to(tmp_path / "out.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for names, words in {
        ("kitchen/target/target.png",): "is the scene's own target.png",
        ("kitchen/target/../target/mask.png",): "is the scene's own mask.png",
        ("kitchen/target/gt.png",): "is the scene's own gt.png",
        ("kitchen/target/TARGET.PNG",): "is the scene's own target.png",
        ("link.png",): "is the scene's own target.png",
        ("hard.png",): "is the scene's own 0.png",
        ("in/mask.png",): "is the scene's own mask.png",
        ("kitchen/ref/new.png",): "would become a part of the scene",
        ("kitchen/target/gt.jpg",): "would become a part of the scene",
        ("a.png", "a.png"): "is to be written twice",
        ("a.png", "x/../a.png"): "is to be written twice",
        ("a.png", "A.png"): "is to be written twice",
        ("out.png", "again.png"): "is to be written twice",
        ("kitchen",): "is a folder; give the name of a file",
        ("out.png/a.png",): "out.png is no folder",
    }.items():
        with pytest.raises(OptionError, match=words):
            scene.check_outputs(folder, [tmp_path / name for name in names])
    scene.check_outputs(folder, [tmp_path / "out.png", tmp_path / "new" / "b.png", folder / "target" / "draft.png"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# ---- storing


def test_a_stored_scene_is_the_same_scene(folder: Path, tmp_path: Path) -> None:
    exif = turned(folder, 6)
    save(folder / "target" / "mask.png", stored(white(box()), 6), exif=exif)
    save(folder / "target" / "gt.png", noise(7))
    save(folder / "ref" / "10.jpg", noise(4))
    (folder / "ref" / "1.json").write_text("{}")
    scene.store(tmp_path / "run" / "scene", folder)
    assert same(scene.load(tmp_path / "run" / "scene"), scene.load(folder))
    names = sorted(
        str(path.relative_to(tmp_path / "run" / "scene")) for path in (tmp_path / "run" / "scene").rglob("*.*")
    )
    assert names == ["ref/00.png", "ref/01.png", "ref/02.jpg", "target/gt.png", "target/mask.png", "target/target.png"]
    assert (tmp_path / "run/scene/ref/02.jpg").read_bytes() == (folder / "ref/10.jpg").read_bytes()
    with Image.open(tmp_path / "run/scene/target/mask.png") as mask:
        assert mask.mode == "L" and mask.size == (W, H)
        assert set(np.unique(np.array(mask))) == {0, 255}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["scene"]


def test_endings_tell_what_files_hold(folder: Path, tmp_path: Path) -> None:
    """A JPEG named .png, and an upload without an ending, are stored under what they are."""
    Image.fromarray(noise(1)).save(folder / "ref" / "0.png", "JPEG")
    (folder / "ref" / "1.png").rename(folder / "ref" / "1")
    photos, target = [folder / "ref" / "0.png", folder / "ref" / "1"], folder / "target"
    scene.assemble(tmp_path / "stored", photos, target / "target.png", target / "mask.png")
    assert sorted(path.name for path in (tmp_path / "stored" / "ref").iterdir()) == ["00.jpg", "01.png"]


def test_variants_are_stored_and_read_again(folder: Path, tmp_path: Path) -> None:
    (folder / "target" / "mask.png").unlink()
    scene.store(tmp_path / "stored", folder, variants=True)
    assert same(scene.load(tmp_path / "stored", variants=True), scene.load(folder, variants=True))


def test_a_bad_scene_leaves_nothing_and_the_old_one_stays(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "run" / "scene"
    scene.store(place, folder)
    before = scene.load(place)
    (folder / "ref" / "0.png").write_bytes(b"hello")
    with pytest.raises(SceneError):
        scene.store(place, folder)
    assert same(scene.load(place), before)
    with pytest.raises(SceneError):
        scene.store(tmp_path / "other", folder)
    assert not (tmp_path / "other").exists()


def test_a_full_disk_is_told_and_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    (tmp_path / "run").mkdir()
    with pytest.raises(DiskFull, match="is full; free some space"):
        scene.store(tmp_path / "run" / "scene", folder)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError):
        scene.store(tmp_path / "file" / "scene", folder)


def test_single_files_and_a_painted_array_make_the_same_scene(folder: Path, tmp_path: Path) -> None:
    expected = scene.load(folder)
    references = [folder / "ref" / "0.png", folder / "ref" / "1.png"]
    target, mask = folder / "target" / "target.png", folder / "target" / "mask.png"
    forms: list[Any] = [mask, box(), white(box()), layer((250, 20, 20), white(box()))]
    for form in forms:
        scene.assemble(tmp_path / "stored", references, target, form)
        assert same(scene.load(tmp_path / "stored"), expected)
    scene.assemble(tmp_path / "stored", references[::-1], target, mask)
    assert np.array_equal(scene.load(tmp_path / "stored").references[0], expected.references[1])
    scene.assemble(tmp_path / "stored", references, target, None, variants=True)
    with Image.open(tmp_path / "stored" / "target" / "mask.png") as drawn:
        assert np.asarray(drawn).min() == 255
    with pytest.raises(SceneError, match="There is no mask"):
        scene.assemble(tmp_path / "stored", references, target, None)
    with pytest.raises(SceneError, match="The mask marks nothing"):
        scene.assemble(tmp_path / "stored", references, target, np.zeros((H, W), np.bool_))


# ---- working size


def test_an_enlarged_hole_is_announced_over_one_and_a_half_times() -> None:
    def crop(side: float) -> CropTransform:
        return CropTransform((0.0, 0.0, side, side), 256, 256, 4000, 4000)

    assert scene.enlargement(crop(512)) == 2
    assert scene.enlargement_notice(crop(256 * 1.5)) is None
    assert scene.enlargement_notice(crop(128)) is None
    sentence = scene.enlargement_notice(crop(256 * 3.2))
    assert sentence is not None and "256×256 pixels and enlarged 3.2 times" in sentence and sentence.endswith(".")


@pytest.mark.parametrize("name", ["flowerwoman", "pumpkinlady2", "berry_bowl", "puppy_studio", "backpack_forest"])
def test_real_scenes_load(shared: Path, name: str) -> None:
    loaded = scene.load(shared / "scenes" / name)
    with Image.open(shared / "scenes" / name / "target" / "mask.png") as mask:
        assert np.array_equal(loaded.hole, np.array(mask.convert("L")) >= 128)
    assert 1 <= len(loaded.references) <= 5
    assert (loaded.truth is None) == (name in ("flowerwoman", "pumpkinlady2"))
    assert loaded.original.bit_exact and loaded.notices == ()
    if name == "flowerwoman":
        assert loaded.hole.mean() == pytest.approx(0.735, abs=0.001)
        assert (loaded.original.pixels[loaded.hole][:, :3] > 250).mean() > 0.99  # the file has white paint there
        assert (loaded.target[loaded.hole] > 250).all(1).mean() < 0.5
