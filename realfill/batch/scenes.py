"""The scenes of a batch: which there are, whose they are, and in what order they are worked on."""

import re
from collections.abc import Sequence
from pathlib import Path

from realfill import files
from realfill.errors import OptionError
from realfill.evaluation.dataset import Case, list_cases


def find_scenes(root: Path, only: str = "", shard: str = "") -> list[Case]:
    """The scenes in a folder of scenes, those with most bytes first, so that a long one does not begin last.

    `only` names scenes as `evaluation.dataset.list_cases` reads it; `shard` is "2/20", the second of twenty parts
    that have no scene in common.

    Raises:
        OptionError: as `list_cases`, or the shard is none.
    """
    cases = list_cases(root, only)
    number, count = parse_shard(shard)
    return sorted(cases[number - 1 :: count], key=lambda case: -_bytes(case.folder))


def parse_shard(text: str) -> tuple[int, int]:
    """`"2/20"` → 2, 20; empty is all, the first of one.

    Raises:
        OptionError: it is no such part.
    """
    if not text:
        return 1, 1
    parts = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if parts is None or not 1 <= int(parts[1]) <= int(parts[2]):
        raise OptionError(f"--shard {text} is no part of the scenes; write the second of twenty as 2/20.")
    return int(parts[1]), int(parts[2])


def check_places(root: Path, runs: Path, cases: Sequence[Case]) -> None:
    """Refuses where runs would lie among the scenes, which the next command would then take for scenes.

    Raises:
        OptionError: it is so, or no folder can stand there.
    """
    if runs.exists() and not runs.is_dir():
        raise OptionError(f"{runs} is a file; give a folder for the runs with --runs.")
    clash = next((case for case in cases if files.is_same_file(runs / case.name, case.folder)), None)
    if clash is not None:
        raise OptionError(f"The run of {clash.name} would lie in the scene itself; give a folder outside {root}.")


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in files.walk_files(folder))
