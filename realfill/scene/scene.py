"""Scenes: the one door through which photos and masks come in. Every input rule is here, checked once.

A scene folder has the layout of all public RealFill scenes: `ref/*` (1-5 photos) and `target/target.*`,
`target/mask.*` (white = fill) and, for benchmarks, `target/gt.*`. Outside this module a mask is a `hole`.
"""

import itertools
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.errors import OptionError, SceneError
from realfill.files import speak_refusals
from realfill.imaging import colour_spaces, decode
from realfill.imaging.crop import CropTransform, crop_around
from realfill.imaging.decode import ACCEPTED_NAMES, Original
from realfill.imaging.fill import nearest_known
from realfill.imaging.photo import read_photo, save_photo, to_photo
from realfill.scene.masks import UNNAMED, read_hole
from realfill.scene.scene_files import MaskInput, SceneFiles, find_inputs
from realfill.sentences import Sentence

MOST_REFERENCES = 5
ENLARGED = 1.5  # beyond this the filled part looks softer than the rest, and the person is told


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


def load(source: Path | SceneFiles, *, variants: bool = False, references: bool = True) -> Scene:
    """Reads and checks a scene folder, or single files; with `variants` the hole is everything and no mask is needed
    (§5.2). Without `references` these are not decoded, and the scene has none.

    Raises:
        SceneError: what is wrong with which file and what to do, in one sentence.
    """
    name = source.resolve().name if isinstance(source, Path) else source.target.stem
    return _read_scene(_find_parts(source), name, variants=variants, references=references)


def check(source: Path | SceneFiles, *, variants: bool = False) -> tuple[str, ...]:
    """As `load`, without keeping any photo in memory; what `Scene.notices` would say.

    Raises:
        SceneError: as `load`.
    """
    return _check_inputs(_find_parts(source), variants=variants).notices


def store(folder: Path, source: Path | SceneFiles, *, variants: bool = False) -> tuple[str, ...]:
    """Copies the inputs of scene folder `source` to `folder`, checked and normalised; `load` reads them again.

    Photos keep their bytes and are named ref/00.jpg, …; the mask becomes target/mask.png, upright, 0 or 255,
    at the target's size. A folder that exists is replaced; at no moment is there half a scene.

    Returns:
        What there was to say about the inputs, as `Scene.notices`: of the normalised copy `load` says less.

    Raises:
        SceneError: as `load`.
        DiskFull, RunError: the folder cannot be written.
    """
    return _store_scene(folder, _find_parts(source), variants=variants)


def assemble(
    folder: Path, references: Sequence[Path], target: Path, mask: MaskInput | None, *, variants: bool = False
) -> tuple[str, ...]:
    """As `store`, from single files. `mask` is a file or an array (H, W[, C]), bool or 0-255, white = fill.

    With no mask the target's transparent part is the hole. References keep the order given.

    Raises:
        SceneError: as `load`.
        DiskFull, RunError: the folder cannot be written.
    """
    return store(folder, SceneFiles(tuple(references), target, mask), variants=variants)


def check_outputs(folder: Path, outputs: Sequence[Path]) -> None:
    """Whether files may be written at these places for the scene in a folder: nothing of it is lost or changed.

    Raises:
        OptionError: one cannot be written (`files.check_output`), is a file of the scene or would become one, by
            whatever name, or two of them are one.
        SceneError: there is no scene in the folder.
    """
    inputs = find_inputs(folder)
    mask = [inputs.mask] if isinstance(inputs.mask, Path) else []
    own = [*inputs.references, inputs.target, *mask, *([inputs.truth] if inputs.truth else [])]
    for number, path in enumerate(outputs):
        files.check_output(path)
        if known := next((one for one in own if files.is_same_file(path, one)), None):
            raise OptionError(
                "{path} is the scene's own {name}; give another name, so that it stays.", path=path, name=known.name
            )
        if _would_be_part(folder, path):
            raise OptionError("{path} would become a part of the scene; give another place.", path=path)
        if other := next((one for one in outputs[:number] if files.is_same_file(path, one)), None):
            raise OptionError("{path} is to be written twice, also as {other}; give two names.", path=path, other=other)


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
    return Sentence(
        "The hole is filled at {size} pixels and enlarged {factor} times for this target, so it will look softer than "
        "its surroundings; a base with a larger size, a smaller fit.context or a smaller mask keeps more detail.",
        size=f"{crop.width}×{crop.height}",
        factor=f"{factor:.1f}",
    )


def _would_be_part(folder: Path, path: Path) -> bool:
    """Whether a picture at that path would be read as one of the scene's."""
    place = path.resolve().parent
    is_target = path.stem.casefold() in ("target", "mask", "gt") and files.is_same_file(place, folder / "target")
    return is_target or files.is_same_file(place, folder / "ref")


def _find_parts(source: Path | SceneFiles) -> SceneFiles:
    return find_inputs(source) if isinstance(source, Path) else source


