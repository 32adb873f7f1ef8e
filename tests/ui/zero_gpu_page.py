"""`python -m tests.ui.zero_gpu_page OPTIONS`: the studio on a pretended ZeroGPU; the options are those of app.py.

A turn is over after 15 looks at the clock, which makes about five steps of training. The quota is what the file
`quota` beside the runs says, in the seconds that are pretended; without it there is no end of it.
"""

import functools
import itertools
import sys
from pathlib import Path

from tests import fake_spaces


class Account(fake_spaces.Account):
    """One whose quota a test sets by a file."""

    @property
    def left(self) -> float:
        return float(QUOTA.read_text()) if QUOTA.is_file() else float("inf")

    @left.setter
    def left(self, seconds: float) -> None:
        pass


def main() -> int:
    """Serves until it is ended."""
    fake_spaces.ACCOUNT = Account()
    sys.modules["spaces"] = fake_spaces
    from realfill.pipeline import turn
    from ui import studio, zero_gpu

    turn.read_clock = functools.partial(next, map(float, itertools.count()))
    zero_gpu.open_turns = functools.partial(zero_gpu.open_turns, device="cpu", seconds=15.0)
    return studio.main()


QUOTA = Path(sys.argv[sys.argv.index("--runs-dir") + 1]) / "quota"
if __name__ == "__main__":
    sys.exit(main())
