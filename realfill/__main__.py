"""`python -m realfill`: runs a command and turns its errors into one sentence and an exit code."""

import sys

from realfill.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
