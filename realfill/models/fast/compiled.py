"""The denoiser's blocks compiled for filling, in a process that stays (`REALFILL_TRY=compile`, `models.fast.switch`).

Compiling takes longer than a run's seeds do, so it is for the warm process, which keeps it from run to run: merged
adapters leave the blocks as the base has them. Training draws other gates every step, each of which would be compiled
anew, and stays as it is.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from realfill.models.backbone import Backbone
from realfill.models.fast.switch import tries


def compile_blocks(backbone: Backbone) -> None:
    """Compiles the blocks that the denoiser repeats, when they are first called; once for all of a kind."""
    denoiser: Any = next(iter(backbone.trainable().values()))
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks()


@contextlib.contextmanager
def run_eagerly() -> Iterator[None]:
    """Inside the block compiled modules compute as if they were not."""
    if not tries("compile"):
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
