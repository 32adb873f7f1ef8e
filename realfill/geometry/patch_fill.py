"""A hole filled with patches of the scene: the target's known pixels and pictures of the references.

PatchMatch (Barnes et al. 2009) by the package `pypatchmatch`, whose EM over scales is Wexler et al.'s space-time
completion (2007). It works at a small size, where it is quick and sees large structures; then each block of the fill
is looked up in the pictures it came from, and what they show more finely is added, so that the fill is as sharp as its
surroundings. PatchMatch moves patches and neither turns nor scales them: sources should lie as the target does.

Where the package has no library for this machine (`is_available`), a hole is left to inpainting.
"""

import contextlib
import functools
import importlib
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from realfill.arrays import Colours, Field, Hole, Labels, Photo, Points
from realfill.geometry.make_draft import inpaint
from realfill.geometry.nearest_patches import Patches, PrincipalAxes, find_nearest
from realfill.geometry.unsharp_mask import WINDOW, fine_energy
from realfill.imaging.holes import bounding_box
from realfill.sentences import Sentence

SIDE = 512  # longest side of the window at which patches are matched
RADIUS = 3  # of a patch; 2 leaves it without structure (4 dB worse), 4 takes twice the time
CONTEXT = 0.5  # of the hole's longer side: known pixels around it that patches come from
ALIGNMENT = 64  # pixels: as often as the search halves the size that large structures are found at
ROW = 1.2  # of the side of a square as large as all tiles: so wide are their rows
MOST_TILES = 5  # as large as the window, of sources beside it
LEAST_SIDE = 24  # pixels: there is no pyramid in less
BLOCK = 8  # pixels of half that size: a block of the fill is looked up as a whole
STEP = 2  # pixels between the places that are looked at there
DIMENSIONS = 16  # principal components of a block that are compared
SEARCH = 3  # pixels by which a place found at half the size is moved at the size itself
WITHOUT_PATCHES = Sentence(
    "The package pypatchmatch has no library for this machine, so what no reference shows is smooth instead of made of "
    "the scene's texture; `pip install pypatchmatch==2.2.0` brings it where there is a wheel."
)
_log = logging.getLogger(__name__)

Corners = npt.NDArray[np.intp]  # (N, 2): row, column


@dataclass(frozen=True, eq=False)
class PatchSource:
    """A picture that patches come from, at the frame's scale."""

    photo: Photo  # (h, w, 3)
    valid: Hole  # (h, w), True where it shows something
    left: float = 0.0  # where its corner lies in the frame, or would lie
    top: float = 0.0
    fine_gain: float = 1.0  # by which its finest texture is weaker than the target's


@dataclass(frozen=True, eq=False)
class PatchFill:
    """A hole filled with patches."""

    photo: Photo  # (H, W, 3)
    energy: Field  # (H, W): `fine_energy` of what the hole was filled with; 0 where that is not known


@functools.cache
def is_available() -> bool:
    """Whether PatchMatch's library is there and loads; if not, the log says so once."""
    try:
        return bool(_library().patchmatch_available)
    except ImportError as error:
        _log.warning("%s (%s)", WITHOUT_PATCHES, error)
        return False


def _library() -> Any:
    return importlib.import_module("patchmatch.patch_match")


class _Seed:
    """The library's seed, one for the process, from which each of its calls starts."""

    def __init__(self) -> None:
        self._changed, self._seed, self._users = threading.Condition(), 0, 0

    @contextlib.contextmanager
    def hold(self, seed: int) -> Iterator[None]:
        """The seed stays this one meanwhile: others may hold the same beside it, and wait with another."""
        with self._changed:
            self._changed.wait_for(lambda: not self._users or self._seed == seed)
            if not self._users:
                _library().set_verbose(False)
                _library().set_random_seed(seed)
            self._seed, self._users = seed, self._users + 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()


_SEED = _Seed()


