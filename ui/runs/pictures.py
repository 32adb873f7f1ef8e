"""A run's pictures for the screen and for download, made by the same code as the command line's export."""

import base64
import contextlib
import functools
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill import files, seeds
from realfill.arrays import Hole, Photo
from realfill.config import Config, ExportConfig
from realfill.errors import OptionError, RunBusy, RunError
from realfill.files import speak_refusals, temporary_path
from realfill.imaging import composite, holes
from realfill.imaging.crop import CropTransform
from realfill.imaging.encode import FORMATS, Format
from realfill.imaging.photo import to_photo
from realfill.runs.export import (
    check_photo,
    chosen_seed,
    crop_of_run,
    encode_settings,
    enlarge,
    pack_lora,
    pack_pictures,
    pack_project,
    render_export,
)
from realfill.runs.run import Run, seed_stem
from realfill.scene import scene as scenes
from realfill.scene import scene_files
from realfill.scene.scene import Scene

from ..access import uploads
from . import animation
from .thumbnails import url

Window = tuple[slice, slice]  # rows and columns
What = Literal["picture", "starred", "animation", "adapter", "settings", "project"]
WIDEST = 64  # pixels of feather that the page offers
SEAM = (168, 112)  # width and height in photo pixels of the seam's preview
ZOOM = 2
SHARP = 4096  # longest side in pixels of what is looked at closely


@dataclass(frozen=True)
class Export:
    """How to write a result: feather in target pixels, format, quality 1-100 of JPEG and WebP, colours matched."""

    feather: int
    kind: Format = "png"
    quality: int = 95
    match_colour: bool = False

    @classmethod
    def from_config(cls, config: ExportConfig, kind: Format = "png") -> "Export":
        """As a run's settings have it."""
        return cls(config.feather, kind, config.quality, config.match_colour)


@dataclass(frozen=True)
class Ground:
    """What all pictures of one run are laid on: the target, and the part of it that anything can change."""

    target: Photo  # (H, W, 3)
    hole: Hole  # (H, W)
    fit: CropTransform
    covered: Hole  # (H, W)
    part: Window  # of hole, crop and widest feather
    border: npt.NDArray[np.int64]  # (K, 2) rows and columns in the part: hole pixels beside known ones

    def fill_part(self, run: Run, seed: int, export: Export, window: Window | None = None) -> Photo:
        """The part, or a window of it, (h, w, 3) with a seed's picture blended in."""
        stamp = run.seed_path(seed).stat().st_mtime_ns
        if export.match_colour:
            generated = _match_generated(run.folder, seed, stamp, export.feather)
        else:
            generated = _read_generated(run.folder, seed, stamp)
        rows, columns = window or (slice(0, generated.shape[0]), slice(0, generated.shape[1]))
        near = (_widen(rows, export.feather + 2), _widen(columns, export.feather + 2))  # the blend looks so far
        target, hole, covered = self.target[self.part][near], self.hole[self.part][near], self.covered[self.part][near]
        picture = composite.preview(target, hole, generated[near], feather=export.feather, covered=covered)
        top, left = rows.start - near[0].start, columns.start - near[1].start
        return picture[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]

    def fill(self, part: Photo) -> Photo:
        """The target (H, W, 3) with its part as `fill_part` gave it."""
        whole = self.target.copy()
        whole[self.part] = part
        return whole


def open_picture(run: Run, seed: int, export: Export, longest: int = uploads.PREVIEW) -> dict[str, Any]:
    """The frames of one seed for the viewer: the photo whole and close up, each before and after.

    `longest` is the longest side in pixels that a picture keeps; `w` and `h` say what it has in the photo.
    """
    ground = read_ground(run)
    part = ground.fill_part(run, seed, export)
    whole = ground.fill(part)
    key = f"{run.folder} {seed} {export.feather} {export.match_colour} {run.seed_path(seed).stat().st_mtime_ns}"
    over = run.folder / "confidence.png"
    return {
        "whole": {
            **_size(ground.target),
            "before": _save_frame(ground.target, f"{run.folder} target", longest),
            "after": _save_frame(whole, f"{key} whole", longest),
            "over": _overlay(over, ground, whole=True),
        },
        "close": {
            **_size(part),
            "before": _save_frame(ground.target[ground.part], f"{run.folder} target part", longest),
            "after": _save_frame(part, f"{key} part", longest),
            "over": _overlay(over, ground, whole=False),
        },
    }


def reference_paths(run: Run) -> list[Path]:
    """The files of the references, in the scene's order."""
    return scene_files.pictures(run.scene_folder / "ref")


