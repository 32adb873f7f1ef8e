"""Many small scenes by every engine: what a scene costs there, what kills cost, and what a thousand would take.

    python -m benchmarks.reliability.scale --scenes 64 --kills 30 -o /tmp/scale

Scenes and base are the tests' tiny ones: what is measured is the engine, not the model. A scene's core-seconds are
those of its process (`time.process_time`) and are held against the same scene alone on one thread in a process that is
warm, before and after each engine. What else the processes of an engine compute is its own: until its first scene
begins, and after. Every row lies in OUT/rows.json as soon as it is there; the same command measures what is missing.
The simulation takes given seconds a scene, spread as the measured ones, and draws the preemptions.
"""

import contextlib
import heapq
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.options import base_parser, print_json
from realfill import config as settings
from realfill import files
from realfill.batch.complete import CompleteScene, warm_models
from realfill.config import Config
from realfill.distributed.executors import Executor, Processes, local_places
from realfill.distributed.ray_executor import Ray
from realfill.distributed.results import ItemResult
from realfill.distributed.submitit_executor import Submitit
from realfill.distributed.worker_process import Task

_HOUR = 3600.0


@dataclass(frozen=True)
class Timed:
    """One scene by the clock and by its process."""

    begun: float  # seconds since 1970
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class TimedScene:
    """A scene of the batch, timed where it is done; picklable."""

    runs: Path
    base: str

    def __call__(self, scene: Path) -> Timed:
        """Completes the scene's run."""
        begun, start, cpu = time.time(), time.monotonic(), time.process_time()
        files.append_line(self.begun, f"{begun} {os.getpid()}")
        CompleteScene(self.runs, self.config, "cpu")(scene)
        return Timed(begun, time.monotonic() - start, time.process_time() - cpu)

    @property
    def begun(self) -> Path:
        """A line for each scene that was begun: seconds since 1970 and the process."""
        return self.runs.with_suffix(".begun")

    def config(self, folder: Path) -> Config:
        """Small settings: about a second a scene, so that what an engine adds is not lost in it."""
        changes = {
            **{"base": self.base, "sample.seeds": "0", "sample.steps": 2, "select.matcher": "sift"},
            **{"train.steps": 6, "train.batch": 2, "train.rank": 2, "train.pool": 0, "train.checkpoint_every": 2},
            **{"guide.draft": False, "train.layers": "attention"},
        }
        return settings.make("mini", changes)


@dataclass(frozen=True)
class EngineRow:
    """What an engine took for all scenes; core-seconds, but for `start` and `wall`, which are seconds by the clock."""

    engine: str
    scenes: int
    done: int
    start: float
    wall: float
    alone: float  # a scene alone, measured before and after this engine
    cpu_a_scene: float  # median, without each worker's first scene
    first_cpu: float  # of a worker's first scene: imports and loading the base
    start_cpu: float  # of all processes until the first scene begins
    own_cpu: float  # a scene, of all processes after that and beside the scenes
    overhead: float  # of the median and the engine's own against one alone
    spread: float  # half of what lies between the scenes' tenth and ninetieth percentile, relative


@dataclass(frozen=True)
class KillRow:
    """What kills cost; seconds by the clock."""

    engine: str
    scenes: int
    kills: int
    lost: int  # scenes that are not done in the end
    wall: float
    tries: int  # of all scenes together
    recovery: float  # median, from a kill until a new process begins a scene
    cpu: float  # core-seconds of all processes a scene


@dataclass(frozen=True)
class Cluster:
    """What is simulated; seconds."""

    scenes: int = 1000
    workers: int = 64
    seconds: float = 150.0  # of a scene
    between_preemptions: float = _HOUR  # of one worker, on average
    checkpoint: float = 10.0  # seconds of work between checkpoints
    restart: float = 60.0  # until a worker is there again and has loaded its base
    spread: float = 0.1  # of the scenes' seconds, relative


@dataclass(frozen=True)
class Simulated:
    """What came of it; seconds."""

    wall: float
    preemptions: int
    lost_work: float  # computed twice
    ideal: float  # the wall time without preemptions


