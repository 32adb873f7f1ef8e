"""A scene as one file: a zip of a scene folder, written and read. What comes in is untrusted.

Names in an archive only say which file plays which part; where a file goes is decided here, so no name leads
out of the folder. Everything that has no part in a scene is passed over: other folders, sidecars, dotfiles.
"""

import contextlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from realfill import files
from realfill.errors import SceneError
from realfill.files import speak_refusals, temporary_path
from realfill.imaging.limits import MEGABYTES
from realfill.scene import scene
from realfill.scene.scene_files import PARTS, choose_pictures, find_part, left_out_notices

try:
    from lzma import LZMAError
except ImportError:  # a Python built without it: zipfile refuses such an archive by a RuntimeError
    LZMAError = zlib.error  # type: ignore[assignment, misc]

MOST_NAMES = 2000  # entries of an archive that are looked at
MOST_BYTES = 2 * MEGABYTES * 2**20  # of all files of a scene together, unpacked
_BLOCK = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Members:
    """Which of many file names make one scene."""

    places: Mapping[str, str]  # "trip/ref/IMG_2.JPG" → "ref/00.jpg"
    root: str  # the name of the scene's folder; empty where it has none
    notices: tuple[str, ...]  # sentences for the person about what was left out


def find_members(names: Sequence[str]) -> Members:
    """Which of many file names make one scene, and the place of each.

    References come in natural order. Backslashes count as slashes; a leading folder is allowed.

    Raises:
        SceneError: there is no scene among them, or more than one, or `scene_files.find_part` refuses.
    """
    paths = {name: PurePosixPath(name.replace("\\", "/")) for name in names[:MOST_NAMES]}
    parts = {name: path for name, path in paths.items() if _is_in_scene(path)}
    folders = {path.parent for path in parts.values() if path.parent.name.lower() == "target"}
    roots = sorted({str(folder.parent) for folder in folders if find_part(_names_in(parts, folder), "target")})
    if not roots:
        raise SceneError("There is no scene in there; a scene is a folder with ref/ and target/target.png in it.")
    if len(roots) > 1:
        raise SceneError(
            "There are {count} scenes in there ({first}, {second}…); open one of them.",
            count=len(roots),
            first=roots[0],
            second=roots[1],
        )
    root = PurePosixPath(roots[0])
    own = {name: path for name, path in parts.items() if path.parent.parent == root}
    targets, references = (
        {path.name: name for name, path in own.items() if path.parent.name.lower() == folder}
        for folder in ("target", "ref")
    )
    places = {
        targets[name]: f"target/{part}{PurePosixPath(name).suffix.lower()}"
        for part in PARTS
        if (name := find_part(list(targets), part))
    }
    chosen = choose_pictures(list(references))
    if len(chosen) > scene.MOST_REFERENCES:
        raise SceneError(
            "The scene has {count} reference photos and the most are {most}; keep those "
            "that show best what is missing.",
            count=len(chosen),
            most=scene.MOST_REFERENCES,
        )
    for number, name in enumerate(chosen):
        places[references[name]] = f"ref/{number:02d}{PurePosixPath(name).suffix.lower()}"
    return Members(places, root.name, tuple(left_out_notices(list(references))))


def pack(folder: Path, archive: Path) -> None:
    """Writes the zip of a scene folder, with one folder of the archive's name in it; replaces `archive` as a whole.

    Raises:
        SceneError: `folder` is not a scene.
        DiskFull, RunError: `archive` cannot be written.
    """
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    draft = temporary_path(archive)
    try:
        with speak_refusals(archive):
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as packed:  # pictures are compressed already
                for name, place in find_members(list(paths)).places.items():
                    packed.write(paths[name], f"{archive.stem}/{place}")
            draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)


def look_inside(archive: Path) -> tuple[int, tuple[str, ...]]:
    """Bytes of the scene in a zip file once it is unpacked, and sentences about what is left out.

    The bytes are as the file says; where that is a lie, less is unpacked.

    Raises:
        SceneError: as `unpack`, as far as the list of files tells.
    """
    with _open_archive(archive) as packed:
        entries = _entries(packed)
        members = find_members(list(entries))
        size = sum(entries[name].file_size for name in members.places)
    if size > MOST_BYTES:
        raise SceneError("{name} is too large unpacked; save its photos smaller first.", name=archive.name)
    return size, members.notices


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks the scene in a zip file as the scene folder `folder`, whole or not at all. No picture is decoded.

    Raises:
        SceneError: the file is no zip, is damaged or locked, holds no scene or two, or is too large unpacked.
        DiskFull, RunError: the folder cannot be written.
    """
    with _open_archive(archive) as packed, files.new_folder(folder) as draft:
        entries, left = _entries(packed), MOST_BYTES
        for name, place in find_members(list(entries)).places.items():
            target = draft / place
            target.parent.mkdir(exist_ok=True)
            with packed.open(entries[name]) as source, speak_refusals(folder):
                left -= _copy(source, target, min(left, MEGABYTES * 2**20), name)


def gather(given: Sequence[tuple[str, Path]], folder: Path) -> None:
    """As `unpack`, from files and the names they had in their folder.

    Raises:
        SceneError: there is no scene among them, or more than one.
        DiskFull, RunError: the folder cannot be written.
    """
    paths = dict(given)
    places = find_members(list(paths)).places
    with files.new_folder(folder) as draft, speak_refusals(folder):
        for name, place in places.items():
            (draft / place).parent.mkdir(exist_ok=True)
            shutil.copyfile(paths[name], draft / place)


def _is_in_scene(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.parent.name.lower() in ("ref", "target")


def _names_in(parts: Mapping[str, PurePosixPath], folder: PurePosixPath) -> list[str]:
    return [path.name for path in parts.values() if path.parent == folder]


def _entries(packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {entry.filename: entry for entry in packed.infolist() if _is_plain(entry)}


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return not entry.is_dir() and kind in (0, stat.S_IFREG)  # no links


@contextlib.contextmanager
def _open_archive(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as packed:
            if len(packed.infolist()) > MOST_NAMES:
                raise SceneError(
                    "{name} holds over {most} files; pack only the scene's folder.", name=archive.name, most=MOST_NAMES
                )
            if any(entry.flag_bits & 1 for entry in packed.infolist()):
                raise SceneError("{name} is locked with a password; pack it again without one.", name=archive.name)
            yield packed
    except (*_DAMAGE, OSError) as error:
        name = archive.name
        raise SceneError(
            "{name} is not a zip file that can be read; pack the scene's folder again.", name=name
        ) from error


def _copy(source: IO[bytes], target: Path, limit: int, name: str) -> int:
    """Copies at most `limit` bytes, whatever the archive says of its size; the number copied."""
    done = 0
    with target.open("xb") as file:
        while block := source.read(_BLOCK):
            done += len(block)
            if done > limit:
                raise SceneError(
                    "{name} is too large unpacked; save its photo smaller first.", name=PurePosixPath(name).name
                )
            file.write(block)
    return done
