"""What the page has decoded. Its own process decodes no pixel that came from outside: each function here asks a child.

Results that are pictures are files in the private folder; what comes back by word is small.
"""

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realfill.config import Config
from realfill.jobs.call_pool import CallPool
from realfill.matching.rootsift import Keypoints
from realfill.runs.run import Run
from realfill.scene.outpaint import Extension

from ..access import uploads

ROOT = Path(__file__).resolve().parents[2]
ONE_PHOTO, SEVERAL = 20.0, 120.0  # seconds of processor time
_POOL = CallPool((sys.executable, "-m", "realfill.cli.decode_process", f"{__package__}.operations"), ROOT)


@dataclass(frozen=True)
class PhotoFacts:
    """What the workbench shows of a photo; `strokes` is its transparent part as `mask_rle` writes it."""

    width: int  # upright
    height: int
    format: str  # Pillow's name
    strokes: dict[str, Any] | None


@dataclass(frozen=True)
class DrawnMask:
    """What a mask file marks in a target; `strokes` None: nothing."""

    strokes: dict[str, Any] | None
    is_all: bool
    is_exact: bool  # it has the target's own size
    notices: list[str]  # sentences for the person


def call(name: str, subject: str, seconds: float = ONE_PHOTO, **arguments: Any) -> Any:
    """What an operation of `operations` returns for JSON arguments.

    Raises:
        SceneError: it took too much memory or time; the sentence names `subject`.
        RealFillError, OSError: as the operation.
    """
    given = {"private_folder": str(uploads.folder()), **arguments}
    return _POOL.call(name, given, subject=subject, seconds=seconds)


def start() -> None:
    """Has a child ready before anybody asks."""
    _POOL.start()


def read_facts(path: Path, longest: int | None = None, formats: Sequence[str] | None = None) -> PhotoFacts:
    """Decodes a photo once and says what it is; with `longest` a small one of that size is made in the same go.

    That is left out for photos of other formats than `formats`.

    Raises:
        SceneError: it cannot be used.
    """
    sizes = [] if longest is None else [longest]
    listed = None if formats is None else list(formats)
    return PhotoFacts(**call("read_facts", path.name, path=str(path), sizes=sizes, formats=listed))


def thumbnail(path: Path, longest: int = uploads.THUMBNAIL) -> str:
    """As `uploads.thumbnail`, decoded by a child."""
    made = uploads.thumbnail_path(path, longest)
    if not made.exists():
        call("thumbnail", path.name, path=str(path), longest=longest)
    return str(made)


def read_mask(mask: Path, target: Path, by: Extension) -> DrawnMask:
    """What a mask file marks in a target as it was before extending.

    Raises:
        SceneError: one of the files cannot be used.
    """
    return DrawnMask(**call("read_mask", mask.name, mask=str(mask), target=str(target), extend=by.sides()))


def mark_object(target: Path, box: tuple[int, int, int, int]) -> dict[str, Any] | None:
    """What stands out in a box of a photo, or is at a point, as painted strokes; None: nothing. See `imaging.segment`.

    A point is a box without sides.

    Raises:
        SceneError: the photo cannot be used.
    """
    strokes: dict[str, Any] | None = call("mark_object", target.name, target=str(target), box=list(box))["strokes"]
    return strokes


def fit_marks(target: Path, strokes: Mapping[str, Any]) -> dict[str, Any]:
    """Painted strokes, fitted to the edges of what they lie on; see `imaging.segment.fit_to_edges`.

    Raises:
        SceneError: the photo cannot be used.
    """
    fitted: dict[str, Any] = call("fit_marks", target.name, target=str(target), strokes=dict(strokes))
    return fitted


def prepare(scene: Mapping[str, Any], target: Path, hole: Path | None, extended: Path | None) -> None:
    """Writes the hole and the extended target of a scene as the browser sends it, as far as a path is given for them.

    Raises:
        SceneError: nothing is marked, or one of the files cannot be used.
        DiskFull, RunError: they cannot be written.
    """
    paths = {"hole": None if hole is None else str(hole), "extended": None if extended is None else str(extended)}
    call("prepare", target.name, SEVERAL, scene=dict(scene), **paths)


def take_back(path: Path, by: Extension, out: Path) -> None:
    """Writes a scene's target or mask as it was before extending, as a PNG.

    Raises:
        SceneError: it cannot be used.
        DiskFull, RunError: it cannot be written.
    """
    call("take_back", path.name, path=str(path), extend=by.sides(), out=str(out))


def assemble(
    folder: Path, references: Sequence[Path], target: Path, mask: Path | None, *, variants: bool = False
) -> None:
    """As `realfill.scene.scene.assemble`, which see for what it raises."""
    subject, paths = _one_of([*references, target]), _list_photos(references, target, mask)
    call("assemble", subject, SEVERAL, folder=str(folder), **paths, variants=variants)


def create_run(folder: Path, references: Sequence[Path], target: Path, mask: Path | None, config: Config) -> Run:
    """A new run in `folder` with the scene of these files.

    Raises:
        SceneError, DiskFull, RunError: as `assemble` and `Run.create`; what is in `folder` by then has to be removed.
    """
    subject, paths = _one_of([*references, target]), _list_photos(references, target, mask)
    call("create_run", subject, SEVERAL, folder=str(folder), **paths, config=config.model_dump(mode="json"))
    return Run.open(folder)


def look_inside(archive: Path) -> tuple[int, list[str]]:
    """Bytes of the scene in a zip file once it is unpacked, and what is left out; see
    `realfill.scene.archive.look_inside`."""
    found = call("look_inside", archive.name, path=str(archive))
    return int(found["size"]), list(found["notices"])


def unpack(archive: Path, folder: Path) -> None:
    """As `realfill.scene.archive.unpack`."""
    call("unpack", archive.name, SEVERAL, path=str(archive), folder=str(folder))


def find_keypoints(path: Path) -> Keypoints:
    """The points of a photo by which its overlap with another is counted.

    Raises:
        SceneError: it cannot be used.
    """
    out = uploads.place("points", secrets.token_hex(16)) / "points.npz"
    try:
        call("find_keypoints", path.name, path=str(path), out=str(out))
        with np.load(out, allow_pickle=False) as arrays:
            return Keypoints(arrays["xy"], arrays["descriptors"])
    finally:
        out.unlink(missing_ok=True)


def _list_photos(references: Sequence[Path], target: Path, mask: Path | None) -> dict[str, Any]:
    named = {"target": str(target), "mask": None if mask is None else str(mask)}
    return {"references": [str(path) for path in references], **named}


def _one_of(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths]
    return f"One of {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
