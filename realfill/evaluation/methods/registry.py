"""The methods by name. A new one is a file with a class and a line here.

A name may carry what is varied: `dreambooth@0.8` fills from a strength of 0.8 on, `realfill@2refs` sees the
scene's first two references only.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from realfill.errors import OptionError
from realfill.evaluation.methods.base import Entry, Method, Setup

DEFAULT = ("realfill", "draft", "telea", "ns", "stitch")
STRENGTHS = (0.6, 0.8, 1.0)  # of dreambooth; the paper shows several and names none
_NAME = re.compile(r"([a-z][a-z-]*)(?:@([01]\.?[0-9]*))?(?:@([1-5])refs?)?")


@dataclass(frozen=True)
class Variant:
    """A method with what is varied."""

    name: str
    entry: Entry
    references: int | None  # how many it may see; None: all


def _late(module: str, name: str) -> Callable[[Setup], Method]:
    """A maker that is imported when it is called: diffusers takes seconds."""

    def make(setup: Setup) -> Method:
        method: Method = getattr(importlib.import_module(f"realfill.evaluation.methods.{module}"), name)(setup)
        return method

    return make


def _nothing(setup: Setup) -> Mapping[str, Any]:
    return {}


def _matching(setup: Setup) -> Mapping[str, Any]:
    return {"matcher": setup.config.select.matcher}


def _run(setup: Setup) -> Mapping[str, Any]:
    from realfill.evaluation.methods.ours import read_made_by

    return read_made_by(setup)


def _untrained(setup: Setup) -> Mapping[str, Any]:
    """Of training only the prompt matters."""
    made = _run(setup)
    return {name: value for name, value in made.items() if name == "train.prompt" or not name.startswith("train.")}


def _sampling(setup: Setup) -> Mapping[str, Any]:
    made = _run(setup)
    kept = {name: value for name, value in made.items() if name.startswith(("base", "fit.", "sample."))}
    return {**kept, "prompt": setup.prompt}


def _example(setup: Setup) -> Mapping[str, Any]:
    return {"example_base": setup.example_base, "context": setup.config.fit.context}


def _dreambooth(setup: Setup) -> Mapping[str, Any]:
    made = _run(setup)
    kept = {name: value for name, value in made.items() if name.startswith(("seed", "fit.context", "train."))}
    return {**kept, "text_base": setup.text_base}


ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("realfill", "RealFill", True, _late("ours", "realfill"), _run),
        Entry("untrained", "The base without training", True, _late("ours", "untrained"), _untrained, looks=False),
        Entry("draft", "Draft by geometry", False, _late("classic", "Draft"), _matching),
        Entry("telea", "Telea inpainting", False, _late("classic", "telea"), _nothing, looks=False),
        Entry("ns", "Navier-Stokes inpainting", False, _late("classic", "navier_stokes"), _nothing, looks=False),
        Entry("stitch", "OpenCV's stitcher", False, _late("stitch", "stitch"), _nothing),
        Entry(
            "sd-inpaint", "Base with a written prompt", True, _late("prompted", "sd_inpaint"), _sampling, looks=False
        ),
        Entry("paint-by-example", "Paint-by-Example", True, _late("prompted", "paint_by_example"), _example),
        Entry("dreambooth", "DreamBooth", True, _late("dreambooth", "dreambooth"), _dreambooth),
    )
}


def find_method(name: str) -> Variant:
    """A method by its full name.

    Raises:
        OptionError: there is no such method.
    """
    match = _NAME.fullmatch(name)
    entry = ENTRIES.get(match[1]) if match else None
    if match is None or entry is None or (match[2] and entry.name != "dreambooth"):
        raise OptionError(f"There is no method '{name}'; the methods are {', '.join(ENTRIES)}.")
    if match[2]:
        strength = float(match[2])
        if not 0 < strength <= 1:
            raise OptionError(f"'{name}' has no strength above 0 and up to 1; write dreambooth@0.8.")
        entry = replace(entry, title=f"{entry.title}, strength {strength:g}", make=_at_strength(strength))
    references = int(match[3]) if match[3] else None
    if references:
        entry = replace(entry, title=f"{entry.title}, {references} reference{'s' if references > 1 else ''}")
    return Variant(name, entry, references)


def expand_methods(names: Sequence[str], references: Sequence[int] = ()) -> list[str]:
    """The full names of the methods asked for: `dreambooth` at its strengths, and each method that looks at
    references once a count of them where counts are given.

    Raises:
        OptionError: as `find`.
    """
    full: list[str] = []
    for name in names or DEFAULT:
        full += [f"dreambooth@{strength:g}" for strength in STRENGTHS] if name == "dreambooth" else [name]
    looking = [name for name in full if (found := find_method(name)).entry.looks and found.references is None]
    full += [f"{name}@{count}refs" for name in looking for count in references]
    return list(dict.fromkeys(full))


def _at_strength(strength: float) -> Callable[[Setup], Method]:
    def make(setup: Setup) -> Method:
        from realfill.evaluation.methods import dreambooth

        return dreambooth.DreamBooth(setup, strength)

    return make
