"""`python app.py`, `realfill-studio` and `python -m ui`: the page; Ctrl-C is heeded from the first import on."""

import sys

from realfill.errors import EXIT_DONE
from realfill.garbage import collect_rarely
from realfill.terminal import EndAtOnce

from . import ENDED
from .quick_import import skip_interface_files


def main() -> int:
    """Serves the page until Ctrl-C and returns the exit code."""
    collect_rarely()
    EndAtOnce(ENDED, EXIT_DONE).install()
    skip_interface_files()
    from .studio import main as serve_page

    return serve_page()


if __name__ == "__main__":
    sys.exit(main())
