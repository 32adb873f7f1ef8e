"""The off switch of `models/fast`: with `REALFILL_PLAIN=1` everything runs through PEFT's and diffusers' own code.

An environment variable and not a setting: no result depends on it, so it belongs to no run; the fast way is chosen
where a base is loaded, where an adapter is attached and where a batch is shared out, far from any caller that could
hand an argument down; and child processes (worker, benchmark) inherit it.
"""

import os

VARIABLE = "REALFILL_PLAIN"


def use_fast() -> bool:
    """Whether the project's own products, U-Net operations and lanes are in use; read anew at every call."""
    return os.environ.get(VARIABLE, "").lower() not in ("1", "true", "yes", "on")