def simulate(cluster: Cluster, seed: int = 0) -> Simulated:
    """Scenes on workers that are preempted (a Poisson process each); a scene goes on from its last checkpoint.

    What was preempted waits until all others have begun, as `distributed.results.retry_items` has it.
    """
    rng = random.Random(seed)
    sizes = sorted(cluster.seconds * rng.uniform(1 - cluster.spread, 1 + cluster.spread) for _ in range(cluster.scenes))
    waiting, again = list(sizes), list[float]()
    free = [0.0] * cluster.workers
    heapq.heapify(free)
    wall = lost = 0.0
    preemptions = 0
    while waiting or again:
        if not waiting:
            waiting, again = sorted(again), []
        now, left = heapq.heappop(free), waiting.pop()
        until = rng.expovariate(1 / cluster.between_preemptions) if cluster.between_preemptions else float("inf")
        if until < left:
            preemptions += 1
            saved = until // cluster.checkpoint * cluster.checkpoint
            lost += until - saved
            again.append(left - saved)
            heapq.heappush(free, now + until + cluster.restart)
        else:
            wall = max(wall, now + left)
            heapq.heappush(free, now + left)
    quiet = cluster if not cluster.between_preemptions else Cluster(**{**asdict(cluster), "between_preemptions": 0.0})
    ideal = wall if not cluster.between_preemptions else simulate(quiet, seed).wall
    return Simulated(wall, preemptions, lost, ideal)


def measure_alone(work: TimedScene, scenes: list[Path]) -> float:
    """The median core-seconds of a scene in this process, on one thread, with the base loaded."""
    with warm_models():
        timed = [work(scene) for scene in scenes]
    return statistics.median(one.cpu_seconds for one in timed[1:])


def measure_engine(
    name: str, start: Callable[[], AbstractContextManager[Executor]], work: TimedScene, scenes: list[Path], few: int = 9
) -> EngineRow:
    """All scenes by one engine, and `few` of them alone before and after it."""
    before = measure_alone(replace(work, runs=work.runs.with_name(f"{name}-before")), scenes[:few])
    asked, clock, meter = time.time(), time.monotonic(), ProcessorMeter()
    with meter, start() as executor:
        results = list(executor.map(Task(work, warm_models), scenes))
    wall = time.monotonic() - clock
    after = measure_alone(replace(work, runs=work.runs.with_name(f"{name}-after")), scenes[:few])
    alone = (before + after) / 2
    firsts, later = _split_firsts(results)
    cpu, first = (statistics.median(times) if times else float("nan") for times in (later, firsts))
    begun = min((result.value.begun for result in results if result.value), default=asked)
    done = sum(result.ending == "done" for result in results)
    start_cpu = meter.until(begun)
    own = (meter.total - start_cpu - sum(firsts) - sum(later)) / len(scenes)
    spread = float("nan")
    if len(later) > 1:
        tenths = statistics.quantiles(later, n=10)
        spread = (tenths[-1] - tenths[0]) / 2 / cpu
    overhead = (cpu + own) / alone - 1
    return EngineRow(name, len(scenes), done, begun - asked, wall, alone, cpu, first, start_cpu, own, overhead, spread)


def measure_kills(work: TimedScene, scenes: list[Path], kills: int, workers: int = 2) -> KillRow:
    """SIGKILL for a working process again and again while the local engine does all scenes."""
    executor = Processes(local_places(workers), retries=kills)
    start = time.monotonic()
    with ProcessorMeter() as meter, _kill_workers(work.begun, kills) as killed:
        results = list(executor.map(Task(work, warm_models), scenes))
    lost = sum(result.ending != "done" for result in results)
    tries = sum(result.tries for result in results)
    wall = time.monotonic() - start
    recoveries = _recoveries(killed, read_begun(work.begun))
    recovery = statistics.median(recoveries) if recoveries else float("nan")
    cpu = meter.total / len(scenes)
    return KillRow(f"local ×{workers}", len(scenes), len(killed), lost, wall, tries, recovery, cpu)


