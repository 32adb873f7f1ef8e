"""What every metric is, its column, and what it may need; the metrics by name are in registry.py."""

import hashlib
import importlib.util
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.errors import RunError, WeightsError
from realfill.files import speak_refusals, temporary_path
from realfill.imaging.photo import read_photo

Vector = npt.NDArray[np.float32]
MATCHES = "matches_"  # begins the column of a matcher's counts


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo (H, W, 3) and the hash of its file, by which it is known again."""

    photo: Photo
    digest: str


def read_picture(path: Path) -> Picture:
    """A picture file.

    Raises:
        SceneError: it cannot be read.
    """
    return Picture(read_photo(path), digest(path))


def digest(*paths: Path) -> str:
    """A hash over the bytes of files, 32 hex digits."""
    sums = hashlib.blake2b(digest_size=16)
    for path in paths:
        sums.update(path.read_bytes())
    return sums.hexdigest()


@dataclass(frozen=True)
class Column:
    """One column of the tables: what it is called, which way is better, and how exactly it is measured."""

    name: str
    title: str
    better: Literal["higher", "lower", "near 1"]
    digits: int
    protocol: str

    @property
    def heading(self) -> str:
        """The title with the way that is better."""
        return f"{self.title} {'↑' if self.better == 'higher' else '↓' if self.better == 'lower' else '→ 1'}"

    def merit(self, value: float) -> float:
        """A number that is larger where the picture is better."""
        return value if self.better == "higher" else -value if self.better == "lower" else -abs(value - 1)


class Metric(Protocol):
    """Compares pictures with the truth."""

    name: str  # of its column
    identity: str  # protocol, library and weights; values of another identity cannot be compared

    def measure(self, truth: Picture, hole: Hole, pictures: Sequence[Picture]) -> list[float]:
        """One value a picture; all are (H, W, 3), the hole (H, W)."""
        ...


class EmbeddingCache:
    """Embeddings by metric and picture, so that none is computed twice; kept in a file between calls."""

    def __init__(self) -> None:
        self._vectors: dict[str, Vector] = {}
        self._path: Path | None = None
        self._changed = False

    def open(self, path: Path) -> None:
        """Takes what the file holds, and forgets everything else. A damaged file counts as empty."""
        self._vectors, self._path, self._changed = {}, path, False
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                self._vectors = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return

    def get(self, identity: str, picture: Picture) -> Vector | None:
        """The embedding of a picture, if it is known."""
        return self._vectors.get(f"{identity} {picture.digest}")

    def put(self, identity: str, picture: Picture, vector: Vector) -> None:
        """Keeps the embedding of a picture."""
        self._vectors[f"{identity} {picture.digest}"] = vector
        self._changed = True

    def close(self) -> None:
        """Writes the file if anything is new.

        Raises:
            DiskFull, RunError: it cannot be written.
        """
        if self._path is None or not self._changed:
            return
        draft = temporary_path(self._path)
        with speak_refusals(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("xb") as file:
                    np.savez(file, **self._vectors)  # type: ignore[arg-type, unused-ignore]
                draft.replace(self._path)
            finally:
                draft.unlink(missing_ok=True)
        self._changed = False


def check_same_size(truth: Picture, pictures: Sequence[Picture]) -> None:
    """Makes sure that pictures have the truth's size.

    Raises:
        RunError: one has another.
    """
    for picture in pictures:
        if picture.photo.shape != truth.photo.shape:
            raise RunError(f"A picture is {picture.photo.shape} and the truth {truth.photo.shape}; score equal sizes.")


@dataclass(frozen=True, eq=False)
class MetricSources:
    """What a metric is loaded from."""

    weights: Path | None  # a folder with dino-vits16/, clip-vit-base-patch32/, dreamsim/ and AlexNet's file
    device: str
    fetch: bool  # whether missing weights may be downloaded
    cache: EmbeddingCache


@dataclass(frozen=True)
class LoadedMetrics:
    """The metrics of one load, and the sha256 of the weights they share; empty where there are none."""

    metrics: Sequence[Metric]
    sha256: str = ""


def require_packages(*packages: str) -> None:
    """Makes sure that packages are installed.

    Raises:
        WeightsError: one is not.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise WeightsError(
                f"the package {package} is not installed; install it with: pip install -r requirements-bench.txt"
            )
