"""A run folder as the page shows it. Reads only; everything returned is plain data.

`RunWatch` follows one run's events by byte offset and reads seeds and previews again only when their files changed,
so a look at an unchanged run costs a few `stat` calls.
"""

import dataclasses
import statistics
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from markupsafe import Markup

from realfill.humanize import duration
from realfill.humanize import size as byte_size
from realfill.jobs import queue
from realfill.runs.listing import open_or_none
from realfill.runs.run import Run
from realfill.runs.status import LIVE, State, Status
from realfill.scene.scene_files import pictures
from realfill.sentences import Sentence

from ..errors import strip_folders
from ..forms import speak_names
from ..language.catalogue import retell, translate, translate_measures, translate_number
from ..markup import EMPTY, join_markup, markup
from ..plot import component
from . import costs
from .cells import SeedCell, grid_value, list_cells
from .costs import stage_rates
from .story import RECENT, Story, running_line
from .thumbnails import BROKEN, Thumbnails
from .time_left import TimeLeft, estimate

REMEMBERED = 32  # runs whose events are kept in memory
STRIP = 192  # longest side in pixels of a preview in the strip
SOON = 5.0  # seconds; nothing shorter is said to be left
SETTLED = 2.0  # seconds; files that changed later than that may change again within their clock's own step
AGAIN = 30.0  # seconds after which files are read again all the same: a thumbnail may have been swept
STATE_WORDS: Mapping[State, str] = {
    "queued": Sentence("waiting"),
    "running": Sentence("running"),
    "stopped": Sentence("stopped"),
    "interrupted": Sentence("interrupted"),
    "failed": Sentence("failed"),
    "done": Sentence("done"),
}
_CELLS = ("run.json", "labels.json", "scores.json", "seeds")  # what cells are made of


T = TypeVar("T")


class FileCache(Generic[T]):
    """What was read from files or folders, read again when one of them changed.

    `whole`: whether a value is complete, and need not be read again before something changes.
    """

    def __init__(self, load: Callable[[], T], whole: Callable[[T], bool], *names: str) -> None:
        self._load, self._whole, self._names = load, whole, names
        self._times: tuple[int, ...] = ()
        self._until = 0.0
        self._value: T | None = None

    def read(self, folder: Path) -> T:
        """The value as the files in a folder say it now."""
        times, now = tuple(_write_time(folder / name) for name in self._names), time.time()
        if self._value is None or times != self._times or now >= self._until:
            self._value, self._times = self._load(), times
            settled = max(times) / 1e9 < now - SETTLED and self._whole(self._value)
            self._until = now + AGAIN if settled else 0.0
        return self._value


def _write_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class RunWatch:
    """One run, followed."""

    def __init__(self, run: Run, thumbnails: Thumbnails | None = None) -> None:
        """Without `thumbnails` a look has neither seeds nor previews."""
        self.run = run
        self.story = Story()
        self._thumbnails = thumbnails
        self._settings = 0  # when run.json was written
        self._offset = 0
        self._cells = FileCache(self._read_cells, lambda cells: all(cell.url for cell in cells), *_CELLS)
        self._share = 0.0  # how far the bar has come; it does not go back while the work goes on
        self._strip = FileCache(self._read_strip, lambda strip: all(url for _, url in strip), "previews")

    def look(self) -> "RunSnapshot":
        """Reads what is new and returns what to show."""
        written = (self.run.folder / "run.json").stat().st_mtime_ns
        if written != self._settings:
            self.run, self._settings = Run.open(self.run.folder), written
        new, offset = self.run.events(self._offset)
        if offset < self._offset:  # the file was replaced
            self.story = Story()
        self._offset = offset
        for event in new:
            self.story.add(event)
        cells, strip = self._cells.read(self.run.folder), self._strip.read(self.run.folder)
        status, story = self.run.status(), self.story.copy()
        return RunSnapshot(self.run, status, story, cells, strip, self._time_left(status, story))

    def _time_left(self, status: Status, story: Story) -> TimeLeft | None:
        left = time_left(self.run, status, story)
        is_in_work = status.state == "running" or _is_between_turns(self.run, status, story)
        self._share = max(self._share, left.share if left else 0.0) if is_in_work else 0.0
        return left and dataclasses.replace(left, share=self._share)

    def _read_cells(self) -> tuple[SeedCell, ...]:
        return () if self._thumbnails is None else list_cells(self.run, self._thumbnails)

    def _read_strip(self) -> tuple[tuple[int, str], ...]:
        if self._thumbnails is None:
            return ()
        return tuple((step, self._thumbnails.url(path, STRIP)) for step, path in self.run.previews())