def read_begun(path: Path) -> list[tuple[float, int]]:
    """When scenes were begun, and by which processes, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted((float(when), int(process)) for when, process in map(str.split, lines))


def _recoveries(killed: list[float], begun: list[tuple[float, int]]) -> list[float]:
    """Seconds from each kill until a process begins its first scene that had begun none before."""
    firsts: dict[int, float] = {}
    for when, process in begun:
        firsts.setdefault(process, when)
    later = (min((when for when in firsts.values() if when > kill), default=None) for kill in killed)
    return [when - kill for kill, when in zip(killed, later, strict=True) if when is not None]


def _split_firsts(results: list[ItemResult[Timed]]) -> tuple[list[float], list[float]]:
    """Core-seconds of the first scene of each place, and of all others."""
    seen: set[str] = set()
    firsts, later = list[float](), list[float]()
    for result in sorted((one for one in results if one.value), key=lambda one: one.value.begun if one.value else 0):
        assert result.value is not None
        (later if result.where in seen else firsts).append(result.value.cpu_seconds)
        seen.add(result.where)
    return firsts, later


class ProcessorMeter:
    """Core-seconds of this process and all that it started, while the block lasts; looked at twice a second.

    A process that is gone counts with what was seen of it last. What looking takes is taken off.
    """

    def __init__(self) -> None:
        self._seen: dict[psutil.Process, float] = {}  # told apart also where the clock is set right meanwhile
        self._history: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = self._looking = 0.0

    def __enter__(self) -> Self:
        self._look()
        self._before = sum(self._seen.values())
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def total(self) -> float:
        """All of the block."""
        return sum(self._seen.values()) - self._before - self._looking

    def until(self, moment: float) -> float:
        """Up to a moment, in seconds since 1970."""
        return next((total for when, total in reversed(self._history) if when <= moment), 0.0)

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self._look()
            self._looking = time.thread_time()
            self._history.append((time.time(), self.total))

    def _look(self) -> None:
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._seen[process] = times.user + times.system


@contextlib.contextmanager
def _kill_workers(begun: Path, count: int) -> Iterator[list[float]]:
    """Kills about half of the processes that begin a scene, in the middle of it, until so many were killed.

    Yields the moments, in seconds since 1970.
    """
    killed: list[float] = []
    ended = threading.Event()

    def kill() -> None:
        rng, seen = random.Random(0), 0
        while len(killed) < count and not ended.wait(0.05):
            lines = read_begun(begun)
            if len(lines) > seen:
                seen = len(lines)
                if rng.random() < 0.5 and not ended.wait(rng.uniform(0.0, 1.5)):
                    with contextlib.suppress(psutil.Error):
                        psutil.Process(lines[-1][1]).kill()
                        killed.append(time.time())

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _ray_cluster(nodes: int) -> Iterator[Executor]:
    from tests.distributed.ray_cluster import start_cluster

    with start_cluster(nodes):
        yield Ray()


def _engines(folder: Path) -> dict[str, Callable[[], AbstractContextManager[Executor]]]:
    jobs = Submitit(folder / "jobs", workers=2, parameters={"cluster": "local"})
    return {
        "local-1": lambda: contextlib.nullcontext(Processes(local_places(1))),
        "local-2": lambda: contextlib.nullcontext(Processes(local_places(2))),
        "submitit": lambda: contextlib.nullcontext(jobs),
        "ray-1": lambda: _ray_cluster(1),
        "ray-2": lambda: _ray_cluster(2),
    }


def main() -> None:
    """Measures what was asked for."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--alone", type=int, default=9, help="scenes alone before each engine, and after it")
    parser.add_argument("--engines", default="local-1,local-2,submitit,ray-1,ray-2")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from tests.tiny import make_base, make_scene

    out: Path = options.out
    path = out / "rows.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    places = [out / "scenes" / f"{number:03d}" for number in range(options.scenes)]
    scenes = [place if place.exists() else make_scene(place) for place in places]
    base = str(out / "base" if (out / "base").exists() else make_base(out / "base"))

    def keep(name: str, row: EngineRow | KillRow) -> None:
        rows[name] = asdict(row)
        files.write_json(path, rows)
        print(row, flush=True)

    engines = _engines(out)
    for name in filter(None, options.engines.split(",")):
        if name not in rows:
            work = TimedScene(out / f"{name}-{time.time_ns()}", base)
            keep(name, measure_engine(name, engines[name], work, scenes, options.alone))
    if options.kills and "kills" not in rows:
        keep("kills", measure_kills(TimedScene(out / f"kills-{time.time_ns()}", base), scenes, options.kills))
    spread = rows.get("local-1", {}).get("spread", Cluster.spread)
    simulated = simulate(Cluster(spread=spread))
    print(simulated)
    if options.json:
        print_json(rows=rows, simulated=asdict(simulated))


if __name__ == "__main__":
    # under the name that workers elsewhere import it by
    from benchmarks.reliability.scale import main as main_by_name

    main_by_name()
