"""What stands in the body of a request, looked at before gradio reads it on the loop that serves everybody.

One megabyte is enough for every request but those that bring what was painted. Gradio fetches an address that
stands where a file's path belongs, takes ids of any kind for keys of dictionaries, and reads JSON of any depth.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from realfill.sentences import Sentence

MAX_CALL = 2**20  # bytes of a request, without what was painted in it
MAX_STROKES = 8_000_000  # characters of run lengths; a mask of nothing but noise stays below
MAX_DEPTH = 64  # lists and objects in one another; the page sends about ten
MAX_ID = 128  # characters
BACKGROUND = 2**16  # bytes from which on a body is looked at in a thread
# They carry the workbench's value, and so its strokes.
_PAINTED = re.compile(r"/gradio_api/(queue/join|run/[^/]+|component_server)/?")
_TEXT_IDS, _NUMBER_IDS = ("session_hash", "event_id", "fn_name"), ("component_id", "fn_index")
# Possessive, and a string that never ends is one too: linear in what a stranger sends.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:")
_TOO_MUCH = "That is too much at once."


class Refused(Exception):
    """A request that is not answered; status and sentence say why."""

    def __init__(self, status: int, sentence: str, /, **places: object) -> None:
        self.status, self.sentence = status, Sentence(sentence, **places)
        super().__init__(self.sentence)


def max_length(path: str) -> int:
    """How many bytes the body of a request, which is no upload, may have before anybody looks into it."""
    return MAX_CALL + MAX_STROKES if _PAINTED.fullmatch(path) else MAX_CALL


def check_body(body: bytes) -> None:
    """Looks into a body that is read in full; what is no JSON is left to gradio's own refusal.

    Raises:
        Refused: 413 too much of it, 400 nested too deeply or an id of another kind, 403 an address for a path.
    """
    strokes: list[int] = []

    def check_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in pairs:  # pairs, so that a name given twice hides nothing
            if name == "path" and isinstance(value, str) and _ADDRESS.match(value):
                raise Refused(403, "A file is uploaded here, not named by an address.")
            if name == "strokes" and isinstance(value, dict) and isinstance(value.get("runs"), str):
                strokes.append(len(value["runs"]))
        return dict(pairs)

    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        _check_depth(text)
        value = json.loads(text, object_pairs_hook=check_pairs)
    except (ValueError, RecursionError):
        value = None  # no JSON
    if len(body) - min(sum(strokes), MAX_STROKES) > MAX_CALL:
        raise Refused(413, _TOO_MUCH)
    if isinstance(value, dict):
        _check_ids(value)


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise Refused(400, "That is nested too deeply.")


def _check_ids(value: Mapping[str, Any]) -> None:
    for name in _TEXT_IDS:
        shown = value.get(name)
        if not (shown is None or (isinstance(shown, str) and len(shown) <= MAX_ID)):
            raise Refused(400, "{name} is a text of at most {most} characters.", name=name, most=MAX_ID)
    for name in _NUMBER_IDS:
        shown = value.get(name)
        if not (shown is None or type(shown) is int):
            raise Refused(400, "{name} is a whole number.", name=name)
