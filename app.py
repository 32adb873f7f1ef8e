"""RealFill Studio in the browser: `python app.py`, then http://localhost:7860."""

import sys

from ui.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
