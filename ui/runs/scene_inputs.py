"""A scene as the page was given it. Apart from `jobs`: the children that decode read scenes and start no runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realfill.scene.outpaint import NOT_EXTENDED, Extension


@dataclass(frozen=True)
class SceneInputs:
    """A scene as it was given on the page, in files; `mask` None: it is in the target's transparency, or variants."""

    references: Sequence[Path]
    target: Path
    mask: Path | None
    name: str = ""  # what the project is called; empty: as the target's file
    extension: Extension = NOT_EXTENDED  # by how much `target` is larger than the photo that was given
