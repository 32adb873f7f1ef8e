"""What the page's children do, by name: see `decoder`, whose calls these answer. Nothing here runs in the page itself.

All take and return JSON. Paths come from the page, which has checked them; what the files hold is untrusted.
"""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.config import Config
from realfill.errors import SceneError
from realfill.imaging import decode, encode, segment
from realfill.imaging.decode import Original
from realfill.imaging.photo import read_photo, to_photo
from realfill.matching.overlap import overlap_keypoints
from realfill.runs.run import Run
from realfill.scene import archive as scene_archive
from realfill.scene import outpaint, scene
from realfill.scene.outpaint import Extension
from realfill.scene.scene_files import SceneFiles

from ..access import uploads
from ..runs import pictures
from ..runs.pictures import Export
from ..runs.seed_view import viewer_value
from ..workbench import mask_rle
from ..workbench.mask_rle import enlarge_mask, reduce_mask
from ..workbench.payload import read_mask_file, read_payload, whole_hole

Json = dict[str, Any]


def read_facts(path: str, sizes: Sequence[int], formats: Sequence[str] | None) -> Json:
    """See `decoder.read_facts`."""
    original = decode.read_original(Path(path))
    if formats is None or original.format in formats:
        for longest in sizes:
            uploads.save_thumbnail(to_photo(original), uploads.thumbnail_path(Path(path), longest), longest)
    size = {"width": original.width, "height": original.height}
    return {**size, "format": original.format, "strokes": _transparent_part(original)}


def thumbnail(path: str, longest: int) -> None:
    """See `uploads.thumbnail`."""
    uploads.thumbnail(Path(path), longest)


def read_mask(mask: str, target: str, extend: Sequence[int]) -> Json:
    """See `decoder.read_mask`."""
    original, drawn = decode.read_original(Path(target)), decode.read_original(Path(mask))
    hole, notices = read_mask_file(drawn, Path(mask).name, original, Extension(*extend))
    exact = (drawn.height, drawn.width) == (original.height, original.width)  # also after another extension
    strokes = mask_rle.encode(reduce_mask(hole)) if hole.any() else None
    return {"strokes": strokes, "is_all": bool(hole.all()), "is_exact": exact, "notices": notices}


def mark_object(target: str, box: Sequence[int]) -> Json:
    """See `decoder.mark_object`."""
    left, top, right, bottom = box
    photo = _read_again(Path(target))
    is_point = (left, top) == (right, bottom)
    hole = segment.mark_at(photo, left, top) if is_point else segment.mark_object(photo, (left, top, right, bottom))
    return {"strokes": mask_rle.encode(reduce_mask(hole)) if hole.any() else None}


def fit_marks(target: str, strokes: Json) -> Json:
    """See `decoder.fit_marks`."""
    photo = _read_again(Path(target))
    marks = enlarge_mask(mask_rle.decode(strokes), *photo.shape[:2])
    return mask_rle.encode(reduce_mask(segment.fit_to_edges(photo, marks)))


def _read_again(path: Path) -> Photo:
    """A photo on which one thing after another is marked: it is decoded once."""
    return _read_photo(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _read_photo(path: Path, changed: int) -> Photo:
    return read_photo(path)


def prepare(scene: Json, hole: str | None, extended: str | None) -> None:
    """See `decoder.prepare`."""
    payload = read_payload(scene)
    if payload.target is None:
        raise SceneError("There is no target yet; add the photo to complete.")
    original = decode.read_original(payload.target)
    if hole is not None:
        _write_hole(whole_hole(payload, original), Path(hole))
    if extended is not None:
        larger = outpaint.extend(original, payload.extension)
        files.write_bytes(Path(extended), encode.encode_lossless(larger))


def take_back(path: str, extend: Sequence[int], out: str) -> None:
    """See `decoder.take_back`."""
    original = outpaint.take_back(decode.read_original(Path(path)), Extension(*extend))
    files.write_bytes(Path(out), encode.encode_lossless(original))


def assemble(folder: str, references: Sequence[str], target: str, mask: str | None, variants: bool) -> None:
    """See `decoder.assemble`."""
    photos = [Path(path) for path in references]
    scene.assemble(Path(folder), photos, Path(target), None if mask is None else Path(mask), variants=variants)


def create_run(folder: str, references: Sequence[str], target: str, mask: str | None, config: Json) -> None:
    """See `decoder.create_run`."""
    photos = tuple(Path(path) for path in references)
    inputs = SceneFiles(photos, Path(target), None if mask is None else Path(mask))
    Run.create(Path(folder), Config.model_validate(config), inputs)


def look_inside(path: str) -> Json:
    """See `decoder.look_inside`."""
    size, notices = scene_archive.look_inside(Path(path))
    return {"size": size, "notices": notices}


def unpack(path: str, folder: str) -> None:
    """See `decoder.unpack`."""
    scene_archive.unpack(Path(path), Path(folder))


def find_keypoints(path: str, out: str) -> None:
    """See `decoder.find_keypoints`."""
    points = overlap_keypoints(read_photo(Path(path)))
    np.savez(out, xy=points.xy, descriptors=points.descriptors)


def view_seed(run: str, seed: int | None, export: Json) -> Json:
    """See `runs.seed_view.viewer_value`."""
    return viewer_value(Run.open(Path(run)), seed, Export(**export))


def open_picture(run: str, seed: int, export: Json, longest: int) -> Json:
    """See `runs.pictures.open_picture`."""
    return pictures.open_picture(Run.open(Path(run)), seed, Export(**export), longest)


def copy_result(run: str, seed: int, export: Json) -> str:
    """See `runs.pictures.copy_result`."""
    return pictures.copy_result(Run.open(Path(run)), Export(**export), seed)


def show_seam(run: str, seed: int, export: Json, place: int) -> str:
    """See `runs.pictures.seam`."""
    return pictures.seam(Run.open(Path(run)), seed, Export(**export), place)


def pack_export(run: str, what: pictures.What, export: Json, seed: int | None) -> str:
    """See `runs.pictures.pack_export`."""
    return pictures.pack_export(Run.open(Path(run)), what, Export(**export), seed)


def _transparent_part(original: Original) -> Json | None:
    if original.mode != "RGBA":
        return None
    hole = np.asarray(decode.to_eight_bits(original.pixels[:, :, 3]) < 250)
    return mask_rle.encode(reduce_mask(hole)) if hole.any() and not hole.all() else None


def _write_hole(hole: Hole, path: Path) -> None:
    files.write_bytes(path, encode.encode_png(hole.astype(np.uint8) * 255))


def _in_private_folder(operation: Callable[..., Any]) -> Callable[..., Any]:
    """`operation`, with the page's private folder as each call names it."""

    @functools.wraps(operation)
    def operate(*, private_folder: str, **arguments: Any) -> Any:
        os.environ["GRADIO_TEMP_DIR"] = private_folder
        return operation(**arguments)

    return operate


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    operation.__name__: _in_private_folder(operation)
    for operation in (
        read_facts, thumbnail, read_mask, mark_object, fit_marks, prepare, take_back, assemble, create_run, look_inside,
        unpack, find_keypoints, view_seed, open_picture, copy_result, show_seam, pack_export,
    )
}  # fmt: skip
