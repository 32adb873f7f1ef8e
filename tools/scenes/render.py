"""Takes the photos of a recipe, one file each."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tools.scenes import studio, things
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Quality


def render(
    recipe: Recipe, folder: Path, *, shots: Sequence[str] | None = None, draft: int | None = None
) -> dict[str, Path]:
    """Files of the photos by name; what is there already is kept. `draft`: pictures of that width, always new."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: shot for name, shot in recipe.shots().items() if shots is None or name in shots}
    files = {name: folder / (f"{name}.png" if draft is None else f"draft_{name}.png") for name in wanted}
    missing = [name for name in wanted if draft is not None or not files[name].exists()]
    if missing:
        studio.clear()
        things.forget()
        recipe.build(np.random.default_rng(recipe.seed))
    for name in missing:
        shot = wanted[name]
        recipe.arrange(shot.state)
        started = time.monotonic()
        studio.shoot(shot.camera, quality(shot, draft), files[name])
        print(f"{recipe.name} {name}: {time.monotonic() - started:.0f} s", flush=True)
    return files


def quality(shot: Shot, draft: int | None) -> Quality:
    """The shot's own, or a quick one of the same shape."""
    if draft is None:
        return shot.quality
    height = round(draft * shot.quality.height / shot.quality.width)
    return dataclasses.replace(shot.quality, width=draft, height=height, samples=8, threshold=0.1)
