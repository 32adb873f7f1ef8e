"""Complete, sharp proposals for a hole: what geometry shows, and the rest from patches of the scene.

No single way wins on all scenes: a plane through the reference with most matches, the whole draft, or patches alone.
So there are several proposals, each by a recipe of its own (`list_recipes`), and a score that picks among them
(`proposal_scores`).
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np

from realfill.arrays import Colours, Confidence, Field, Hole, Homography, Matrix, Photo, Vector
from realfill.geometry.alignment import LEARNED_LEAST
from realfill.geometry.colour_correction import fit_regions, match_greyness
from realfill.geometry.colour_regions import Box, RegionField
from realfill.geometry.correspondences import Pairs
from realfill.geometry.draft import Draft
from realfill.geometry.homography import find_planes, invert, is_sane
from realfill.geometry.patch_fill import PatchSource, fill_from_patches, is_available
from realfill.geometry.threads import Once, map_threads
from realfill.imaging.composite import match_colour
from realfill.imaging.crop import CropTransform, crop_longest
from realfill.imaging.fill import nearest_known
from realfill.imaging.holes import bounding_box, distance_from_hole
from realfill.scene.scene import Scene

TOLERANCE = 8.0  # pixels of the frame between a point and where a similarity puts it: things are not flat
LEAST_INLIERS = 12  # unrelated photos reach 8; of a learned matcher's pairs LEARNED_LEAST are needed
HALF = 0.5  # of the pairs: from there on they count as a learned matcher's
BEYOND = 0.5  # of the frame's sides: so far beyond it a laid reference gives patches
NEAR = 0.075  # of the frame's longer side: known pixels so near to the hole tell a reference's colours
UNLIKE = 0.02  # of a pixel's say in a region's colours where the structure is another
RIDGE = 30.0  # variance in CIELAB from which known pixels decide a channel's gain
NEARNESS = (0.02, 0.005, 0.01)  # of `fill_from_patches`, where references are laid; seeds take turns
SCALES = ((1.0,), (1.0, 0.7), (1.0, 1.4))  # of plain references; seeds take turns
LEAST_SHOWN = 300  # pixels that a laid reference must show of the hole, and of what is known
SIDE = 256  # longest side at which pictures are compared: a shift of a pixel or two of 1024 is forgiven
WINDOW = 11  # pixels there over which structure is compared
STRUCTURE = (0.03 * 255) ** 2  # SSIM's second constant: where nothing varies, pictures agree
SUPPORT = 20.0  # inliers on which two thirds of a laid reference's trust rest
BORDER = 4  # pixels beside the hole at which a laid reference's colours are to meet the target's
LEAST_TRUST = 0.3  # with less a laid reference is a blur or lies elsewhere: it gives patches, no proposal of its own
ALONE = 0.8  # of its trust: what one reference shows without another that agrees
WHOLE = 0.97  # share of the hole from which geometry leaves nothing to patches
PATCHED = ("placed", "patches", "canvas")

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


@dataclass(frozen=True, eq=False)
class LaidReference:
    """A reference laid over the frame by one rigid model; its colours are made when asked for, which is dear."""

    reference: int
    kind: str  # "similarity" or "plane"
    inliers: int
    trust: float  # 0..1: how far its structure agrees with known pixels around the hole, and its inliers
    raw: Photo  # (h + 2 m, w + 2 m, 3) in its own colours: the frame with BEYOND of its sides around
    valid: Hole  # (h + 2 m, w + 2 m), True where it shows something
    margin: tuple[int, int]  # down, across
    colours: LaidColours

    @property
    def inner(self) -> Part:
        """The frame's part of it."""
        down, across = self.margin
        return slice(down, self.valid.shape[0] - down), slice(across, self.valid.shape[1] - across)

    def show(self, part: Part, *, small: bool = False) -> Photo:
        """A part of it in the target's colours, (h, w, 3), or `small`, as `shrink` makes it."""
        (rows, columns), (height, width) = part, self.valid.shape
        box = columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
        return self.colours.apply(shrink(self.raw[part]) if small else self.raw[part], box)

    def as_source(self) -> PatchSource:
        """What it shows, as patches that lie over the frame and around it."""
        left, top, right, bottom = bounding_box(self.valid)
        part = np.s_[top:bottom, left:right]
        return PatchSource(self.show(part), self.valid[part], left - self.margin[1], top - self.margin[0])