def _read_scene(inputs: SceneFiles, name: str, *, variants: bool, references: bool) -> Scene:
    _check_count(inputs.references)
    notices = list(inputs.notices)
    said: list[list[str]] = [[] for _ in inputs.references]
    with ThreadPoolExecutor(2) as pool:  # a decoder lets go of the interpreter
        paths = inputs.references if references else ()
        read = pool.map(lambda path, words: to_photo(_read_photo(path, words)), paths, said)
        original = _read_target(inputs.target, notices)
        hole = _find_hole(inputs, original, notices, variants=variants)
        photos = tuple(read)
    notices += itertools.chain.from_iterable(said)
    photo = to_photo(original)
    truth = None if inputs.truth is None else read_photo(inputs.truth)
    if truth is not None and truth.shape != photo.shape:
        notices.append(_truth_notice(inputs.target))
        truth = None
    # Often white paint: replaced here, no crop, resize or blur further on can let it in (§3.4).
    target = nearest_known(photo, hole)
    return Scene(photos, target, hole, original, name, tuple(notices), truth)


def _read_target(path: Path, notices: list[str]) -> Original:
    original = _read_photo(path, notices)
    if not original.bit_exact:
        notices.append(
            Sentence(
                "{name} ({format}) cannot be written back bit for bit: the result keeps the known pixels as they were "
                "decoded, in a newly encoded file.",
                name=path.name,
                format=original.format,
            )
        )
    return original


def _read_photo(path: Path, notices: list[str]) -> Original:
    original = decode.read_original(path)
    if original.cicp is not None:
        notices.append(
            Sentence(
                "{name} has {colours}, which no profile tells: it is worked on as if its values were sRGB, and only a "
                "PNG result says what they are; convert it to sRGB or Display P3 first for true colours.",
                name=path.name,
                colours=colour_spaces.describe(original.cicp),
            )
        )
    return original


def _truth_notice(target: Path) -> str:
    return Sentence("gt has another size than {name} and is left out; save both at one size.", name=target.name)


def _check_count(references: Sequence[Path]) -> None:
    if not references:
        raise SceneError(
            "The scene has no reference photo; put 1 to {most} into ref/ ({formats}).",
            most=MOST_REFERENCES,
            formats=ACCEPTED_NAMES,
        )
    if len(references) > MOST_REFERENCES:
        raise SceneError(
            "The scene has {count} reference photos and the most are {most}; keep those "
            "that show best what is missing, without {name} for instance.",
            count=len(references),
            most=MOST_REFERENCES,
            name=references[-1].name,
        )


@dataclass(frozen=True)
class _Checked:
    """Inputs that make a scene, without their pixels."""

    hole: Hole
    target: str  # Pillow's names of the formats
    references: tuple[str, ...]
    has_truth: bool
    notices: tuple[str, ...]


def _check_inputs(inputs: SceneFiles, *, variants: bool) -> _Checked:
    """Reads one picture after another; none stays in memory while the next is read."""
    _check_count(inputs.references)
    notices = list(inputs.notices)
    original = _read_target(inputs.target, notices)
    hole, target = _find_hole(inputs, original, notices, variants=variants), original.format
    del original
    references = tuple(_read_photo(path, notices).format for path in inputs.references)
    has_truth = inputs.truth is not None and read_photo(inputs.truth).shape[:2] == hole.shape
    if inputs.truth is not None and not has_truth:
        notices.append(_truth_notice(inputs.target))
    return _Checked(hole, target, references, has_truth, tuple(notices))


def _store_scene(folder: Path, inputs: SceneFiles, *, variants: bool) -> tuple[str, ...]:
    checked = _check_inputs(inputs, variants=variants)
    with files.new_folder(folder) as draft, speak_refusals(folder):
        for part in ("ref", "target"):
            (draft / part).mkdir()
        for index, (path, kind) in enumerate(zip(inputs.references, checked.references, strict=True)):
            shutil.copyfile(path, draft / "ref" / f"{index:02d}{decode.stored_suffix(kind)}")
        shutil.copyfile(inputs.target, draft / "target" / f"target{decode.stored_suffix(checked.target)}")
        if inputs.truth is not None and checked.has_truth:
            shutil.copyfile(inputs.truth, draft / "target" / f"gt{inputs.truth.suffix.lower()}")
        save_photo(checked.hole.astype(np.uint8) * 255, draft / "target" / "mask.png")
    return checked.notices


def _find_hole(inputs: SceneFiles, original: Original, notices: list[str], *, variants: bool) -> Hole:
    size = (original.height, original.width)
    if variants:
        return np.ones(size, np.bool_)
    mask, target = inputs.mask, inputs.target.name
    if mask is None:
        hole = _find_transparent_hole(original, target)
        name: str = Sentence("{target}'s transparent part", target=target)
    else:
        name = mask.name if isinstance(mask, Path) else UNNAMED
        hole, about_mask = read_hole(mask, original)
        notices += about_mask
    if not hole.any():
        raise SceneError(
            "{name} marks nothing to fill; paint the missing part white in a mask of {target}.",
            name=name,
            target=target,
        )
    if hole.all():
        raise SceneError(
            "{name} marks all of {target}; leave some of it known, or have everything made new (scene variants).",
            name=name,
            target=target,
        )
    return hole


def _find_transparent_hole(original: Original, target: str) -> Hole:
    if original.mode != "RGBA":
        raise SceneError(
            "There is no mask for {target}; add target/mask.png with the missing part in white.", target=target
        )
    return np.asarray(decode.to_eight_bits(original.pixels)[:, :, 3] < 250)  # a half-erased edge has lost its colour
