"""The runs in a folder."""

import contextlib
import datetime
import secrets
from pathlib import Path

from realfill.errors import OptionError, RunError
from realfill.runs.layout import list_items
from realfill.runs.run import Run


def new_run_folder(runs_dir: Path) -> Path:
    """A name for a new run that nobody can guess; sorts by time."""
    return runs_dir / f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(16)}"


def run_folders(runs_dir: Path) -> list[Path]:
    """The folders of all runs in a folder of runs, by name; none is opened. Unreadable ones are passed over."""
    return [item for item in list_items(runs_dir) if not item.name.startswith(".") and _holds_run(item)]


def open_or_none(folder: Path) -> Run | None:
    """The run in a folder; None where it does not open."""
    with contextlib.suppress(RunError, ValueError, OptionError):
        return Run.open(folder)
    return None


def list_runs(runs_dir: Path) -> list[Run]:
    """All runs that open in a folder of runs, newest first; others are passed over."""
    runs = [run for run in map(open_or_none, run_folders(runs_dir)) if run is not None]
    return sorted(runs, key=lambda run: (str(run.fact("created")), run.folder.name), reverse=True)


def _holds_run(folder: Path) -> bool:
    with contextlib.suppress(OSError):  # lost+found, or another user's: one of them must not hide all the others
        return (folder / "run.json").is_file()
    return False