@dataclass(frozen=True)
class Recipe:
    """How one proposal is made."""

    kind: str  # "draft": all that geometry shows; "single": one reference; PATCHED: patches alone
    seed: int  # of the patches
    source: int = -1  # of "single": which of the laid references

    @property
    def way(self) -> tuple[str, int]:
        """What recipes share that differ in their patches alone."""
        return self.kind, self.source


@dataclass(frozen=True, eq=False)
class Proposal:
    """The hole filled by one recipe, in the draft's frame."""

    recipe: Recipe
    photo: Photo  # (h, w, 3); known pixels as in the target
    confidence: Confidence  # (h, w), as of a draft: what references show; 0 where patches are


@dataclass(frozen=True, eq=False)
class Sources:
    """What all proposals of a scene are made of, in the draft's frame."""

    target: Photo  # (h, w, 3), the nearest known colours in the hole
    hole: Hole  # (h, w)
    draft: Draft
    laid: tuple[LaidReference, ...]  # the most trusted first
    plain: tuple[PatchSource, ...]  # every reference as it is, at a scale like the target's
    laid_patches: Once[dict[int, PatchSource]]  # what each reference shows as it lies best, by its number


def gather_sources(scene: Scene, draft: Draft) -> Sources:
    """References laid over the draft's frame by its matches, and as they are."""
    frame, scene = draft.frame, match_greyness(scene)
    hole = frame.crop_hole(scene.hole)
    target = nearest_known(frame.crop_photo(scene.target), hole)
    fits = [crop_longest(*photo.shape[:2], longest=max(frame.width, frame.height)) for photo in scene.references]
    photos = map_threads(CropTransform.crop_photo, fits, scene.references)
    given = [
        (photo, replace(pairs, second=fit.to_working(pairs.second)))
        for photo, fit, pairs in zip(photos, fits, draft.matches, strict=False)
    ]
    made = map_threads(lambda number: _lay_rigidly(number, *given[number], target, hole), range(len(given)))
    laid = [one for several in made for one in several]
    plain = [_centre(photo, hole.shape) for photo in photos]
    laid.sort(key=lambda one: -one.trust)
    return Sources(target, hole, draft, tuple(laid), tuple(plain), Once(lambda: _laid_patches(laid)))


def _laid_patches(laid: Sequence[LaidReference]) -> dict[int, PatchSource]:
    best = _best_laid(laid)
    sources = map_threads(LaidReference.as_source, best)
    return {one.reference: source for one, source in zip(best, sources, strict=True)}


def _resize_plainly(source: PatchSource, scale: float, shape: tuple[int, ...]) -> PatchSource:
    """A reference at another scale, its middle on the frame's (h, w)."""
    if scale == 1:
        return source
    photo = cv2.resize(
        source.photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    return _centre(np.asarray(photo, np.uint8), shape)


def _centre(photo: Photo, shape: tuple[int, ...]) -> PatchSource:
    height, width = photo.shape[:2]
    left, top = (shape[1] - width) / 2, (shape[0] - height) / 2
    return PatchSource(photo, np.ones((height, width), np.bool_), left, top)


def _lay_rigidly(index: int, photo: Photo, pairs: Pairs, target: Photo, hole: Hole) -> list[LaidReference]:
    """The reference (H, W, 3) by its best similarity and its best plane, those that are believable.

    Args:
        pairs: the frame's points first, and where the reference has them.
    """
    learned = len(pairs) > 0 and float((pairs.first_index < 0).mean()) > HALF
    least = LEARNED_LEAST if learned else LEAST_INLIERS
    if len(pairs) < least:
        return []
    first, second = np.ascontiguousarray(pairs.first), np.ascontiguousarray(pairs.second)
    models: list[tuple[str, int, Homography]] = []
    cv2.setRNGSeed(0)
    similarity, inside = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=20000
    )
    if similarity is not None:
        models.append(("similarity", int(inside.sum()), np.vstack([similarity, [0.0, 0.0, 1.0]])))
    planes = find_planes(Pairs.from_points(first, second), most=1)
    models += [("plane", int(plane.inliers.sum()), plane.matrix) for plane in planes]
    return [
        laid
        for kind, inliers, matrix in models
        if inliers >= least and is_sane(matrix, first)
        for laid in _lay(index, kind, inliers, photo, matrix, target, hole)
    ]


