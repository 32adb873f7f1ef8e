"""The example scenes that come with the project: rendered by `tools/scenes`, each with its ground truth."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from realfill import assets
from realfill.errors import OptionError

FOLDER = assets.FOLDER / "scenes"


@dataclass(frozen=True)
class Example:
    """One example scene; `folder` is what `realfill.scene.load` takes."""

    name: str
    title: str
    tests: str  # what is hard about it, one line
    shows: str  # what one sees, one line for people
    folder: Path
    licence: str = ""
    references: int = 0
    width: int = 0  # of the target, in pixels
    height: int = 0
    hole: float = 0.0  # share of the target that is missing, 0..1


class _Size(BaseModel):
    width: int
    height: int


class _Hole(BaseModel):
    share: float


class _SceneJson(BaseModel):
    """What scene.json says; `made` and the like are for the reader of the file."""

    model_config = ConfigDict(extra="ignore")

    title: str
    tests: str
    shows: str = ""
    licence: str
    order: int = 1000
    target: _Size
    references: list[_Size]
    hole: _Hole


def examples() -> list[Example]:
    """All example scenes, in the order in which they should be shown; none where the folder is absent.

    Raises:
        OptionError: a scene.json cannot be read.
    """
    if not FOLDER.is_dir():
        return []
    folders = [folder for folder in FOLDER.iterdir() if (folder / "target").is_dir() and folder.name[0] != "."]
    ordered = [_read(folder) for folder in folders]
    return [example for _, _, example in sorted(ordered, key=lambda item: item[:2])]


def find(name: str) -> Example:
    """The example of that name.

    Raises:
        OptionError: there is none; the sentence lists those there are.
    """
    known = {example.name: example for example in examples()}
    if name not in known:
        there = ", ".join(known) or f"none, since {FOLDER} is missing; install the project again"
        raise OptionError("There is no example '{name}'; the examples are: {there}.", name=name, there=there)
    return known[name]


def _read(folder: Path) -> tuple[int, str, Example]:
    """Order, name and example; a folder without scene.json comes last and is known by its name alone."""
    path = folder / "scene.json"
    if not path.exists():
        return 10_000, folder.name, Example(folder.name, folder.name, "", "", folder)
    try:
        words = _SceneJson.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise OptionError("{path} cannot be read as the words of an example; restore the file.", path=path) from error
    example = Example(
        name=folder.name,
        title=words.title,
        tests=words.tests,
        shows=words.shows,
        folder=folder,
        licence=words.licence,
        references=len(words.references),
        width=words.target.width,
        height=words.target.height,
        hole=words.hole.share,
    )
    return words.order, folder.name, example
