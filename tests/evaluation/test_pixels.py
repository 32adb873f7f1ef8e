"""PSNR and SSIM against values by hand and a plain implementation."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from realfill.errors import RunError
from realfill.evaluation.metrics.base import Picture
from tests.evaluation.conftest import photo

pytest.importorskip("torchmetrics", reason="torchmetrics is in requirements-bench.txt")
from realfill.evaluation.metrics.pixels import MOST, Psnr, Sharpness, Ssim

Grey = npt.NDArray[np.float64]


def _hole(height: int = 40, width: int = 56) -> npt.NDArray[np.bool_]:
    hole = np.zeros((height, width), np.bool_)
    hole[12:25, 20:44] = True
    hole[0:6, 50:56] = True  # touches two edges of the picture
    return hole


def test_psnr_by_hand() -> None:
    truth = np.full((8, 8, 3), 100, np.uint8)
    hole = np.zeros((8, 8), np.bool_)
    hole[2:4, 2:4] = True
    off = truth.copy()
    off[2:4, 2:4] = 110  # ten grey levels: 20 log10(255 / 10)
    off[0, 0] = 255  # known, so it does not count
    half = truth.copy()
    half[2, 2:4] = 110  # half of the pixels: 3.01 dB more
    found = Psnr().measure(Picture(truth, "t"), hole, [Picture(off, "a"), Picture(half, "b"), Picture(truth, "t")])
    assert found[0] == pytest.approx(20 * math.log10(25.5), abs=1e-4)
    assert found[1] == pytest.approx(20 * math.log10(25.5) + 10 * math.log10(2), abs=1e-4)
    assert found[2] == MOST


def _ssim_map(a: Grey, b: Grey) -> Grey:
    """Wang et al. 2004 with 11 px Gaussian windows of deviation 1.5, reflected at the borders, in plain loops."""
    taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(x: Grey) -> Grey:
        padded = np.pad(x, 5, mode="reflect")
        return np.array(
            [[(padded[r : r + 11, c : c + 11] * window).sum() for c in range(x.shape[1])] for r in range(x.shape[0])]
        )

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b, cov = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    found: Grey = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return found


def test_ssim_against_a_plain_implementation() -> None:
    truth, other, hole = photo(1), photo(2), _hole()
    maps = [_ssim_map(other[..., c] / 255.0, truth[..., c] / 255.0) for c in range(3)]
    wanted = np.mean([one[hole].mean() for one in maps])
    found = Ssim().measure(Picture(truth, "t"), hole, [Picture(other, "o"), Picture(truth, "t")])
    assert found[0] == pytest.approx(wanted, abs=2e-4)
    assert found[1] == pytest.approx(1, abs=1e-5)


def test_ssim_looks_no_further_than_its_windows_reach() -> None:
    truth, hole = photo(1, 64, 64), np.zeros((64, 64), np.bool_)
    hole[30:34, 30:34] = True
    near, far = truth.copy(), truth.copy()
    near[24, 24] ^= 255  # six pixels off the hole: in no window of it
    far[:10] = 0
    close = truth.copy()
    close[25:30, 25:39] ^= 255
    values = Ssim().measure(Picture(truth, "t"), hole, [Picture(p, "x") for p in (near, far, close)])
    assert values[0] == values[1] == pytest.approx(1, abs=1e-5)
    assert values[2] < 0.9


def test_sharpness_by_hand() -> None:
    """Half the contrast has a quarter of the gradient's energy; what is known does not count."""
    rows, columns = np.indices((64, 256))
    truth = np.repeat((100 + 40 * ((columns // 4 + rows // 4) % 2)).astype(np.uint8)[..., None], 3, 2)
    hole = np.zeros((64, 256), np.bool_)
    hole[16:48, 64:192] = True
    paler = np.where(hole[..., None], (100 + (truth.astype(int) - 100) // 2).astype(np.uint8), truth)
    flat = np.where(hole[..., None], np.uint8(120), truth)
    other = np.where(hole[..., None], truth, np.uint8(0))
    pictures = [Picture(one, "p") for one in (truth, paler, flat, other)]
    same, quarter, none, known = Sharpness().measure(Picture(truth, "t"), hole, pictures)
    assert same == 1
    assert quarter == pytest.approx(0.25, abs=0.05)
    assert none < 0.1 and known > 1  # the hole's own edge is part of it


def test_sharpness_is_measured_at_one_size_and_in_the_smallest_hole() -> None:
    truth, other = photo(1, 64, 96), photo(2, 64, 96)
    hole = np.zeros((64, 96), np.bool_)
    hole[16:48, 24:72] = True
    twice = [np.repeat(np.repeat(one, 8, 0), 8, 1) for one in (truth, other, hole)]
    small = Sharpness().measure(Picture(twice[0], "t"), twice[2].astype(np.bool_), [Picture(twice[1], "o")])
    large = [np.repeat(np.repeat(one, 2, 0), 2, 1) for one in twice]
    again = Sharpness().measure(Picture(large[0], "t"), large[2].astype(np.bool_), [Picture(large[1], "o")])
    assert again[0] == pytest.approx(small[0], rel=0.02)
    dot = np.zeros((512, 768), np.bool_)
    dot[100, 100] = True
    assert np.isfinite(Sharpness().measure(Picture(twice[0], "t"), dot, [Picture(twice[1], "o")])).all()


def test_other_sizes_are_refused() -> None:
    with pytest.raises(RunError, match="score equal sizes"):
        Psnr().measure(Picture(photo(1), "t"), _hole(), [Picture(photo(1, 48, 56), "o")])
