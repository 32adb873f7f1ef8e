"""What training costs on this machine, as it was measured here: kept in a small file among the runs."""

import statistics
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realfill import config as settings
from realfill import files
from realfill.bases import default_preset, describe_time
from realfill.config import Config
from realfill.device.memory_plan import describe_machine
from realfill.errors import RealFillError
from realfill.events import STAGES, Stage
from realfill.humanize import duration, size
from realfill.sentences import Sentence

from ..language.catalogue import translate, translate_measures
from .story import COUNTED, Story
from .time_left import TimeLeft, estimate

NAME = ".costs.json"
USUAL_REFERENCES = 3
LEAST = 5  # steps after which a measurement is believed; the first one also warms up
UNKNOWN = Sentence("not measured yet on this machine")
_guard = threading.Lock()


def remember(runs_dir: Path, config: Config, kind: str, seconds: Sequence[float], memory: int = 0) -> None:
    """Keeps the median seconds of a training step ("step") or of a seed ("seed"), and the most bytes in use."""
    if len(seconds) < (LEAST if kind == "step" else 1):
        return
    with _guard:
        known = _read(runs_dir)
        entry = dict(known.get(_key(config, kind), {}))
        entry["seconds"] = round(statistics.median(seconds[1:] or seconds), 4)
        if memory:
            entry["memory"] = memory
        if known.get(_key(config, kind)) != entry:
            files.write_json(runs_dir / NAME, {**known, _key(config, kind): entry})


def remember_story(runs_dir: Path, config: Config, story: Story) -> None:
    """Keeps what a run's events say of steps once it has trained, and of seeds once they are made."""
    remember_stages(runs_dir, config, story)
    if story.stage in ("sample", "select", "export"):
        remember(runs_dir, config, "step", story.step_seconds, story.memory)
    if story.stage in ("select", "export"):
        remember(runs_dir, config, "seed", story.seed_seconds)


def remember_stages(runs_dir: Path, config: Config, story: Story) -> None:
    """Keeps what each stage that has ended took for one of its items, all that happens beside them included."""
    rates = {
        stage: round(seconds / (made if stage in COUNTED else 1), 4)
        for stage, seconds in story.spent.items()
        if (made := story.made.get(stage, 0)) >= (LEAST if stage == "train" else 1)
    }
    with _guard:
        known = _read(runs_dir)
        fresh = {**known, **{_key(config, stage): {"seconds": rate} for stage, rate in rates.items()}}
        if fresh != known:
            files.write_json(runs_dir / NAME, fresh)


def stage_rates(runs_dir: Path, config: Config) -> dict[Stage, float]:
    """Seconds an item of each stage as they were measured here last; stages that never were are left out."""
    known = _read(runs_dir)
    entries = {stage: known.get(_key(config, stage), {}) for stage in STAGES}
    return {stage: float(entry["seconds"]) for stage, entry in entries.items() if "seconds" in entry}


def sentence(runs_dir: Path, config: Config, where: Sentence | None = None) -> str:
    """`Training about 3 min 20 s (150 steps at 1.3 s), 16 seeds about 40 s, 1.1 GB of memory.` and the memory plan.

    `where` stands in place of the plan where it is not this machine that computes.
    """
    if config.guide.only:
        whole = whole_time(runs_dir, config)
        time = whole.span() if whole else translate("some seconds")
        return translate("The draft takes {time}; nothing is trained.", time=time)
    known, train, sample = _read(runs_dir), config.train, config.sample
    step, seed = known.get(_key(config, "step"), {}), known.get(_key(config, "seed"), {})
    if not step:
        unknown = Sentence(
            "Training {steps} steps: not measured yet on this machine; the first run measures it. "
            "Time of a scene: {time}.",
            steps=train.steps,
            time=describe_time(config.base, train.steps * train.batch),
        )
        return f"{translate(unknown)} {translate(where or describe_machine(config))}"
    each = float(step["seconds"])
    whole_training = translate_measures(duration(train.steps * each))
    pace = translate_measures(f"{each:.2g} s")
    parts = [
        translate("Training about {time} ({steps} steps at {each})", time=whole_training, steps=train.steps, each=pace)
    ]
    if seed:
        time = translate_measures(duration(len(sample.seeds) * float(seed["seconds"])))
        parts.append(translate("{count} seeds about {time}", count=len(sample.seeds), time=time))
    if step.get("memory"):
        parts.append(translate("{size} of memory", size=translate_measures(size(step["memory"]))))
    return f"{', '.join(parts)}. {translate(where or describe_machine(config))}"


def run_seconds(runs_dir: Path, config: Config) -> float | None:
    """About how long a whole run takes here; None where that was not measured yet."""
    if config.guide.only:
        return 0.0
    known = _read(runs_dir)
    step, seed = known.get(_key(config, "step"), {}), known.get(_key(config, "seed"), {})
    if not step:
        return None
    seeds = len(config.sample.seeds) * float(seed.get("seconds", 0.0))
    return config.train.steps * float(step["seconds"]) + seeds


def whole_time(runs_dir: Path, config: Config) -> TimeLeft | None:
    """How long a run with these settings takes here from Start to the end; None where that is not known yet."""
    learned = stage_rates(runs_dir, config)
    if config.guide.only and "prepare" not in learned:
        return None
    return estimate(Story(), config, USUAL_REFERENCES, learned)


def base_time(runs_dir: Path, base: str) -> str:
    """`about 2 min here`, as it was measured with the settings that a base begins with, or what else is known."""
    config = settings.make(default_preset(base), {"base": base})
    whole = whole_time(runs_dir, config)
    if whole is not None:
        return translate("{time} here", time=whole.span())
    known = describe_time(base, settings.default_items(base), brief=True)
    return translate("time of a scene: {time}", time=known)


def _key(config: Config, kind: str) -> str:
    """What decides the time of an item; other settings matter little."""
    train, sample = config.train, config.sample
    common = f"{config.base} at {config.fit.size or 'its own'} size"
    filling = f"in {sample.steps} steps, {common}" + (", guided" if sample.guidance != 1 else "")
    training = f"of {train.batch}, {common}, {train.layers} layers"
    return {
        "step": f"step {training}",
        "seed": f"seed {filling}",
        "prepare": f"draft {config.guide.draft}, {'alone' if config.guide.only else common}",
        "train": f"whole training {training}",
        "sample": f"whole filling in {filling}",
        "select": f"matches by {'sift' if config.guide.only else config.select.matcher} at {config.select.size}",
        "export": "export",
    }[kind]


def _read(runs_dir: Path) -> dict[str, Any]:
    try:
        return files.read_json(runs_dir / NAME) or {}
    except RealFillError:  # changed by hand: it is measured again
        return {}
