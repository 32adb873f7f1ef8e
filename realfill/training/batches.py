"""Training batches: which photo, which crop, which hole, which prompt (§3.4, §4.2).

Everything a batch holds is a pure function of (seed, step, index): drawing step 812 again gives the same
sixteen items, whether one process draws them or eight, and whether the run was interrupted before.

The paper leaves crop and size policy open. Here: every item is a crop of the working size's aspect, at a
scale drawn log-uniformly between the whole photo and the scale at which the target's hole is filled
(times `crop`), so that the adapter sees the scene as sampling will ask for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from realfill import seeds
from realfill.arrays import Hole, Photo
from realfill.config import TrainConfig
from realfill.imaging.crop import CropTransform
from realfill.imaging.fill import average_areas, fill_from_known
from realfill.imaging.holes import random_hole
from realfill.models.backbone import Pictures
from realfill.models.items import join_items
from realfill.models.pixels import crop_place, to_planes, to_tensors
from realfill.scene.scene import Scene

LEAST_KNOWN = 0.1  # share of latent cells that a crop of the target must know
_TRIES = 50


@dataclass(frozen=True, eq=False)
class Batch(Pictures):
    """One draw, on the CPU; the target's hole is filled with a smooth guess, and `hole` is m, for the target m ∪ M."""

    weight: Tensor  # (B, 1, H, W) of 0 and 1: where the loss counts; 1 − M for the target, else 1
    prompts: tuple[str, ...]
    is_target: tuple[bool, ...]
    context: tuple[tuple[int, ...], ...]  # photos that may stand beside each item: their numbers in `TrainingViews`


@dataclass(frozen=True)
class TrainingView:
    """A photo prepared for drawing crops from: where they may lie, and how large they are."""

    photo: Photo
    hole: Hole  # all False for a reference
    is_target: bool
    box: tuple[float, float, float, float]  # left, top, width, height that crops lie in
    smallest: float  # smallest crop, as a share of the largest that fits the box
    target_hole: Hole | None = None  # what the target's hole hides, in a picture that lies in the target's frame


@dataclass(frozen=True)
class DraftView:
    """A picture of the scene in the target's frame: a warped reference, or the draft (docs/geometry.md)."""

    photo: Photo  # (h, w, 3), the crop's box at any resolution
    unknown: Hole  # (h, w): what the picture does not vouch for; hidden, and no loss there
    target_hole: Hole  # (h, w): the target's hole


@dataclass(frozen=True)
class TrainingViews:
    """All photos of a scene, the size (height, width) that crops are resized to, and pixels per cell of the loss."""

    views: tuple[TrainingView, ...]  # the references first
    height: int
    width: int
    cell: int  # of the loss
    draft_views: tuple[TrainingView, ...] = ()  # pictures in the target's frame


def prepare_views(
    scene: Scene, crop: CropTransform, config: TrainConfig, *, cell: int, draft_views: Sequence[DraftView] = ()
) -> TrainingViews:
    """Views of the references and, unless nothing of it is known, of the target.

    The target's hole is overwritten before anything can see it: what the file holds there adds nothing.

    Args:
        cell: pixels per cell of the loss (`spec.loss_cell`).
        draft_views: drawn for a share `config.guided` of the items.
    """
    share = min(1.0, max(crop.box[2] / crop.photo_width, crop.box[3] / crop.photo_height))
    views = [
        TrainingView(
            photo=photo,
            hole=np.zeros(photo.shape[:2], np.bool_),
            is_target=False,
            box=(0.0, 0.0, float(photo.shape[1]), float(photo.shape[0])),
            smallest=config.crop * share,
        )
        for photo in scene.references
    ]
    if not scene.hole.all():
        filled = fill_from_known(scene.target, scene.hole)
        views.append(TrainingView(filled, scene.hole, is_target=True, box=_box_in_photo(crop), smallest=config.crop))
    shrunk = tuple(_shrink_view(view, crop) for view in views)
    in_frame = tuple(_training_view(view, crop, config) for view in draft_views)
    return TrainingViews(shrunk, crop.height, crop.width, cell, in_frame)


def _training_view(view: DraftView, crop: CropTransform, config: TrainConfig) -> TrainingView:
    height, width = view.photo.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    photo = fill_from_known(view.photo, view.unknown)
    return _shrink_view(TrainingView(photo, view.unknown, False, box, config.crop, view.target_hole), crop)


@dataclass(frozen=True, eq=False)
class ItemPick:
    """What an item of a step is, before anything of it is drawn."""

    prompt: str
    number: int | None  # its number in the pool; None: it is the step's own
    rng: np.random.Generator  # draws its picture and its hole


def keep_references(views: TrainingViews) -> TrainingViews:
    """The same without the target and without pictures in its frame."""
    return TrainingViews(
        tuple(view for view in views.views if not view.is_target), views.height, views.width, views.cell
    )


def pick_item(config: TrainConfig, *, seed: int, step: int, index: int) -> ItemPick:
    """The item `index` of a step's batch.

    With `config.pool` pictures and holes come from a fixed set of that many, each a pure function of its
    number, so that none need be drawn and encoded twice; which one, and the prompt, stay the step's.
    """
    own = seeds.rng(seed, seeds.Stream.BATCH, step, index)
    prompt = "" if own.random() < config.prompt_dropout else config.prompt
    if not config.pool:
        return ItemPick(prompt, None, own)
    number = int(own.integers(config.pool))
    return ItemPick(prompt, number, seeds.rng(seed, seeds.Stream.POOL, number))


