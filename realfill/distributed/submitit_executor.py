"""Workers as jobs of SLURM, by submitit; where there is no SLURM its jobs are processes of this machine.

A job takes several items, so that a base is loaded once for them. What SLURM preempts, or ends at its time limit,
goes back into SLURM's queue (submitit's `checkpoint`) and goes on from what the items' folders hold.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from realfill.distributed.results import ItemResult, Results, Value, retry_items
from realfill.distributed.worker_process import GRACE, Place, Task, WorkerProcess, own_locks, share_cores
from realfill.errors import OptionError

if TYPE_CHECKING:
    from submitit import Job
    from submitit.helpers import DelayedSubmission

MOST_ITEMS = 8  # of a job
ERRORS = "controllers.err"  # of submitit's own processes, where there is no SLURM
_PAUSE = 1.0  # seconds between looks at the jobs
_LONGEST = 7 * 24 * 60  # minutes that a job asks for, where an item has no time limit


class Submitit:
    """At most `workers` jobs at once (0: as many as SLURM gives), whose files lie in `folder`.

    `parameters`: what `sbatch` understands, such as partition and qos, by submitit's names without the `slurm_`.
    """

    def __init__(
        self, folder: Path, *, workers: int = 0, parameters: Mapping[str, str] | None = None, retries: int = 0
    ) -> None:
        self._folder, self._workers, self._retries = folder, workers, retries
        self._parameters = dict(parameters or {})

    def map(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        """See `Executor.map`; the results of a job come together.

        Raises:
            OptionError: submitit is not installed, or it does not know a parameter.
        """
        check_submitit()
        return retry_items(lambda left: self._submit(task, left), items, self._retries)

    def _submit(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        import submitit

        executor = submitit.AutoExecutor(self._folder, cluster=self._parameters.get("cluster"))
        is_slurm = executor.cluster == "slurm"
        workers = self._workers or (len(items) if is_slurm else 1)
        parts = _split(items, workers, MOST_ITEMS if is_slurm else len(items))
        minutes = min(_LONGEST, max(map(len, parts)) * (task.timeout + GRACE) / 60 + 5)
        options: dict[str, Any] = {"name": "realfill", "timeout_min": int(minutes)}
        if is_slurm:
            own = {f"slurm_{name}": value for name, value in self._parameters.items() if name != "cluster"}
            options |= {"slurm_array_parallelism": workers, "gpus_per_node": 1, **own}
        try:
            executor.update_parameters(**options)
        except (NameError, TypeError, ValueError) as error:
            raise OptionError(f"SLURM would not understand --slurm: {error}") from error
        quiet = contextlib.nullcontext() if is_slurm else _errors_to(self._folder / ERRORS)
        with quiet, executor.batch():
            environment = {} if is_slurm else share_cores(workers)  # SLURM gives each job cores of its own
            jobs = [executor.submit(ItemsJob(task, environment), part) for part in parts]
        yield from _gather(dict(zip(jobs, parts, strict=True)))


class ItemsJob(Generic[Value]):
    """What a job does: its items one after another, in one worker process."""

    def __init__(self, task: Task[Value], environment: Mapping[str, str]) -> None:
        self._task, self._environment = task, environment
        self._worker: WorkerProcess[Value] | None = None

    def __call__(self, items: Sequence[Path]) -> list[ItemResult[Value]]:
        """One result for each item."""
        import submitit

        job = submitit.JobEnvironment()
        variables = {**self._environment, **own_locks(f"job-{job.job_id}")}
        self._worker = WorkerProcess(self._task, Place(f"{job.hostname} job {job.job_id}", variables))
        try:
            return [self._worker.call(item) for item in items]
        finally:
            self._worker.close()

    def checkpoint(self, items: Sequence[Path]) -> "DelayedSubmission":
        """SLURM takes the machine away: the work in hand saves itself, and the same job is put into the queue again."""
        from submitit.helpers import DelayedSubmission

        if self._worker is not None:
            self._worker.finish()
        return DelayedSubmission(ItemsJob(self._task, self._environment), items)


def check_submitit() -> None:
    """Refuses where submitit is missing.

    Raises:
        OptionError: how to install it.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise OptionError("The engine submitit is not installed; run: pip install realfill-studio[slurm]") from error


@contextlib.contextmanager
def _errors_to(path: Path) -> Iterator[None]:
    """What is started meanwhile writes its errors to a file: submitit's processes tell a Ctrl-C by tracebacks."""
    kept = os.dup(2)
    try:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _split(items: Sequence[Path], workers: int, most: int) -> list[Sequence[Path]]:
    """Shares of about equal work for biggest-first items: dealt out like cards, at most so many in one."""
    count = max(min(workers, len(items)), -(-len(items) // most))
    return [items[start::count] for start in range(count)]


def _gather(left: "dict[Job[list[ItemResult[Value]]], Sequence[Path]]") -> Results[Value]:
    try:
        while left:
            for job in [job for job in left if job.done()]:
                yield from _results(job, left.pop(job))
            if left:
                time.sleep(_PAUSE)
    finally:
        for job in left:
            job.cancel(check=False)


def _results(job: "Job[list[ItemResult[Value]]]", items: Sequence[Path]) -> Sequence[ItemResult[Value]]:
    error = job.exception()
    if error is None:
        results: list[ItemResult[Value]] = job.result()
        return results
    last = str(error).strip().splitlines() or [type(error).__name__]
    sentence = f"The job {job.job_id} ended unexpectedly ({last[-1]}); {os.fspath(job.paths.stderr)} may say why."
    return [ItemResult(item, "lost", sentence=sentence, where=f"job {job.job_id}") for item in items]
