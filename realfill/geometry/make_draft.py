"""The instant draft: the hole filled from the references by geometry alone, with a map of how far to trust it.

The paper leaves the references' geometry unused; here points that match between known pixels of the target and
each reference give maps from one to the other, the references are laid over the hole, brought to the target's
colours, merged along seams and blended. Known pixels around the hole say how well that works.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.config import SelectConfig
from realfill.geometry import alignment, blending, correspondences, detail
from realfill.geometry.blending import choose_sources, match_border, remove_islands
from realfill.geometry.colour_correction import Colour
from realfill.geometry.confidence import Scorer, hole_confidence, joint_confidence, make_scorer
from realfill.geometry.correspondences import draft_keypoints
from realfill.geometry.detail import is_worthwhile, render_detail
from realfill.geometry.draft import Confidence, Draft, Fine, Warped, covered_share, full_size_draft, to_grey
from realfill.geometry.flow_refinement import refine_warp
from realfill.geometry.warp_selection import LaidReference, best_warps, depth_warps, lay_reference
from realfill.geometry.warping import WarpMap, warp_photo
from realfill.imaging import composite, encode
from realfill.imaging.crop import CropTransform, crop_longest
from realfill.imaging.fill import nearest_known
from realfill.imaging.holes import bounding_box
from realfill.imaging.photo import save_photo
from realfill.matching.matcher import Matcher
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

ROOM = 1.0  # references are looked at so much larger than the target: they may show the hole from farther away
SEED = 0.45  # a reference must have this trust somewhere in the hole
LEAST = 0.12  # where it has, it is preferred to plain inpainting down to this
ISLAND = 0.01  # of the hole: smaller patches of references are left to inpainting
PLAIN = 512  # longest side at which the rest is inpainted
NO_GEOMETRY = (
    "No reference lies over the target in one consistent way, so the draft only continues what is around the hole."
)


@dataclass(frozen=True, eq=False)
class WorkingPhoto:
    """A photo at working size, (fit.height, fit.width, 3), and where its pixels lie in the photo."""

    fit: CropTransform
    photo: Photo


def working_photo(photo: Photo, size: int) -> WorkingPhoto:
    """The whole photo with its longest side at `size`; a smaller photo stays as it is."""
    fit = crop_longest(photo.shape[0], photo.shape[1], longest=size)
    small = photo if (fit.width, fit.height) == (photo.shape[1], photo.shape[0]) else fit.crop_photo(photo)
    return WorkingPhoto(fit, small)


@dataclass(frozen=True, eq=False)
class _Source:
    """A reference that may be taken: as it lies, and with its colours bent to the hole's border."""

    warped: Warped
    fitted: blending.Colours
    map: WarpMap
    colour: Colour


def make_draft(scene: Scene, matcher: Matcher, *, size: int = 1024) -> Draft:
    """The draft of a scene, with the target's longest side at `size` pixels at most.

    Reads known pixels of the target and the references only. Never raises for want of geometry.
    """
    began = time.monotonic()
    frame = crop_longest(*scene.hole.shape, longest=size)
    hole = frame.crop_hole(scene.hole)
    target = nearest_known(frame.crop_photo(scene.target), hole)
    references = [working_photo(photo, round(size * ROOM)) for photo in scene.references]
    with ThreadPoolExecutor(2) as pool:  # OpenCV lets go of the interpreter
        own = pool.submit(draft_keypoints, target, hole)
        seen = list(pool.map(draft_keypoints, [reference.photo for reference in references]))
    found = alignment.align(own.result(), seen, _more(scene, matcher, frame, references), hole)
    judge = make_scorer(target, hole)
    photos = {index: reference.photo for index, reference in enumerate(references)}
    single = [lay_reference(judge, way, photos[way.reference]) for way in found.ways]
    deep = depth_warps(judge, found, single, photos, hole)
    laid = best_warps(judge, single + [lay_reference(judge, way, photos[way.reference]) for way in deep])
    sources = _sources(judge, laid, references, target, hole)
    photo, confidence, label = _merged(sources, target, hole)
    fine = _fine(photo, frame, scene, [_part(*one, label, scene, references) for one in enumerate(sources)])
    warped = tuple(source.warped for source in sources)
    reason = "" if (confidence[hole] > 0).any() else NO_GEOMETRY
    return Draft(frame, photo, confidence, warped, reason, time.monotonic() - began, fine)


def _more(
    scene: Scene, matcher: Matcher, frame: CropTransform, references: Sequence[WorkingPhoto]
) -> list[correspondences.Pairs]:
    """What the matcher finds besides the keypoints of `points`, in working pixels; of SIFT there are enough."""
    if matcher.name == "sift":
        return [correspondences.Pairs.from_points([], []) for _ in references]
    known = nearest_known(scene.target, scene.hole)
    found = matcher.match(scene.references, [known])[0]
    return [
        correspondences.Pairs.from_points(frame.to_working(one.target_xy), reference.fit.to_working(one.reference_xy))
        for one, reference in zip(found, references, strict=True)
    ]


