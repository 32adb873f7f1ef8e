"""What a run's events say so far: stage, losses, speed, notices."""

import dataclasses
import statistics
from dataclasses import dataclass, field

from realfill import events
from realfill.events import Event, Stage
from realfill.humanize import duration, transfer

RECENT = 50  # steps whose median speed gives the time left
_DOING: dict[Stage, str] = {
    "prepare": "Getting ready",
    "train": "Learning the scene",
    "sample": "Filling in",
    "select": "Counting matches",
    "export": "Exporting",
}
_ITEM: dict[Stage, str] = {"train": "step", "sample": "seed", "select": "seed"}
_GROWING = ("losses", "held_out", "notices")


@dataclass
class Story:
    """What the events say so far."""

    stage: Stage | None = None
    done: int = 0
    total: int = 0
    steps: int = 0  # of the whole training
    losses: dict[int, float] = field(default_factory=dict)
    held_out: dict[int, float] = field(default_factory=dict)  # losses on held-out patches
    seconds: list[float] = field(default_factory=list)  # of the latest items of this stage
    step_seconds: list[float] = field(default_factory=list)  # of the latest steps of training, also after it
    seed_seconds: list[float] = field(default_factory=list)  # of the latest seeds, also after them
    memory: int = 0  # most bytes in use while training
    previews: list[int] = field(default_factory=list)  # steps after which one was made
    notices: list[str] = field(default_factory=list)
    download: str = ""  # how far the one in work is

    def add(self, event: Event) -> None:
        """Takes the next event."""
        match event:
            case events.StageStarted(stage, total, done):
                self.stage, self.total, self.done, self.seconds, self.download = stage, total, done, [], ""
                if stage == "train":
                    self.steps, self.step_seconds = total, []
                    self.losses = {step: loss for step, loss in self.losses.items() if step <= done}
                    self.held_out = {step: loss for step, loss in self.held_out.items() if step <= done}
                    self.previews = [step for step in self.previews if step <= done]
            case events.Downloading(done, total, speed):
                self.download = transfer(done, total, speed)
            case events.TrainStep(step, total, loss, _, _, seconds, memory):
                self.losses[step], self.steps, self.memory = loss, total, memory or self.memory
                self._count(step, total, seconds)
                self.step_seconds = self.seconds
            case events.HeldOut(step, loss):
                self.held_out[step] = loss
            case events.PreviewReady(step):
                self.previews = [*(one for one in self.previews if one != step), step]
            case events.SeedReady(_, done, total, seconds):
                self._count(done, total, seconds)
                self.seed_seconds = self.seconds
            case events.SeedScored(_, _, done, total):
                self.done, self.total = done, total
            case events.Notice(sentence):
                if sentence not in self.notices:
                    self.notices.append(sentence)
            case _:
                pass

    def copy(self) -> "Story":
        """The same, which later events do not change."""
        return dataclasses.replace(self, **{name: getattr(self, name).copy() for name in _GROWING})

    @property
    def seconds_left(self) -> float | None:
        """Until the end of this stage, from the median of the latest items; None where that is not known."""
        if not self.seconds:
            return None
        return statistics.median(self.seconds) * max(0, self.total - self.done)

    def _count(self, done: int, total: int, seconds: float) -> None:
        self.done, self.total = done, total
        self.seconds = [*self.seconds[1 - RECENT :], seconds]


def running_line(story: Story) -> str:
    """`Learning the scene · step 45 of 150 · 1.2 s a step · about 2 min left`."""
    if story.stage is None:
        return "Starting; loading the model takes a moment."
    if story.download:
        return f"Downloading the model · {story.download}"
    parts = [_DOING[story.stage]]
    if story.stage in _ITEM and story.total:
        parts.append(f"{_ITEM[story.stage]} {story.done} of {story.total}")
    if story.seconds and story.stage in _ITEM:
        parts.append(f"{statistics.median(story.seconds):.2g} s a {_ITEM[story.stage]}")
    if story.seconds_left:
        parts.append(f"about {duration(story.seconds_left)} left")
    return " · ".join(parts)