def _lay(
    index: int, kind: str, inliers: int, photo: Photo, matrix: Homography, target: Photo, hole: Hole
) -> Iterator[LaidReference]:
    """The reference by a homography from the frame, with its surroundings; nothing where it is not over the hole."""
    height, width = hole.shape
    down, across = round(BEYOND * height), round(BEYOND * width)
    shift = np.array([[1.0, 0, across], [0, 1, down], [0, 0, 1]])
    size = width + 2 * across, height + 2 * down
    forward = shift @ invert(matrix)
    laid = np.asarray(cv2.warpPerspective(photo, forward, size, flags=cv2.INTER_AREA), np.uint8)
    valid = cv2.warpPerspective(np.ones(photo.shape[:2], np.uint8), forward, size, flags=cv2.INTER_NEAREST) > 0
    inner = np.s_[down : down + height, across : across + width]
    both = valid[inner] & ~hole
    near = both & (distance_from_hole(hole) < NEAR * max(hole.shape))
    if (valid[inner] & hole).sum() < LEAST_SHOWN or both.sum() < LEAST_SHOWN:
        return
    both = near if near.sum() >= LEAST_SHOWN else both
    agrees = float(structure_similarity(laid[inner], target)[both].mean())
    trust = max(0.0, agrees) * support(inliers)
    colours = _fit_colours(laid, np.asarray(valid), target, both, inner)
    yield LaidReference(index, kind, inliers, trust, laid, np.asarray(valid), (down, across), colours)


def support(inliers: int) -> float:
    """0..1: how far so many inliers are to be believed."""
    return 1 - math.exp(-inliers / SUPPORT)


