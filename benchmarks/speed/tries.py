"""The training step and the filling with what `REALFILL_TRY` names, each alone; a part of the GPU's speed benchmark."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.speed.sampling import time_filling
from benchmarks.speed.timing import SpeedReport
from benchmarks.speed.training import Workload, time_steps
from realfill.models.fast.compiled import compile_blocks
from realfill.models.fast.switch import TRY
from realfill.training import graph

TRAINING, FILLING = ("", "graph", "benchmark"), ("", "compile", "benchmark")


def tries_section(workload: Workload, report: SpeedReport) -> None:
    """A step with a pool once a graph would be decided on, and few denoising steps of all seeds, for each name."""
    decided = replace(workload, warm_up=graph.WARM + 2 * graph.TIMED + 3) if workload.tflop else workload
    for batch in sorted(workload.batches):
        for name in TRAINING:
            title = f"step, {name or 'nothing'} tried"
            if name and workload.device == "cpu":
                report.add(title, batch=batch, skipped="needs CUDA")
            elif not report.skip_if_late(title):
                with _trying(name):
                    time_steps(decided, report, workload.backbone(), batch=batch, pool=workload.pool, name=title)
    for name in FILLING:
        title = f"filling, {name or 'nothing'} tried"
        if name and workload.device == "cpu":
            report.add(title, skipped="needs CUDA")
        elif not report.skip_if_late(title):
            prepare = compile_blocks if name == "compile" else None
            with _trying(name):
                time_filling(workload, report, title, prepare=prepare)


@contextlib.contextmanager
def _trying(name: str) -> Iterator[None]:
    """Inside the block something is tried."""
    before = os.environ.get(TRY, "")
    os.environ[TRY] = name
    torch.backends.cudnn.benchmark = name == "benchmark"
    try:
        yield
    finally:
        os.environ[TRY] = before
        torch.backends.cudnn.benchmark = False
