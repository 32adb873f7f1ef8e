"""PSNR and SSIM inside the hole, by torchmetrics (§4.2), and sharpness, which tells a blur from a picture."""

from collections.abc import Sequence
from importlib.metadata import version

import cv2
import numpy as np
import torch
from torch import Tensor

from realfill.arrays import Hole, Photo
from realfill.evaluation.metrics.base import (
    LoadedMetrics,
    MetricSources,
    Picture,
    check_same_size,
    require_packages,
)
from realfill.imaging.holes import bounding_box

MOST = 100.0  # dB; the truth itself has infinitely many, which no mean survives
WORKING = 256  # pixels; where sharpness is measured, so that photos of all sizes compare
_REACH = 5  # half of SSIM's window


class Psnr:
    """Peak signal-to-noise ratio over the hole's pixels, dB."""

    name = "psnr"

    def __init__(self) -> None:
        self.identity = f"torchmetrics {version('torchmetrics')}, hole"

    def measure(self, truth: Picture, hole: Hole, pictures: Sequence[Picture]) -> list[float]:
        """See `Metric.measure`."""
        from torchmetrics.functional.image import peak_signal_noise_ratio

        check_same_size(truth, pictures)
        target = _to_unit(truth.photo[hole])
        ratios = [peak_signal_noise_ratio(_to_unit(one.photo[hole]), target, data_range=1.0) for one in pictures]
        return [min(float(ratio), MOST) for ratio in ratios]


class Ssim:
    """Structural similarity: the mean of its map over the hole's pixels and the three channels."""

    name = "ssim"

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self.identity = f"torchmetrics {version('torchmetrics')}, map over the hole"

    def measure(self, truth: Picture, hole: Hole, pictures: Sequence[Picture]) -> list[float]:
        """See `Metric.measure`. Works on the hole's box and a window's reach around it: the rest has no influence."""
        check_same_size(truth, pictures)
        left, top, right, bottom = bounding_box(hole)
        box = (slice(max(0, top - _REACH), bottom + _REACH), slice(max(0, left - _REACH), right + _REACH))
        inside = torch.from_numpy(np.ascontiguousarray(hole[box])).to(self._device)
        target = self._planes(truth.photo[box])
        return [float(self._ssim_map(self._planes(one.photo[box]), target)[:, inside].mean()) for one in pictures]

    def _planes(self, photo: Photo) -> Tensor:
        return _to_unit(photo).permute(2, 0, 1)[None].to(self._device)

    def _ssim_map(self, prediction: Tensor, target: Tensor) -> Tensor:
        """SSIM at every pixel, (3, h, w)."""
        from torchmetrics.functional.image import structural_similarity_index_measure

        _, full = structural_similarity_index_measure(prediction, target, data_range=1.0, return_full_image=True)
        planes: Tensor = full[0]
        return planes


class Sharpness:
    """Mean gradient energy in the hole as a share of the truth's, with a longest side of 256 pixels.

    Below 1 the picture is smoother than the truth, above it is noisier. PSNR alone rewards a blur.
    """

    name = "sharpness"
    identity = f"Sobel energy at {WORKING} px, hole"

    def measure(self, truth: Picture, hole: Hole, pictures: Sequence[Picture]) -> list[float]:
        """See `Metric.measure`."""
        check_same_size(truth, pictures)
        target = _gradient_energy(truth.photo, hole)
        # The 1 gives a flat truth a share too.
        return [(_gradient_energy(one.photo, hole) + 1) / (target + 1) for one in pictures]


def _gradient_energy(photo: Photo, hole: Hole) -> float:
    """Mean squared Sobel gradient of the grey values where nothing of the known area is near."""
    scale = WORKING / max(hole.shape)
    size = (max(1, round(hole.shape[1] * scale)), max(1, round(hole.shape[0] * scale)))
    share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    inside = share > min(0.99, float(share.max()) / 2)
    grey = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.float32).mean(2)
    energy = cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2
    return float(energy[inside].mean())


def _to_unit(photo: Photo) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(photo)).float() / 255


def load_psnr(sources: MetricSources) -> LoadedMetrics:
    """PSNR, where torchmetrics is installed.

    Raises:
        WeightsError: it is not.
    """
    require_packages("torchmetrics")
    return LoadedMetrics([Psnr()])


def load_ssim(sources: MetricSources) -> LoadedMetrics:
    """SSIM, where torchmetrics is installed.

    Raises:
        WeightsError: it is not.
    """
    require_packages("torchmetrics")
    return LoadedMetrics([Ssim(sources.device)])


def load_sharpness(sources: MetricSources) -> LoadedMetrics:
    """Sharpness, which needs OpenCV alone."""
    return LoadedMetrics([Sharpness()])
