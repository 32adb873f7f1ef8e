"""The draft in a run folder, and what the export takes from it. How it is made: make_draft.py.

draft/draft.json   frame, reason, which references, matches
draft/fine.png     the hole at the target's own size, where references know more than photo.png
draft/photo.png    draft/confidence.png    draft/0.png, draft/0-valid.png, …   warped references, best first
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from realfill import files
from realfill.arrays import Confidence, Hole, Photo
from realfill.files import speak_refusals
from realfill.geometry.correspondences import Pairs
from realfill.imaging.crop import CropTransform, crop_longest
from realfill.imaging.holes import bounding_box
from realfill.imaging.photo import read_photo, save_photo

LEAST_SHOWN = 0.02  # confidence below which no reference shows a pixel
VOUCHED = 0.5  # confidence from which a pixel counts as shown by a reference
SHOWN_COLOUR, TEXTURED_COLOUR, GUESSED_COLOUR = (46, 160, 67), (56, 139, 253), (219, 154, 4)


@dataclass(frozen=True, eq=False)
class WarpedReference:
    """One reference in the target's frame."""

    reference: int  # its index in the scene
    photo: Photo  # (h, w, 3), in the target's colours
    confidence: Confidence  # 0: the reference does not show this pixel; else how far the alignment is trusted there


@dataclass(frozen=True, eq=False)
class Fine:
    """The hole's bounding box at the target's own size, with more of the references' detail than the frame holds."""

    left: int
    top: int
    photo: Photo  # (h, w, 3)


@dataclass(frozen=True, eq=False)
class Draft:
    """The hole filled by geometry, and what vouches for it."""

    frame: CropTransform  # where photo and confidence lie in the target
    photo: Photo  # (h, w, 3): known pixels as in the target; in the hole the references, or plain inpainting
    confidence: Confidence  # 1 in known pixels; in the hole how far references vouch for it, 0 = guess
    warped: tuple[WarpedReference, ...]  # best reference first
    reason: str  # "" or why the references were left out; then confidence is 0 in the whole hole
    seconds: float
    fine: Fine | None = None
    textured: bool = False  # where nothing vouches for the fill it is made of the scene's patches, not inpainted
    matches: tuple[Pairs, ...] = ()  # a reference each: known points of the frame, and where it has them itself


def crop_in_frame(frame: CropTransform, fit: CropTransform) -> CropTransform:
    """The transform that takes a picture lying in `frame` to `fit`, both of one target; half-pixel correct."""
    across, down = frame.width / frame.box[2], frame.height / frame.box[3]
    left, top = (fit.box[0] - frame.box[0]) * across, (fit.box[1] - frame.box[1]) * down
    box = (left, top, fit.box[2] * across, fit.box[3] * down)
    return CropTransform(box, fit.width, fit.height, photo_width=frame.width, photo_height=frame.height)


def render_draft(draft: Draft, fit: CropTransform) -> tuple[Photo, Confidence]:
    """Photo (fit.height, fit.width, 3) and confidence (fit.height, fit.width) of a draft in another frame.

    Where `fit` reaches beyond the draft's frame its edge goes on, and nothing vouches for it.
    """
    inner = crop_in_frame(draft.frame, fit)
    return inner.crop_photo(draft.photo), _crop_confidence(inner, draft.confidence) * ~fit.outside_photo()


def render_warped(draft: Draft, one: WarpedReference, fit: CropTransform) -> tuple[Photo, Confidence]:
    """A warped reference and its confidence in another frame, as `render_draft`."""
    inner = crop_in_frame(draft.frame, fit)
    return inner.crop_photo(one.photo), _crop_confidence(inner, one.confidence) * ~fit.outside_photo()


def save_draft(folder: Path, draft: Draft, **more: Any) -> None:
    """Stores a draft as a whole folder, with more JSON data beside it; confidences are kept to 1/255."""
    with files.new_folder(folder) as new, speak_refusals(folder):
        save_photo(draft.photo, new / "photo.png")
        save_photo(to_grey(draft.confidence), new / "confidence.png")
        for place, one in enumerate(draft.warped):
            save_photo(one.photo, new / f"{place}.png")
            save_photo(to_grey(one.confidence), new / f"{place}-valid.png")
        references = [one.reference for one in draft.warped]
        data = {
            "frame": draft.frame.to_json(),
            "reason": draft.reason,
            "seconds": draft.seconds,
            "references": references,
            "textured": draft.textured,
            "matches": [np.c_[one.first, one.second, one.first_index].round(2).tolist() for one in draft.matches],
            **more,
        }
        if draft.fine is not None:
            save_photo(draft.fine.photo, new / "fine.png")
            data["fine"] = [draft.fine.left, draft.fine.top]
        files.write_json(new / "draft.json", data)


