"""What the files of a run folder are called, and which of them are whole."""

import os
from pathlib import Path

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


def list_items(folder: Path) -> list[Path]:
    """What lies in a folder, by name; nothing where there is no folder."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def checkpoint_path(checkpoints: Path, step: int) -> Path:
    """The folder of the checkpoint after so many steps, in the folder of all of them."""
    return checkpoints / f"{step:06d}"


def checkpoint_steps(checkpoints: Path) -> list[int]:
    """The steps of the checkpoints in a folder, oldest first; empty where there is no folder."""
    folders = (item for item in list_items(checkpoints) if item.name.isdecimal() and item.is_dir())
    return sorted(int(folder.name) for folder in folders)


def is_whole_png(path: Path) -> bool:
    """Whether a file begins and ends as a PNG does; a missing, empty or cut one does not."""
    try:
        with path.open("rb") as file:
            return file.read(8) == _PNG_START and file.seek(-12, os.SEEK_END) > 0 and file.read() == _PNG_END
    except OSError:
        return False
