"""The scene as the browser sends it, read into plain values. Every path and number in it is untrusted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from realfill import files
from realfill.arrays import Hole
from realfill.errors import SceneError
from realfill.files import temporary_path
from realfill.imaging import decode
from realfill.imaging.decode import Original
from realfill.runs.labels import LONGEST_NAME
from realfill.scene import outpaint
from realfill.scene.masks import read_hole
from realfill.scene.outpaint import NOT_EXTENDED, Extension

from ..access import quotas, uploads
from ..access.uploads import check_path
from ..decoding import decoder
from ..runs.scene_inputs import SceneInputs
from . import mask_rle
from .mask_rle import enlarge_mask

MOST_EXTENDED = 20_000  # pixels on a side; `outpaint.check` bounds the area
_MOST_LISTED = 64


@dataclass(frozen=True, eq=False)
class Payload:
    """A scene that may still lack anything."""

    references: tuple[Path, ...] = ()
    target: Path | None = None
    strokes: Hole | None = None  # painted, at the canvas' size; the extension is not in it
    extension: Extension = NOT_EXTENDED
    mask: Path | None = None  # the file whose marks `strokes` are, where nothing was painted since
    variants: bool = False
    pending: int = 0  # photos whose upload has not ended
    name: str = ""  # of the example, project, folder or zip that the scene came from

    def to_json(self) -> dict[str, Any]:
        """As JSON, in the browser's own form."""
        by = self.extension
        return {
            "references": [str(path) for path in self.references],
            "target": None if self.target is None else str(self.target),
            "strokes": None if self.strokes is None else mask_rle.encode(self.strokes),
            "extend": [by.left, by.top, by.right, by.bottom],
            "mask": None if self.mask is None else str(self.mask),
            "variants": self.variants,
            "name": self.name,
        }


def read_payload(value: object) -> Payload:
    """What a browser sent; None and "" are an empty scene.

    Raises:
        SceneError: a path that was not uploaded here, or anything that our page does not send.
    """
    if value is None or value == "":
        return Payload()
    if not isinstance(value, Mapping):
        raise SceneError("The scene did not arrive whole; reload the page, your scene is kept.")
    painted = value.get("strokes")
    pending = value.get("pending", 0)
    return Payload(
        references=tuple(_paths(value.get("references"))),
        target=_path(value.get("target")),
        strokes=None if painted is None else mask_rle.decode(painted),
        extension=_extension(value.get("extend")),
        mask=_path(value.get("mask")),
        variants=value.get("variants") is True,
        pending=pending if type(pending) is int else 0,
        name=clean_name(value.get("name")),
    )


def clean_name(name: object) -> str:
    """A name that came from a browser, a file or a folder, as one line that is not too long."""
    return " ".join(name.split())[:LONGEST_NAME] if isinstance(name, str) else ""


def scene_inputs(payload: Payload) -> tuple[SceneInputs, bool]:
    """The inputs of a run, and whether it is one of scene variants.

    Where the target is extended, its larger version is a file of its own; the upload keeps its bytes.

    Raises:
        SceneError: something is missing; the sentence says what to do.
    """
    if payload.pending:
        raise SceneError("A photo is still being uploaded; wait a moment and try again.")
    if not payload.references:
        raise SceneError("There is no reference yet; add one to five photos of the same place.")
    if payload.target is None:
        raise SceneError("There is no target yet; add the photo to complete.")
    target, mask = _prepare(payload, payload.target, marked=not payload.variants)
    return SceneInputs(payload.references, target, mask, payload.name, payload.extension), payload.variants


def mask_file(payload: Payload, target: Path) -> Path:
    """The file of the hole of a payload's extended target: a mask of its size, white where something is missing.

    Raises:
        SceneError: as `whole_hole`.
    """
    _prepare(payload, target, marked=True)
    return _name_mask(payload, target)


