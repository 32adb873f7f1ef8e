"""Workers as actors of a Ray cluster, one for each GPU, or each core where there is none.

A node that dies takes its actors along: what they worked on is lost and tried again elsewhere, and new actors start
where there is room, on nodes that came later too.
"""

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic

from realfill.distributed.results import ItemResult, Results, Value, retry_items
from realfill.distributed.worker_process import GRACE, Place, Task, WorkerProcess, own_locks
from realfill.errors import OptionError, StageError

_PAUSE = 1.0  # seconds between looks
_STARTS = 3  # tries
_TOO_SLOW = "timed out during startup"


class Ray:
    """At most `workers` actors at once (0: as many as the cluster has GPUs, else cores).

    `address`: "" starts Ray on this machine, "auto" finds the one that runs here, else HOST:PORT. `upload`: a folder
    whose packages the nodes use, in place of those that are installed there.
    """

    def __init__(self, *, address: str = "", workers: int = 0, retries: int = 0, upload: Path | None = None) -> None:
        self._address, self._workers, self._retries, self._upload = address, workers, retries, upload

    def map(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        """See `Executor.map`.

        Raises:
            OptionError: Ray is not installed, or there is no cluster at the address.
            StageError: Ray does not start in time, or a node cannot start workers.
        """
        check_ray()
        return self._map(task, items)

    def _map(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        with self._connect():
            yield from retry_items(lambda left: self._share(task, left), items, self._retries)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[None]:
        """A connection of its own, or the one that this process has."""
        import ray

        if ray.is_initialized():
            yield
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        environment = {"py_modules": [str(self._upload)]} if self._upload else None
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
        if not self._address:
            options["include_dashboard"] = False
        try:
            with keep_sigterm():
                start_patiently(lambda: ray.init(address=self._address or None, **options))
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise OptionError(
                f"There is no Ray cluster at --ray-address {self._address} ({error}); where one asks for a token, set "
                "RAY_AUTH_MODE=token here, too."  # Ray itself, asked without one, does not say that this is why
            ) from error
        try:
            yield
        finally:
            ray.shutdown()

    def _share(self, task: Task[Value], items: Sequence[Path]) -> Results[Value]:
        """Each item goes to the actor that is free first; actors that died are replaced while items wait."""
        import ray

        on_gpu = ray.cluster_resources().get("GPU", 0) > 0
        count = self._workers or int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
        make = ray.remote(RayWorker).options(num_cpus=1, num_gpus=1 if on_gpu else 0, max_concurrency=2)
        waiting = deque(items)
        work: dict[Any, tuple[Any, Path | None]] = {}  # by the answer that is awaited; None: the actor starts
        try:
            while waiting or any(item for _, item in work.values()):
                busy = sum(item is not None for _, item in work.values())
                for _ in range(min(count, len(waiting) + busy) - len(work)):
                    actor = make.remote(task)
                    work[actor.start.remote()] = (actor, None)
                for answer in ray.wait(list(work), timeout=_PAUSE)[0]:
                    actor, item = work.pop(answer)
                    alive, result = _receive(answer, item)
                    if result is not None:
                        yield result
                    if alive and waiting:
                        item = waiting.popleft()
                        work[actor.call.remote(item)] = (actor, item)
        finally:
            _stop([actor for actor, item in work.values() if item], [answer for answer in work if work[answer][1]])


class RayWorker(Generic[Value]):
    """The actor: one worker process; a second thread of it hears the wish to stop."""

    def __init__(self, task: Task[Value]) -> None:
        import ray

        context = ray.get_runtime_context()
        gpus = "".join(f" gpu {name}" for name in ray.get_gpu_ids())
        place = f"{Place().name} node {context.get_node_id()[:8]}{gpus}"
        self._worker = WorkerProcess(task, Place(place, own_locks(f"ray-{context.get_actor_id()}")))

    def start(self) -> None:
        """Answers once the actor is there."""

    def call(self, item: Path) -> ItemResult[Value]:
        """The result of one item."""
        return self._worker.call(item)

    def stop(self) -> None:
        """Asks the work in hand to save itself and end."""
        self._worker.stop()


@contextlib.contextmanager
def keep_sigterm() -> Iterator[None]:
    """What this process does at SIGTERM is the same after the block: `ray.init` makes it end there and then."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def start_patiently(start: Callable[[], object]) -> None:
    """Starts Ray, again where its processes were not up within the 30 s that it gives them: a machine may be busy.

    Raises:
        StageError: it was too slow every time.
    """
    import ray

    for _ in range(_STARTS):
        try:
            start()
            return
        except Exception as error:  # Ray raises it bare
            if _TOO_SLOW not in str(error):
                raise
            ray.shutdown()
    raise StageError(
        f"Ray did not come up within 30 s, {_STARTS} times: this machine computes too much else. Run the same command "
        "later, or with --engine local."
    )


def check_ray() -> None:
    """Refuses where Ray is missing.

    Raises:
        OptionError: how to install it.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise OptionError("The engine ray is not installed; run: pip install realfill-studio[ray]") from error


def _receive(answer: Any, item: Path | None) -> tuple[bool, ItemResult[Any] | None]:
    """Whether the actor lives, and the result of its item; None where it has just started.

    Raises:
        StageError: it could not be started, which no other start would change.
    """
    import ray
    from ray.exceptions import RayActorError, RayError

    try:
        return True, ray.get(answer)
    except RayActorError as error:
        if "creation task" in str(error) and item is None:
            raise StageError(f"A node of the Ray cluster cannot work for RealFill: {_last_line(error)}") from error
    except RayError as error:
        if item is None:
            raise StageError(f"A node of the Ray cluster cannot work for RealFill: {_last_line(error)}") from error
    lost = "The worker died, or its node has gone from the cluster."
    return False, None if item is None else ItemResult(item, "lost", sentence=lost)


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def _stop(actors: Sequence[Any], answers: Sequence[Any]) -> None:
    """Waits until what is in work has saved itself; the actors end with the connection, or with their last handle."""
    import ray

    if answers and ray.is_initialized():
        for actor in actors:
            actor.stop.remote()
        ray.wait(list(answers), num_returns=len(answers), timeout=GRACE)
