"""The scenes of a benchmark: folders with ref/*, target/{target,mask} and the truth, target/gt."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realfill import files
from realfill.arrays import Photo
from realfill.errors import OptionError, SceneError
from realfill.scene import scene as scenes
from realfill.scene import scene_files
from realfill.scene.scene import Scene


@dataclass(frozen=True)
class Case:
    """One scene by name and folder; the name is the folder's."""

    name: str
    folder: Path

    def scene(self) -> Scene:
        """The scene, read and checked.

        Raises:
            SceneError: it cannot be used.
        """
        return scenes.load(self.folder)


def read_truth(case: Case, scene: Scene) -> Photo:
    """The complete picture (H, W, 3) at the target's size.

    Raises:
        SceneError: there is none, or it has another size.
    """
    if scene.truth is None:
        raise SceneError(f"Scene {case.name} has no ground truth of the target's size; add target/gt.png.")
    return scene.truth


def find_cases(root: Path, only: str = "") -> tuple[list[Case], list[str]]:
    """The scenes with ground truth in a folder, and the names of those without; as `list_cases`.

    Raises:
        OptionError: as `list_cases`.
    """
    cases = list_cases(root, only)
    complete = [case for case in cases if _has_truth(case.folder)]
    return complete, [case.name for case in cases if case not in complete]


def list_cases(root: Path, only: str = "") -> list[Case]:
    """The scenes in a folder, in natural order.

    `root` is a folder of scenes, a folder that holds RealBench/, or a scene. `only` names scenes: "0-4,berry_bowl".

    Raises:
        OptionError: there is no such folder, no scene in it, or none of a name that was asked for.
    """
    if not root.is_dir():
        raise OptionError(f"There is no folder {root}; give a folder of scenes, RealBench's for instance.")
    cases = _find_scenes(root)
    if not cases:
        raise OptionError(f"{root} holds no scene; a scene is a folder with ref/ and target/ in it.")
    if only:
        names = _parse_names(only)
        unknown = [name for name in names if name not in {case.name for case in cases}]
        if unknown:
            known = ", ".join(case.name for case in cases)
            raise OptionError(f"There is no scene '{unknown[0]}' in {root}; there are {known}.")
        cases = [case for case in cases if case.name in names]
    return cases


def keep_references(case: Case, count: int, folder: Path) -> Case:
    """A copy of the case in `folder` that has only its first `count` references, in natural order.

    Raises:
        SceneError: it has fewer.
    """
    pictures = scene_files.pictures(case.folder / "ref")
    if len(pictures) < count:
        raise SceneError(f"Scene {case.name} has fewer than {count} references.")
    with files.new_folder(folder / case.name) as draft:
        shutil.copytree(case.folder / "target", draft / "target")
        (draft / "ref").mkdir()
        for picture in pictures[:count]:
            shutil.copyfile(picture, draft / "ref" / picture.name)
    return Case(case.name, folder / case.name)


def _find_scenes(root: Path) -> list[Case]:
    """All scenes of a folder, of RealBench/ in it or one folder further down; a scene's own folder is one."""
    if (root / "target").is_dir():
        return [Case(root.resolve().name, root)]
    inner = sorted(item for item in root.iterdir() if item.is_dir())
    for place in (root, root / "RealBench", *(item / "RealBench" for item in inner), *inner[:1]):
        if place.is_dir():
            cases = [Case(item.name, item) for item in place.iterdir() if _is_scene(item)]
            if cases:
                return sorted(cases, key=lambda case: natural_key(case.name))
    return []


def _is_scene(folder: Path) -> bool:
    """Whether a folder is meant as a scene; one without target/ says so itself when it is read."""
    return any((folder / part).is_dir() for part in ("target", "ref"))


def _has_truth(folder: Path) -> bool:
    target = folder / "target"
    return target.is_dir() and any(picture.stem.casefold() == "gt" for picture in scene_files.pictures(target))


def natural_key(name: str) -> tuple[float, str]:
    """Sorts scenes' names: numbers by value, then all others."""
    return (float(name) if name.isdecimal() else float("inf"), name)


def _parse_names(text: str) -> Sequence[str]:
    """`"0-2,berry_bowl"` → 0, 1, 2, berry_bowl."""
    names: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        first, dash, last = part.partition("-")
        if dash and first.isdecimal() and last.isdecimal() and int(last) - int(first) < 10_000:
            names += [str(number) for number in range(int(first), int(last) + 1)]
        elif part:
            names.append(part)
    return names
