"""`python -m realfill.cli.decode_process MODULE MEMORY`: decodes what nobody vouches for, apart from who asked.

MODULE holds the operations (`OPERATIONS`, by name), MEMORY is in bytes. The other end is `realfill.jobs.call_pool`.
"""

import importlib
import sys
from collections.abc import Sequence

import cv2

from realfill.jobs import call_server

THREADS = 2  # of OpenCV: a stranger's file takes no more of the cores


def main(arguments: Sequence[str]) -> None:
    """Serves the calls of whoever started it."""
    module, memory = arguments
    operations = importlib.import_module(module).OPERATIONS
    cv2.setNumThreads(THREADS)
    call_server.serve(operations, int(memory))


if __name__ == "__main__":
    main(sys.argv[1:])
