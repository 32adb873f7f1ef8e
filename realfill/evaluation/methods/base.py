"""What every method of the benchmark is: (Scene, seeds) → candidates at the target's own size."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from realfill.arrays import Photo
from realfill.config import Config
from realfill.errors import OutOfMemory, StageError
from realfill.events import Event, Notice, Report, SeedReady, StageStarted
from realfill.imaging.crop import CropTransform
from realfill.jobs.device_lock import hold_device
from realfill.scene.scene import Scene

if TYPE_CHECKING:  # torch takes seconds to import, and the methods' names stand in the command line's help
    from realfill.sampling.sample import Candidate


class NoResult(StageError):
    """A method has no picture for a scene, by its own nature: report_seeds, and not tried again."""


class Method(Protocol):
    """Completes scenes: RealFill and every baseline are this."""

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> "Iterator[Candidate]":
        """One candidate a seed, (H, W, 3) at the target's size; only what it holds in the hole is looked at.

        Raises:
            NoResult: the method cannot complete this scene.
            RealFillError: something is missing or broke; the next call may succeed.
        """
        ...


def _ignore(event: Event) -> None: ...


@dataclass(frozen=True)
class Setup:
    """What a method may need besides the scene's pictures."""

    folder: Path  # the scene's folder
    work: Path  # a folder of its own, for this method and scene, kept until the next call
    config: Config
    device: str = "cpu"
    prompt: str = ""  # a written description of the scene; empty: there is none
    text_base: str = ""  # text-to-image base of `dreambooth`
    example_base: str = ""  # base of `paint-by-example`
    report: Report = field(default=_ignore)
    facts: dict[str, Any] = field(default_factory=dict)  # what the method tells of itself, for made.json

    def say(self, sentence: str) -> None:
        """Reports a notice."""
        self.report(Notice(sentence))

    def report_seeds(self, candidates: "Iterator[Candidate]", total: int) -> "Iterator[Candidate]":
        """The same candidates, each reported as it comes."""
        self.report(StageStarted("sample", total))
        for count, candidate in enumerate(candidates, 1):
            self.report(SeedReady(candidate.seed, count, total, 0.0))
            yield candidate

    @contextlib.contextmanager
    def using_device(self) -> Iterator[None]:
        """Holds the device, as runs do, so that two of them never share its memory.

        Raises:
            OutOfMemory: it is too small.
        """
        import torch

        sentence = "Another RealFill run is using the device; this goes on when it has finished."
        with hold_device(self.device, check=lambda: None, waits=lambda: self.say(sentence)):
            try:
                yield
            except torch.OutOfMemoryError as error:
                raise OutOfMemory("The device has too little memory for this method; take another device.") from error


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """A method by name."""

    name: str = field(kw_only=False)
    title: str = field(kw_only=False)
    make: Callable[[Setup], Method]
    settings: Callable[[Setup], Mapping[str, Any]]  # what decides the pictures, as JSON data
    random: bool = True  # False: every seed gives the same picture, so one is made
    uses_references: bool = True  # whether it looks at them at all


def resize_to_target(scene: Scene, fit: CropTransform, working: Photo) -> Photo:
    """A working picture laid over the target, at the target's size."""
    return np.where(fit.covered_hole()[..., None], fit.uncrop_photo(working), scene.target)
