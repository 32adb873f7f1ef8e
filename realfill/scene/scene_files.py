"""Which files of a scene folder are its parts; the same rules hold for folders, zips and what is dropped on the page.

Endings say which files are meant as pictures: programs, cameras and systems leave other files beside photos. What a
picture holds is looked at when it is read (`imaging.decode`).
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from realfill.errors import SceneError
from realfill.imaging import raw
from realfill.imaging.decode import ACCEPTED_NAMES, SUFFIXES, Original
from realfill.sentences import Sentence

MaskInput = Path | Original | npt.NDArray[np.bool_] | npt.NDArray[np.uint8]

# Files that cameras, raw developers, viewers and systems leave beside photos.
SIDECARS = frozenset(
    {
        ".json", ".xmp", ".txt", ".md", ".aae", ".thm", ".csv", ".yaml", ".yml", ".ini", ".db", ".log", ".xml", ".pp3",
        ".dop", ".on1", ".arp", ".cos", ".cop", ".cot", ".comask", ".acr", ".nks", ".nksc", ".spd", ".vrd", ".dr4",
        ".lrv", ".wav", ".url", ".lnk", ".webloc", ".html", ".htm", ".pto", ".sha256", ".md5",
    }
)  # fmt: skip
FILMS = frozenset({".mov", ".mp4", ".m4v", ".avi", ".mts", ".3gp", ".insv"})
PARTS = ("target", "mask", "gt")  # names of files in target/
_FOLDER_ICON = "Icon\r"  # of macOS; tools that drop the carriage return leave "Icon"


@dataclass(frozen=True)
class SceneFiles:
    """A scene's parts before they are read; `mask` None: it is in the target's transparency, or variants."""

    references: tuple[Path, ...]
    target: Path
    mask: MaskInput | None
    truth: Path | None = None
    notices: tuple[str, ...] = ()  # sentences for the person about what was left out


def find_inputs(folder: Path) -> SceneFiles:
    """The parts of a scene folder ref/*, target/{target,mask,gt}.*.

    Raises:
        SceneError: there is no target, a part is there twice or is a link that leads nowhere.
    """
    if not (folder / "target").is_dir():
        raise SceneError("{folder} is not a scene; a scene is a folder with ref/ and target/ in it.", folder=folder)
    has_references = (folder / "ref").is_dir()
    references = pictures(folder / "ref") if has_references else []
    notices = left_out_notices(_list_names(folder / "ref")) if has_references else []
    names = [path.name for path in pictures(folder / "target")] + _list_names(folder / "target")
    target, mask, truth = (
        None if name is None else folder / "target" / name for name in (find_part(names, part) for part in PARTS)
    )
    if target is None:
        raise SceneError(
            "{name}/target has no target picture; name it target.png, .jpg or another format.", name=folder.name
        )
    return SceneFiles(tuple(references), target, mask, truth, tuple(notices))


def pictures(folder: Path) -> list[Path]:
    """The files of a folder that are meant as pictures, in natural order (2 before 10).

    Raises:
        SceneError: one of them is a link that leads nowhere.
    """
    paths = {path.name: path for path in folder.iterdir() if path.is_file() or path.is_symlink()}
    found = [paths[name] for name in choose_pictures(list(paths)) if not paths[name].is_dir()]
    if broken := next((path for path in found if not path.exists()), None):
        where = os.readlink(broken)
        raise SceneError(
            "{name}/{link} is a link to {where}, where nothing is; put the photo there.",
            name=folder.name,
            link=broken.name,
            where=where,
        )
    return found


def choose_pictures(names: Sequence[str]) -> list[str]:
    """Of the names of files that lie in one folder, those of pictures, in natural order and each once."""
    names = list(dict.fromkeys(names))
    # Camera raws count where no picture of the same name stands beside them: reading one says what to do.
    known = [name for name in names if not name.startswith(".") and _suffix(name) in SUFFIXES]
    stems = {_stem(name) for name in known}
    raws = [name for name in names if not name.startswith(".") and _suffix(name) in raw.SUFFIXES]
    return sorted([*known, *(name for name in raws if _stem(name) not in stems)], key=natural_order)


def find_part(names: Sequence[str], part: str) -> str | None:
    """Of the names of files that lie in target/, the one of a part ("target", "mask" or "gt"), if there is one.

    Raises:
        SceneError: there are several, or one that is no picture by its ending.
    """
    found = [name for name in choose_pictures(names) if _stem(name) == part]
    if len(found) > 1:
        raise SceneError("target/ has {found}; keep one of them.", found=" and ".join(found))
    if not found and (other := next((name for name in _choose_others(names) if _stem(name) == part), None)):
        raise SceneError(
            "target/{other} is no picture by its ending; save it as {formats}.", other=other, formats=ACCEPTED_NAMES
        )
    return found[0] if found else None


def left_out_notices(names: Sequence[str]) -> list[str]:
    """Of the names of files that lie in ref/, a sentence for each that is no picture by its ending although somebody
    may think so; none for what is known to lie beside photos."""
    others = sorted(_choose_others(names), key=natural_order)
    sentence = Sentence("ref/{name} is no picture by its ending and was left out; use {formats}.")
    return [Sentence(sentence, name=name, formats=ACCEPTED_NAMES) for name in others]


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """The key that sorts file names as people count: 2 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], name


def _choose_others(names: Sequence[str]) -> list[str]:
    chosen = set(choose_pictures(names))
    stems = {_stem(name) for name in chosen}
    return [name for name in names if name not in chosen and not _is_beside(name, stems)]


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _stem(name: str) -> str:
    return PurePath(name).stem.casefold()


def _is_beside(name: str, stems: set[str]) -> bool:
    """Whether a file belongs to a photo or to the system: hidden, a sidecar, the raw or the film of a photo."""
    if name.startswith(".") or name in (_FOLDER_ICON, _FOLDER_ICON.strip()) or _suffix(name) in SIDECARS:
        return True
    return _suffix(name) in raw.SUFFIXES | FILMS and _stem(name) in stems


def _list_names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]