def draw_batch(views: TrainingViews, config: TrainConfig, *, seed: int, step: int, indices: Sequence[int]) -> Batch:
    """The items `indices` of a step's batch; every item with its own photo, crop, hole and prompt.

    Args:
        seed: the run's seed.
        step: counted from 0.
        indices: positions in the batch; a process of several draws only its own.
    """
    return draw_picks(views, config, [pick_item(config, seed=seed, step=step, index=index) for index in indices])


def draw_picks(views: TrainingViews, config: TrainConfig, picks: Sequence[ItemPick]) -> Batch:
    """The items that were picked; each pick can be drawn once."""
    return join_items([_draw_item(views, config, one) for one in picks])


def _box_in_photo(crop: CropTransform) -> tuple[float, float, float, float]:
    """The part of the crop's box that lies in the photo."""
    left, top, width, height = crop.box
    right, bottom = min(left + width, crop.photo_width), min(top + height, crop.photo_height)
    left, top = max(0.0, left), max(0.0, top)
    return left, top, right - left, bottom - top


def _largest_crop(box: tuple[float, float, float, float], height: int, width: int) -> tuple[float, float]:
    """Width and height of the largest crop of the working aspect that fits a box."""
    scale = min(box[2] / width, box[3] / height)
    return width * scale, height * scale


def _shrink_view(view: TrainingView, crop: CropTransform) -> TrainingView:
    """The view at no more pixels than its smallest crop needs, so that crops of large photos are quick."""
    crop_width = _largest_crop(view.box, crop.height, crop.width)[0] * view.smallest
    scale = min(1.0, crop.width / crop_width)
    if scale > 0.8:
        return view
    height, width = (max(1, round(side * scale)) for side in view.photo.shape[:2])
    photo = cv2.resize(view.photo, (width, height), interpolation=cv2.INTER_AREA)
    hole = _shrink_hole(view.hole, width, height)
    sx, sy = width / view.photo.shape[1], height / view.photo.shape[0]
    left, top, box_width, box_height = view.box
    box = (left * sx, top * sy, box_width * sx, box_height * sy)
    target_hole = None if view.target_hole is None else _shrink_hole(view.target_hole, width, height)
    return TrainingView(np.asarray(photo, np.uint8), hole, view.is_target, box, view.smallest, target_hole)


def _shrink_hole(hole: Hole, width: int, height: int) -> Hole:
    """A pixel is in the hole that any pixel of the hole falls into."""
    return average_areas(hole.astype(np.float32), (width, height)) > 0


def _draw_item(views: TrainingViews, config: TrainConfig, pick: ItemPick) -> Batch:
    """A batch of one item."""
    rng = pick.rng
    if views.draft_views and rng.random() < config.guided:
        view = views.draft_views[int(rng.integers(len(views.draft_views)))]
    else:
        view = views.views[int(rng.integers(len(views.views)))]
    crop, unknown = _draw_crop(view, views, rng)
    for _ in range(_TRIES):
        if known_share(unknown, cell=views.cell) >= LEAST_KNOWN:
            break
        crop, unknown = _draw_crop(view, views, rng)
    else:  # nothing is known around this hole, almost a blank canvas: a reference teaches in its place
        view = views.views[int(rng.integers(len(views.views) - 1))]
        crop, unknown = _draw_crop(view, views, rng)
    if view.target_hole is not None and rng.random() < config.aware:
        m = crop.crop_hole(view.target_hole)
    else:
        m = random_hole(views.height, views.width, rng)
    if rng.random() < config.mask_dropout:
        m = np.ones_like(m)
    pixels, hole = to_tensors(crop.crop_photo(view.photo), m | unknown)
    return Batch(
        pixels=pixels,
        hole=hole,
        place=crop_place(crop),
        weight=to_planes([~unknown]),
        prompts=(pick.prompt,),
        is_target=(view.is_target,),
        context=(_other_photos(views, view),),
    )


def _other_photos(views: TrainingViews, view: TrainingView) -> tuple[int, ...]:
    """The scene's other photos; none for a picture in the target's frame, which was made of all of them."""
    others = tuple(index for index, other in enumerate(views.views) if other is not view)
    return others if len(others) < len(views.views) else ()


def known_share(unknown: Hole, *, cell: int) -> float:
    """Share of the latent cells that no unknown pixel (H, W) touches, as the loss counts them."""
    height, width = unknown.shape
    touched = unknown.reshape(height // cell, cell, width // cell, cell).any((1, 3))
    return float(1 - touched.mean())


def _draw_crop(view: TrainingView, views: TrainingViews, rng: np.random.Generator) -> tuple[CropTransform, Hole]:
    """A random crop of the view and its unknown pixels (H, W)."""
    width, height = _largest_crop(view.box, views.height, views.width)
    share = float(np.exp(rng.uniform(np.log(view.smallest), 0.0)))
    width, height = width * share, height * share
    left = view.box[0] + rng.uniform(0, max(0.0, view.box[2] - width))
    top = view.box[1] + rng.uniform(0, max(0.0, view.box[3] - height))
    photo_height, photo_width = view.photo.shape[:2]
    crop = CropTransform((left, top, width, height), views.width, views.height, photo_width, photo_height)
    in_frame = view.is_target or view.target_hole is not None
    unknown = crop.crop_hole(view.hole) if in_frame else np.zeros((views.height, views.width), np.bool_)
    return crop, unknown