def outline(run: Run) -> list[list[list[float]]]:
    """The hole's border in the seeds' pictures: closed lines of [x, y], as shares of width and height."""
    ground = read_ground(run)
    beyond = ground.fit.crop_hole(np.zeros_like(ground.hole))  # the crop may reach beyond the photo
    hole = ground.fit.crop_hole(ground.hole) & ~beyond
    lines, _ = cv2.findContours(hole.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    height, width = hole.shape
    return [[[round((x + 0.5) / width, 4), round((y + 0.5) / height, 4)] for x, y in line[:, 0]] for line in lines]


def seam(run: Run, seed: int, export: Export, place: int = 0) -> str:
    """A data address of a small enlarged piece of the seam; other places along the border by number."""
    ground = read_ground(run)
    if not len(ground.border):
        return ""
    row, column = ground.border[int((0.5 + 0.381966 * place) * len(ground.border)) % len(ground.border)]
    height, width = ground.hole[ground.part].shape
    window = (
        _span_around(int(row), min(SEAM[1], height), height),
        _span_around(int(column), min(SEAM[0], width), width),
    )
    piece = ground.fill_part(run, seed, export, window)
    image = Image.fromarray(np.ascontiguousarray(piece))
    into = io.BytesIO()
    image.resize((image.width * ZOOM, image.height * ZOOM), Image.Resampling.NEAREST).save(into, "WEBP", quality=90)
    return "data:image/webp;base64," + base64.b64encode(into.getvalue()).decode()


def export_picture(run: Run, export: Export, seed: int | None = None) -> str:
    """Writes a seed's picture, else the chosen seed's or the best one's, for download; returns the file's path.

    As PNG it becomes the run's own result too, unless a worker is writing there or it is an example.

    Raises:
        RunError: nothing is sampled yet.
        OptionError: there is no such seed, or the format cannot hold a picture of this size.
    """
    seed = chosen_seed(run)[0] if seed is None else seed
    _check_seed(run, seed)
    _keep_settings(run, export)
    data = render_export(run, _scene(run.scene_folder, run.config.variants), seed, export.kind)
    if export.kind == "png" and not run.labels.is_example:
        with contextlib.suppress(RunBusy), run.lock():
            run.forget("result.json")
            files.write_bytes(run.result, data)
            run.write("result", {"seed": seed, "export": run.config.export.model_dump(mode="json")})
    return uploads.offer(data, run.folder.name, f"{_name(run)}-{_seed_stem(seed)}{FORMATS[export.kind].suffixes[0]}")


def copy_result(run: Run, export: Export, seed: int) -> str:
    """Writes a seed's picture as PNG to be dragged or copied out of the page; returns the file's path.

    Nothing is kept of it: neither the result nor the settings of the run change.

    Raises:
        OptionError: there is no such seed.
    """
    _check_seed(run, seed)
    run.config = _with_settings(run, export)
    data = render_export(run, _scene(run.scene_folder, run.config.variants), seed, "png")
    return uploads.offer(data, f"{run.folder.name} copy", f"{_name(run)}-{_seed_stem(seed)}.png")


def pack_export(run: Run, what: What, export: Export, seed: int | None = None) -> str:
    """Writes what was asked for as one file for download and returns its path.

    Raises:
        RunError: it is not there yet, or no seed is starred.
    """
    if what == "picture":
        return export_picture(run, export, seed)
    if what == "settings":
        return uploads.offer(encode_settings(run), run.folder.name, f"{_name(run)}-settings.json")
    if what == "adapter":
        return _write_zip(run, f"{_name(run)}-lora.zip", lambda into: pack_lora(run, into))
    if what == "project":
        return _write_zip(run, f"{_name(run)}-project.zip", lambda into: pack_project(run, into))
    if what == "animation":
        return _animate(run, export, chosen_seed(run)[0] if seed is None else seed)
    if what != "starred":
        raise OptionError("'{what}' cannot be exported.", what=what)
    starred = [seed for seed in run.labels.starred if seed in run.seeds_done()]
    if not starred:
        raise RunError("No seed is starred; star the ones you want with ★ or the key S.")
    _keep_settings(run, export)
    scene = _scene(run.scene_folder, run.config.variants)
    return _write_zip(
        run, f"{_name(run)}-starred.zip", lambda into: pack_pictures(run, scene, starred, export.kind, into)
    )


def read_ground(run: Run) -> Ground:
    """The run's ground, remembered.

    Raises:
        OptionError: the run has not begun, so it has none.
    """
    fit = crop_of_run(run)
    if fit is None:
        raise OptionError("This run has not begun yet; wait for its first seed.")
    return _ground(run.scene_folder, run.config.variants, fit)


def _check_seed(run: Run, seed: int) -> None:
    if seed not in run.seeds_done():
        raise OptionError("There is no picture of seed {seed} here.", seed=seed)


def _keep_settings(run: Run, export: Export) -> None:
    """Makes the export's settings the run's own; an example's for this once."""
    if export.kind not in FORMATS:
        raise OptionError("There is no export format '{kind}'.", kind=export.kind)
    config = _with_settings(run, export)
    if run.labels.is_example:
        run.config = config
    else:
        run.update(config)


def _animate(run: Run, export: Export, seed: int) -> str:
    """Writes before and after of a seed as an animation for download; returns the file's path."""
    _check_seed(run, seed)
    ground = read_ground(run)
    whole = ground.fill(ground.fill_part(run, seed, export))
    photos = (np.ascontiguousarray(uploads.preview(photo, animation.LONGEST)) for photo in (ground.target, whole))
    return uploads.offer(
        animation.encode_wipe(*photos), run.folder.name, f"{_name(run)}-{_seed_stem(seed)}-before-after.webp"
    )


def _with_settings(run: Run, export: Export) -> Config:
    changes = {"feather": export.feather, "quality": export.quality, "match_colour": export.match_colour}
    return run.config.model_copy(update={"export": run.config.export.model_copy(update=changes)})


def _write_zip(run: Run, name: str, fill: Callable[[BinaryIO], None]) -> str:
    path = uploads.place("downloads", run.folder.name) / name
    draft = temporary_path(path)
    try:
        with speak_refusals(path), draft.open("xb") as into:
            fill(into)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return str(path)


def _seed_stem(seed: int) -> str:
    return seed_stem(seed) if seeds.is_proposal(seed) else f"seed{seed}"


def _name(run: Run) -> str:
    return re.sub(r"[^\w-]+", "-", run.labels.name).strip("-")[:60] or "result"


@functools.lru_cache(maxsize=2)
def _scene(folder: Path, variants: bool) -> Scene:
    """A run's scene without its references; a run's scene never changes."""
    return scenes.load(folder, variants=variants, references=False)


@functools.lru_cache(maxsize=2)
def _ground(folder: Path, variants: bool, fit: CropTransform) -> Ground:
    scene = _scene(folder, variants)
    check_photo(fit, scene.hole)
    target = to_photo(scene.original)
    covered = fit.covered_hole()
    left, top, right, bottom = holes.bounding_box(scene.hole | covered)
    height, width = scene.hole.shape
    edges = np.clip([top - WIDEST, bottom + WIDEST, left - WIDEST, right + WIDEST], 0, [height, height, width, width])
    part = (slice(int(edges[0]), int(edges[1])), slice(int(edges[2]), int(edges[3])))
    inside = scene.hole[part]
    border = np.argwhere(inside & (holes.distance_from_hole(~inside) <= 1))
    return Ground(target, scene.hole, fit, covered, part, border)


def _widen(span: slice, margin: int) -> slice:
    return slice(max(0, span.start - margin), span.stop + margin)


def _span_around(middle: int, length: int, limit: int) -> slice:
    """A span of `length` round a place, inside 0..limit."""
    start = min(max(0, middle - length // 2), limit - length)
    return slice(start, start + length)


@functools.lru_cache(maxsize=4)
def _read_generated(folder: Path, seed: int, stamp: int) -> Photo:
    """A seed's picture in the ground's part; `stamp` is the file's time, so that a new file is another one."""
    run = Run.open(folder)
    ground = read_ground(run)
    scene = _scene(run.scene_folder, run.config.variants)
    return np.ascontiguousarray(enlarge(run, scene, seed, ground.fit)[ground.part])


@functools.lru_cache(maxsize=2)  # one at 12 megapixels has 36 MB: the one shown and the one before
def _match_generated(folder: Path, seed: int, stamp: int, feather: int) -> Photo:
    ground = read_ground(Run.open(folder))
    target, hole, covered = ground.target[ground.part], ground.hole[ground.part], ground.covered[ground.part]
    generated = _read_generated(folder, seed, stamp)
    return composite.match_colour(target, hole, generated, feather=feather, covered=covered)


def _overlay(path: Path, ground: Ground, *, whole: bool) -> str | None:
    """The address of the confidence overlay (RGBA) for a frame, no larger than that is shown; None without one."""
    if not path.is_file():
        return None
    height, width = ground.hole.shape
    rows, columns = (slice(0, height), slice(0, width)) if whole else ground.part
    image = Image.open(path).convert("RGBA")
    size = uploads.preview_size(columns.stop - columns.start, rows.stop - rows.start)
    x, y = image.width / width, image.height / height
    right, bottom = min(columns.stop * x, image.width), min(rows.stop * y, image.height)  # by rounding
    box = (columns.start * x, rows.start * y, right, bottom)
    layer = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
    return _save_frame(layer, f"{path} {path.stat().st_mtime_ns} {whole}")


def _size(photo: Photo) -> dict[str, int]:
    return {"w": int(photo.shape[1]), "h": int(photo.shape[0])}


def _save_frame(photo: Photo, key: str, longest: int = uploads.PREVIEW) -> str:
    path = uploads.folder() / "shown" / f"{hashlib.sha256(f'{key} {longest}'.encode()).hexdigest()}.webp"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        uploads.save_webp(np.ascontiguousarray(uploads.preview(photo, longest)), path)
    return url(path)
