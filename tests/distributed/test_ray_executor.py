"""Workers as actors: one cluster of two nodes on this machine, of which one is killed."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realfill.distributed.ray_executor import Ray, check_ray
from realfill.distributed.worker_process import Task
from realfill.errors import OptionError, StageError
from tests.distributed.ray_cluster import start_cluster
from tests.distributed.work import count_lines, work
from tests.waiting import wait_until

ray: Any = pytest.importorskip("ray", reason="ray is in requirements-dev.txt")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with start_cluster(2) as started:
        yield started


def _items(folder: Path, *names: str) -> list[Path]:
    return [folder / f"{name}.scene" for name in names]


def test_a_result_for_each_on_two_nodes_of_which_one_dies(cluster: Any, tmp_path: Path) -> None:
    """SIGKILL for a node in the middle of an item: the other node does that item, and all of the others."""
    items = _items(tmp_path, "saves", "bad", "dies", *(f"a{number}" for number in range(6)))
    found, killed = {}, ""
    with contextlib.closing(Ray(retries=1).map(Task(_work_once_saved), items)) as results:
        for result in results:
            found[result.item.stem] = result
            if len(found) == 3:
                wait_until((tmp_path / "saves.begun").exists, "the long item has begun", 400.0)
                killed = _kill_node_of(cluster, tmp_path / "saves.tries")
    assert {name: result.ending for name, result in found.items()} == {
        **{f"a{number}": "done" for number in range(6)},
        "saves": "done",
        "dies": "done",
        "bad": "bad",
    }
    assert found["saves"].tries == 2 and found["dies"].tries == 2
    assert all(count_lines(item) == 1 for item in items[3:])
    assert killed and not any(killed[:8] in result.where for result in (found["saves"], found["dies"]))


def test_a_node_that_cannot_work_is_told(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realfill.distributed.ray_executor.RayWorker", _BrokenWorker)
    with pytest.raises(StageError, match="No module named"):
        list(Ray(workers=1).map(Task(work), _items(tmp_path, "a")))


def test_without_ray_or_a_cluster_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"pip install realfill-studio\[ray\]"):
        check_ray()


class _BrokenWorker:
    def __init__(self, task: object) -> None:
        raise ImportError("No module named 'realfill'")

    def start(self) -> None: ...


def _work_once_saved(item: Path) -> str:
    """As `work`; what was saved before is done."""
    return f"{item.stem} resumed" if item.with_suffix(".begun").exists() else work(item)


def _kill_node_of(cluster: Any, tries: Path) -> str:
    """Kills the raylet under which the process runs that wrote its id there, and returns the node's id.

    Ray ends that node's workers then.
    """
    import psutil

    pid = int(tries.read_text().split()[0])
    actor = psutil.Process(pid).parent()
    assert actor is not None
    parents = {process.pid for process in actor.parents()}
    for node in cluster.worker_nodes:
        raylets = {process.process.pid for process in node.all_processes.get("raylet", [])}
        if raylets & parents:
            for raylet in raylets:
                psutil.Process(raylet).kill()
            return str(node.node_id)
    raise AssertionError("the worker runs under no node")
