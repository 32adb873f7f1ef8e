"""A run's pictures for the screen and for download, made by the same code as the command line's export."""

import contextlib
import dataclasses
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from realfill import compositing, exporting, files, images
from realfill import scene as scenes
from realfill.errors import OptionError, RunBusy
from realfill.runs import Run
from realfill.scene import Scene
from ui import uploads

Kind = Literal["png", "jpeg", "tiff", "webp"]
SUFFIX: dict[Kind, str] = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "webp": ".webp"}


@dataclass(frozen=True)
class Export:
    """How to write a result: feather in target pixels, format, quality 1-100 of JPEG and WebP."""

    feather: int
    kind: Kind
    quality: int


def compared(run: Run, seed: int, feather: int) -> tuple[str, str]:
    """Paths of two pictures of one size for the screen: the target, and the target with the seed in its hole."""
    scene, fit = _scene(run.scene_folder, run.config.variants), exporting.fit_of(run)
    if fit is None:
        raise OptionError("This run has not begun yet; wait for its first seed.")
    target = images.to_photo(scene.original)
    generated = fit.photo_out(run.read_seed(seed))
    filled = compositing.preview(target, scene.hole, generated, feather=feather, covered=fit.covered())
    return _shown(target, f"{run.folder} target"), _shown(filled, f"{run.folder} {seed} {feather} {_age(run, seed)}")


def exported(run: Run, wanted: Export) -> str:
    """Writes the chosen seed's, or the best one's, picture for download and returns the file's path.

    As PNG it becomes the run's own result too, unless a worker is writing there.

    Raises:
        RunError: nothing is sampled yet.
        OptionError: the format cannot hold a picture of this size.
    """
    if wanted.kind not in SUFFIX:
        raise OptionError(f"There is no export format '{wanted.kind}'.")
    seed, _ = exporting.choice(run)
    export = run.config.export.model_copy(update={"feather": wanted.feather, "quality": wanted.quality})
    run.update(run.config.model_copy(update={"export": export}))
    data = exporting.render(run, _scene(run.scene_folder, run.config.variants), seed, wanted.kind)
    if wanted.kind == "png":
        with contextlib.suppress(RunBusy), run.lock():
            run.forget("result.json")
            files.write_bytes(run.result, data)
            run.write("result", {"seed": seed, "export": export.model_dump(mode="json")})
    name = re.sub(r"[^\w-]+", "-", run.name).strip("-")[:60] or "result"
    return uploads.offer(data, run.folder.name, f"{name}-seed{seed}{SUFFIX[wanted.kind]}")


@functools.lru_cache(maxsize=2)
def _scene(folder: Path, variants: bool) -> Scene:
    """A run's scene without its references; a run's scene never changes."""
    return dataclasses.replace(scenes.load(folder, variants=variants), references=())


def _shown(photo: images.Photo, key: str) -> str:
    path = uploads.folder() / "shown" / f"{hashlib.sha256(key.encode()).hexdigest()}.webp"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        uploads.save_webp(np.ascontiguousarray(uploads.preview(photo)), path)
    return str(path)


def _age(run: Run, seed: int) -> int:
    return run.seed_path(seed).stat().st_mtime_ns
