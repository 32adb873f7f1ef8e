"""RealBench: where it is published, and unpacking the zip that a person downloaded."""

import hashlib
import os
import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from realfill import files
from realfill.errors import OptionError
from realfill.evaluation import published
from realfill.evaluation.dataset import find_cases
from realfill.files import speak_refusals

MOST_BYTES = 4 * 2**30  # unpacked; the release has about 0.65 GB
MOST_FILES = 5000
MOST_RATIO = 200  # unpacked over packed bytes of a file; pictures hardly shrink
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".txt", ".md", ".json")
_CHUNK = 2**20

WHERE = (
    f"RealBench has 33 scenes with ground truth and is published at {published.REALBENCH_PAGE} (its download: "
    f"{published.REALBENCH_DRIVE}). The same files: {' and '.join(published.REALBENCH_COPIES)}. Download the zip, "
    "then: realfill bench-get FILE.zip -o FOLDER. No digest of it is published; give --sha256 if you know one."
)


@dataclass(frozen=True)
class Unpacked:
    """What came out of a zip."""

    folder: Path
    scenes: int  # with ground truth
    others: int  # without
    sha256: str


def unpack(archive: Path, folder: Path, *, sha256: str = "") -> Unpacked:
    """Unpacks the pictures and notes of a zip into a new folder, all or nothing.

    Nothing is written outside `folder`: absolute names, "..", links and drive letters are refused, and so is what
    unpacks to more than 4 GB.

    Raises:
        OptionError: the file is no zip, is damaged, has another digest, or is unsafe; or `folder` holds something.
        DiskFull, RunError: it cannot be written.
    """
    if not archive.is_file():
        raise OptionError(f"There is no file {archive}. {WHERE}")
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
        what = "holds something already" if folder.is_dir() else "is no folder"
        raise OptionError(f"{folder} {what}; give a new folder with -o.")
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 and sha256.strip().lower() != digest:
        raise OptionError(f"{archive} has the SHA-256 {digest}, not the one given; download it again.")
    try:
        with zipfile.ZipFile(archive) as opened, files.new_folder(folder) as draft:
            _extract(opened, draft, archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise OptionError(f"{archive} is damaged or no zip that can be read ({error}); download it again.") from error
    complete, others = find_cases(folder)
    return Unpacked(folder, len(complete), len(others), digest)


def _extract(opened: zipfile.ZipFile, draft: Path, archive: Path) -> None:
    members = [member for member in opened.infolist() if not member.is_dir() and _is_wanted(member.filename)]
    total = sum(member.file_size for member in members)
    if len(members) > MOST_FILES or total > MOST_BYTES:
        raise OptionError(
            f"{archive} would unpack to {len(members)} files of {total / 1e9:.1f} GB; that is no RealBench."
        )
    left = MOST_BYTES
    for member in members:
        target = draft.joinpath(*_safe_path(member, archive).parts)
        with speak_refusals(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as source, target.open("xb") as file:
                while piece := source.read(_CHUNK):  # a header may lie about the size
                    left -= len(piece)
                    if left < 0:
                        raise OptionError(f"{archive} unpacks to more than its directory says; download it again.")
                    file.write(piece)


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
    return not hidden and name.lower().endswith(_SUFFIXES)


def _safe_path(member: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """A member's path, fit to be joined to a folder.

    Raises:
        OptionError: it leads elsewhere, is a link, or is packed as no picture is.
    """
    path = PurePosixPath(member.filename)
    odd = path.is_absolute() or ".." in path.parts or re.search(r'[\\:*?"<>|\x00-\x1f]', member.filename)
    if odd or not path.parts or stat.S_ISLNK(member.external_attr >> 16):
        raise OptionError(f"{archive} holds '{member.filename}', which leads out of its folder; it is not RealBench.")
    if member.file_size > _CHUNK and member.file_size > MOST_RATIO * max(1, member.compress_size):
        raise OptionError(f"{archive} holds '{member.filename}', which grows beyond measure; it is not RealBench.")
    return path
