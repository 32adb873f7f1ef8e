"""Runs a command and turns its errors into one sentence and an exit code."""

import json
import os
import sys
import traceback
from collections.abc import Sequence

from typer.exceptions import Abort, TyperException

from realfill.cli.commands import app
from realfill.errors import EXIT_DEFECT, EXIT_DONE, EXIT_INPUT, EXIT_INTERRUPTED, RealFillError, exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 done, 2 refused, 3 interrupted, 1 a defect."""
    # what libraries say while they are imported; a person's own choice stays
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(argv, standalone_mode=False, prog_name="realfill")
        return code if isinstance(code, int) else EXIT_DONE
    except RealFillError as error:
        return _refuse(str(error), exit_code(error), argv)
    except (KeyboardInterrupt, Abort):  # typer's word for Ctrl-C
        return _refuse("Interrupted; the same command goes on from here.", EXIT_INTERRUPTED, argv)
    except TyperException as error:
        return _refuse(error.format_message(), EXIT_INPUT, argv)
    except Exception as error:  # a defect is not hidden: the traceback, a sentence, and its own exit code
        traceback.print_exc()
        return _refuse(f"This is a defect in RealFill ({type(error).__name__}: {error}).", EXIT_DEFECT, argv)


def _refuse(sentence: str, code: int, arguments: Sequence[str]) -> int:
    sys.stderr.write(sentence + "\n")
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"error": sentence, "exit": code}) + "\n")
    return code
