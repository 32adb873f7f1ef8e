"""What every matcher is, and what all of them share: working size, features once per photo, the way back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from realfill.arrays import Photo, Points32, Vector32
from realfill.imaging.crop import CropTransform

Features = TypeVar("Features")


@dataclass(frozen=True)
class Matches:
    """K pairs of points that show the same thing; K may be 0.

    Points are (x, y) in pixels of the photos that were given, pixel centres at whole numbers.
    """

    reference_xy: Points32
    target_xy: Points32
    confidence: Vector32  # (K,), 0..1, more is better; comparable within one matcher only

    def __len__(self) -> int:
        return len(self.confidence)

    @classmethod
    def empty(cls) -> "Matches":
        """No match."""
        return cls(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32))


class Matcher(Protocol):
    """Finds matches between references and targets."""

    name: str

    def stream(self, references: Sequence[Photo], targets: Iterable[Photo]) -> Iterator[list[Matches]]:
        """For each target in turn, its matches with every reference; references are looked at once."""
        ...

    def match(self, references: Sequence[Photo], targets: Sequence[Photo]) -> list[list[Matches]]:
        """All at once: `result[target][reference]`."""
        ...


class FeatureMatcher(ABC, Generic[Features]):
    """A matcher that computes features of each photo once and then compares them pair by pair."""

    name: str
    size: int  # longest side in pixels of what is matched; smaller photos are enlarged to it
    multiple: int = 8  # sides are rounded to multiples of it

    @abstractmethod
    def extract(self, working: Photo) -> Features:
        """Features of a photo at working size."""

    @abstractmethod
    def pair(self, references: Sequence[Features], target: Features) -> list[Matches]:
        """Matches of one target with each reference, in working pixels."""

    def stream(self, references: Sequence[Photo], targets: Iterable[Photo]) -> Iterator[list[Matches]]:
        """For each target in turn, its matches with every reference; features of a photo are computed once."""
        crops = [self.working_crop(photo) for photo in references]
        features = [self.extract(crop.crop_photo(photo)) for crop, photo in zip(crops, references, strict=True)]
        for photo in targets:
            target_crop = self.working_crop(photo)
            pairs = self.pair(features, self.extract(target_crop.crop_photo(photo))) if features else []
            yield [to_photo_coordinates(one, crop, target_crop) for one, crop in zip(pairs, crops, strict=True)]

    def match(self, references: Sequence[Photo], targets: Sequence[Photo]) -> list[list[Matches]]:
        """All at once: `result[target][reference]`."""
        return list(self.stream(references, targets))

    def working_crop(self, photo: Photo) -> CropTransform:
        """How a photo comes to working size; its aspect changes by half of `multiple` at most."""
        height, width = photo.shape[:2]
        scale: float = self.size / max(height, width)

        def side(pixels: int) -> int:
            return max(1, round(pixels * scale / self.multiple)) * self.multiple

        box = (0.0, 0.0, float(width), float(height))
        return CropTransform(box=box, width=side(width), height=side(height), photo_width=width, photo_height=height)


def to_photo_coordinates(matches: Matches, reference: CropTransform, target: CropTransform) -> Matches:
    """Matches in working pixels → the same in the photos' own pixels."""
    return Matches(
        np.asarray(reference.to_photo(matches.reference_xy), np.float32),
        np.asarray(target.to_photo(matches.target_xy), np.float32),
        matches.confidence,
    )
