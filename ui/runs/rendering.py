"""The pictures of runs that the page asks for, made by `pictures` and `seed_view` in a child.

What a scene in a run folder holds is as untrusted as it was when uploaded.
"""

import dataclasses
from typing import Any

from realfill.runs.run import Run

from ..access.uploads import check_path
from ..decoding import decoder
from . import pictures
from .pictures import Export, What
from .seed_view import describe_seed

_DECODED = ("picture", "starred", "animation")


def view_seed(run: Run, seed: int | None, export: Export) -> dict[str, Any]:
    """As `seed_view.viewer_value`, with its sentences."""
    return describe_seed(dict(_call("view_seed", run, export, seed=seed)))


def open_picture(run: Run, seed: int, export: Export, longest: int) -> dict[str, Any]:
    """As `pictures.open_picture`."""
    return dict(_call("open_picture", run, export, seed=seed, longest=longest))


def copy_result(run: Run, export: Export, seed: int) -> str:
    """As `pictures.copy_result`."""
    return str(check_path(_call("copy_result", run, export, seed=seed)))


def show_seam(run: Run, seed: int, export: Export, place: int = 0) -> str:
    """As `pictures.seam`."""
    return str(_call("show_seam", run, export, seed=seed, place=place))


def pack_export(run: Run, what: What, export: Export, seed: int | None = None) -> str:
    """As `pictures.pack_export`."""
    if what not in _DECODED:  # no picture is decoded for them, and a project may have gigabytes
        return pictures.pack_export(run, what, export, seed)
    count = len(run.labels.starred) if what == "starred" else 1
    return str(check_path(_call("pack_export", run, export, count, what=what, seed=seed)))


def _call(name: str, run: Run, export: Export, count: int = 1, **arguments: Any) -> Any:
    """What an operation returns for a run; `count` pictures are made, each in the time that one may take."""
    given = {"run": str(run.folder.resolve()), "export": dataclasses.asdict(export)}
    return decoder.call(name, f"A picture of {run.labels.name}", max(1, count) * decoder.SEVERAL, **given, **arguments)
