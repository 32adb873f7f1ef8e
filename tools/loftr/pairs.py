"""Pairs of pictures whose true correspondences are known: two views of one plane, under different light."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tools.mini.data import Pictures

ROOM = 1.5  # side of the picture that both views show a part of, in sides of a view
REUSE = 2  # pairs made of a picture: drawing it costs more than the views
UNRELATED = 0.1  # share of pairs that show different pictures
Grey = npt.NDArray[np.float32]
Seen = npt.NDArray[np.bool_]
Frame = tuple[float, npt.NDArray[np.float64]]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WarpedPairs:
    """B pairs. A point of the first picture is at `homography` @ point in the second, pixel centres at integers."""

    first: Tensor  # (B, 1, S, S) float32, 0..1
    second: Tensor
    homography: Tensor  # (B, 3, 3) float64
    first_seen: Tensor  # (B, S, S) bool, where the common plane is seen: inside the source and not covered
    second_seen: Tensor


def draw(
    pictures: Pictures, rng: np.random.Generator, count: int, *, size: int, difficulty: float = 1.0
) -> WarpedPairs:
    """`count` fresh pairs of side `size`; `difficulty` in 0..1 scales how far the two views differ."""
    batch, _ = pictures.batch(-(-count // REUSE) + 2, round(ROOM * size))
    sources = [_grey(picture, rng) for picture in (batch.numpy() + 1) / 2]
    sides: tuple[list[Grey], list[Grey]] = ([], [])
    seen: tuple[list[Seen], list[Seen]] = ([], [])
    homographies = []
    for index in range(count):
        source, others = sources[index // REUSE], (sources[index // REUSE - 1], sources[index // REUSE + 1])
        unrelated, frame = rng.random() < UNRELATED, _frame(len(source), rng)
        to_views = [_draw_homography(frame, rng, size=size, difficulty=difficulty) for _ in range(2)]
        for side, (to_view, other) in enumerate(zip(to_views, others, strict=True)):
            view = cv2.warpPerspective(source, to_view, (size, size), borderMode=cv2.BORDER_REFLECT_101)
            visible = cv2.warpPerspective(np.ones_like(source), to_view, (size, size)) > 0.99
            if side and unrelated:
                view, visible = other[:size, :size].copy(), np.zeros_like(visible)
            _cover(view, visible, other, rng)
            sides[side].append(_relight(view, rng))
            seen[side].append(visible)
        homographies.append(to_views[1] @ np.linalg.inv(to_views[0]))
    first, second = (torch.from_numpy(np.stack(side)[:, None]) for side in sides)
    first_seen, second_seen = (torch.from_numpy(np.stack(side)) for side in seen)
    return WarpedPairs(first, second, torch.from_numpy(np.stack(homographies)), first_seen, second_seen)


def _grey(picture: npt.NDArray[np.float32], rng: np.random.Generator) -> Grey:
    """(3, H, W) → (H, W), weighted as a light of some colour would."""
    mixed: Grey = np.tensordot(rng.dirichlet([6, 10, 4]), picture, 1).astype(np.float32)
    return mixed


def _frame(room: int, rng: np.random.Generator) -> Frame:
    """Side and centre, in pixels of the source, of the part that both views show more or less."""
    side = room * rng.uniform(0.45, 0.9)
    return side, rng.uniform(side / 2, room - side / 2, 2)


def _draw_homography(frame: Frame, rng: np.random.Generator, *, size: int, difficulty: float) -> Matrix:
    """A homography from the source to one view of it (3, 3)."""
    side = frame[0] * np.exp(difficulty * rng.uniform(-0.35, 0.35))
    centre = frame[1] + difficulty * frame[0] * rng.uniform(-0.25, 0.25, 2)
    angle = np.deg2rad(difficulty * rng.normal(0, 12))  # people hold cameras upright
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 + difficulty * rng.uniform(-0.1, 0.1, (4, 2))
    quad = (centre + side * corners @ turn.T).astype(np.float32)
    square = (size - 1) * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    to_view: Matrix = cv2.getPerspectiveTransform(quad, square.astype(np.float32)).astype(np.float64)
    return to_view


def _cover(view: Grey, seen: Seen, other: Grey, rng: np.random.Generator) -> None:
    """Lays up to two pieces of another picture over a view, as something that stands before the plane."""
    size = len(view)
    for _ in range(int(rng.integers(0, 3))):
        area = np.zeros(view.shape, np.uint8)
        centre, axes = rng.integers(0, size, 2).tolist(), rng.integers(size // 16, size // 4, 2).tolist()
        cv2.ellipse(area, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        where = area.astype(np.bool_)
        view[where] = other[-size:, -size:][where]
        seen[where] = False


def _relight(view: Grey, rng: np.random.Generator) -> Grey:
    """Another exposure, contrast, direction of light, sharpness and noise."""
    axis = np.linspace(-1, 1, len(view), dtype=np.float32)
    slope = rng.uniform(-0.35, 0.35, 2)
    ramp = 1 + slope[0] * axis[:, None] + slope[1] * axis[None]
    lit = np.clip(view, 0, 1) ** np.exp(rng.uniform(-0.6, 0.6)) * np.exp(rng.uniform(-0.4, 0.3)) * ramp
    if rng.random() < 0.5:  # drawn by a small base, or out of focus
        lit = cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.5, 2.5)))
    lit = lit + rng.normal(0, rng.uniform(0, 0.03), view.shape) + rng.uniform(-0.08, 0.08)
    clipped: Grey = np.clip(lit, 0, 1).astype(np.float32)
    return clipped