def time_left(run: Run, status: Status, story: Story) -> TimeLeft | None:
    """How long a run still takes; None where nobody works on it, and before that is known."""
    waited = 0.0
    if status.state == "running":
        heard = max(_write_time(run.folder / "events.jsonl") / 1e9, status.since)
        waited = max(time.time() - heard, 0.0)
    elif not _is_between_turns(run, status, story):
        return None
    references = len(pictures(run.scene_folder / "ref"))
    return estimate(story, run.config, references, stage_rates(run.folder.parent, run.config), waited)


def _is_between_turns(run: Run, status: Status, story: Story) -> bool:
    is_begun = story.stage is not None and run.fact("job") is None
    return is_begun and status.state == "queued" and queue.waits_for_turn(status)


class RunWatches:
    """The watches of the runs that pages show, and the small pictures they share."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        """`folder` gives the folder of a run by its id, or raises where the asking visitor may not see it."""
        self._folder = folder
        self._guard = threading.Lock()
        self._watches: OrderedDict[str, RunWatch] = OrderedDict()
        self._thumbnails = Thumbnails()

    def look(self, run_id: str) -> "RunSnapshot":
        """A run as it is now.

        Raises:
            RunError: as `folder`.
        """
        with self._guard:
            folder = self._folder(run_id)
            watch = self._watches.pop(run_id, None) or RunWatch(Run.open(folder), self._thumbnails)
            self._watches[run_id] = watch
            if len(self._watches) > REMEMBERED:
                self._watches.popitem(last=False)
            return watch.look()


@dataclass(frozen=True)
class RunSnapshot:
    """A run at one moment."""

    run: Run
    status: Status
    story: Story
    cells: tuple[SeedCell, ...]
    strip: tuple[tuple[int, str], ...]  # previews: step and address
    left: TimeLeft | None = None  # while somebody works on it, or between two turns, once that is known

    @property
    def is_live(self) -> bool:
        """Whether somebody works on the run, or will."""
        return self.status.state in LIVE

    @property
    def has_news(self) -> bool:
        """Whether there will be something new without anybody's doing: also pictures that are being made.

        A queued run whose worker was killed reads as interrupted until another worker takes it up.
        """
        pictures = any(not cell.url for cell in self.cells) or any(not url for _, url in self.strip)
        return self.is_live or pictures or queue.wants_worker(self.run.folder)

    def key(self) -> tuple[Any, ...]:
        """Equal for two snapshots exactly when the page need not change."""
        story = self.story
        return (
            self.run.folder.name,
            dataclasses.astuple(self.status),
            (story.stage, story.done, story.total),
            self.left.span() if self.left else "",
            self._queue_key(),
            self.strip,  # this and the two below are compared by their place from the end
            self.losses_key(),
            self.seeds_key(),
        )

    def _queue_key(self) -> tuple[int, bool]:
        """How many a waiting run waits for, and whether all of them are held back."""
        if self.status.state != "queued":
            return 0, False
        return len(queue.folders_before(self.run)), queue.is_paused(self.run.folder.parent)

    def losses_key(self) -> tuple[Any, ...]:
        """Changes when the loss plot or the notices do."""
        latest = next(reversed(self.story.losses.items()), None)
        return len(self.story.losses), latest, len(self.story.held_out), self.story.steps, len(self.story.notices)

    def seeds_key(self) -> tuple[Any, ...]:
        """Changes when the grid does."""
        return self.cells, self.is_live, len(self.run.config.sample.seeds)

    def bar(self) -> Markup:
        """The state, one line, and one progress bar over all stages; `data-title` is for the browser's tab."""
        state, progress = self.status.state, EMPTY
        if state == "running" or self.left:
            value = markup(' value="{share:.4f}" max="1"', share=self.left.share) if self.left else EMPTY
            label = translate("progress")
            progress = markup('<progress aria-label="{label}"{value}></progress>', label=label, value=value)
        template = (
            '<div class="rf-status" role="status" data-title="{title}"><span class="rf-state" data-state="{state}">'
            '{word}</span><span class="rf-line">{line}</span>{progress}</div>'
        )
        word, line = translate(STATE_WORDS[state]), self.line()
        return markup(template, title=self._title(), state=state, word=word, line=line, progress=progress)

    def _title(self) -> str:
        """`42 % · Kitchen`, `✓ Kitchen`."""
        signs = {"done": "✓", "failed": "!", "interrupted": "!", "queued": "…", "running": "…"}
        sign = f"{100 * self.left.share:.0f} % ·" if self.left else signs.get(self.status.state, "")
        return f"{sign} {self.run.labels.name}".strip()

    def line(self) -> str:
        """What is going on, in one line."""
        if self.status.state == "running":
            left = [translate("{time} left", time=self.left.span())] if self.left else []
            return " · ".join([running_line(self.story), *left])
        if self.status.state == "queued":
            progress = [running_line(self.story)] if self.left else []
            return " · ".join([*progress, _waiting_line(self.run, self.status)])
        sentence = strip_folders(self.status.sentence)
        if self.status.state == "stopped" and (not sentence or sentence.startswith("Stopped")):
            step = max(self.story.losses, default=0)  # the file's sentence speaks to who typed a command
            if not step:
                return translate("Stopped. Resume goes on.")
            return translate("Stopped at step {step}. Resume goes on.", step=step)
        return retell(sentence) or (translate("Done.") if self.status.state == "done" else "")

    def notices(self) -> Markup:
        """What the person should know."""
        sentences = (speak_names(strip_folders(retell(one))) for one in self.story.notices)
        items = join_markup(markup("<li>{sentence}</li>", sentence=sentence) for sentence in sentences)
        return markup('<ul class="rf-notices">{items}</ul>', items=items) if items else EMPTY

    def losses(self) -> dict[str, Any]:
        """The loss plot's value."""
        return component.lines(self.story.losses, self.story.steps, self.story.held_out)

    def facts(self) -> Markup:
        """The numbers of training: step, loss, time left, seconds a step, memory."""
        story = self.story
        step = max(story.losses, default=0)
        each = statistics.median(story.step_seconds) if story.step_seconds else None
        recent = [story.losses[one] for one in sorted(story.losses)[-RECENT:]]
        span = translate("Loss, last {count}", count=len(recent)) if len(recent) > 1 else translate("Loss")
        steps = translate("{count} of {most}", count=step, most=story.steps)
        shown = {
            translate("Step"): steps if story.steps else "–",
            span: translate_number(f"{statistics.fmean(recent):.3g}") if recent else "–",
            translate("Time left"): self.left.span() if self.left else "–",
            translate("A step"): translate_measures(f"{each:.2g} s") if each is not None else "–",
            translate("Memory"): translate_measures(byte_size(story.memory)) if story.memory else "–",
        }
        template = "<div><dt>{name}</dt><dd>{text}</dd></div>"
        items = join_markup(markup(template, name=name, text=text) for name, text in shown.items())
        return markup('<dl class="rf-facts">{items}</dl>', items=items)

    def previews(self) -> Markup:
        """The preview strip."""
        if not self.strip:
            every, first = self.run.config.train.preview_every, self.run.config.sample.seeds[0]
            hint = translate("Previews are switched off for this project.")
            if every:
                hint = translate("A preview of seed {seed} appears every {every} steps.", seed=first, every=every)
            return markup('<p class="rf-hint">{hint}</p>', hint=hint)
        seed = self.run.config.sample.seeds[0]
        template = '<li><img src="{url}" alt="{words}"><span>{step}</span></li>'
        pictures = [(step, url) for step, url in self.strip if url and url != BROKEN]
        words = Sentence("Seed {seed} after {step} steps")
        items = join_markup(
            markup(template, url=url, step=step, words=translate(words, seed=seed, step=step)) for step, url in pictures
        )
        label = translate("Seed {seed} while training went on", seed=seed)
        strip = '<ol class="rf-strip" aria-label="{label}" tabindex="0">{items}</ol>'
        return markup(strip, label=label, items=items)

    def grid(self) -> dict[str, Any]:
        """The grid's value."""
        return grid_value(self.run, self.cells, live=self.is_live)


def _waiting_line(run: Run, status: Status) -> str:
    """How many are before a queued run, and when it will begin, where the times of all before it are known."""
    if queue.waits_for_turn(status):
        return retell(strip_folders(status.sentence))
    before = queue.folders_before(run)
    if queue.is_paused(run.folder.parent):
        return translate("The queue is paused; let it go on in the list of projects.")
    if not before:
        return translate("Starting as soon as the worker is there.")
    seconds = [_seconds_left(one) for one in map(open_or_none, before) if one is not None]
    known = [one for one in seconds if one is not None]
    if len(known) < len(before) or sum(known) < SOON:
        return translate("Waiting; {count} before it.", count=len(before))
    time = translate_measures(duration(sum(known)))
    return translate("Waiting; {count} before it, begins in about {time}.", count=len(before), time=time)


def _seconds_left(run: Run) -> float | None:
    """About how long a run that waits or is in work will still take."""
    seconds, status = costs.run_seconds(run.folder.parent, run.config), run.status()
    return seconds if seconds is None or status.state == "queued" else max(0.0, seconds - (time.time() - status.since))
