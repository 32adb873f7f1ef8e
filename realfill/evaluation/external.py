"""Other people's pictures, from a folder of SCENE/SEED.png, scored as everything else is."""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from realfill.arrays import Photo
from realfill.errors import OptionError
from realfill.evaluation.dataset import Case
from realfill.evaluation.metrics import base
from realfill.evaluation.store import Store, check_name
from realfill.imaging.photo import read_photo
from realfill.scene import scene_files

MOST = 4096  # pictures of a scene
SHAPE = 0.02  # by so much the aspect may differ from the target's


def add_pictures(store: Store, name: str, folder: Path, cases: Sequence[Case]) -> int:
    """Copies pictures into the store as the method `name`; returns how many. Their seeds are their names' numbers.

    A picture of another size than the target is brought to it where the aspect is the same. Nothing else is done
    to it: known pixels are scored as they are. Pictures that left the folder since leave the store too.

    Raises:
        OptionError: the folder holds no picture of any of the scenes, or one of another shape.
        SceneError: a picture cannot be read.
    """
    from realfill.evaluation.methods import registry

    if check_name(name).partition("@")[0] in registry.ENTRIES:
        raise OptionError(f"'{name}' is a method's own name; give the pictures another one.")
    if not folder.is_dir():
        raise OptionError(f"There is no folder {folder}; give one of the layout SCENE/SEED.png.")
    count = 0
    for case in cases:
        paths = _list_pictures(folder / case.name)
        if paths:
            count += len(paths)
            _copy(store, name, case, paths)
    if not count:
        names = ", ".join(case.name for case in cases[:5])
        raise OptionError(
            f"{folder} holds no picture of these scenes; name them SCENE/SEED.png, SCENE being {names}, …"
        )
    return count


def _list_pictures(folder: Path) -> dict[int, Path]:
    """Files by seed: the last number in the name, or the place in natural order where one has none."""
    paths = scene_files.pictures(folder) if folder.is_dir() else []
    if len(paths) > MOST:
        raise OptionError(f"{folder} holds {len(paths)} pictures and the most are {MOST}.")
    numbers = [re.findall(r"[0-9]+", path.stem) for path in paths]
    seeds = [int(digits[-1]) if digits and len(digits[-1]) <= 9 else -1 for digits in numbers]
    if -1 in seeds or len(set(seeds)) < len(seeds):
        return dict(enumerate(paths))
    return dict(zip(seeds, paths, strict=True))


def _copy(store: Store, name: str, case: Case, paths: dict[int, Path]) -> None:
    before = store.read_record(name, case.name).get("from", {})
    origin = {str(seed): base.digest(path) for seed, path in paths.items()}
    size = case.scene().hole.shape
    resized = False
    for seed, path in paths.items():
        target = store.picture_path(name, case.name, seed)
        if before.get(str(seed)) == origin[str(seed)] and target.is_file():
            continue
        photo = read_photo(path)
        resized |= photo.shape[:2] != size
        store.write_picture(name, case.name, seed, resize_to(photo, size, path))
    for seed in set(store.seeds(name, case.name)) - set(paths):
        store.picture_path(name, case.name, seed).unlink(missing_ok=True)
    resized = resized or bool(store.read_record(name, case.name).get("resized"))
    store.write_record(name, case.name, {"title": name, "from": origin, "resized": resized})


def resize_to(photo: Photo, size: tuple[int, int], path: Path) -> Photo:
    """A photo at the target's (H, W).

    Raises:
        OptionError: its aspect differs.
    """
    if photo.shape[:2] == size:
        return photo
    (height, width), (given_height, given_width) = size, photo.shape[:2]
    if abs(np.log((given_width / given_height) / (width / height))) > np.log(1 + SHAPE):
        raise OptionError(
            f"{path} is {given_width}×{given_height} and the target {width}×{height}, of another shape; "
            "a picture must show the whole target."
        )
    shrinks = given_width > width or given_height > height
    resized = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)
