"""LoRA's alpha 8 against 16 on a base with real weights: the paper names no scale, and public code doubles ours."""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.quality.harness import exported_photo
from benchmarks.quality.measures import psnr
from benchmarks.speed.timing import SpeedReport
from realfill import config
from realfill.pipeline.stages import complete
from realfill.runs.run import Run
from realfill.scene import examples
from realfill.scene import scene as scenes

ALPHAS = (8.0, 16.0)
_SCENES = 2


def alpha_section(report: SpeedReport, *, base: str, device: str, steps: int, seeds: int) -> None:
    """PSNR in the hole, the mean over seeds, by alpha; a scene after the other, so that what is late is left out."""
    preset = config.PRESETS["quick"]
    for example in examples.examples()[:_SCENES]:
        for alpha in ALPHAS:
            name = f"{base}, {example.name}, alpha {alpha:g}"
            if report.skip_if_late(name):
                continue
            changes = {"base": base, "train.steps": steps, "train.alpha": alpha, "sample.seeds": f"0-{seeds - 1}"}
            wanted = config.change(preset, {**changes, "select.matcher": "sift"})
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                run = Run.open(complete(Path(folder) / "run", scene=example.folder, config=wanted, device=device).run)
                scene = scenes.load(example.folder)
                assert scene.truth is not None
                values = [psnr(exported_photo(run, scene, seed), scene.truth, scene.hole) for seed in run.seeds_done()]
            report.add(name, psnr=float(np.mean(values)), steps=steps, seconds=time.perf_counter() - began)
