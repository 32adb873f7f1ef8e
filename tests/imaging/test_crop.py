"""Crops: there and back, to a fraction of a pixel, for boxes of any place and size."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realfill.imaging import holes
from realfill.imaging.crop import CropTransform, crop_around, crop_whole, crop_window
from realfill.scene import scene
from realfill.scene.scene import crop_to_fill
from realfill.seeds import rng


@st.composite
def crops(draw: st.DrawFn) -> CropTransform:
    photo_height, photo_width = draw(st.integers(20, 90)), draw(st.integers(20, 90))
    width, height = draw(st.integers(4, 60)), draw(st.integers(4, 60))
    box_width = draw(st.floats(6, min(110, 300 * width / height)))  # a box beyond 16 photos is refused
    box = (draw(st.floats(-20, 30)), draw(st.floats(-20, 30)), box_width, box_width * height / width)
    return CropTransform(box, width, height, photo_width, photo_height)


@given(crops(), st.lists(st.tuples(st.floats(-50, 200), st.floats(-50, 200)), min_size=1, max_size=5))
def test_points_go_there_and_back(crop: CropTransform, points: list[tuple[float, float]]) -> None:
    np.testing.assert_allclose(crop.to_working(crop.to_photo(points)), points, atol=1e-6)
    np.testing.assert_allclose(crop.to_photo(crop.to_working(points)), points, atol=1e-6)


def test_corners_of_the_box_are_the_corners_of_the_working_picture() -> None:
    crop = CropTransform((10.0, 20.0, 40.0, 20.0), 80, 40, 100, 100)
    np.testing.assert_allclose(crop.to_working([(9.5, 19.5), (49.5, 39.5)]), [(-0.5, -0.5), (79.5, 39.5)])
    assert crop.scale == 2


@given(crops())
def test_a_crop_is_the_same_after_json(crop: CropTransform) -> None:
    data = json.loads(json.dumps(crop.to_json()))
    assert list(data) == ["box", "width", "height", "photo_width", "photo_height"]
    assert CropTransform.from_json(data) == crop


SLOPES = st.sampled_from([(2.4, 0.0), (0.0, 2.4), (1.2, 1.2)])  # steep, so that a shift of 0.2 pixels shows


def ramp(height: int, width: int, slope: tuple[float, float]) -> npt.NDArray[np.uint8]:
    ys, xs = np.mgrid[:height, :width]
    values = np.rint(20 + slope[0] * xs + slope[1] * ys)
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def check_ramp(
    seen: npt.NDArray[np.uint8], at: npt.NDArray[np.float64], *, slope: tuple[float, float], source: tuple[int, int]
) -> None:
    """`seen` (K,) equals the ramp at the places `at` (K, 2), where a kernel of the source's pixels lies inside."""
    step = np.ptp(at[:, 0]) / max(1, len(np.unique(at[:, 0])) - 1)
    reach = max(2.5, 0.5 * step + 0.5)
    inside = ((at > reach) & (at < np.array(source) - 1 - reach)).all(1)
    error = seen[inside] - (20 + at[inside] @ np.array(slope))
    assert np.abs(error).max(initial=0) < 1.8  # roundings: of the ramp, between the two axes, of the result
    if len(np.unique(seen[inside])) > 20:  # few values share their rounding, and its bias
        assert abs(error.mean()) < 0.45  # a shift of 0.2 pixels makes 0.48


@given(crops(), SLOPES)
@settings(max_examples=150, deadline=None)
def test_a_ramp_is_seen_where_to_photo_says(crop: CropTransform, slope: tuple[float, float]) -> None:
    """The value at a working pixel is the ramp's at the place to_photo gives: no shift, both ways of scaling."""
    seen = crop.crop_photo(ramp(crop.photo_height, crop.photo_width, slope))
    ys, xs = np.mgrid[: crop.height, : crop.width]
    at = crop.to_photo(np.stack([xs.ravel(), ys.ravel()], 1))
    check_ramp(seen[:, :, 0].ravel(), at, slope=slope, source=(crop.photo_width, crop.photo_height))


@given(crops(), SLOPES)
@settings(max_examples=150, deadline=None)
def test_a_ramp_comes_back_where_to_working_says(crop: CropTransform, slope: tuple[float, float]) -> None:
    back = crop.uncrop_photo(ramp(crop.height, crop.width, slope))
    ys, xs = np.nonzero(crop.covered_hole())
    if len(ys):
        at = crop.to_working(np.stack([xs, ys], 1))
        check_ramp(back[ys, xs, 0], at, slope=slope, source=(crop.width, crop.height))


