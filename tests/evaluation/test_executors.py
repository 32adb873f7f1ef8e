"""One process or several: the same results."""

from pathlib import Path

import pytest

from realfill.distributed.executors import Executor, Processes, Serial, choose_executor
from realfill.errors import StageError


def _double(path: Path) -> str:
    return f"{path.name}{path.name}"


def _fail(path: Path) -> str:
    raise StageError(f"{path} cannot go on.")


def test_the_same_results() -> None:
    items = [Path("a"), Path("b"), Path("c")]
    assert list(Serial().map(_double, items)) == ["aa", "bb", "cc"]
    assert sorted(Processes(2).map(_double, items)) == ["aa", "bb", "cc"]
    assert list(Processes(2).map(_double, [])) == []


@pytest.mark.parametrize("executor", [Serial(), Processes(1)])
def test_errors_come_through_as_they_are(executor: Executor) -> None:
    with pytest.raises(StageError, match="a cannot go on"):
        list(executor.map(_fail, [Path("a")]))


def test_one_worker_is_this_process() -> None:
    assert isinstance(choose_executor(1), Serial) and isinstance(choose_executor(2), Processes)
