"""A benchmark's folder: pictures anyone can score again, and what was found about them.

bench.json                         root, scenes, methods, seeds, versions, device: what was asked
pictures/METHOD/SCENE/000017.png   the completed target at its own size, one file a seed
pictures/METHOD/SCENE/made.json    settings, seconds, or the sentence why there is none
scores/METHOD/SCENE.json           per seed every metric and the matches, with what they were measured by
runs/METHOD/SCENE/                 what a method keeps in order to go on (checkpoints, adapters)
cache/SCENE.npz                    embeddings by picture, so that none is computed twice
seeds.csv  results.json  tables.md  report.html  thumbs/   made anew from the above
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from realfill import files
from realfill.arrays import Photo
from realfill.errors import OptionError
from realfill.imaging.photo import save_photo

_NAME = re.compile(r"[^\x00-\x1f/\\:*?\"<>|.][^\x00-\x1f/\\:*?\"<>|]{0,79}")


class Store:
    """The files of one benchmark; makes folders as they are written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def picture_path(self, method: str, scene: str, seed: int) -> Path:
        """Where the picture of a seed lies or will lie."""
        return self.picture_folder(method, scene) / f"{seed:06d}.png"

    def picture_folder(self, method: str, scene: str) -> Path:
        """The folder of a method's pictures of one scene."""
        return self.folder / "pictures" / check_name(method) / check_name(scene)

    def seeds(self, method: str, scene: str) -> list[int]:
        """Seeds that have a picture, ascending; pictures are written whole or not at all."""
        folder = self.picture_folder(method, scene)
        paths = folder.glob("*.png") if folder.is_dir() else ()
        return sorted(int(path.stem) for path in paths if path.stem.isdecimal())

    def write_picture(self, method: str, scene: str, seed: int, photo: Photo) -> None:
        """Stores a picture (H, W, 3) as PNG, atomically."""
        save_photo(photo, self.picture_path(method, scene, seed))

    def read_record(self, method: str, scene: str) -> dict[str, Any]:
        """How the pictures of a scene came about; empty where nothing is known."""
        return files.read_json(self.picture_folder(method, scene) / "made.json") or {}

    def write_record(self, method: str, scene: str, data: dict[str, Any]) -> None:
        """Stores how the pictures of a scene came about."""
        files.write_json(self.picture_folder(method, scene) / "made.json", data)

    def methods(self) -> list[str]:
        """Methods that have a folder of pictures, in the order of bench.json and then by name."""
        asked = [str(name) for name in self.facts().get("methods", [])]
        existing = sorted(item.name for item in _folders(self.folder / "pictures"))
        return [name for name in dict.fromkeys([*asked, *existing]) if name in existing]

    def scenes(self, method: str) -> list[str]:
        """Scenes that a method has pictures of, or a reason for having none."""
        return sorted(item.name for item in _folders(self.folder / "pictures" / check_name(method)))

    def scores(self, method: str, scene: str) -> dict[str, Any]:
        """What was measured: {"metrics": …, "matchers": …, "seeds": {"17": {"psnr": …}}}; empty before."""
        return files.read_json(self._scores_path(method, scene)) or {}

    def write_scores(self, method: str, scene: str, data: dict[str, Any]) -> None:
        """Stores what was measured."""
        files.write_json(self._scores_path(method, scene), data)

    def facts(self) -> dict[str, Any]:
        """What bench.json says; empty where there is none."""
        return files.read_json(self.folder / "bench.json") or {}

    def write_facts(self, data: dict[str, Any]) -> None:
        """Stores bench.json."""
        files.write_json(self.folder / "bench.json", data)

    def work_folder(self, method: str, scene: str) -> Path:
        """The folder in which a method keeps what it needs to go on."""
        return self.folder / "runs" / check_name(method) / check_name(scene)

    def cache_path(self, scene: str) -> Path:
        """The file of a scene's embeddings."""
        return self.folder / "cache" / f"{check_name(scene)}.npz"

    def _scores_path(self, method: str, scene: str) -> Path:
        return self.folder / "scores" / check_name(method) / f"{check_name(scene)}.json"


def check_name(name: str) -> str:
    """A method's or scene's name, fit to be a folder's.

    Raises:
        OptionError: it holds what no folder name should.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise OptionError(f"'{name}' cannot name a folder; use letters, digits, '-' and '_'.")
    return name


def _folders(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return []
    return [item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")]
