"""labels.json of a run: what a person decided about it.

The page writes it while a process works on the run.
"""

import threading
from pathlib import Path
from typing import Any, Literal

from realfill import files

LONGEST_NAME = 120  # signs of a run's name
Mark = Literal["starred", "hidden"]
Pick = tuple[int, int]
"""The seed that a person found truer, and the one beside it, neither being named."""
_WRITING = threading.RLock()  # the page's handlers label one run from several threads


class Labels:
    """The labels of the run in a folder, read anew each time; a run without the file has none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "labels.json"

    def read(self) -> dict[str, Any]:
        """All labels as JSON data.

        Raises:
            RunError: the file was changed by hand to something else.
        """
        return files.read_json(self._path) or {}

    def update(self, **labels: str | int | list[int] | list[Pick] | None) -> None:
        """Sets labels such as `name` or `seed`; None takes one back.

        Raises:
            DiskFull, RunError: as `files.write_json`; the old ones are untouched.
        """
        with _WRITING:
            files.write_json(self._path, {**self.read(), **labels})

    @property
    def name(self) -> str:
        """The name a person gave the run, or the folder's."""
        return str(self.read().get("name") or self._folder.resolve().name)

    @property
    def is_example(self) -> bool:
        """Whether the run is one of the finished examples that come with the program, which nobody changes."""
        return self.read().get("example") is True

    @property
    def was_made_elsewhere(self) -> bool:
        """Whether it is such an example, or a copy of one: what it took says nothing of this machine."""
        labels = self.read()
        return bool(labels.get("example") or labels.get("elsewhere"))

    @property
    def extended(self) -> list[int]:
        """Pixels that were added to the target at the left, top, right and bottom; none where none is known."""
        sides = self.read().get("extended")
        return sides if isinstance(sides, list) and len(sides) == 4 else [0, 0, 0, 0]

    @property
    def seed(self) -> int | None:
        """The seed a person chose for the result, or None: the one with most matches."""
        seed = self.read().get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def starred(self) -> list[int]:
        """Seeds that a person marked as good, ascending."""
        return self._marked_seeds("starred")

    @property
    def hidden(self) -> list[int]:
        """Seeds that a person does not want to see, ascending."""
        return self._marked_seeds("hidden")

    def mark(self, seed: int, mark: Mark, on: bool) -> None:
        """Sets or takes back a person's mark on a seed."""
        with _WRITING:
            others = set(self._marked_seeds(mark)) - {seed}
            self.update(**{mark: sorted(others | {seed} if on else others)})

    @property
    def picks(self) -> list[Pick]:
        """All blind picks, in the order made."""
        picks = self.read().get("picks")
        pairs = [tuple(pick) for pick in picks if isinstance(pick, list)] if isinstance(picks, list) else []
        return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2 and all(isinstance(seed, int) for seed in pair)]

    def prefer(self, winner: int, loser: int) -> None:
        """Notes a blind pick and moves the star: to the winner, and from a loser that lost more often than it won."""
        with _WRITING:
            picks = [*self.picks, (winner, loser)]
            won, lost = (sum(pick[place] == loser for pick in picks) for place in (0, 1))
            starred = {*self.starred, winner} - ({loser} if lost > won else set())
            self.update(picks=picks, starred=sorted(starred))

    def _marked_seeds(self, mark: Mark) -> list[int]:
        seeds = self.read().get(mark)
        return sorted(seed for seed in seeds if isinstance(seed, int)) if isinstance(seeds, list) else []
