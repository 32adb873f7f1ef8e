"""How long a run still takes over all its stages: as measured in it, as learned from earlier runs here, or guessed."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from realfill.config import Config
from realfill.events import STAGES, Stage
from realfill.humanize import duration

from ..language.catalogue import translate, translate_measures
from .story import COUNTED, Story

# How far the truth may lie from an estimate, as factors of it.
_MEASURED, _LEARNED, _GUESSED = (0.9, 1.15), (0.8, 1.3), (0.5, 2.0)
_PASSES = 3.0  # forward passes of one item that a training step costs for it: forward, and backward about twice that
_DRAFT = 30.0  # the most seconds that a draft is expected to take until it is known
_COUNT = 0.7  # seconds that counting the matches of a seed with one reference takes until it is known
_CLOSE = 1.5  # a range whose ends differ by less is said as one number


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until the run is done, from `low` to `high`, and the share of the whole that is done, 0..1."""

    low: float
    high: float
    share: float

    @property
    def middle(self) -> float:
        """The one number for programs."""
        return (self.low + self.high) / 2

    def span(self) -> str:
        """`about 2 min`, or `3 min to 5 min` while that is not known better."""
        low, high = _coarse(self.low), _coarse(self.high)
        if high <= 5:
            return translate("a few seconds")
        if low <= 5:
            return translate("less than {time}", time=translate_measures(duration(high)))
        if high <= _CLOSE * low:
            return translate("about {time}", time=translate_measures(duration(_coarse(self.middle))))
        least, most = translate_measures(duration(low)), translate_measures(duration(high))
        return translate("{least} to {most}", least=least, most=most)


def estimate(
    story: Story, config: Config, references: int, learned: Mapping[Stage, float], waited: float = 0.0
) -> TimeLeft | None:
    """The time that is left after what the events say; None before anything is known.

    `learned` holds seconds an item of each stage (a step, a seed, or the whole stage where it has none), as
    `costs.stage_rates` gives them; `waited` is for how many seconds nothing has been said.
    """
    current = STAGES.index(story.stage) if story.stage else 0
    low = high = 0.0
    for stage in STAGES[current:]:
        is_now = stage == story.stage
        count = story.total - story.done if is_now else _items(stage, config)
        if count <= 0:
            continue
        span = _rate(stage, story if is_now else None, learned) or _guess(stage, story, config, references)
        if span is None:
            return None
        taken = waited if is_now else 0.0
        if stage not in COUNTED and not (is_now and story.seconds):  # known as a whole, in however many parts
            count, taken = 1, taken + story.spent.get(stage, 0.0)
        low += max(count * span[0] - taken, 0.0)
        high += max(count * span[1] - taken, taken / 2)  # what is late already may go on for a while
    spent = sum(story.spent.values()) + story.spent_now + (waited if story.stage else 0.0)
    left = (low + high) / 2
    return TimeLeft(low, high, spent / (spent + left) if spent + left > 0 else 0.0)


def _items(stage: Stage, config: Config) -> int:
    if stage not in COUNTED:
        return 1
    if stage == "train":
        return 0 if config.guide.only else config.train.steps
    ranked = max(config.guide.proposals, 1) if config.guide.draft and stage == "select" else 0
    return len(config.seeds) + ranked


def _rate(stage: Stage, now: Story | None, learned: Mapping[Stage, float]) -> tuple[float, float] | None:
    """Seconds an item from least to most, by measurement."""
    known = learned.get(stage)
    if now is not None and now.seconds:
        mean = statistics.fmean(now.seconds[1:] or now.seconds)
        before = known or 0.0 if stage in COUNTED else 0.0
        slow = min(max(mean, before), 2 * mean)  # an earlier run's whole stage had previews and checkpoints in it
        return mean * _MEASURED[0], slow * _MEASURED[1]
    return None if known is None else (known * _LEARNED[0], known * _LEARNED[1])


def _guess(stage: Stage, story: Story, config: Config, references: int) -> tuple[float, float] | None:
    """Seconds an item of a stage that was never measured here, from what a step of training takes."""
    if stage not in COUNTED:
        return 0.0, _DRAFT if config.guide.draft and stage == "prepare" else 5.0
    if stage == "select":
        each = _COUNT * references
    elif stage == "sample" and story.step_seconds:
        passes = config.sample.steps * (2 if config.sample.guidance != 1 else 1)
        each = passes * statistics.fmean(story.step_seconds) / (_PASSES * config.train.batch)
    else:
        return None
    return each * _GUESSED[0], each * _GUESSED[1]


def _coarse(seconds: float) -> float:
    """Rounded so that nobody reads more than is known: to 5 s, from a minute on to 10 s, from ten minutes on to one."""
    step = 5 if seconds < 60 else 10 if seconds < 600 else 60
    return step * max(1, round(seconds / step))