def load_draft(folder: Path, *, warped: bool = True, fine: bool = True) -> Draft | None:
    """What `save_draft` stored, on request without warped references or the finer part; None where there is none."""
    data = files.read_json(folder / "draft.json")
    if data is None:
        return None
    references = [
        WarpedReference(reference, read_photo(folder / f"{place}.png"), _read_confidence(folder / f"{place}-valid.png"))
        for place, reference in enumerate(data["references"] if warped else [])
    ]
    frame = CropTransform.from_json(data["frame"])
    photo, confidence = read_photo(folder / "photo.png"), _read_confidence(folder / "confidence.png")
    left, top = data.get("fine", (0, 0))
    finer = Fine(left, top, read_photo(folder / "fine.png")) if fine and "fine" in data else None
    rows = (np.asarray(one, np.float64).reshape(-1, 5) for one in data.get("matches", ()))
    matches = tuple(
        Pairs(one[:, :2], one[:, 2:4], one[:, 4].astype(np.intp), np.full(len(one), -1, np.intp)) for one in rows
    )
    reason, seconds = str(data["reason"]), float(data["seconds"])
    textured = data.get("textured") is True
    return Draft(frame, photo, confidence, tuple(references), reason, seconds, finer, textured, matches)


def full_size_draft(draft: Draft) -> Photo:
    """The draft at the target's own size (H, W, 3)."""
    return _paste_fine(draft.frame.uncrop_photo(draft.photo), draft.fine, 0, 0)


def _paste_fine(photo: Photo, fine: Fine | None, left: int, top: int) -> Photo:
    """A part of the draft at the target's own size, its corner at (left, top), with what is known of it more finely."""
    if fine is None:
        return photo
    height, width = fine.photo.shape[:2]
    result, x, y = photo.copy(), fine.left - left, fine.top - top
    result[y : y + height, x : x + width] = fine.photo
    return result


def add_detail(generated: Photo, draft: Draft, fit: CropTransform, hole: Hole, *, least: float = 0.0) -> Photo:
    """A generated picture (H, W, 3) at the target's size with the draft's detail that the working size lost.

    What the draft shows at its own scale, less what is left of it at the working size, is added as far as the
    references vouch for it, and by the share `least` in the whole hole (1 for the draft itself). Outside the hole's
    surroundings nothing changes.
    """
    left, top, right, bottom = bounding_box(hole)
    margin = max(16, round(4 / fit.scale))  # a wide feather blends known pixels, where detail need not be added
    x0, y0 = max(0, left - margin), max(0, top - margin)
    x1, y1 = min(hole.shape[1], right + margin), min(hole.shape[0], bottom + margin)
    native = CropTransform((x0, y0, x1 - x0, y1 - y0), x1 - x0, y1 - y0, hole.shape[1], hole.shape[0])
    fine, trust = render_draft(draft, native)
    fine = _paste_fine(fine, draft.fine, x0, y0)
    working = render_draft(draft, fit)[0]
    coarse = crop_in_frame(fit, native).crop_photo(working)
    weight = np.maximum(trust, least)
    window = generated[y0:y1, x0:x1].astype(np.float32)
    added = window + weight[..., None] * (fine.astype(np.float32) - coarse)
    result = generated.copy()
    result[y0:y1, x0:x1] = np.rint(np.clip(added, 0, 255))
    return result


def confidence_overlay(draft: Draft, hole: Hole, *, longest: int) -> bytes:
    """The confidence map as a PNG: green where references vouch for the fill, amber where it is a guess.

    Blue where nothing vouches for it and it is made of the scene's texture.

    Covers the whole target, its longest side at `longest` pixels; transparent outside the hole.
    """
    fit = crop_longest(*hole.shape, longest=longest)
    trust = render_draft(draft, fit)[1][..., None]
    doubted = np.where(draft.textured & (trust < LEAST_SHOWN), TEXTURED_COLOUR, GUESSED_COLOUR).astype(np.float32)
    colour = trust * np.array(SHOWN_COLOUR, np.float32) + (1 - trust) * doubted
    alpha = np.where(fit.crop_hole(hole), 150, 0)[..., None]
    picture = io.BytesIO()
    Image.fromarray(np.concatenate([np.rint(colour), alpha], 2).astype(np.uint8)).save(picture, "PNG")
    return picture.getvalue()


def covered_share(draft: Draft, hole: Hole, *, least: float = 0.5) -> float:
    """Share of the hole (H, W) that references vouch for with at least that confidence."""
    inside = draft.frame.crop_hole(hole)
    return float((draft.confidence[inside] >= least).mean()) if inside.any() else 0.0


def _crop_confidence(fit: CropTransform, values: Confidence) -> Confidence:
    return (fit.crop_photo(to_grey(values))[:, :, 0] / 255).astype(np.float32)


def to_grey(values: Confidence | Hole) -> Photo:
    """Confidences (h, w), or where something is, as a grey picture (h, w, 3)."""
    levels = np.rint(np.asarray(values, np.float32) * 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, 2)


def _read_confidence(path: Path) -> Confidence:
    return (read_photo(path)[:, :, 0] / 255).astype(np.float32)
