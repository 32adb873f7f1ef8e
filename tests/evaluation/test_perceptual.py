"""LPIPS and DreamSim: their inputs always, their values where the packages and torchvision are installed."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realfill.errors import WeightsError
from realfill.evaluation.metrics.base import Picture
from realfill.evaluation.metrics.perceptual import Lpips, hole_box, lpips_network
from tests.evaluation.conftest import photo

TORCHVISION = "torchvision has no build for this torch here; LPIPS and DreamSim need it (requirements-bench.txt)"


class _Mean:
    """Stands for the network: the mean of what it is given, so that the inputs can be told by the value."""

    def __call__(self, found: Tensor, wanted: Tensor) -> Tensor:
        assert found.shape == wanted.shape and found.min() >= -1 and found.max() <= 1
        return (found - wanted).abs().mean()


def _hole(rows: slice, columns: slice, size: tuple[int, int] = (120, 160)) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    hole = np.zeros(size, np.bool_)
    hole[rows, columns] = True
    return hole


def test_two_protocols_by_hand() -> None:
    truth = np.zeros((120, 160, 3), np.uint8)
    hole = _hole(slice(20, 100), slice(40, 140))
    hole[50:60, 60:70] = False  # known pixels within the box
    other = truth.copy()
    other[hole] = 51  # 0.4 of the range from -1 to 1
    other[~hole] = 255  # known: the mask hides it, the box shows the part within
    found = [
        Lpips(_Mean(), kind, "id").measure(Picture(truth, "t"), hole, [Picture(other, "o")])[0]
        for kind in ("box", "masked")
    ]
    assert found[0] == pytest.approx((7900 * 0.4 + 100 * 2) / 8000)
    assert found[1] == pytest.approx(7900 * 0.4 / (120 * 160))


@pytest.mark.parametrize(
    ("hole", "wanted"),
    [
        (_hole(slice(20, 100), slice(40, 140)), (slice(20, 100), slice(40, 140))),
        (_hole(slice(50, 60), slice(70, 80)), (slice(23, 87), slice(43, 107))),
        (_hole(slice(0, 4), slice(156, 160)), (slice(0, 64), slice(96, 160))),
        (_hole(slice(3, 9), slice(3, 9), (30, 200)), (slice(0, 30), slice(0, 64))),
    ],
)
def test_the_box_is_the_holes_and_never_too_small_for_the_network(hole: Any, wanted: tuple[slice, slice]) -> None:
    assert hole_box(hole) == wanted


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason=TORCHVISION)
def test_lpips_against_its_definition(tmp_path: Path) -> None:
    """Zhang et al. 2018, Eq. 1, from the layers of a random AlexNet."""
    pytest.importorskip("lpips", reason="lpips is in requirements-bench.txt")
    from torchvision.models import alexnet

    torch.manual_seed(3)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / "alex.pth")
    network = lpips_network(tmp_path / "alex.pth", "cpu")
    plain = alexnet(weights=None).eval()
    plain.load_state_dict(torch.load(tmp_path / "alex.pth", weights_only=True))
    truth, other = photo(1, 80, 96), photo(2, 80, 96)
    hole = np.ones((80, 96), np.bool_)
    found = Lpips(network, "box", "id").measure(Picture(truth, "t"), hole, [Picture(other, "o"), Picture(truth, "t")])
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    total = 0.0
    with torch.no_grad():
        x = [((torch.from_numpy(p).float() / 127.5 - 1 - shift) / scale).permute(2, 0, 1)[None] for p in (truth, other)]
        taps = iter(network.lins)
        for layer in plain.features:
            x = [layer(part) for part in x]
            if isinstance(layer, torch.nn.ReLU):
                unit = [part / (part.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for part in x]
                total += float((next(taps).model[-1].weight * (unit[0] - unit[1]) ** 2).sum(1).mean())
    assert found[0] == pytest.approx(total, rel=1e-3)
    assert found[1] == pytest.approx(0, abs=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason=TORCHVISION)
def test_another_file_is_no_alexnet(tmp_path: Path) -> None:
    pytest.importorskip("lpips", reason="lpips is in requirements-bench.txt")
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "alex.pth")
    with pytest.raises(WeightsError, match="does not hold"):
        lpips_network(tmp_path / "alex.pth", "cpu")


@pytest.mark.weights
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason=TORCHVISION)
def test_dreamsim_of_the_published_weights() -> None:
    pytest.importorskip("dreamsim", reason="dreamsim is in requirements-bench.txt")
    from realfill.evaluation.metrics.registry import load_metrics

    loaded = {metric.name: metric for metric in load_metrics().metrics}
    if "dreamsim" not in loaded:
        pytest.skip("DreamSim's weights are not on this machine")
    truth, hole = Picture(photo(1), "t"), np.ones((40, 56), np.bool_)
    same, other = loaded["dreamsim"].measure(truth, hole, [truth, Picture(photo(2), "o")])
    assert abs(same) < 1e-4
    assert other > 0.05