def fill_from_patches(
    target: Photo,
    hole: Hole,
    sources: Sequence[PatchSource],
    *,
    seed: int,
    nearness: float = 0.0,
    whole: bool = False,
) -> PatchFill:
    """The target (H, W, 3) with its hole (H, W) filled by patches of itself and of sources; known pixels are kept.

    Equal arguments give equal pictures on one machine: fills of several threads take turns where their seeds differ.

    Args:
        sources: beside the target; what does not fit beside it (`MOST_TILES`) is left out, the last ones first.
        seed: of the random search; another one gives another fill.
        nearness: how much a patch counts that lies in the same place of the frame; 0: places do not count.
        whole: the whole target and whole sources in one row instead of a window round the hole: large things are
            found at the coarsest size, and come whole.
    """
    energy = np.zeros(hole.shape, np.float32)
    if not hole.any():
        return PatchFill(target, energy)
    if not is_available() or min(hole.shape) < LEAST_SIDE or (hole.all() and not sources):
        return PatchFill(inpaint(target, hole), energy)
    left, top, right, bottom = (0, 0, hole.shape[1], hole.shape[0]) if whole else _window(hole)
    part = np.s_[top:bottom, left:right]
    own = PatchSource(target[part], ~hole[part], left, top)
    scale = min(1.0, SIDE / max(own.valid.shape))
    if min(_scaled(own.valid.shape, scale)) < LEAST_SIDE:  # a long strip
        return PatchFill(inpaint(target, hole), energy)
    pictures = _choose_tiles([own, *(source if whole else _cut_source(source, own, scale) for source in sources)])
    shrunk = [_resize_source(one, scale) for one in pictures]
    corners = _row_corners(shrunk) if whole else _congruent_corners(pictures, shrunk, scale)
    canvas = _lay_side_by_side(shrunk, corners)
    small = _shrink_hole(hole[part], scale)
    missing = np.zeros(canvas.tile.shape, np.bool_)
    missing[: small.shape[0], : small.shape[1]] = small
    places = _places(pictures, canvas, scale) if nearness else None
    made = _inpaint(canvas.photo, missing, ~canvas.known & ~missing, seed, places, nearness)
    filled = made[: small.shape[0], : small.shape[1]]
    filled, found = _add_detail(filled, small, canvas, pictures, scale)
    energy[part] = found * hole[part]
    result = target.copy()
    result[part] = np.where(hole[part][..., None], filled, target[part])
    return PatchFill(result, energy)


def _window(hole: Hole) -> tuple[int, int, int, int]:
    """The hole's box with CONTEXT around it."""
    left, top, right, bottom = bounding_box(hole)
    margin = max(LEAST_SIDE, round(CONTEXT * max(right - left, bottom - top)))
    height, width = hole.shape
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)


def _cut_source(source: PatchSource, own: PatchSource, scale: float) -> PatchSource:
    """The part of a source that shows something, from a corner that is whole pixels from `own`'s when shrunk."""
    if not source.valid.any():
        return PatchSource(source.photo[:0, :0], source.valid[:0, :0])
    left, top, right, bottom = bounding_box(source.valid)
    left += _whole_step(source.left + left - own.left, scale)
    top += _whole_step(source.top + top - own.top, scale)
    part = np.s_[top:bottom, left:right]
    photo, valid = source.photo[part], source.valid[part]
    return PatchSource(photo, valid, source.left + left, source.top + top, source.fine_gain)


def _whole_step(offset: float, scale: float) -> int:
    """The fewest pixels to leave out so that an offset shrinks to whole pixels, or nearly."""
    steps = np.arange(math.ceil(1 / scale) + 1)
    return int(np.abs((offset + steps) * scale - np.rint((offset + steps) * scale)).round(2).argmin())


def _choose_tiles(pictures: Sequence[PatchSource]) -> list[PatchSource]:
    """The window and the sources that there is room for beside it."""
    room = pictures[0].valid.size * MOST_TILES
    chosen = [pictures[0]]
    for one in pictures[1:]:
        if min(one.valid.shape) >= LEAST_SIDE and one.valid.size <= room:
            chosen.append(one)
            room -= one.valid.size
    return chosen


