"""From rendered pictures to a scene folder: developed photos, the hole, the words beside them."""

import json
import shutil
from pathlib import Path

import bpy
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from tools.scenes.paint import Array, hexa
from tools.scenes.recipe import Recipe, develop, hole

QUALITY, LARGE = 88, 80  # of JPEG files; a large photo hides more


def write(recipe: Recipe, taken: dict[str, Path], folder: Path, order: int) -> None:
    """Writes ref/*.jpg, target/{target,gt,mask}.* and scene.json; `folder` appears complete or not at all."""
    photos = {}
    for index, (name, shot) in enumerate(recipe.shots().items()):
        raw = np.asarray(Image.open(taken[name]).convert("RGB"), np.float32) / 255
        photos[name] = develop(raw.astype(np.float32), shot.look, np.random.default_rng((recipe.seed, index)))
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for inner in ("ref", "target"):
        (part / inner).mkdir(parents=True)
    for index in range(len(recipe.references)):
        _save(photos[f"ref{index}"], part / "ref" / f"{index:02d}.jpg")
    missing = _target(recipe, photos["gt"], part / "target")
    words = {"title": recipe.title, "order": order, **_words(recipe, missing)}
    (part / "scene.json").write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if (folder / "prompt.txt").is_file():  # written by hand, for the benchmark
        shutil.copyfile(folder / "prompt.txt", part / "prompt.txt")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _target(recipe: Recipe, picture: Array, folder: Path) -> npt.NDArray[np.bool_]:
    """Truth, target and mask; returns the hole."""
    truth = folder / f"gt{recipe.suffix}"
    _save(picture, truth)
    kept = np.asarray(Image.open(truth).convert("RGB"), np.float32) / 255  # as the file has it: known pixels agree
    missing = hole(recipe, (kept.shape[1], kept.shape[0]))
    painted = np.where(missing[..., None], np.asarray(hexa(recipe.paint), np.float32), kept)
    _save(painted.astype(np.float32), folder / f"target{recipe.suffix}")
    Image.fromarray(missing).save(folder / "mask.png", optimize=True)
    return missing


def _save(picture: Array, path: Path) -> None:
    image = Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if path.suffix == ".png":
        image.save(path, optimize=True)
        return
    large = image.width >= 2000
    image.save(path, quality=LARGE if large else QUALITY, subsampling=2 if large else 0, optimize=True)


def _words(recipe: Recipe, missing: npt.NDArray[np.bool_]) -> dict[str, object]:
    height, width = missing.shape
    shots = recipe.shots()
    return {
        "tests": recipe.tests,
        "shows": recipe.shows,
        "licence": "CC0-1.0",
        "made": {
            "script": f"python -m tools.scenes --only {recipe.name}",
            "seed": recipe.seed,
            "renderer": f"Blender {bpy.app.version_string}, Cycles on the CPU, OpenImageDenoise",
            "samples": {name: shot.quality.samples for name, shot in shots.items()},
            "looks": {name: shot.look for name, shot in shots.items()},
        },
        "target": {"width": width, "height": height},
        "references": [{"width": shot.quality.width, "height": shot.quality.height} for shot in recipe.references],
        "hole": {"share": round(float(missing.mean()), 4), "size": _extent(missing)},
    }


def _extent(missing: npt.NDArray[np.bool_]) -> dict[str, int]:
    _, _, width, height = cv2.boundingRect(missing.astype(np.uint8))
    return {"width": width, "height": height}
