"""Errors of handlers, as the person at the page sees them: one sentence, no traceback, no path of the server.

Gradio shows the message of an error as HTML, so here it becomes that.
"""

import functools
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from markupsafe import Markup

from realfill.errors import RealFillError
from realfill.sentences import Sentence

from .access.bodies import Refused
from .language.catalogue import retell, translate
from .markup import as_text

P = ParamSpec("P")
R = TypeVar("R")

Answer = dict[str, Any]
Question = Callable[[Any], Answer]
"""What a component's script asks of the server: JSON for JSON."""

_FOLDERS = re.compile(r"""(?<![\w/])(?:[A-Za-z]:)?[\\/](?:[^\s'";:,\\/]+[\\/])+""")
_LONGEST_TEXT = 128
DEFECT = Sentence("A defect of RealFill; the server's log says more.")
_log = logging.getLogger("realfill.page")


def speak_errors(handler: Callable[P, R]) -> Callable[P, R]:
    """`handler`, with every error turned into one that the page shows."""
    return _speak_errors(handler, as_text)


def speak_plain_errors(handler: Callable[P, R]) -> Callable[P, R]:
    """`handler`, with every error turned into one that a program gets: text, and no HTML."""
    return _speak_errors(handler, str)


def _speak_errors(handler: Callable[P, R], write: Callable[[str], str]) -> Callable[P, R]:
    @functools.wraps(handler)
    def speak(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except gr.Error as error:
            message = error.message  # which an inner handler may have told and made safe already
            error.message = write(message if isinstance(message, Markup) else translate(message))
            raise
        except RealFillError as error:
            sentence = write(strip_folders(retell(error.sentence)))
            raise gr.Error(sentence, title=translate("Not possible"), print_exception=False) from error
        except Exception as error:  # a defect: the log has it all, the page a sentence
            _log.exception("a handler of the page failed")
            raise gr.Error(translate(DEFECT), print_exception=False) from error

    return speak


def answer_errors(question: Question) -> Question:
    """`question`, with errors as answers, {"error": a sentence}: the browser shows them where they belong."""

    @functools.wraps(question)
    def answer(asked: Any) -> Answer:
        try:
            return question(asked)
        except RealFillError as error:
            return {"error": strip_folders(retell(error.sentence))}
        except Refused as refusal:
            return {"error": translate(refusal.sentence)}
        except Exception:  # a defect: the log has it all, the page a sentence
            _log.exception("a question of the page failed")
            return {"error": translate(DEFECT)}

    return answer


def asked_field(asked: Any, name: str) -> Any:
    """A field of what a client sent, whatever is in it; None where there is none."""
    return asked.get(name) if isinstance(asked, Mapping) else None


def asked_text(asked: Any, name: str) -> str:
    """A field that is to be a short text; empty where it is none."""
    value = asked_field(asked, name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def strip_folders(sentence: str) -> str:
    """A sentence in which paths of the server are cut to their last part: "/srv/runs/a.png" → "a.png"."""
    return _FOLDERS.sub("", sentence)
