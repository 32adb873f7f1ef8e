"""Scenes: the one door through which photos and masks come in. Every input rule is here, checked once.

A scene folder has the layout of all public RealFill scenes: `ref/*` (1-5 photos) and `target/target.*`,
`target/mask.*` (white = fill) and, for benchmarks, `target/gt.*`. Outside this module a mask is a `hole`.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.errors import OptionError, SceneError
from realfill.files import speak_refusals
from realfill.imaging import colour_spaces, decode
from realfill.imaging.crop import CropTransform, crop_around
from realfill.imaging.decode import ACCEPTED_NAMES, SIDECARS, Original, rotate_upright
from realfill.imaging.fill import nearest_known
from realfill.imaging.photo import read_photo, save_photo, to_photo

MOST_REFERENCES = 5
ENLARGED = 1.5  # beyond this the filled part looks softer than the rest, and the person is told
_HALF = 128  # a grey level from here on is fill
_FLAT = 24  # a brush's colour varies less than this
_PURE = 0.9  # share of black and white pixels that makes a picture a mask

MaskInput = Path | Original | npt.NDArray[np.bool_] | npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Scene:
    """A valid scene: 1-5 references, a target and its hole, all upright."""

    references: tuple[Photo, ...]
    target: Photo  # (H, W, 3); in the hole it holds the nearest known colours, never what the file holds there
    hole: Hole  # (H, W), True = missing
    original: Original  # the target as its file holds it, for the export
    name: str
    notices: tuple[str, ...]  # sentences for the person
    truth: Photo | None = None  # (H, W, 3), the complete picture, where the scene has one


@dataclass(frozen=True)
class SceneFiles:
    """A scene's parts before they are read; `mask` None: it is in the target's transparency, or variants."""

    references: tuple[Path, ...]
    target: Path
    mask: MaskInput | None
    truth: Path | None = None


def load(source: Path | SceneFiles, *, variants: bool = False) -> Scene:
    """Reads and checks a scene folder, or single files; with `variants` the hole is everything and no mask is needed
    (§5.2).

    Raises:
        SceneError: what is wrong with which file and what to do, in one sentence.
    """
    if isinstance(source, SceneFiles):
        return _read_scene(source, source.target.stem, variants=variants)
    return _read_scene(_find_inputs(source), source.resolve().name, variants=variants)


def check(folder: Path, *, variants: bool = False) -> None:
    """As `load`, without keeping any photo in memory.

    Raises:
        SceneError: as `load`.
    """
    inputs = _find_inputs(folder)
    _check_target(inputs, variants=variants)
    for path in (*inputs.references, *([inputs.truth] if inputs.truth else [])):
        decode.read_original(path)


def store(folder: Path, source: Path | SceneFiles, *, variants: bool = False) -> None:
    """Copies the inputs of scene folder `source` to `folder`, checked and normalised; `load` reads them again.

    Photos keep their bytes and are named ref/00.jpg, …; the mask becomes target/mask.png, upright, 0 or 255,
    at the target's size. A folder that exists is replaced; at no moment is there half a scene.

    Raises:
        SceneError: as `load`.
        DiskFull, RunError: the folder cannot be written.
    """
    _store_scene(folder, _find_inputs(source) if isinstance(source, Path) else source, variants=variants)


def assemble(
    folder: Path, references: Sequence[Path], target: Path, mask: MaskInput | None, *, variants: bool = False
) -> None:
    """As `store`, from single files. `mask` is a file or an array (H, W[, C]), bool or 0-255, white = fill.

    With no mask the target's transparent part is the hole. References keep the order given.

    Raises:
        SceneError: as `load`.
        DiskFull, RunError: the folder cannot be written.
    """
    store(folder, SceneFiles(tuple(references), target, mask), variants=variants)


def check_outputs(folder: Path, outputs: Sequence[Path]) -> None:
    """Whether files may be written at these places for the scene in a folder: nothing of it is lost or changed.

    Raises:
        OptionError: one cannot be written (`files.check_output`), is a file of the scene or would become one, by
            whatever name, or two of them are one.
        SceneError: there is no scene in the folder.
    """
    inputs = _find_inputs(folder)
    mask = [inputs.mask] if isinstance(inputs.mask, Path) else []
    own = [*inputs.references, inputs.target, *mask, *([inputs.truth] if inputs.truth else [])]
    for number, path in enumerate(outputs):
        files.check_output(path)
        if known := next((one for one in own if files.is_same_file(path, one)), None):
            raise OptionError(f"{path} is the scene's own {known.name}; give another name, so that it stays.")
        if _would_be_part(folder, path):
            raise OptionError(f"{path} would become a part of the scene; give another place.")
        if other := next((one for one in outputs[:number] if files.is_same_file(path, one)), None):
            raise OptionError(f"{path} is to be written twice, also as {other}; give two names.")


def crop_to_fill(scene: Scene, *, size: int, multiple: int, context: float) -> CropTransform:
    """The crop of the target that a base works on: the hole with context, at an area of about size²."""
    return crop_around(scene.hole, size=size, multiple=multiple, context=context)


def enlargement(crop: CropTransform) -> float:
    """How many times longer the filled part's sides are in the target than where it is generated."""
    return 1.0 / crop.scale