def _sources(
    judge: Scorer, laid: Sequence[LaidReference], references: Sequence[WorkingPhoto], target: Photo, hole: Hole
) -> list[_Source]:
    """The references at full size, best first, each aligned with known pixels and with those before it."""
    alone = [hole_confidence(judge, one.trust, one.valid, one.way.placed) for one in laid]
    trusts = joint_confidence([one.photo for one in laid], [one.valid for one in laid], alone)
    shown, rest, found = target.copy(), hole.copy(), []
    for number in range(len(laid)):
        one, reference = laid[number], references[laid[number].way.reference].photo
        way = refine_warp(one.way, one.colour.apply, reference, shown, rest)
        raw, valid = warp_photo(reference, way.map)
        photo = one.colour.apply(raw)
        agreement, own = (
            np.asarray(cv2.resize(field, hole.shape[::-1], interpolation=cv2.INTER_LINEAR) * valid, np.float32)
            for field in (one.agreement, trusts[number])
        )
        fitted = match_border(photo, valid, target, hole, agreement)
        found.append(_Source(Warped(way.reference, photo, own), fitted, way.map, one.colour))
        new = rest & (own >= LEAST)
        shown[new], rest[new] = photo[new], False
    return found


def _merged(sources: Sequence[_Source], target: Photo, hole: Hole) -> tuple[Photo, Confidence, blending.Labels]:
    """The filled target, its confidence and the number of the source in each pixel of the hole."""
    pictures, valid = [source.fitted for source in sources], [source.warped.valid for source in sources]
    label = choose_sources(pictures, valid, hole, LEAST)
    label = remove_islands(label, hole, valid, seed=SEED, least=ISLAND)
    confidence, shown = np.ones(hole.shape, np.float32), target.copy()
    confidence[hole] = 0
    for number, picture in enumerate(pictures):
        here = hole & (label == number)
        shown[here], confidence[here] = np.clip(picture[here], 0, 255), valid[number][here]
    plain = inpaint(shown, hole & (label < 0)).astype(np.float32)
    label[label < 0] = len(pictures)
    everywhere = np.ones(hole.shape, np.float32)
    return blending.blend([*pictures, plain], [*valid, everywhere], label, hole, target), confidence, label


def _part(
    number: int, source: _Source, label: blending.Labels, scene: Scene, references: Sequence[WorkingPhoto]
) -> detail.Part:
    index = source.warped.reference
    share = (label == number).astype(np.float32)
    photo, fit = scene.references[index], references[index].fit
    return detail.Part(photo, fit, source.map, source.colour, source.warped.photo, share)


def _fine(photo: Photo, frame: CropTransform, scene: Scene, parts: Sequence[detail.Part]) -> Fine | None:
    """The hole at the target's own size, where references know more than the working size shows."""
    if not is_worthwhile(frame, parts):
        return None
    box = bounding_box(scene.hole)
    return Fine(box[0], box[1], render_detail(photo, frame, parts, box))


def inpaint(photo: Photo, missing: Hole) -> Photo:
    """The photo (h, w, 3) with its missing pixels by Telea's inpainting, at a small size: they are smooth anyway."""
    if not missing.any():
        return photo
    height, width = missing.shape
    scale = min(1.0, PLAIN / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    hole = cv2.resize(missing.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    small = cv2.inpaint(small, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    filled = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.where(missing[:, :, None], filled, photo), np.uint8)


def encode_draft(draft: Draft, scene: Scene, file_format: encode.Format) -> bytes:
    """The target at its own size and in its own values with the draft in the hole, encoded; known pixels are kept."""
    picture = composite.composite(scene.original, scene.hole, full_size_draft(draft), feather=0)
    return encode.encode(picture, file_format, quality=95, record={"draft": draft.reason or "geometry"})


def write_draft(folder: Path, out: Path, select: SelectConfig, *, confidence: Path | None = None) -> dict[str, Any]:
    """Drafts the scene in a folder into a picture file and, where asked for, its confidence map into a PNG.

    Returns:
        What there is to say, as JSON data: vouched (share of the hole with a confidence over one half), references
        (indices, best first), reason, seconds.

    Raises:
        SceneError, WeightsError: the scene or the matcher's weights cannot be used.
        DiskFull, RunError: a file cannot be written.
    """
    scene = scenes.load(folder)
    draft = make_draft(scene, load_matcher(select))
    files.write_bytes(out, encode_draft(draft, scene, encode.find_format(out)))
    if confidence is not None:
        save_photo(draft.frame.uncrop_photo(to_grey(draft.confidence)), confidence)
    return {
        "vouched": covered_share(draft, scene.hole),
        "references": [one.reference for one in draft.warped],
        "reason": draft.reason,
        "seconds": draft.seconds,
    }
