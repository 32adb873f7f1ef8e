"""A batch from beginning to end: what is missing goes to an executor, what comes back into batch.csv and batch.html."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from realfill import files
from realfill.batch.complete import CompleteScene, warm_models
from realfill.batch.record import BatchRecord, read_scenes
from realfill.batch.report import make_thumbnails, write_report
from realfill.batch.table import SceneRow, scene_row, write_csv
from realfill.distributed.executors import Executor
from realfill.distributed.results import Results
from realfill.distributed.worker_process import Task
from realfill.errors import RealFillError
from realfill.evaluation.dataset import Case, natural_key

_EVERY = 30.0  # seconds between two writings of batch.html


class BatchTable:
    """batch.csv and batch.html of a folder of runs, kept up with the scenes as they end."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known = read_scenes(runs)
        self._rows = {name: scene_row(runs, name, known) for name, known in self._known.items()}
        self._written = 0.0

    @property
    def rows(self) -> list[SceneRow]:
        """The scenes by name."""
        return [self._rows[name] for name in sorted(self._rows, key=natural_key)]

    def update(self, name: str) -> SceneRow:
        """Reads one scene anew."""
        self._known[name] = read_scenes(self._runs).get(name, {})
        self._rows[name] = row = scene_row(self._runs, name, self._known[name])
        make_thumbnails(self._runs, name)
        return row

    def write(self, *, report: bool = True) -> None:
        """Writes batch.csv, and batch.html where that is wanted or older than half a minute."""
        write_csv(self._runs / "batch.csv", self.rows)
        if report or time.monotonic() - self._written > _EVERY:
            for row in self.rows:
                make_thumbnails(self._runs, row.scene)
            write_report(self._runs, self.rows)
            self._written = time.monotonic()


def run_batch(
    work: CompleteScene,
    cases: Sequence[Case],
    executor: Executor,
    *,
    options: Mapping[str, Any],
    shard: str = "",
    timeout: float = float("inf"),
    report: Callable[[SceneRow | None, int, int], None] = lambda row, done, total: None,
) -> list[SceneRow]:
    """Completes every scene that is not done, and returns the rows of all scenes of the folder of runs.

    Args:
        options: JSON data that `batch.json` keeps, with which the same can be asked for again.
        timeout: seconds for one try of a scene.
        report: hears the row of each scene that ends, None at the beginning, how many have ended, how many there are.

    Raises:
        InputError: there is nothing to do it with; nothing was begun.
        KeyboardInterrupt: it was stopped; runs in work have saved themselves, and the tables are written.
    """
    files.sweep(work.runs)
    record = BatchRecord(work.runs, shard)
    record.begin(options, {case.name: case.folder for case in cases})
    table = BatchTable(work.runs)
    missing = [case.folder for case in cases if not _is_done(work, case.folder)]
    task = Task(work, warm_models, timeout, work.lower_memory)
    done = len(cases) - len(missing)
    report(None, done, len(cases))
    try:
        with contextlib.closing(_results(executor, task, missing)) as results:
            for result in results:
                record.add(result.item.name, result)
                done += 1
                report(table.update(result.item.name), done, len(cases))
                table.write(report=False)
    finally:
        table = BatchTable(work.runs)  # those in work have come to something since
        table.write()
    return table.rows


def _results(executor: Executor, task: Task[None], items: Sequence[Path]) -> Results[None]:
    if items:
        yield from executor.map(task, items)


def _is_done(work: CompleteScene, scene: Path) -> bool:
    try:
        return work.is_done(scene)
    except RealFillError:  # a worker comes to the same, and its sentence into the table
        return False
