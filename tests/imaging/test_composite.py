"""The composite: the hole is taken whole, the seam is soft, everything beyond it keeps its bits."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from realfill.arrays import Hole
from realfill.imaging import decode, encode, holes
from realfill.imaging.composite import composite, feather_alpha, match_colour, preview
from realfill.imaging.crop import CropTransform
from realfill.imaging.decode import Original
from realfill.imaging.photo import to_photo
from realfill.scene import scene
from realfill.scene.scene import crop_to_fill
from realfill.seeds import rng
from tests import files16

H, W = 40, 56
SHAPES = {"L": (H, W), "RGB": (H, W, 3), "RGBA": (H, W, 4)}


def noise(mode: str = "RGB", depth: int = 8, seed: int = 0) -> npt.NDArray[Any]:
    return rng(seed, depth).integers(0, 2**depth, SHAPES[mode]).astype(np.uint8 if depth == 8 else np.uint16)


def photo(seed: int) -> npt.NDArray[np.uint8]:
    return rng(seed).integers(0, 256, (H, W, 3)).astype(np.uint8)


def box_hole() -> Hole:
    hole = np.zeros((H, W), np.bool_)
    hole[12:25, 20:33] = True
    return hole


@pytest.mark.parametrize("feather", [0, 1, 5, 12, 100])
def test_alpha_is_one_in_the_hole_zero_beyond_the_feather_and_falls_between(feather: int) -> None:
    hole = box_hole()
    alpha, distance = feather_alpha(hole, feather), holes.distance_from_hole(hole)
    assert alpha.dtype == np.float32
    assert (alpha[hole] == 1).all()
    assert (alpha[distance > feather] == 0).all()
    seam = (distance > 0) & (distance <= feather)
    assert ((alpha[seam] > 0) & (alpha[seam] < 1)).all()
    order = np.argsort(distance[seam])
    assert (np.diff(alpha[seam][order]) <= 1e-6).all()
    assert np.abs(np.diff(alpha, axis=1)).max() <= max(1 / (feather + 1) * 1.6, 0) + 1e-6  # no step inside the seam


def test_no_feather_is_the_hole_itself() -> None:
    hole = holes.random_hole(H, W, rng(3))
    assert np.array_equal(feather_alpha(hole, 0), hole.astype(np.float32))


def test_an_empty_hole_changes_nothing() -> None:
    assert not feather_alpha(np.zeros((H, W), np.bool_), 9).any()


KINDS = [(kind, mode, depth) for kind in (".png", ".tif") for mode in SHAPES for depth in (8, 16)]
KINDS += [(".webp", "RGB", 8), (".webp", "RGBA", 8)]  # WebP has neither 16 bits nor grey


@pytest.mark.parametrize("feather", [0, 4])
@pytest.mark.parametrize(("kind", "mode", "depth"), KINDS)
def test_known_pixels_are_bit_identical_from_file_to_file(
    tmp_path: Path, kind: str, mode: str, depth: int, feather: int
) -> None:
    """The central promise: decode, composite, encode, decode; beyond the feather not one bit differs."""
    pixels, path = noise(mode, depth), tmp_path / f"target{kind}"
    if kind == ".webp":
        source = Original(pixels, mode, None, "WEBP", None, True)  # type: ignore[arg-type]
        path.write_bytes(encode.encode(source, "webp", quality=100, record={}))
    else:
        path.write_bytes(files16.tiff(pixels) if kind == ".tif" else files16.png(pixels))
    target = decode.read_original(path)
    hole = box_hole()
    hole[2, 3] = hole[-1, -1] = True
    result = composite(target, hole, photo(5), feather=feather)
    format: encode.Format = {".png": "png", ".tif": "tiff", ".webp": "webp"}[kind]  # type: ignore[assignment]
    (tmp_path / "result").write_bytes(encode.encode(result, format, quality=100, record={}))
    again = decode.read_original(tmp_path / "result")
    far = holes.distance_from_hole(hole) > feather
    assert far.any()
    assert again.pixels.dtype == pixels.dtype and again.mode == mode
    assert np.array_equal(again.pixels[far], pixels[far])
    assert (again.pixels[hole] != pixels[hole]).mean() > 0.9


def test_what_the_file_holds_in_the_hole_does_not_show() -> None:
    hole, generated = box_hole(), photo(5)
    target = Original(noise(), "RGB", None, "PNG", None, True)
    painted = Original(np.where(hole[..., None], np.uint8(255), target.pixels), "RGB", None, "PNG", None, True)
    one, other = (composite(source, hole, generated, feather=6) for source in (target, painted))
    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.pixels[hole], generated[hole])


def test_the_preview_is_the_composite_of_a_plain_file() -> None:
    target = Original(noise(), "RGB", None, "PNG", None, True)
    shown = preview(to_photo(target), box_hole(), photo(5), feather=6)
    assert np.array_equal(shown, composite(target, box_hole(), photo(5), feather=6).pixels)


def test_the_border_fades_out_before_the_generated_pixels_end() -> None:
    """A wide feather round a hole in a tight box: nothing of the black frame gets in, and no edge shows."""
    hole = box_hole()
    target = Original(np.full((H, W, 3), 200, np.uint8), "RGB", None, "PNG", None, True)
    crop = CropTransform((17.0, 9.0, 19.0, 19.0), 19, 19, W, H)
    generated = crop.uncrop_photo(np.full((19, 19, 3), 100, np.uint8))
    result = composite(target, hole, generated, feather=12, covered=crop.covered_hole()).pixels[:, :, 0].astype(int)
    assert (result[~crop.covered_hole()] == 200).all()
    assert (result[hole] == 100).all()
    assert result.min() == 100
    edge = crop.covered_hole() & (holes.distance_from_hole(~crop.covered_hole()) <= 1)
    assert result[edge].min() > 190
    shown = preview(to_photo(target), hole, generated, feather=12, covered=crop.covered_hole())
    assert np.array_equal(shown[:, :, 0], result)


def test_the_eight_megapixel_scene_keeps_its_size_and_its_known_pixels(shared: Path, tmp_path: Path) -> None:
    loaded = scene.load(shared / "scenes" / "berlin_cathedral_8mp")
    crop = crop_to_fill(loaded, size=512, multiple=8, context=0.5)
    generated = crop.uncrop_photo(255 - crop.crop_photo(loaded.target))
    result = composite(loaded.original, loaded.hole, generated, feather=8, covered=crop.covered_hole())
    (tmp_path / "result.png").write_bytes(encode.encode(result, "png", quality=95, record={}))
    again = decode.read_original(tmp_path / "result.png")
    assert (again.width, again.height) == (3264, 2448)
    far = holes.distance_from_hole(loaded.hole) > 8
    assert np.array_equal(again.pixels[far], loaded.original.pixels[far])
    assert (again.pixels[loaded.hole] != loaded.original.pixels[loaded.hole]).mean() > 0.9


def _scene(shift: npt.NDArray[np.float64], height: int = 90, width: int = 120) -> tuple[Any, Any]:
    """A smooth target with texture, and the same with other colours."""
    y, x = np.mgrid[:height, :width]
    base = 90 + 40 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None] + rng(1).normal(0, 6, (height, width, 3))
    target = np.clip(base, 40, 200).astype(np.uint8)
    return target, np.clip(target + shift, 0, 255).astype(np.uint8)


def _hole(name: str, height: int = 90, width: int = 120) -> Hole:
    hole = np.zeros((height, width), np.bool_)
    if name == "box":
        hole[30:60, 40:85] = True
    elif name == "side":
        hole[:, 80:] = True
    else:
        hole[:40, :50] = True
    return hole


@pytest.mark.parametrize("name", ["box", "side", "corner"])
@pytest.mark.parametrize("feather", [0, 8, 40])
def test_a_colour_cast_goes_and_detail_stays(name: str, feather: int) -> None:
    target, other = _scene(np.array([18.0, -12.0, 6.0]))
    hole = _hole(name)
    met = match_colour(target, hole, other, feather=feather)
    near = holes.distance_from_hole(hole) <= feather
    assert np.abs(met[near].astype(int) - target[near]).max() <= 2
    assert np.abs(other[near].astype(int) - target[near]).max() >= 17


def test_a_slope_of_light_is_met_at_the_seam() -> None:
    slope = np.linspace(-20, 20, 120)[None, :, None] * np.ones((90, 1, 3))
    target, other = _scene(slope)
    hole = _hole("box")
    met = match_colour(target, hole, other, feather=4)
    assert (
        np.abs(met[hole].astype(int) - target[hole]).mean()
        < 1.5
        < np.abs(other[hole].astype(int) - target[hole]).mean()
    )


def test_what_meets_already_stays_and_so_does_a_picture_without_border() -> None:
    target, _ = _scene(np.zeros(3))
    hole = _hole("box")
    assert np.array_equal(match_colour(target, hole, target, feather=6), target)
    everything = np.ones_like(hole)
    assert np.array_equal(match_colour(target, everything, target[::-1], feather=6), target[::-1])


def test_the_targets_hole_has_no_influence_on_the_colours() -> None:
    target, other = _scene(np.array([10.0, 0.0, -10.0]))
    hole = _hole("box")
    painted = np.where(hole[..., None], np.uint8(255), target)
    assert np.array_equal(match_colour(painted, hole, other, feather=5), match_colour(target, hole, other, feather=5))


def test_colours_are_measured_only_where_something_was_generated() -> None:
    target, other = _scene(np.array([12.0, 12.0, 12.0]))
    hole = _hole("box")
    covered = np.zeros_like(hole)
    covered[25:65, 30:95] = True
    empty = np.where(covered[..., None], other, np.uint8(0))
    met = match_colour(target, hole, empty, feather=30, covered=covered)
    assert np.abs(met[hole].astype(int) - target[hole]).max() <= 2


def test_colour_match_leaves_known_pixels_bit_for_bit() -> None:
    target, other = _scene(np.array([18.0, -12.0, 6.0]))
    hole = _hole("corner")
    original = Original(target, "RGB", None, "PNG", None, True)
    made = composite(original, hole, match_colour(target, hole, other, feather=7), feather=7)
    far = holes.distance_from_hole(hole) > 7
    assert np.array_equal(made.pixels[far], target[far])
