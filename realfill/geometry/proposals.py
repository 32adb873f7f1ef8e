"""Complete, sharp proposals for a hole: what geometry shows, and the rest from patches of the scene.

No single way wins on all scenes: a plane through the reference with most matches, the whole draft, or patches alone.
So there are several proposals, each by a recipe of its own (`list_recipes`), and a score that picks among them
(`proposal_scores`).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event

import cv2
import numpy as np

from realfill.arrays import Confidence, Field, Hole, Photo
from realfill.geometry.colour_correction import match_greyness
from realfill.geometry.draft import VOUCHED, Draft
from realfill.geometry.laid_reference import NEAR, LaidReference, lay_rigidly
from realfill.geometry.patch_fill import PatchSource, fill_from_patches, is_available
from realfill.geometry.threads import Once, map_threads
from realfill.geometry.unsharp_mask import fine_energy, fine_gain, sharpen_to
from realfill.imaging.composite import match_colour
from realfill.imaging.crop import CropTransform, crop_longest
from realfill.imaging.fill import nearest_known
from realfill.imaging.holes import distance_from_hole
from realfill.scene.scene import Scene

NEARNESS = (0.02, 0.005, 0.01)  # of `fill_from_patches`, where references are laid; seeds take turns
SCALES = ((1.0,), (1.0, 0.7), (1.0, 1.4))  # of plain references; seeds take turns
BORDER = 4  # pixels beside the hole at which a laid reference's colours are to meet the target's
LEAST_TRUST = 0.3  # with less a laid reference is a blur or lies elsewhere: it gives patches, no proposal of its own
ALONE = 0.8  # of its trust: what one reference shows without another that agrees
WHOLE = 0.97  # share of the hole from which geometry leaves nothing to patches
PATCHED = ("placed", "patches", "canvas")
FAMILIES = {"draft": "draft", "single": "laid", "placed": "laid", "canvas": "texture", "patches": "texture"}


@dataclass(frozen=True)
class Recipe:
    """How one proposal is made."""

    kind: str  # "draft": all that geometry shows; "single": one reference; PATCHED: patches alone
    seed: int  # of the patches
    source: int = -1  # of "single": which of the laid references

    @property
    def family(self) -> str:
        """What recipes share that rest on the same evidence: they err together."""
        return FAMILIES[self.kind]


@dataclass(frozen=True, eq=False)
class Proposal:
    """The hole filled by one recipe, in the draft's frame."""

    recipe: Recipe
    photo: Photo  # (h, w, 3); known pixels as in the target
    confidence: Confidence  # (h, w), as of a draft: what references show; 0 where patches are
    energy: Field  # (h, w): `fine_energy` of what it was made of; 0 where that is not known

    def sharpened(self) -> Photo:
        """The photo with the fine texture that means have taken; scores are of the mean, which is nearer."""
        return sharpen_to(self.photo, self.energy)


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
    made = map_threads(lambda number: lay_rigidly(number, *given[number], target, hole), range(len(given)))
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
    energy = np.zeros(hole.shape, np.float32)
    if recipe.kind == "draft":
        shown = hole & (draft.confidence > 0)
        photo = np.where(shown[..., None], draft.photo, photo)
        confidence, rest = draft.confidence, hole & ~shown
        energy = _warped_energy(sources) * (shown & (draft.confidence < VOUCHED))
    elif recipe.kind == "single":
        one = sources.laid[recipe.source]
        laid = one.show(one.inner)
        photo, rest = _clone(sources, one, laid)
        shown = hole & ~rest
        confidence = np.where(shown, ALONE * one.trust, confidence).astype(np.float32)
        energy = fine_energy(photo) * shown * one.measure_gain(laid, one.inner) ** 2
    if not rest.any():
        return Proposal(recipe, photo, confidence, energy)
    if recipe.kind == "patches":
        filled = fill_from_patches(photo, rest, _plain_sources(sources, recipe.seed), seed=recipe.seed)
    elif recipe.kind == "canvas":
        filled = fill_from_patches(photo, rest, _rotate(sources.plain, recipe.seed), seed=recipe.seed, whole=True)
    else:
        nearness = NEARNESS[recipe.seed % len(NEARNESS)]
        filled = fill_from_patches(
            photo, rest, _laid_sources(sources, recipe.seed), seed=recipe.seed, nearness=nearness
        )
    return Proposal(recipe, filled.photo, confidence, energy + filled.energy)


def _warped_energy(sources: Sources) -> Field:
    """(h, w): the `fine_energy` of the best reference of the draft that shows a pixel, by that of known pixels."""
    near = ~sources.hole & (distance_from_hole(sources.hole) < NEAR * max(sources.hole.shape))
    aim, energy = fine_energy(sources.target), np.zeros(sources.hole.shape, np.float32)
    for one in reversed(sources.draft.warped):
        shown, found = one.confidence > 0, fine_energy(one.photo)
        both = near & shown
        gain = fine_gain(aim[both].mean(), found[both].mean()) if both.any() else 1
        energy[shown] = (found * gain**2)[shown]
    return energy


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


def _clone(sources: Sources, one: LaidReference, laid: Photo) -> tuple[Photo, Hole]:
    """The target with a laid reference in its hole, shifted to meet the border, and what of the hole it leaves.

    `laid` (h, w, 3) is what the reference shows of the frame in the target's colours. The shift is a membrane (Pérez et
    al. 2003) that is free at the frame's edge, where there is nothing to meet.
    """
    hole, valid = sources.hole, one.valid[one.inner]
    inside = cv2.erode(valid.astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0
    shown = hole & inside
    moved = match_colour(sources.target, hole, laid, feather=BORDER, covered=inside)
    return np.where(shown[..., None], moved, sources.target), hole & ~shown


def make_proposals(sources: Sources, recipes: Sequence[Recipe], begin_rest: Event) -> Iterator[Proposal]:
    """Proposals one by one, in the order of their recipes; two at a time from the second one on.

    All but the first wait for `begin_rest`, so that nothing keeps the cores busy that the first is waited for with. It
    must be set before the iterator ends or is closed.
    """

    def make(number: int) -> Proposal:
        if number:
            begin_rest.wait()
        try:
            return make_proposal(sources, recipes[number])
        except BaseException:
            begin_rest.set()  # nobody else will
            raise

    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(make, range(len(recipes)))
