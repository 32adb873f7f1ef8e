"""What each scene of a batch has come to, read from the run folders; as rows and as batch.csv."""

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from realfill import files
from realfill.errors import EXIT_DEFECT, EXIT_DONE, EXIT_INPUT, EXIT_INTERRUPTED, RealFillError
from realfill.events import STAGES, StageDone, from_json
from realfill.runs.export import chosen_seed
from realfill.runs.run import Run
from realfill.runs.status import State

# waiting: nobody has begun it · bad: its photos or mask are refused; the others are a run's
SceneState = State | Literal["waiting", "bad"]


@dataclass(frozen=True)
class SceneRow:
    """One scene; the seconds are those of each stage, over all tries."""

    scene: str
    state: SceneState
    prepare: float
    train: float
    sample: float
    select: float
    export: float
    matches: int | None
    seed: int | None
    where: str
    tries: int
    error: str

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return self.prepare + self.train + self.sample + self.select + self.export


def scene_row(runs: Path, name: str, known: Mapping[str, Any]) -> SceneRow:
    """The row of one scene; `known` is what batch.json says of it."""
    folder, ending = runs / name, known.get("ending")
    seconds: dict[str, float] = {}
    seed, matches, sentence = None, None, str(known.get("sentence", ""))
    state: SceneState = "bad" if ending == "bad" else "failed" if ending == "failed" else "waiting"
    if (folder / "run.json").exists() and ending != "bad":
        try:
            run = Run.open(folder)
            status = run.status()
            state = status.state
            sentence = "" if state == "done" else sentence or status.sentence
            seconds = _stage_seconds(folder)
            with contextlib.suppress(RealFillError):  # nothing is sampled yet
                seed, matches = chosen_seed(run)
        except RealFillError as error:
            state, sentence = "failed", str(error)
    where, tries = str(known.get("where", "")), int(known.get("tries", 0))
    prepare, train, sample, select, export = (round(seconds.get(stage, 0.0), 1) for stage in STAGES)
    return SceneRow(name, state, prepare, train, sample, select, export, matches, seed, where, tries, sentence)


def write_csv(path: Path, rows: Iterable[SceneRow]) -> None:
    """Writes batch.csv, atomically. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_HEADS.get(field.name, field.name) for field in fields(SceneRow)])
    writer.writerows([_cell(value) for value in astuple(row)] for row in rows)
    files.write_bytes(path, text.getvalue().encode())


def exit_code(rows: Sequence[SceneRow]) -> int:
    """0: all are done; 2: all are bad; 1: some failed or are bad; 3: some are left to go on with."""
    states = {row.state for row in rows}
    if states == {"bad"}:
        return EXIT_INPUT
    if states & {"bad", "failed"}:
        return EXIT_DEFECT
    return EXIT_DONE if states <= {"done"} else EXIT_INTERRUPTED


def summarize(rows: Sequence[SceneRow]) -> str:
    """`"61 done, 2 failed, 1 bad"`."""
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


_HEADS: dict[str, str] = {stage: f"{stage}_seconds" for stage in STAGES}


def _stage_seconds(folder: Path) -> dict[str, float]:
    lines, _ = files.read_lines(folder / "events.jsonl")
    seconds: dict[str, float] = {}
    for line in lines:
        if '"StageDone"' in line:  # of thousands of lines a handful
            with contextlib.suppress(ValueError, AttributeError):
                event = from_json(files.parse_json(line))
                if isinstance(event, StageDone):
                    seconds[event.stage] = seconds.get(event.stage, 0.0) + event.seconds
    return seconds


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