@given(crops())
@settings(deadline=None)
def test_a_flat_colour_stays_flat_and_the_rest_black(crop: CropTransform) -> None:
    photo = np.full((crop.photo_height, crop.photo_width, 3), (10, 200, 90), np.uint8)
    working = crop.crop_photo(photo)
    assert working.shape == (crop.height, crop.width, 3)
    assert (working == (10, 200, 90)).all()  # beyond the photo its edge goes on
    back, covered = crop.uncrop_photo(working), crop.covered_hole()
    assert (back[covered] == (10, 200, 90)).all()
    assert not back[~covered].any()


def test_at_scale_one_pixels_come_back_bit_for_bit() -> None:
    photo = rng(1).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    crop = CropTransform((8.0, 4.0, 32.0, 24.0), 32, 24, 56, 40)
    assert np.array_equal(crop.crop_photo(photo), photo[4:28, 8:40])
    assert np.array_equal(crop.uncrop_photo(crop.crop_photo(photo))[crop.covered_hole()], photo[crop.covered_hole()])


@given(crops(), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_hole_is_every_footprint_that_touches_it(crop: CropTransform, seed: int) -> None:
    hole = rng(seed).random((crop.photo_height, crop.photo_width)) < 0.02
    left, top, width, height = crop.box
    seen = crop.crop_hole(hole)
    assert seen.shape == (crop.height, crop.width)
    for y, x in rng(seed, 1).integers(0, (crop.height, crop.width), (20, 2)):
        x0, x1 = left + x * width / crop.width, left + (x + 1) * width / crop.width
        y0, y1 = top + y * height / crop.height, top + (y + 1) * height / crop.height
        if min(abs(v - round(v)) for v in (x0, x1, y0, y1)) < 1e-5:
            continue
        outside = x0 < 0 or y0 < 0 or x1 > crop.photo_width or y1 > crop.photo_height
        part = hole[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
        assert seen[y, x] == (outside or bool(part.any()))


@given(st.integers(0, 10_000), st.floats(0.01, 0.3))
@settings(max_examples=40, deadline=None)
def test_when_shrinking_what_lies_in_the_hole_reaches_no_known_pixel(seed: int, share: float) -> None:
    hole = holes.random_hole(70, 90, rng(seed))
    photo = rng(seed, 1).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    painted = np.where(hole[..., None], np.uint8(255), photo)
    crop = crop_whole(70, 90, size=round(80 * (1 - share)) - 8, multiple=4)
    known = ~crop.crop_hole(hole)
    assert np.array_equal(crop.crop_photo(photo)[known], crop.crop_photo(painted)[known])


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([64, 100, 256]), st.sampled_from([1, 4, 8, 32]))
def test_whole_holds_the_photo_at_the_asked_area_with_square_pixels(h: int, w: int, size: int, multiple: int) -> None:
    crop = crop_whole(h, w, size=size, multiple=multiple)
    left, top, width, height = crop.box
    assert left <= 1e-6 and top <= 1e-6 and left + width >= w - 1e-6 and top + height >= h - 1e-6
    assert crop.width % multiple == 0 and crop.height % multiple == 0
    assert crop.width / width == pytest.approx(crop.height / height)
    assert abs(left - (w - left - width)) < 1e-6 or abs(top - (h - top - height)) < 1e-6  # even on both sides
    if multiple <= size / 16:
        assert 0.8 < crop.width * crop.height / size**2 < 1.25
        assert 1 / 3.5 < crop.width / crop.height < 3.5


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_around_never_drops_a_hole_pixel_and_keeps_its_promises(data: st.DataObject) -> None:
    h, w = data.draw(st.integers(2, 300)), data.draw(st.integers(2, 300))
    top, left = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    hole = np.zeros((h, w), np.bool_)
    hole[top : data.draw(st.integers(top + 1, h)), left : data.draw(st.integers(left + 1, w))] = True
    context = data.draw(st.sampled_from([0.0, 0.1, 0.5, 2.0]))
    crop = crop_around(hole, size=128, multiple=8, context=context)
    box_left, box_top, width, height = crop.box
    x0, y0, x1, y1 = holes.bounding_box(hole)
    assert box_left <= x0 + 1e-6 and box_top <= y0 + 1e-6
    assert box_left + width >= x1 - 1e-6 and box_top + height >= y1 - 1e-6
    assert not (hole & ~crop.covered_hole()).any()
    assert crop.width / width == pytest.approx(crop.height / height)
    # Context on every side, or the photo's edge.
    margin = max(context, 0.075)
    assert box_left <= max(0, x0 - margin * (x1 - x0)) + 1e-6
    assert box_top + height >= min(h, y1 + margin * (y1 - y0)) - 1e-6
    # Beyond the photo only where there is no room.
    if width <= w:
        assert box_left >= -1e-6 and box_left + width <= w + 1e-6
    if height <= h:
        assert box_top >= -1e-6 and box_top + height <= h + 1e-6
    # Enlarged more than twice only when the photo ends on some side.
    if crop.scale > 2.2:
        assert width >= w - 1e-6 or height >= h - 1e-6


@pytest.mark.parametrize(
    ("rows", "columns", "box"),
    [
        (slice(40, 50), slice(1900, 1920), (1800, 0, 200, 100)),  # moved into the photo
        (slice(40, 50), slice(0, 20), (0, 0, 200, 100)),
        (slice(40, 50), slice(1000, 1100), (850, 0, 400, 100)),  # four times the hole
        (slice(40, 50), slice(300, 800), (0, 0, 2000, 100)),  # hardly less than the whole photo
    ],
)
def test_a_window_is_the_hole_and_what_surrounds_it(
    rows: slice, columns: slice, box: tuple[int, int, int, int]
) -> None:
    hole = np.zeros((100, 2000), np.bool_)
    hole[rows, columns] = True
    window = crop_window(hole, longest=200, context=4.0)
    assert window.box == tuple(map(float, box))
    assert (window.width, window.height) == (200, round(box[3] * 200 / box[2]))
    assert (window.covered_hole() | ~hole).all()


def test_a_small_hole_in_a_large_photo_is_seen_at_twice_its_size_at_most() -> None:
    hole = np.zeros((2000, 3000), np.bool_)
    hole[1000:1010, 1500:1510] = True
    crop = crop_around(hole, size=512, multiple=8, context=0.5)
    assert crop.box == (1377.0, 877.0, 256.0, 256.0)
    assert (crop.width, crop.height) == (512, 512)


def test_arrays_of_another_size_are_refused() -> None:
    crop = crop_whole(20, 30, size=64, multiple=8)
    with pytest.raises(ValueError, match="expects"):
        crop.crop_photo(np.zeros((30, 20, 3), np.uint8))
    with pytest.raises(ValueError, match="expects"):
        crop.uncrop_photo(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="expects"):
        crop.crop_hole(np.zeros((30, 20), np.bool_))


def test_the_real_scenes_fit(shared: Path) -> None:
    sizes = {}
    for folder in ("berry_bowl", "bedroom_outpaint", "flowerwoman", "berlin_cathedral_8mp"):
        loaded = scene.load(shared / "scenes" / folder)
        crop = crop_to_fill(loaded, size=256, multiple=8, context=0.5)
        sizes[folder] = (crop.photo_width, crop.photo_height)
        assert abs(crop.width * crop.height / 256**2 - 1) < 0.1
        assert not (loaded.hole & ~crop.covered_hole()).any()
        assert crop.crop_photo(loaded.target).shape == (crop.height, crop.width, 3)
        known = ~crop.crop_hole(loaded.hole)
        assert known.any()
        assert crop.uncrop_photo(crop.crop_photo(loaded.target)).shape == loaded.target.shape
    assert sizes["berlin_cathedral_8mp"] == (3264, 2448)


def test_beyond_is_where_points_lie_off_the_photo() -> None:
    crop = CropTransform((-30.0, 10.0, 100.0, 50.0), 20, 10, 60, 50)
    x, y = np.meshgrid(np.arange(20), np.arange(10))
    at = crop.to_photo(np.stack([x.ravel(), y.ravel()], 1)) + 0.5
    off = (at < 0).any(1) | (at[:, 0] > 60) | (at[:, 1] > 50)
    assert np.array_equal(crop.outside_photo().ravel(), off) and 0 < off.mean() < 1
    assert crop.crop_hole(np.zeros((50, 60), np.bool_))[crop.outside_photo()].all()
    assert not crop_whole(48, 64, size=64, multiple=8).outside_photo()[4:-4].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"box": [0, 0, 1e9, 1e9]},
        {"box": [-1e9, 0, 40, 40]},
        {"box": [0, 0, 0, 40]},
        {"box": [0, 0, float("nan"), 40]},
        {"box": [0, 0, 40]},
        {"box": ["0", 0, 40, 40]},
        {"box": 3},
        {"width": 10**6, "height": 10**6},
        {"width": 0},
        {"photo_width": 10**9, "photo_height": 10**9},
        {"photo_height": True},
        {"more": 1},
    ],
)
def test_a_crop_that_no_photo_has_is_not_read_back(changes: dict[str, object]) -> None:
    plain = crop_whole(90, 20, size=64, multiple=8).to_json()
    assert CropTransform.from_json(json.loads(json.dumps(plain))).to_json() == plain
    with pytest.raises(ValueError, match="not a crop"):
        CropTransform.from_json({**plain, **changes})


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([64, 512]))
def test_every_crop_of_ours_is_read_back(height: int, width: int, size: int) -> None:
    crop = crop_whole(height, width, size=size, multiple=64)
    assert CropTransform.from_json(crop.to_json()) == crop
