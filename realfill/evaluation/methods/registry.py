"""The methods by name. A new one is a file with a class and its settings, and an entry here.

A name may carry what is varied: `dreambooth@0.8` fills from a strength of 0.8 on, `realfill@2refs` sees the
scene's first two references only.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from realfill.errors import OptionError
from realfill.evaluation.lazy_import import import_on_call
from realfill.evaluation.methods.base import Method, MethodEntry, Setup

DEFAULT = ("realfill", "draft", "telea", "ns", "stitch")
STRENGTHS = (0.6, 0.8, 1.0)  # of dreambooth; the paper shows several and names none
_NAME = re.compile(r"([a-z][a-z-]*)(?:@([01]\.?[0-9]*))?(?:@([1-5])refs?)?")


@dataclass(frozen=True)
class Variant:
    """A method with what is varied."""

    name: str
    entry: MethodEntry
    references: int | None  # how many it may see; None: all


def _import_on_call(module: str, name: str) -> Callable[[Setup], Any]:
    """A method's maker or settings, from a file beside this one."""
    return import_on_call(f"realfill.evaluation.methods.{module}", name)


def _no_settings(setup: Setup) -> Mapping[str, Any]:
    return {}


ENTRIES: Mapping[str, MethodEntry] = {
    entry.name: entry
    for entry in (
        MethodEntry(
            "realfill",
            "RealFill",
            make=_import_on_call("ours", "realfill"),
            settings=_import_on_call("ours", "realfill_settings"),
        ),
        MethodEntry(
            "untrained",
            "The base without training",
            make=_import_on_call("ours", "untrained"),
            settings=_import_on_call("ours", "untrained_settings"),
            uses_references=False,
        ),
        MethodEntry(
            "draft",
            "Draft by geometry",
            make=_import_on_call("classic", "GeometryDraft"),
            settings=_import_on_call("classic", "draft_settings"),
            random=False,
        ),
        MethodEntry(
            "telea",
            "Telea inpainting",
            make=_import_on_call("classic", "telea"),
            settings=_no_settings,
            random=False,
            uses_references=False,
        ),
        MethodEntry(
            "ns",
            "Navier-Stokes inpainting",
            make=_import_on_call("classic", "navier_stokes"),
            settings=_no_settings,
            random=False,
            uses_references=False,
        ),
        MethodEntry(
            "stitch",
            "OpenCV's stitcher",
            make=_import_on_call("stitch", "stitch"),
            settings=_no_settings,
            random=False,
        ),
        MethodEntry(
            "sd-inpaint",
            "Base with a written prompt",
            make=_import_on_call("prompted", "sd_inpaint"),
            settings=_import_on_call("prompted", "sd_inpaint_settings"),
            uses_references=False,
        ),
        MethodEntry(
            "paint-by-example",
            "Paint-by-Example",
            make=_import_on_call("prompted", "paint_by_example"),
            settings=_import_on_call("prompted", "paint_by_example_settings"),
        ),
        MethodEntry(
            "dreambooth",
            "DreamBooth",
            make=_import_on_call("dreambooth", "dreambooth"),
            settings=_import_on_call("dreambooth", "dreambooth_settings"),
        ),
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
        entry = replace(entry, title=f"{entry.title}, strength {strength:g}", make=_make_at_strength(strength))
    references = int(match[3]) if match[3] else None
    if references:
        entry = replace(entry, title=f"{entry.title}, {references} reference{'s' if references > 1 else ''}")
    return Variant(name, entry, references)


def expand_methods(names: Sequence[str], references: Sequence[int] = ()) -> list[str]:
    """The full names of the methods asked for: `dreambooth` at its strengths, and each method that uses
    references once a count of them where counts are given.

    Raises:
        OptionError: as `find_method`.
    """
    expanded: list[str] = []
    for name in names or DEFAULT:
        expanded += [f"dreambooth@{strength:g}" for strength in STRENGTHS] if name == "dreambooth" else [name]
    variants = [find_method(name) for name in expanded]
    countable = [one.name for one in variants if one.entry.uses_references and one.references is None]
    expanded += [f"{name}@{count}refs" for name in countable for count in references]
    return list(dict.fromkeys(expanded))


def _make_at_strength(strength: float) -> Callable[[Setup], Method]:
    def make(setup: Setup) -> Method:
        from realfill.evaluation.methods import dreambooth

        return dreambooth.DreamBooth(setup, strength)

    return make