def _resize_source(source: PatchSource, scale: float) -> PatchSource:
    if scale >= 1:
        return source
    size = _scaled(source.valid.shape, scale)[::-1]
    photo = np.asarray(cv2.resize(source.photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    return PatchSource(photo, ~_shrink_hole(~source.valid, scale))


def _scaled(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _shrink_hole(hole: Hole, scale: float) -> Hole:
    """Missing where any pixel of the footprint is."""
    size = _scaled(hole.shape, scale)[::-1]
    return np.asarray(cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0)


@dataclass(frozen=True, eq=False)
class _Canvas:
    """Pictures beside one another."""

    photo: Photo  # (h, w, 3)
    tile: Labels  # (h, w), the number of the picture, -1 where there is none or it shows nothing
    corners: Corners  # (N, 2) of the pictures

    @property
    def known(self) -> Hole:
        """(h, w), where it shows something."""
        return self.tile >= 0


def _congruent_corners(pictures: Sequence[PatchSource], shrunk: Sequence[PatchSource], scale: float) -> Corners:
    """Corners (N, 2) in rows, each as far from its picture's place in the frame as whole ALIGNMENTs.

    So the same place of two pictures is the same pixel at every size of the search; with half pixels between them,
    patches that belong there do not fit, and what lies over the target is passed over. In rows, since the search
    reaches no farther than half the canvas' shorter side.
    """
    longest = ROW * math.sqrt(sum(one.valid.size for one in shrunk))
    corners: list[tuple[int, int]] = []
    row, end, below = 0, 0, 0
    for one, small in zip(pictures, shrunk, strict=True):
        height, width = small.valid.shape
        if corners and end + width > longest:
            row, end = below, 0
        top = row + (round((one.top - pictures[0].top) * scale) - row) % ALIGNMENT
        left = end + (round((one.left - pictures[0].left) * scale) - end) % ALIGNMENT
        corners.append((top, left))
        end, below = left + width, max(below, top + height)
    return np.array(corners, np.intp)


def _row_corners(pictures: Sequence[PatchSource]) -> Corners:
    """Corners (N, 2) of pictures in one row."""
    starts = np.cumsum([0, *(one.valid.shape[1] for one in pictures[:-1])])
    return np.stack([np.zeros_like(starts), starts], 1)


def _lay_side_by_side(pictures: Sequence[PatchSource], corners: Corners) -> _Canvas:
    # Sides that halve evenly: the library carries places from size to size by the ratio of the sides.
    height, width = -(-(corners + [one.valid.shape for one in pictures]).max(0) // ALIGNMENT) * ALIGNMENT
    photo, tile = np.zeros((height, width, 3), np.uint8), np.full((height, width), -1, np.int8)
    for number, (one, (top, left)) in enumerate(zip(pictures, corners, strict=True)):
        place = np.s_[top : top + one.valid.shape[0], left : left + one.valid.shape[1]]
        photo[place], tile[place] = one.photo, np.where(one.valid, number, -1)
    return _Canvas(photo, tile, corners)


def _places(pictures: Sequence[PatchSource], canvas: _Canvas, scale: float) -> Field:
    """Where in the frame each pixel of the canvas (h, w) lies, (h, w, 3) in 0..0.5; the last plane is not used."""
    places = np.full((*canvas.tile.shape, 3), np.nan, np.float32)
    for one, (row, column) in zip(pictures, canvas.corners, strict=True):
        height, width = _scaled(one.valid.shape, scale)
        tile = places[row : row + height, column : column + width]
        tile[:, :, 0] = (one.top + np.arange(height) / scale)[:, None]
        tile[:, :, 1] = one.left + np.arange(width) / scale
    low, high = np.nanmin(places), np.nanmax(places)
    return np.asarray(np.nan_to_num((places - low) / (2 * (high - low))), np.float32)


def _inpaint(canvas: Photo, missing: Hole, outside: Hole, seed: int, places: Field | None, nearness: float) -> Photo:
    library, hole, out = _library(), missing.astype(np.uint8), outside.astype(np.uint8)
    with _SEED.hold(seed):
        if places is None:
            made = library.inpaint(canvas, hole, global_mask=out, patch_size=RADIUS)
        else:
            made = library.inpaint_regularity(
                canvas, hole, places, global_mask=out, patch_size=RADIUS, guide_weight=nearness
            )
    return np.asarray(made, np.uint8)


def _add_detail(
    filled: Photo, hole: Hole, canvas: _Canvas, pictures: Sequence[PatchSource], scale: float
) -> tuple[Photo, Field]:
    """A small fill (h, w, 3) at its window's own size (H, W, 3), with what its sources show more finely.

    Blocks of several sources cancel one another where they overlap: beside it is how strong their finest texture is by
    itself (H, W).

    Args:
        hole: (h, w), whose blocks are looked up.
        canvas: what `filled` was made from, at its size.
        pictures: the same at their own size, `1 / scale` times as large.
    """
    height, width = pictures[0].valid.shape
    large = np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    corners, found = _look_up_blocks(filled, hole, canvas.photo, canvas.known)
    whole = _lay_side_by_side(pictures, _row_corners(pictures))
    coarse = np.zeros(whole.photo.shape, np.float32)
    for one, (_, start), (row, column) in zip(pictures, whole.corners, canvas.corners, strict=True):
        rows, columns = _scaled(one.valid.shape, scale)
        small = canvas.photo[row : row + rows, column : column + columns]
        place = np.s_[: one.valid.shape[0], start : start + one.valid.shape[1]]
        coarse[place] = cv2.resize(small, one.valid.shape[::-1], interpolation=cv2.INTER_CUBIC)
    tile = canvas.tile[found[:, 0], found[:, 1]]
    there = (found - canvas.corners[tile]) / scale + whole.corners[tile]
    detail = np.dstack([whole.photo - coarse, _measure_energy(pictures, whole)])
    added = _lay_blocks(large, coarse, detail, np.c_[corners / scale, there], round(2 * BLOCK / scale))
    return np.asarray(np.rint(np.clip(large + added[..., :3], 0, 255)), np.uint8), added[..., 3]


def _measure_energy(pictures: Sequence[PatchSource], whole: _Canvas) -> Field:
    """`fine_energy` of pictures that lie side by side (h, w); 0 at the edge of what they show, which is no
    texture of theirs.
    """
    energy, window = np.zeros(whole.tile.shape, np.float32), np.ones((WINDOW, WINDOW))
    for one, (row, column) in zip(pictures, whole.corners, strict=True):
        inside = cv2.erode(one.valid.astype(np.uint8), window, borderValue=1)
        place = np.s_[row : row + inside.shape[0], column : column + inside.shape[1]]
        energy[place] = fine_energy(one.photo) * inside * one.fine_gain**2
    return energy


def _look_up_blocks(filled: Photo, hole: Hole, canvas: Photo, known: Hole) -> tuple[Corners, Corners]:
    """Corners (N, 2) of blocks of 2 BLOCK pixels over the hole of a fill, and of those on the canvas like them."""
    half, half_canvas = (_halve(picture) for picture in (filled, canvas))
    height, width = half.shape[:2]
    touched = cv2.resize(hole.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
    rows, columns = (np.unique(np.r_[np.arange(0, side - BLOCK, BLOCK // 2), side - BLOCK]) for side in (height, width))
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    inside = sliding_window_view(touched, (BLOCK, BLOCK))[grid[:, 0], grid[:, 1]].any((1, 2))
    corners = grid[inside]
    shown = cv2.resize(known.astype(np.float32), half_canvas.shape[1::-1], interpolation=cv2.INTER_AREA) >= 1
    whole = cv2.erode(shown.astype(np.uint8), np.ones((BLOCK, BLOCK)), anchor=(0, 0), borderValue=0) > 0
    sources = np.argwhere(whole[::STEP, ::STEP]) * STEP
    if not len(sources) or not len(corners):
        return np.zeros((0, 2), np.intp), np.zeros((0, 2), np.intp)
    blocks = _blocks_at(half, corners)
    axes = PrincipalAxes.fit(blocks, DIMENSIONS)
    found = sources[find_nearest(axes.project(blocks), axes.project(_blocks_at(half_canvas, sources)))]
    return 2 * corners, _move_to_likeness(filled, canvas, 2 * corners, 2 * found, 2 * BLOCK, SEARCH)


def _halve(photo: Photo) -> Photo:
    return np.asarray(cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _blocks_at(photo: Photo, corners: Corners) -> Patches:
    """The blocks (N, BLOCK · BLOCK · 3) of a photo with these corners (N, 2)."""
    windows = sliding_window_view(photo, (BLOCK, BLOCK, 3))[:, :, 0]
    return windows[corners[:, 0], corners[:, 1]].reshape(len(corners), -1).astype(np.float32)


def _move_to_likeness(
    picture: Photo | Colours, canvas: Photo | Colours, corners: Corners, found: Corners, side: int, reach: int
) -> Corners:
    """The places found (N, 2), each moved by `reach` pixels at most to where its block looks most alike."""
    most = np.array(canvas.shape[:2]) - side
    moved = found.clip(0, most)
    for number, (corner, place) in enumerate(zip(corners, moved, strict=True)):
        low, high = np.maximum(place - reach, 0), np.minimum(place + reach, most)
        block = picture[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
        around = canvas[low[0] : high[0] + block.shape[0], low[1] : high[1] + block.shape[1]]
        _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(around, block, cv2.TM_SQDIFF))
        moved[number] = low + np.array([y, x])
    return moved


def _lay_blocks(large: Colours, coarse: Colours, detail: Field, places: Points, side: int) -> Field:
    """Blocks of detail where they belong in a fill, (H, W, C), each faded towards its edge; 0 where there is none.

    Args:
        large: the fill (H, W, 3).
        coarse, detail: the canvas (H', W', 3) at the fill's fineness, and (H', W', C) what is laid of it.
        places: (N, 4) row and column of a block in the fill and on the canvas.
        side: of a block.
    """
    whole = np.rint(places).astype(np.intp)
    side = min(side, *large.shape[:2], *coarse.shape[:2])
    corners = whole[:, :2].clip(0, np.array(large.shape[:2]) - side)
    found = _move_to_likeness(large, coarse, corners, whole[:, 2:], side, max(1, round(side / (2 * BLOCK))))
    fade = np.sin((np.arange(side) + 0.5) * np.pi / side).astype(np.float32) ** 4
    weight = np.outer(fade, fade)[..., None]
    shape = large.shape[:2]
    total, share = np.zeros((*shape, detail.shape[2]), np.float32), np.full(shape, 1e-6, np.float32)
    for (y, x), (v, u) in zip(corners, found, strict=True):
        total[y : y + side, x : x + side] += weight * detail[v : v + side, u : u + side]
        share[y : y + side, x : x + side] += weight[..., 0]
    return np.asarray(total / share[..., None], np.float32)
