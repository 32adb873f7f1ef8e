"""A run folder as the page shows it. Reads only; everything returned is plain data.

`Watch` follows one run's events by byte offset, so a look at an unchanged run costs a few `stat` calls.
"""

import dataclasses
import html
import statistics
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from realfill import events, queue
from realfill.errors import RealFillError
from realfill.events import Event, Stage
from realfill.runs import Run
from realfill.states import Status
from realfill.words import duration
from ui import speak, uploads

POINTS = 400  # of each line of the loss plot
RECENT = 50  # steps whose median speed gives the time left
SMOOTHING = 0.1  # weight of a new loss in the smoothed line
LIVE = ("queued", "running")

_DOING: dict[Stage, str] = {
    "prepare": "Getting ready",
    "train": "Learning the scene",
    "sample": "Filling in",
    "select": "Counting matches",
    "export": "Exporting",
}
_ITEM: dict[Stage, str] = {"train": "step", "sample": "seed", "select": "seed"}


@dataclass
class Story:
    """What the events say so far."""

    stage: Stage | None = None
    done: int = 0
    total: int = 0
    steps: int = 0  # of the whole training
    losses: dict[int, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)  # of the latest items of this stage
    notices: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Takes the next event."""
        match event:
            case events.StageStarted(stage, total, done):
                self.stage, self.total, self.done, self.seconds = stage, total, done, []
                if stage == "train":
                    self.steps = total
                    self.losses = {step: loss for step, loss in self.losses.items() if step <= done}
            case events.TrainStep(step, total, loss, _, _, seconds):
                self.losses[step], self.steps = loss, total
                self._count(step, total, seconds)
            case events.SeedReady(_, done, total, seconds):
                self._count(done, total, seconds)
            case events.SeedScored(_, _, done, total):
                self.done, self.total = done, total
            case events.Notice(sentence):
                if sentence not in self.notices:
                    self.notices.append(sentence)
            case _:
                pass

    def copy(self) -> "Story":
        """The same, which later events do not change."""
        return dataclasses.replace(
            self, losses=self.losses.copy(), seconds=self.seconds.copy(), notices=self.notices.copy()
        )

    @property
    def seconds_left(self) -> float | None:
        """Until the end of this stage, from the median of the latest items; None where that is not known."""
        if not self.seconds:
            return None
        return statistics.median(self.seconds) * max(0, self.total - self.done)

    def _count(self, done: int, total: int, seconds: float) -> None:
        self.done, self.total = done, total
        self.seconds = [*self.seconds[1 - RECENT :], seconds]


@dataclass(frozen=True)
class Seed:
    """One made seed; `matches` None: not counted yet."""

    seed: int
    matches: int | None
    rank: int | None
    per_reference: tuple[int, ...] = ()

    @property
    def caption(self) -> str:
        """What stands under its picture."""
        if self.matches is None:
            return f"seed {self.seed} · not counted yet"
        return f"#{self.rank} · {_counted(self.matches, 'match', 'matches')} · seed {self.seed}"


class Watch:
    """One run, followed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.story = Story()
        self._offset = 0

    def look(self) -> "Look":
        """Reads what is new and returns what to show."""
        new, offset = self.run.events(self._offset)
        if offset < self._offset:  # the file was replaced
            self.story = Story()
        self._offset = offset
        for event in new:
            self.story.add(event)
        return Look(self.run, self.run.status(), self.story.copy(), seeds(self.run))


