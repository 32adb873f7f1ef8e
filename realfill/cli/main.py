"""Runs a command and turns its errors into one sentence and an exit code."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from typer.exceptions import Abort, TyperException

from realfill.cli.commands import app
from realfill.errors import (
    EXIT_DEFECT,
    EXIT_DONE,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    INTERRUPTED,
    RealFillError,
    exit_code,
)
from realfill.terminal import EndAtOnce, escape_unknown_characters, json_refusal

_TYPER_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 done, 2 refused, 3 interrupted, 1 a defect."""
    # what libraries say while they are imported; a person's own choice stays
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    escape_unknown_characters()
    argv = list(sys.argv[1:] if arguments is None else arguments)
    with _note_interrupts() as interrupts:
        try:
            code = app(argv, standalone_mode=False, prog_name="realfill")
            if code == _TYPER_INTERRUPTED:
                raise KeyboardInterrupt
            return code if isinstance(code, int) else EXIT_DONE
        except RealFillError as error:
            return _refuse(str(error), exit_code(error), argv)
        except (KeyboardInterrupt, Abort):
            return _refuse(INTERRUPTED, EXIT_INTERRUPTED, argv)
        except TyperException as error:
            return _refuse(error.format_message(), EXIT_INPUT, argv)
        except Exception as error:  # a defect is not hidden: the traceback, a sentence, and its own exit code
            sentence, exit_status = f"This is a defect in RealFill ({type(error).__name__}: {error}).", EXIT_DEFECT
            if interrupts:  # a library that was being imported made another error of it
                sentence, exit_status = INTERRUPTED, EXIT_INTERRUPTED
            else:
                traceback.print_exc()
            return _refuse(sentence, exit_status, argv)


@contextlib.contextmanager
def _note_interrupts() -> Iterator[list[int]]:
    """The SIGINTs that came while the block ran, each of which raises KeyboardInterrupt."""
    came: list[int] = []

    def take(number: int, frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    heeded = before is signal.default_int_handler or isinstance(before, EndAtOnce)
    if not heeded or threading.current_thread() is not threading.main_thread():
        yield came
        return
    signal.signal(signal.SIGINT, take)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _refuse(sentence: str, code: int, arguments: Sequence[str]) -> int:
    sys.stderr.write(sentence + "\n")
    if "--json" in arguments:
        sys.stdout.write(json_refusal(sentence, code))
        sys.stdout.flush()
    return code
