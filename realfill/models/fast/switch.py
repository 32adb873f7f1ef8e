"""The switches of speed: with `REALFILL_PLAIN=1` everything runs through PEFT's and diffusers' own code, without
`models/fast`; `REALFILL_TRY=graph,compile,benchmark` tries on a GPU what was not timed on one yet.

Environment variables and not a setting: no result depends on it, so it belongs to no run; the fast way is chosen
where a base is loaded, where an adapter is attached and where a batch is shared out, far from any caller that could
hand an argument down; and child processes (worker, benchmark) inherit it.
"""

import os
from typing import Literal

VARIABLE, TRY = "REALFILL_PLAIN", "REALFILL_TRY"
# graph: gradients as one CUDA graph, if that is quicker (`training.graph`); compile: the denoiser's blocks for filling
# (`models.fast.compiled`); benchmark: cuDNN times its convolutions
Trial = Literal["graph", "compile", "benchmark"]


def use_fast() -> bool:
    """Whether the project's own products, U-Net operations and lanes are in use; read anew at every call."""
    return os.environ.get(VARIABLE, "").lower() not in ("1", "true", "yes", "on")


def tries(trial: Trial) -> bool:
    """Whether something is to be tried that is off otherwise."""
    return trial in {name.strip() for name in os.environ.get(TRY, "").split(",")}