def whole_hole(payload: Payload, original: Original) -> Hole:
    """The hole (H, W) of the extended target: what was painted, and all that is new.

    Raises:
        SceneError: nothing is marked, or it was painted on another photo.
    """
    outpaint.check(original.height, original.width, payload.extension)
    if payload.mask is not None:
        drawn = decode.read_original(payload.mask)
        inner = read_mask_file(drawn, payload.mask.name, original, payload.extension)[0]
    elif payload.strokes is not None:
        inner = enlarge_mask(payload.strokes, original.height, original.width)
    else:
        inner = np.zeros((original.height, original.width), np.bool_)
    if not inner.any() and not payload.extension:
        raise SceneError("Nothing is marked yet; paint over what is to be filled in, or load a mask.")
    return payload.extension.hole(inner)


def read_mask_file(drawn: Original, name: str, target: Original, by: Extension) -> tuple[Hole, list[str]]:
    """What a mask's picture marks in the target as it was before extending (H, W), and sentences for the person.

    A mask that was saved with the extension fits the extended target, and is understood as such. `name` is the file's.
    """
    if by and (drawn.height, drawn.width) == by.size(target.height, target.width):
        hole, notices = read_hole(drawn, outpaint.extend(target, by), name)
        return hole[by.inner_slices(target.height, target.width)], notices
    return read_hole(drawn, target, name)


def _prepare(payload: Payload, target: Path, *, marked: bool) -> tuple[Path, Path | None]:
    """The extended target and, with `marked`, the mask, as files that are made where they are missing."""
    extended, mask = _name_extended(target, payload.extension), _name_mask(payload, target) if marked else None
    wanted = [path for path in (extended, mask) if path is not None and not path.exists()]
    drafts = {path: temporary_path(path) for path in wanted}
    if not drafts:
        return extended, mask
    try:
        hole = None if mask is None else drafts.get(mask)
        decoder.prepare(payload.to_json(), target, hole, drafts.get(extended))
        quotas.admit(sum(draft.stat().st_size for draft in drafts.values()))
        for path, draft in drafts.items():
            files.replace(draft, path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return extended, mask


def _name_extended(target: Path, by: Extension) -> Path:
    """Where the extended target lies, once it is made: the upload keeps its bytes."""
    return uploads.place("extended", f"{_state(target)} {by}") / f"{target.stem}.png" if by else target


def _name_mask(payload: Payload, target: Path) -> Path:
    value = payload.to_json()
    drawn = None if payload.mask is None else _state(payload.mask)
    key = f"{_state(target)} {drawn} {json.dumps([value['strokes'], value['extend']])}"
    return uploads.place("masks", key) / "The mask"  # what sentences call it: the person has seen no such file


def _state(path: Path) -> str:
    state = path.stat()
    return f"{path} {state.st_mtime_ns} {state.st_size}"


def drop_lost(value: Mapping[str, Any]) -> tuple[Payload, bool]:
    """As `read_payload`, leaving out files that are there no more; and whether any was left out.

    Raises:
        SceneError: as `read_payload`, but not for lost files.
    """
    listed = value.get("references")
    kept = [path for path in listed if _is_there(path)] if isinstance(listed, list) else []
    target = value.get("target") if _is_there(value.get("target")) else None
    mask = value.get("mask") if _is_there(value.get("mask")) else None
    payload = read_payload({**value, "references": kept, "target": target, "mask": mask})
    if target is None:
        payload = replace(payload, strokes=None, extension=NOT_EXTENDED)
    lost = len(kept) < len(listed or ()) or (target is None and bool(value.get("target")))
    return payload, lost


def _is_there(path: object) -> bool:
    try:
        return _path(path) is not None
    except SceneError:
        return False


def _path(value: object) -> Path | None:
    if value is not None and not isinstance(value, str):
        raise SceneError(uploads.GONE)
    return check_path(value)


def _paths(value: object) -> list[Path]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _MOST_LISTED:
        raise SceneError(uploads.GONE)
    return [path for path in map(_path, value) if path is not None]


def _extension(value: object) -> Extension:
    if value is None:
        return NOT_EXTENDED
    sides = [side for side in value if type(side) is int and 0 <= side <= MOST_EXTENDED] if type(value) is list else []
    if len(sides) != 4:
        raise SceneError(
            "The photo can be extended by 0 to {most} pixels on each side; check the numbers.", most=MOST_EXTENDED
        )
    return Extension(*sides)
