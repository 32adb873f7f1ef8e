"""Many small scenes by every engine: what a scene costs there, what kills cost, and what a thousand would take.

    python -m benchmarks.reliability.scale --scenes 64 --kills 30 -o /tmp/scale

Scenes and base are the tests' tiny ones: what is measured is the engine, not the model. A scene's core-seconds are
those of its process (`time.process_time`) and are held against the same scene alone on one thread in a process that is
warm; the engine's own start is the time until its first scene begins. The simulation takes measured or given seconds a
scene and draws the preemptions.
"""

import contextlib
import heapq
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.options import base_parser, print_json
from realfill import config as settings
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
        CompleteScene(self.runs, self.config, "cpu")(scene)
        return Timed(begun, time.monotonic() - start, time.process_time() - cpu)

    def config(self, folder: Path) -> Config:
        """Small settings: a few seconds a scene."""
        changes = {
            **{"base": self.base, "sample.seeds": "0-1", "sample.steps": 2, "select.matcher": "sift"},
            **{"train.steps": 20, "train.batch": 2, "train.rank": 2, "train.pool": 0, "train.checkpoint_every": 5},
            **{"guide.draft": False, "train.layers": "attention"},
        }
        return settings.make("mini", changes)


@dataclass(frozen=True)
class EngineRow:
    """What an engine took for all scenes; seconds."""

    engine: str
    scenes: int
    done: int
    start: float
    wall: float
    cpu_a_scene: float  # median, without each worker's first scene
    first_cpu: float  # of a worker's first scene: imports and loading the base
    overhead: float  # of the median against one alone


@dataclass(frozen=True)
class KillRow:
    """What kills cost."""

    engine: str
    scenes: int
    kills: int
    lost: int  # scenes that are not done in the end
    wall: float
    tries: int  # of all scenes together


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


def measure_engine(name: str, executor: Executor, work: TimedScene, scenes: list[Path], alone: float) -> EngineRow:
    """All scenes by one engine."""
    asked, start = time.time(), time.monotonic()
    results = list(executor.map(Task(work, warm_models), scenes))
    wall = time.monotonic() - start
    firsts, later = _split_firsts(results)
    cpu = statistics.median(later) if later else float("nan")
    begun = min((result.value.begun for result in results if result.value), default=asked)
    done = sum(result.ending == "done" for result in results)
    first = statistics.median(firsts) if firsts else float("nan")
    return EngineRow(name, len(scenes), done, begun - asked, wall, cpu, first, cpu / alone - 1)


def measure_kills(work: TimedScene, scenes: list[Path], kills: int, workers: int = 2) -> KillRow:
    """SIGKILL for a working process again and again while the local engine does all scenes."""
    executor = Processes(local_places(workers), retries=kills)
    start = time.monotonic()
    with _kill_children(kills) as killed:
        results = list(executor.map(Task(work, warm_models), scenes))
    lost = sum(result.ending != "done" for result in results)
    tries = sum(result.tries for result in results)
    return KillRow(f"local ×{workers}", len(scenes), len(killed), lost, time.monotonic() - start, tries)


def _split_firsts(results: list[ItemResult[Timed]]) -> tuple[list[float], list[float]]:
    """Core-seconds of the first scene of each place, and of all others."""
    seen: set[str] = set()
    firsts, later = list[float](), list[float]()
    for result in sorted((one for one in results if one.value), key=lambda one: one.value.begun if one.value else 0):
        assert result.value is not None
        (later if result.where in seen else firsts).append(result.value.cpu_seconds)
        seen.add(result.where)
    return firsts, later


@contextlib.contextmanager
def _kill_children(count: int) -> Iterator[list[int]]:
    """Kills working children of this process at random moments, until so many were killed or the block ends."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        rng = random.Random(0)
        while len(killed) < count and not ended.wait(rng.uniform(3.0, 15.0)):
            children = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            if children:
                victim = rng.choice(children)
                victim.kill()
                killed.append(victim.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _ray_cluster(nodes: int) -> Iterator[None]:
    import ray
    from ray.cluster_utils import Cluster as Nodes

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Nodes(initialize_head=True, head_node_args=head)
    for _ in range(nodes):
        cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def _engines(folder: Path) -> dict[str, Callable[[contextlib.ExitStack], Executor]]:
    def ray(nodes: int) -> Callable[[contextlib.ExitStack], Executor]:
        def start(stack: contextlib.ExitStack) -> Executor:
            stack.enter_context(_ray_cluster(nodes))
            return Ray()

        return start

    return {
        "local-1": lambda stack: Processes(local_places(1)),
        "local-2": lambda stack: Processes(local_places(2)),
        "submitit": lambda stack: Submitit(folder / "jobs", workers=2, parameters={"cluster": "local"}),
        "ray-1": ray(1),
        "ray-2": ray(2),
    }


def main() -> None:
    """Measures what was asked for."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--engines", default="local-1,local-2,submitit,ray-1,ray-2")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from tests.tiny import make_base, make_scene

    out: Path = options.out
    scenes = [make_scene(out / "scenes" / f"{number:03d}") for number in range(options.scenes)]
    base = str(make_base(out / "base"))
    rows: list[EngineRow | KillRow | Simulated] = []
    alone = measure_alone(TimedScene(out / "alone", base), scenes[: max(3, len(scenes) // 8)])
    print(f"alone, one thread, warm: {alone:.2f} core-seconds a scene")
    for name in filter(None, options.engines.split(",")):
        with contextlib.ExitStack() as stack:
            executor = _engines(out)[name](stack)
            rows.append(measure_engine(name, executor, TimedScene(out / name, base), scenes, alone))
        print(rows[-1], flush=True)
    if options.kills:
        rows.append(measure_kills(TimedScene(out / "killed", base), scenes, options.kills))
        print(rows[-1], flush=True)
    rows.append(simulate(Cluster()))
    print(rows[-1])
    if options.json:
        print_json(alone=alone, rows=[{"row": type(row).__name__, **asdict(row)} for row in rows])


if __name__ == "__main__":
    # under the name that workers elsewhere import it by
    from benchmarks.reliability.scale import main as main_by_name

    main_by_name()
