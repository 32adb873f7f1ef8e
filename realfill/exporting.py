"""The chosen picture as a file at the target's own size, with the record of how it was made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from realfill import compositing, files, images
from realfill import scene as scenes
from realfill.errors import OptionError, RunError
from realfill.runs import Run
from realfill.scene import Scene

Format = Literal["png", "jpeg", "tiff", "webp"]
FORMATS: Mapping[str, Format] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}


def choice(run: Run) -> tuple[int, int | None]:
    """The seed to export and its matches: the one a person chose, else the first of the ranking.

    Raises:
        RunError: nothing is sampled yet.
    """
    matches, done = _matches(run), run.seeds_done()
    ranked = [seed for seed in [run.chosen, *matches, *done] if seed in done]
    if not ranked:
        raise RunError(f"The run in {run.folder} has no pictures yet; run: realfill sample {run.folder}")
    return ranked[0], matches.get(ranked[0])


def choose(run: Run, seed: int | None) -> None:
    """Remembers which seed is to be exported; None: the one with most matches.

    Raises:
        OptionError: the run has no picture of that seed.
    """
    if seed is not None and seed not in run.seeds_done():
        known = ", ".join(map(str, run.seeds_done())) or "none"
        raise OptionError(f"The run in {run.folder} has no picture of seed {seed}; there are {known}.")
    run.label(seed=seed)


def record(run: Run, seed: int) -> dict[str, Any]:
    """All that made a seed's picture: settings, base with weight hash, versions. JSON data."""
    made = {name: run.fact(name) for name in ("config", "base", "device", "versions")}
    return {"seed": seed, "matches": _matches(run).get(seed), **made}


def fit_of(run: Run) -> images.Fit | None:
    """How the run's target became the working size, once that is known."""
    known = run.fact("fit")
    return None if known is None else images.Fit(**{**known, "box": tuple(known["box"])})


def render(run: Run, scene: Scene, seed: int, file_format: Format) -> bytes:
    """The target with a seed's picture blended into its hole, encoded; known pixels beyond the feather unchanged."""
    fit, wanted = fit_of(run), run.config.export
    if fit is None:
        raise RunError(f"The run in {run.folder} has not begun; run: realfill complete --run {run.folder}")
    covered = fit.covered()[..., None]  # a wide feather may reach beyond what was generated
    generated = np.where(covered, fit.photo_out(run.read_seed(seed)), scene.target)
    picture = compositing.composite(scene.original, scene.hole, generated, feather=wanted.feather)
    return images.encode(picture, file_format, quality=wanted.quality, record=record(run, seed))


def export_file(run: Run, path: Path) -> int:
    """Writes the chosen picture to a file whose name says the format; returns the seed.

    Raises:
        OptionError: the name ends in none of the formats' endings.
    """
    check_name(path)
    seed, _ = choice(run)
    scene = scenes.load(run.scene_folder, variants=run.config.variants)
    files.write_bytes(path, render(run, scene, seed, FORMATS[path.suffix.lower()]))
    return seed


def check_name(path: Path) -> None:
    """Refuses a file name that says no known format.

    Raises:
        OptionError: so.
    """
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"'{path.name}' does not say a format; end it in {', '.join(FORMATS)}.")


def _matches(run: Run) -> dict[int, int]:
    """Matches by seed, best first."""
    return {entry["seed"]: entry["matches"] for entry in run.read("scores").get("seeds", [])}
