"""What long work reports while it runs. Written to a run's events.jsonl, shown by the CLI and the page."""

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from realfill.sentences import Sentence

WAITS_FOR_DEVICE = Sentence("Another RealFill run is using the device; this one goes on when it has finished.")
Stage = Literal["prepare", "train", "sample", "select", "export"]
STAGES: tuple[Stage, ...] = ("prepare", "train", "sample", "select", "export")


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `total` counts its items (steps, seeds) of which `done` exist from before."""

    stage: Stage
    total: int
    done: int = 0


@dataclass(frozen=True)
class StageDone:
    """A stage has ended; `seconds` of this process only."""

    stage: Stage
    seconds: float


@dataclass(frozen=True)
class Downloading:
    """A base is being downloaded: bytes that are here, bytes in all, and how many come a second."""

    done: int
    total: int
    speed: float


@dataclass(frozen=True)
class TrainStep:
    """One optimisation step: the loss of its batch and the seconds it took."""

    step: int  # counted from 1: this many steps are done
    total: int
    loss: float
    learning_rate_unet: float
    learning_rate_text: float  # 0 where no text encoder is trained
    seconds: float
    memory: int = 0  # most bytes in use so far, on the device or, on the CPU, by the process; 0: not known


@dataclass(frozen=True)
class PreviewReady:
    """A small picture of one seed, made after `step` steps of training, lies in the run folder."""

    step: int


@dataclass(frozen=True)
class ProposalReady:
    """A complete proposal of the draft lies in the run folder, and its picture among the seeds."""

    done: int
    total: int
    seconds: float


@dataclass(frozen=True)
class HeldOut:
    """The mean loss on held-out patches after `step` steps of training (`train.patience`)."""

    step: int
    loss: float


@dataclass(frozen=True)
class DenoisingStep:
    """A step of denoising a group of seeds is done; `step` 0: the group begins."""

    step: int
    total: int
    seeds: int  # in the group


@dataclass(frozen=True)
class SeedReady:
    """One seed's picture lies in the run folder."""

    seed: int
    done: int
    total: int
    seconds: float  # its share of the batch's time


@dataclass(frozen=True)
class SeedScored:
    """One seed's matches are counted."""

    seed: int
    matches: int
    done: int
    total: int
    seconds: float = 0.0  # 0: not known, as of runs before these were told


@dataclass(frozen=True)
class Notice:
    """Something the person should know, not an error: one sentence; `important`: the result suffers from it."""

    sentence: str
    important: bool = False


@dataclass(frozen=True)
class Failed:
    """Work ended with an error: its sentence, and whether running again goes on."""

    sentence: str
    resumable: bool


Event = (
    StageStarted
    | StageDone
    | Downloading
    | TrainStep
    | PreviewReady
    | ProposalReady
    | HeldOut
    | DenoisingStep
    | SeedReady
    | SeedScored
    | Notice
    | Failed
)
Report = Callable[[Event], None]

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


def to_json(event: Event) -> dict[str, Any]:
    """A flat dict with the event's name under "event" and the time of day under "time"."""
    return {"event": type(event).__name__, "time": round(time.time(), 3), **dataclasses.asdict(event)}


def from_json(data: dict[str, Any]) -> Event:
    """The event that `to_json` wrote; keys of newer versions are ignored.

    Raises:
        ValueError: not one of our events.
    """
    kind = _KINDS.get(str(data.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {data.get('event')!r}")
    names = {field.name for field in dataclasses.fields(kind)}
    values = {name: value for name, value in data.items() if name in names}
    event: Event = _reader(kind.__name__).validate_python(values)
    return event


@functools.cache
def _reader(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[name])
