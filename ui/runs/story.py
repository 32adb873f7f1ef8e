"""What a run's events say so far: stage, losses, speed, notices."""

import dataclasses
import statistics
from dataclasses import dataclass, field

from realfill import events
from realfill.events import STAGES, Event, Stage
from realfill.humanize import duration, size
from realfill.sentences import Sentence

from ..language.catalogue import translate, translate_measures

COUNTED: tuple[Stage, ...] = ("train", "sample", "select")  # stages whose time is remembered by items
RECENT = 50  # items whose speed gives the time left
_DOING: dict[Stage, str] = {
    "prepare": Sentence("Getting ready"),
    "train": Sentence("Learning the scene"),
    "sample": Sentence("Filling in"),
    "select": Sentence("Counting matches"),
    "export": Sentence("Exporting"),
}
_OF_ALL: dict[Stage, str] = {
    "prepare": Sentence("proposal {done} of {total}"),
    "train": Sentence("step {done} of {total}"),
    "sample": Sentence("seed {done} of {total}"),
    "select": Sentence("seed {done} of {total}"),
}
_PACE: dict[Stage, str] = {
    "train": Sentence("{time} a step"),
    "sample": Sentence("{time} a seed"),
    "select": Sentence("{time} a seed"),
}
_GROWING = ("losses", "held_out", "notices", "spent", "made")


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
    denoising: tuple[int, int] | None = None  # steps of the seeds in work, done and in all
    seed_seconds: list[float] = field(default_factory=list)  # of the latest seeds, also after them
    began: int = 0  # items of this stage that were there when it began
    spent: dict[Stage, float] = field(default_factory=dict)  # seconds of stages that have ended
    made: dict[Stage, int] = field(default_factory=dict)  # items made in them
    memory: int = 0  # most bytes in use while training
    previews: list[int] = field(default_factory=list)  # steps after which one was made
    download: events.Downloading | None = None  # how far the one in work is
    notices: list[str] = field(default_factory=list)  # the important ones first
    warnings: int = 0  # how many of them are important

    def add(self, event: Event) -> None:
        """Takes the next event."""
        match event:
            case events.StageStarted(stage, total, done):
                if self.stage is not None and STAGES.index(stage) < STAGES.index(self.stage):  # worked on once more
                    self.spent, self.made = {}, {}
                self.stage, self.total, self.done, self.seconds, self.began = stage, total, done, [], done
                self.download = self.denoising = None
                if stage == "train":
                    self.steps, self.step_seconds = total, []
                    self.losses = {step: loss for step, loss in self.losses.items() if step <= done}
                    self.held_out = {step: loss for step, loss in self.held_out.items() if step <= done}
                    self.previews = [step for step in self.previews if step <= done]
            case events.Downloading():
                self.download = event
            case events.StageDone(stage, seconds):
                self.spent[stage] = self.spent.get(stage, 0.0) + seconds
                self.made[stage] = self.made.get(stage, 0) + self.total - self.began
                self.done, self.began, self.seconds = self.total, self.total, []
            case events.TrainStep(step, total, loss, _, _, seconds, memory):
                self.losses[step], self.steps, self.memory = loss, total, memory or self.memory
                self._count(step, total, seconds)
                self.step_seconds = self.seconds
            case events.HeldOut(step, loss):
                self.held_out[step] = loss
            case events.ProposalReady(done, total, seconds):
                self._count(done, total, seconds)
            case events.PreviewReady(step):
                self.previews = [*(one for one in self.previews if one != step), step]
            case events.DenoisingStep(step, total, _):
                self.denoising = (step, total)
            case events.SeedReady(_, done, total, seconds):
                self._count(done, total, seconds)
                self.seed_seconds = self.seconds
            case events.SeedScored(_, _, done, total, seconds):
                self._count(done, total, seconds)
            case events.Notice(sentence, important):
                if sentence not in self.notices:
                    self.notices.insert(self.warnings if important else len(self.notices), sentence)
                    self.warnings += important
            case _:
                pass

    def copy(self) -> "Story":
        """The same, which later events do not change."""
        return dataclasses.replace(self, **{name: getattr(self, name).copy() for name in _GROWING})

    @property
    def spent_now(self) -> float:
        """Seconds that the items of the stage that is going on have taken so far, those of earlier tries too."""
        return statistics.fmean(self.seconds) * self.done if self.seconds else 0.0

    def _count(self, done: int, total: int, seconds: float) -> None:
        self.notices = [one for one in self.notices if one != events.WAITS_FOR_DEVICE]  # it has waited
        self.done, self.total = done, total
        if seconds:
            self.seconds = [*self.seconds[1 - RECENT :], seconds]


def running_line(story: Story) -> str:
    """`Learning the scene · step 45 of 150 · 1.2 s a step`."""
    if story.stage is None:
        return translate("Starting; loading the model takes a moment.")
    if story.download is not None:
        return translate("Downloading the model · {progress}", progress=_transfer(story.download))
    parts = [translate(_DOING[story.stage])]
    if story.stage in _OF_ALL and story.total > (story.stage == "prepare"):  # the draft itself is one item
        parts.append(translate(_OF_ALL[story.stage], done=story.done, total=story.total))
    if story.stage == "sample" and story.denoising:
        done, total = story.denoising
        parts.append(translate("step {done} of {total}", done=done, total=total))
    if story.seconds and story.stage in _PACE:
        time = translate_measures(f"{statistics.median(story.seconds):.2g} s")
        parts.append(translate(_PACE[story.stage], time=time))
    return " · ".join(parts)


def _transfer(download: events.Downloading) -> str:
    """`3.1 GB of 16.0 GB · 25 MB/s · 9 min left`, as `humanize.transfer`."""
    done, total, speed = download.done, download.total, download.speed
    sizes = {"done": translate_measures(size(done)), "total": translate_measures(size(total))}
    parts = [translate("{done} of {total}", **sizes), f"{translate_measures(size(speed))}/s"]
    if speed > 0:
        parts.append(translate("{time} left", time=translate_measures(duration((total - done) / speed))))
    return " · ".join(parts)