@dataclass(frozen=True)
class Look:
    """A run at one moment."""

    run: Run
    status: Status
    story: Story
    seeds: list[Seed]

    @property
    def live(self) -> bool:
        """Whether there will be news without anybody's doing."""
        return self.status.state in LIVE

    def key(self) -> tuple[Any, ...]:
        """Equal for two looks exactly when the page need not change."""
        story = self.story
        return (
            self.run.folder.name,
            dataclasses.astuple(self.status),
            (story.stage, story.done, story.total),
            self.losses_key(),
            self.seeds_key(),
        )

    def losses_key(self) -> tuple[Any, ...]:
        """Changes when the loss plot or the notices do."""
        latest = next(reversed(self.story.losses.items()), None)
        return len(self.story.losses), latest, self.story.steps, len(self.story.notices)

    def seeds_key(self) -> tuple[Seed, ...]:
        """Changes when the gallery does."""
        return tuple(self.seeds)

    def bar(self) -> str:
        """HTML of the state, one line and a progress bar."""
        state = self.status.state
        value = f' value="{self.story.done}" max="{self.story.total}"' if self.story.total else ""
        progress = f'<progress aria-label="progress"{value}></progress>' if state == "running" else ""
        return (
            f'<div class="rf-status" role="status"><span class="rf-state" data-state="{state}">{state}</span>'
            f'<span class="rf-line">{html.escape(self.line())}</span>{progress}</div>'
        )

    def line(self) -> str:
        """What is going on, in one line."""
        if self.status.state == "running":
            return running_line(self.story)
        if self.status.state == "queued":
            place = queue.position(self.run)
            return f"Waiting; {place - 1} before it." if place > 1 else "Starting as soon as the worker is there."
        sentence = speak.without_folders(self.status.sentence)
        return sentence or {"done": "Done.", "stopped": "Stopped; resume goes on from here."}.get(self.status.state, "")

    def notices(self) -> str:
        """HTML of what the person should know."""
        items = "".join(f"<li>{html.escape(speak.without_folders(sentence))}</li>" for sentence in self.story.notices)
        return f'<ul class="rf-notices">{items}</ul>' if items else ""

    def losses(self) -> pd.DataFrame:
        """The loss plot's table: step, loss, line."""
        return loss_table(self.story.losses)

    def gallery(self) -> list[tuple[str, str]]:
        """Thumbnail and caption of every seed, in the order to show."""
        found = []
        for seed in self.seeds:
            try:
                found.append((uploads.thumbnail(self.run.seed_path(seed.seed)), seed.caption))
            except (RealFillError, OSError):  # being replaced at this moment; the next look has it
                continue
        return found


def seeds(run: Run) -> list[Seed]:
    """The seeds that are made: counted ones in their stored order, then the others by number."""
    made = set(run.seeds_done())
    found: list[Seed] = []
    for entry in run.read("scores").get("seeds", []):
        if entry["seed"] in made:
            counts = tuple(entry.get("per_reference", ()))
            found.append(Seed(entry["seed"], entry["matches"], len(found) + 1, counts))
    counted = {seed.seed for seed in found}
    return found + [Seed(seed, None, None) for seed in sorted(made - counted)]


def running_line(story: Story) -> str:
    """`Learning the scene · step 45 of 150 · 1.2 s a step · about 2 min left`."""
    if story.stage is None:
        return "Starting; loading the model takes a moment."
    parts = [_DOING[story.stage]]
    if story.stage in _ITEM and story.total:
        parts.append(f"{_ITEM[story.stage]} {story.done} of {story.total}")
    if story.seconds and story.stage in _ITEM:
        parts.append(f"{statistics.median(story.seconds):.2g} s a {_ITEM[story.stage]}")
    if story.seconds_left:
        parts.append(f"about {duration(story.seconds_left)} left")
    return " · ".join(parts)


def loss_table(losses: dict[int, float]) -> pd.DataFrame:
    """Raw and smoothed losses, thinned to `POINTS` each; the last step is always there."""
    steps = sorted(losses)
    smooth: dict[int, float] = {}
    level = losses[steps[0]] if steps else 0.0
    for index, step in enumerate(steps):
        level += max(SMOOTHING, 1 / (index + 1)) * (losses[step] - level)
        smooth[step] = level
    stride = -(-len(steps) // POINTS) or 1
    kept = steps[::-1][::stride][::-1]
    return pd.DataFrame(
        {
            "step": kept * 2,
            "loss": [losses[step] for step in kept] + [smooth[step] for step in kept],
            "line": ["each step"] * len(kept) + ["smoothed"] * len(kept),
        }
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
