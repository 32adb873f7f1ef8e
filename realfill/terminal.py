"""What every program of ours does before anything else: Ctrl-C from the first moment, and output in any encoding."""

import io
import json
import os
import signal
import sys
from types import FrameType


class EndAtOnce:
    """A handler of SIGINT for the imports, which take seconds: nothing is open yet that could be lost.

    Says `sentence` on stderr and ends the process with `code`; with `as_json` the same stands on stdout, too.
    """

    def __init__(self, sentence: str, code: int, *, as_json: bool = False) -> None:
        self._sentence, self._code, self._as_json = sentence, code, as_json

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Ends the process; no Python object is touched, since an import may hold any of them."""
        os.write(2, f"{self._sentence}\n".encode())
        if self._as_json:
            os.write(1, json_refusal(self._sentence, self._code).encode())
        os._exit(self._code)

    def install(self) -> None:
        """Takes SIGINT, unless somebody else has: a job in the background ignores it."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self)


def json_refusal(sentence: str, code: int) -> str:
    """The line on stdout that a program reads instead of a result."""
    return json.dumps({"error": sentence, "exit": code}) + "\n"


def escape_unknown_characters() -> None:
    """What the encoding of stdout or stderr lacks is written as an escape; by default it would end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
