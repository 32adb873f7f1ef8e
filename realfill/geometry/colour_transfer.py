"""The colours of a laid reference brought to the target's: an affine change of CIELAB, then one a colour region."""

from dataclasses import dataclass

import cv2
import numpy as np

from realfill.arrays import Colours, Field, Hole, Matrix, Photo, Vector, Weight
from realfill.geometry.colour_correction import RESIDUAL, fit_regions
from realfill.geometry.colour_regions import Box, RegionField, find_regions
from realfill.geometry.structure import scoring_size, shrink, structure_correlation, structure_similarity

UNLIKE = 0.02  # of a pixel's say in a region's colours where the structure is another
RIDGE = 30.0  # variance in CIELAB from which known pixels decide a channel's gain
LEAST = 20.0  # pixels' worth of a region that has a say
STRIDE = 8  # pixels between those by which regions are found
PALE = 0.7  # gain of lightness down to which one change for all pixels is not doubted
MOST = 160.0  # grey levels that a region may then differ: a white sky becomes a dark one
WORSE = 0.05  # likeness in structure near the hole that the change within regions may lack to that of all pixels

Part = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True, eq=False)
class AffineColours:
    """An affine change of CIELAB: out = matrix · in + offset."""

    matrix: Matrix  # (3, 3)
    offset: Vector  # (3,)

    def apply(self, photo: Photo) -> Photo:
        """The photo (h, w, 3) in the new colours."""
        changed = cv2.transform(_to_lab(photo), np.c_[self.matrix, self.offset])
        return np.asarray(np.clip(cv2.cvtColor(changed, cv2.COLOR_LAB2RGB) * 255, 0, 255), np.uint8)


@dataclass(frozen=True, eq=False)
class LaidColours:
    """What brings a laid reference to the target's colours: an affine change of CIELAB, then one a colour region."""

    whole: AffineColours
    regions: RegionField | None  # over the whole laid picture

    def apply(self, photo: Photo, box: Box) -> Photo:
        """A box of the laid picture, at any size (h, w, 3), in the target's colours."""
        changed = self.whole.apply(photo)
        if self.regions is None:
            return changed
        return np.asarray(np.clip(changed + self.regions.look_up(changed, box), 0, 255), np.uint8)


def part_box(part: Part, shape: tuple[int, ...]) -> Box:
    """A part of a picture (H, W) as a box: left, top, right, bottom as shares of its sides."""
    (rows, columns), (height, width) = part, shape
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height


def fit_colours(laid: Photo, valid: Hole, target: Photo, known: Hole, inner: Part) -> LaidColours:
    """What brings a laid reference (H, W, 3) to the target's colours, so that sky is like its sky.

    One change for all pixels has the least error, but where the reference does not lie exactly, or where a bright sky
    has become a dark one behind stone that has become bright, that is a pale one. There it is fitted within colour
    regions, by what is alike in both.

    Args:
        valid: (H, W), where the reference shows something.
        known: (h, w), known pixels of the target that tell its colours.
        inner: the frame's part of the reference.
    """
    given, size, aim = laid[inner], scoring_size(laid.shape), np.zeros_like(laid)
    aim[inner] = target
    pixels, aims, near = given[known], target[known], (shrink(given), shrink(target))
    small, aim, shown = (
        cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (laid, aim, valid.astype(np.float32))
    )

    def add_regions(whole: AffineColours, most: float) -> LaidColours:
        """Known pixels say more about a region where the structure is the same."""
        weight = np.zeros(valid.shape, np.float32)
        alike = structure_similarity(whole.apply(near[0]), near[1])
        weight[inner] = known * np.maximum(_enlarge(alike, known.shape), UNLIKE)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        return LaidColours(whole, fit_regions(whole.apply(small), aim, weight, shown, most=most))

    whole = _fit_lab(pixels, aims, np.ones((len(pixels), 1), np.float32))
    plain = add_regions(whole, RESIDUAL)
    there = cv2.resize(known.astype(np.uint8), near[1].shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    if whole.matrix[0, 0] > PALE or not there.any():
        return plain
    alike = _enlarge(structure_correlation(*near), known.shape)[known]
    regions = find_regions(laid[::STRIDE, ::STRIDE], valid[::STRIDE, ::STRIDE])
    shares = regions.memberships(pixels[None])[0] * np.maximum(alike, UNLIKE)[:, None]
    within, box = add_regions(_fit_lab(pixels, aims, shares), MOST), part_box(inner, valid.shape)
    old, new = (structure_similarity(one.apply(near[0], box), near[1])[there].mean() for one in (plain, within))
    return within if new > old - WORSE else plain


def _fit_lab(given: Photo, wanted: Photo, shares: Weight) -> AffineColours:
    """The change of colours (N, 3) that are given into those that are wanted, by ridge regression within regions.

    Args:
        shares: (N, K), how much each pixel has to say in each of K regions. Only how colours differ from their
            region's mean counts (the pooled covariance within groups).
    """
    x, y = (_to_lab(colours[None])[0].astype(np.float64) for colours in (given, wanted))
    square, cross = np.zeros((3, 3)), np.zeros((3, 3))
    for share in shares.T.astype(np.float64):
        if share.sum() < LEAST:
            continue
        from_mean, to_mean = (colours - np.average(colours, axis=0, weights=share) for colours in (x, y))
        square += (from_mean * share[:, None]).T @ from_mean
        cross += (from_mean * share[:, None]).T @ to_mean
    ridge = RIDGE * max(float(shares.sum()), 1.0) * np.eye(3)
    matrix = np.asarray(np.linalg.solve(square + ridge, cross + ridge).T, np.float64)
    middle, aim = (np.average(colours, axis=0, weights=shares.sum(1)) for colours in (x, y))
    return AffineColours(matrix, aim - matrix @ middle)


def _enlarge(field: Field, shape: tuple[int, ...]) -> Field:
    return np.asarray(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _to_lab(photo: Photo) -> Colours:
    return np.asarray(cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