def enlargement_notice(crop: CropTransform) -> str | None:
    """A sentence where the hole is enlarged over 1.5 times, to be said before training."""
    factor = enlargement(crop)
    if factor <= ENLARGED:
        return None
    return (
        f"The hole is filled at {crop.width}×{crop.height} pixels and enlarged {factor:.1f} times for this target, "
        "so it will look softer than its surroundings; a base with a larger size, a smaller fit.context or a "
        "smaller mask keeps more detail."
    )


def pictures(folder: Path) -> list[Path]:
    """The files of a folder that should be pictures, in natural order (2 before 10); no dotfiles or sidecars."""
    paths = [path for path in folder.iterdir() if path.is_file() and not _is_sidecar(path)]
    return sorted(paths, key=lambda path: natural_order(path.name))


def read_hole(mask: MaskInput, target: Original, name: str = "The mask") -> tuple[Hole, list[str]]:
    """What a mask means for a target: its hole (H, W) at the target's size, and sentences for the person.

    `name` is what those call a mask that is no file.

    Raises:
        SceneError: the mask's file is not a picture that can be used.
    """
    name = mask.name if isinstance(mask, Path) else name
    return _resize_hole(_read_mask(mask, target), (target.height, target.width), name)


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """The key that sorts file names as people count: 2 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], name


def _is_sidecar(path: Path) -> bool:
    return path.name.startswith(".") or path.suffix.lower() in SIDECARS


def _would_be_part(folder: Path, path: Path) -> bool:
    """Whether a picture at that path would be read as one of the scene's."""
    place = path.resolve().parent
    is_target = path.stem.casefold() in ("target", "mask", "gt") and files.is_same_file(place, folder / "target")
    return is_target or files.is_same_file(place, folder / "ref")


def _find_inputs(folder: Path) -> SceneFiles:
    if not (folder / "target").is_dir():
        raise SceneError(f"{folder} is not a scene; a scene is a folder with ref/ and target/ in it.")
    references = pictures(folder / "ref") if (folder / "ref").is_dir() else []
    target = _find_picture(folder, "target")
    if target is None:
        raise SceneError(f"{folder.name}/target has no target picture; name it target.png, .jpg or another format.")
    return SceneFiles(tuple(references), target, _find_picture(folder, "mask"), _find_picture(folder, "gt"))


def _find_picture(folder: Path, stem: str) -> Path | None:
    candidates = [path for path in pictures(folder / "target") if path.stem.casefold() == stem]
    if len(candidates) > 1:
        names = " and ".join(path.name for path in candidates)
        raise SceneError(f"{folder.name}/target has {names}; keep one of them.")
    return candidates[0] if candidates else None


def _read_scene(inputs: SceneFiles, name: str, *, variants: bool) -> Scene:
    _check_count(inputs.references)
    original = decode.read_original(inputs.target)
    hole, notices = _find_hole(inputs, original, variants=variants)
    if not original.bit_exact:
        notices.append(
            f"{inputs.target.name} ({original.format}) cannot be written back bit for bit: the result keeps the "
            "known pixels as they were decoded, in a newly encoded file."
        )
    notices += _colour_notices(inputs.target.name, original)
    references = tuple(_read_reference(path, notices) for path in inputs.references)
    photo = to_photo(original)
    truth = None if inputs.truth is None else read_photo(inputs.truth)
    if truth is not None and truth.shape != photo.shape:
        notices.append(f"gt has another size than {inputs.target.name} and is left out; save both at one size.")
        truth = None
    # Often white paint: replaced here, no crop, resize or blur further on can let it in (§3.4).
    target = nearest_known(photo, hole)
    return Scene(references, target, hole, original, name, tuple(notices), truth)


def _read_reference(path: Path, notices: list[str]) -> Photo:
    original = decode.read_original(path)
    notices += _colour_notices(path.name, original)
    return to_photo(original)


def _colour_notices(name: str, original: Original) -> list[str]:
    if original.cicp is None:
        return []
    return [
        f"{name} has {colour_spaces.describe(original.cicp)}, which no profile tells: it is worked on as if its values "
        "were sRGB, and only a PNG result says what they are; convert it to sRGB or Display P3 first for true colours."
    ]


def _check_count(references: Sequence[Path]) -> None:
    if not references:
        raise SceneError(f"The scene has no reference photo; put 1 to {MOST_REFERENCES} into ref/ ({ACCEPTED_NAMES}).")
    if len(references) > MOST_REFERENCES:
        raise SceneError(
            f"The scene has {len(references)} reference photos and the most are {MOST_REFERENCES}; "
            f"keep those that show best what is missing, without {references[-1].name} for instance."
        )