def structure_similarity(one: Photo, other: Photo) -> Field:
    """(h, w) -1..1: SSIM without its first factor (Wang et al. 2004), so that other light is forgiven."""
    height, width = one.shape[:2]
    size = scoring_size(one.shape)
    first, second = (
        cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
        for photo in (one, other)
    )
    window = (WINDOW, WINDOW)
    mean_first, mean_second = cv2.blur(first, window), cv2.blur(second, window)
    variance = cv2.blur(first**2, window) - mean_first**2 + cv2.blur(second**2, window) - mean_second**2
    covariance = cv2.blur(first * second, window) - mean_first * mean_second
    similarity = (2 * covariance + STRUCTURE) / (np.maximum(variance, 0) + STRUCTURE)
    return np.asarray(cv2.resize(similarity, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def shrink(photo: Photo) -> Photo:
    """A picture (H, W, 3) with its longest side at SIDE."""
    return np.asarray(cv2.resize(photo, scoring_size(photo.shape), interpolation=cv2.INTER_AREA), np.uint8)


def scoring_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of a picture (H, W) with its longest side at SIDE."""
    scale = min(1.0, SIDE / max(shape[:2]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _fit_colours(laid: Photo, valid: Hole, target: Photo, both: Hole, inner: Part) -> LaidColours:
    """What brings a laid reference (H, W, 3) to the target's colours, so that sky is like its sky.

    Args:
        valid: (H, W), where the reference shows something.
        both: (h, w), known pixels of the target that tell its colours; they say more where the structure is the same.
        inner: the frame's part of the reference.
    """
    whole = _fit_lab(laid[inner][both], target[both])
    size = scoring_size(laid.shape)
    weight, aim = np.zeros(valid.shape, np.float32), np.zeros_like(laid)
    alike = structure_similarity(whole.apply(shrink(laid[inner])), shrink(target))
    weight[inner] = both * np.maximum(cv2.resize(alike, both.shape[::-1], interpolation=cv2.INTER_LINEAR), UNLIKE)
    aim[inner] = target
    small, aim, weight, shown = (
        cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (laid, aim, weight, valid.astype(np.float32))
    )
    return LaidColours(whole, fit_regions(whole.apply(small), aim, weight, shown))


def _fit_lab(given: Photo, wanted: Photo) -> AffineColours:
    """The change of colours (N, 3) that are given into those that are wanted, by ridge regression."""
    x, y = (_to_lab(colours[None])[0].astype(np.float64) for colours in (given, wanted))
    middle, aim = x.mean(0), y.mean(0)
    square, cross = (x - middle).T @ (x - middle), (x - middle).T @ (y - aim)
    ridge = RIDGE * len(x) * np.eye(3)
    matrix = np.linalg.solve(square + ridge, cross + ridge).T
    return AffineColours(matrix, aim - matrix @ middle)


def _to_lab(photo: Photo) -> Colours:
    return np.asarray(cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def list_recipes(sources: Sources, count: int) -> list[Recipe]:
    """`count` recipes at most, those first that are good most often: each way once, then again with other patches.

    What geometry fills alone is not made twice. Fewer where there are no patches (`patch_fill.is_available`).
    """
    best = _best_laid(sources.laid)
    others = [one for one in sources.laid if one.trust >= LEAST_TRUST and not any(one is its for its in best)]
    hole = sources.hole
    covered = {-1: float((sources.draft.confidence[hole] > 0).mean())}
    covered |= {number: float(one.valid[one.inner][hole].mean()) for number, one in enumerate(sources.laid)}
    singles = [Recipe("single", 0, number) for number, one in enumerate(sources.laid) if one in best]
    if not is_available():
        return [Recipe("draft", 0), *singles][:count]
    singles = [one for one in singles if sources.laid[one.source].trust >= LEAST_TRUST]
    ways = [Recipe("draft", 0)] if covered[-1] else []
    ways += [*singles[:1], Recipe("placed", 0), Recipe("canvas", 0), Recipe("patches", 0), *singles[1:]]
    recipes, turn = list(ways), 0
    while len(recipes) < count:
        turn += 1
        again = [replace(way, seed=turn) for way in ways if covered.get(way.source, 0) < WHOLE or way.kind in PATCHED]
        recipes += again
        if turn == 1:
            recipes += [Recipe("single", 0, number) for number, one in enumerate(sources.laid) if one in others]
    return recipes[:count]


def make_proposal(sources: Sources, recipe: Recipe) -> Proposal:
    """One proposal by its recipe."""
    hole, draft = sources.hole, sources.draft
    photo, confidence, rest = sources.target, np.where(hole, 0.0, 1.0).astype(np.float32), hole
    if recipe.kind == "draft":
        shown = hole & (draft.confidence > 0)
        photo = np.where(shown[..., None], draft.photo, photo)
        confidence, rest = draft.confidence, hole & ~shown
    elif recipe.kind == "single":
        one = sources.laid[recipe.source]
        photo, rest = _clone(sources, one)
        confidence = np.where(hole & ~rest, ALONE * one.trust, confidence).astype(np.float32)
    if not rest.any():
        return Proposal(recipe, photo, confidence)
    if recipe.kind == "patches":
        filled = fill_from_patches(photo, rest, _plain_sources(sources, recipe.seed), seed=recipe.seed)
    elif recipe.kind == "canvas":
        filled = fill_from_patches(photo, rest, _rotate(sources.plain, recipe.seed), seed=recipe.seed, whole=True)
    else:
        nearness = NEARNESS[recipe.seed % len(NEARNESS)]
        filled = fill_from_patches(
            photo, rest, _laid_sources(sources, recipe.seed), seed=recipe.seed, nearness=nearness
        )
    return Proposal(recipe, filled, confidence)


def _plain_sources(sources: Sources, seed: int) -> list[PatchSource]:
    """The references as they are, at the scales and in the order of a seed."""
    return [
        _resize_plainly(one, scale, sources.hole.shape)
        for scale in SCALES[seed % len(SCALES)]
        for one in _rotate(sources.plain, seed)
    ]


def _laid_sources(sources: Sources, seed: int) -> list[PatchSource]:
    """The references where they lie over the target, in the order of a seed; the others as they are."""
    laid = sources.laid_patches()
    return [*_rotate([*laid.values()], seed), *(one for index, one in enumerate(sources.plain) if index not in laid)]


def _rotate(items: Sequence[PatchSource], steps: int) -> list[PatchSource]:
    """The items, each in its turn the first one."""
    start = steps % len(items) if items else 0
    return [*items[start:], *items[:start]]


def _best_laid(laid: Sequence[LaidReference]) -> list[LaidReference]:
    """One laid picture of each reference, the most trusted first."""
    best: dict[int, LaidReference] = {}
    for one in laid:
        best.setdefault(one.reference, one)
    return list(best.values())


def _clone(sources: Sources, one: LaidReference) -> tuple[Photo, Hole]:
    """The target with a laid reference in its hole, shifted to meet the border, and what of the hole it leaves.

    The shift is a membrane (Pérez et al. 2003) that is free at the frame's edge, where there is nothing to meet.
    """
    hole, valid = sources.hole, one.valid[one.inner]
    inside = cv2.erode(valid.astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0
    shown = hole & inside
    moved = match_colour(sources.target, hole, one.show(one.inner), feather=BORDER, covered=inside)
    return np.where(shown[..., None], moved, sources.target), hole & ~shown


def make_proposals(sources: Sources, recipes: Sequence[Recipe]) -> Iterator[Proposal]:
    """Proposals one by one, in the order of their recipes; what can be done beside a fill is."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda recipe: make_proposal(sources, recipe), recipes)
