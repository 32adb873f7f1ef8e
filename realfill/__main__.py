"""`realfill` and `python -m realfill`: runs a command; Ctrl-C is heeded from the first import on."""

import sys

from realfill.errors import EXIT_INTERRUPTED, INTERRUPTED
from realfill.garbage import collect_rarely
from realfill.terminal import EndAtOnce


def main() -> int:
    """Runs the command line of this process and returns its exit code."""
    collect_rarely()
    EndAtOnce(INTERRUPTED, EXIT_INTERRUPTED, as_json="--json" in sys.argv).install()
    from realfill.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