def _store_scene(folder: Path, inputs: SceneFiles, *, variants: bool) -> None:
    hole, target_format = _check_target(inputs, variants=variants)
    suffixes = [_check_photo(path) for path in inputs.references]
    with files.new_folder(folder) as draft, speak_refusals(folder):
        for part in ("ref", "target"):
            (draft / part).mkdir()
        for index, (path, suffix) in enumerate(zip(inputs.references, suffixes, strict=True)):
            shutil.copyfile(path, draft / "ref" / f"{index:02d}{suffix}")
        shutil.copyfile(inputs.target, draft / "target" / f"target{decode.stored_suffix(target_format)}")
        if inputs.truth is not None and read_photo(inputs.truth).shape[:2] == hole.shape:
            shutil.copyfile(inputs.truth, draft / "target" / f"gt{inputs.truth.suffix.lower()}")
        save_photo(hole.astype(np.uint8) * 255, draft / "target" / "mask.png")


def _check_target(inputs: SceneFiles, *, variants: bool) -> tuple[Hole, str]:
    """The hole and the target's format; its pixels do not stay in memory while the references are read."""
    _check_count(inputs.references)
    original = decode.read_original(inputs.target)
    return _find_hole(inputs, original, variants=variants)[0], original.format


def _check_photo(path: Path) -> str:
    """The ending of a photo that can be used, by what it holds."""
    return decode.stored_suffix(decode.read_original(path).format)


def _find_hole(inputs: SceneFiles, original: Original, *, variants: bool) -> tuple[Hole, list[str]]:
    size = (original.height, original.width)
    if variants:
        return np.ones(size, np.bool_), []
    mask, target = inputs.mask, inputs.target.name
    if mask is None:
        name, hole = f"{target}'s transparent part", _find_transparent_hole(original, target)
        notices: list[str] = []
    else:
        name = mask.name if isinstance(mask, Path) else "The mask"
        hole, notices = read_hole(mask, original)
    if not hole.any():
        raise SceneError(f"{name} marks nothing to fill; paint the missing part white in a mask of {target}.")
    if hole.all():
        raise SceneError(
            f"{name} marks all of {target}; leave some of it known, or ask for scene variants (--variants)."
        )
    return hole, notices


def _find_transparent_hole(original: Original, target: str) -> Hole:
    if original.mode != "RGBA":
        raise SceneError(f"There is no mask for {target}; add target/mask.png with the missing part in white.")
    return np.asarray(decode.to_eight_bits(original.pixels)[:, :, 3] < 250)  # a half-erased edge has lost its colour


def _read_mask(mask: MaskInput, target: Original) -> Hole:
    """The mask at its own size, upright as the target is."""
    if isinstance(mask, np.ndarray):
        return np.asarray(mask, np.bool_) if mask.dtype == np.bool_ else _find_fill(np.asarray(mask, np.uint8))
    original = decode.read_original(mask) if isinstance(mask, Path) else mask
    hole = _find_fill(decode.to_eight_bits(original.pixels))
    turned = (target.width, target.height)  # what the target's size is in its file, when it lies on its side
    if target.orientation >= 5 and hole.shape == turned and hole.shape != turned[::-1]:
        return rotate_upright(hole, target.orientation)
    return hole


def _find_fill(values: npt.NDArray[np.uint8]) -> Hole:
    """Which pixels (H, W[, 3 or 4]) uint8 of a mask mean "fill".

    Bright, as a rule. Where the alpha channel varies it may carry the mask: strokes of one colour on a
    transparent layer are fill whatever their colour, and in a picture that is no mask the erased part is.
    """
    if values.ndim == 2:
        return np.asarray(values >= _HALF)
    white = np.asarray(values[:, :, :3].max(axis=2) >= _HALF, np.bool_)
    if values.shape[2] == 3 or int(values[:, :, 3].min()) == int(values[:, :, 3].max()):
        return white
    opaque = np.asarray(values[:, :, 3] >= _HALF, np.bool_)
    seen = values[values[:, :, 3] == values[:, :, 3].max()][:, :3]  # without soft edges
    if (np.percentile(seen, 95, axis=0) - np.percentile(seen, 5, axis=0)).max() < _FLAT:
        return opaque
    pure = (seen.max(axis=1) < _FLAT) | (seen.min(axis=1) > 255 - _FLAT)
    return white & opaque if pure.mean() >= _PURE else ~opaque


def _resize_hole(hole: Hole, size: tuple[int, int], name: str) -> tuple[Hole, list[str]]:
    """A mask's hole at the target's (H, W): any touch when it shrinks, half when it grows."""
    if hole.shape == size:
        return hole, []
    (height, width), (mask_height, mask_width) = size, hole.shape
    notice = f"{name} is {mask_width}×{mask_height} and was scaled to the target's {width}×{height}."
    if abs(np.log((mask_width / mask_height) / (width / height))) > np.log(1.02):
        notice = f"{notice[:-1]}, although its shape differs; check the hole."
    shrinks = mask_height > height or mask_width > width
    share = cv2.resize(
        hole.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(share > 1e-4 if shrinks else share >= 0.5, np.bool_), [notice]
