"""What a run is doing, as seen from outside."""

import os
import threading
from pathlib import Path

import pytest

from realfill.errors import RunBusy
from realfill.events import Notice, StageDone
from realfill.locks import STALE
from realfill.runs.status import RunFolder


def _grow_old(place: RunFolder) -> None:
    os.utime(place.folder / "lock", (0, 0))


def test_a_new_place_is_not_started(tmp_path: Path) -> None:
    status = RunFolder(tmp_path).status()
    assert (status.state, status.sentence) == ("stopped", "Not started yet.")


def test_states_are_what_was_entered_last(tmp_path: Path) -> None:
    place = RunFolder(tmp_path)
    place.enter("queued", ticket=7, attempts=1)
    place.enter("failed", "The disk is full.")
    status = RunFolder(tmp_path).status()
    assert (status.state, status.sentence, status.ticket, status.attempts) == ("failed", "The disk is full.", 7, 1)


def test_interrupted_means_running_without_heart_or_lock(tmp_path: Path) -> None:
    place, outside = RunFolder(tmp_path), RunFolder(tmp_path)
    with place.lock():
        place.enter("running")
        assert outside.status().state == "running"
        _grow_old(place)  # as after a long sleep of the computer: the process is still there
        assert outside.status().state == "running"
    os.utime(place.folder / "lock")
    assert outside.status().state == "running"  # it may be starting anew this very moment
    _grow_old(place)
    assert outside.status().state == "interrupted"
    assert "goes on" in outside.status().sentence
    for state in ("done", "failed", "stopped"):
        place.enter(state)
        assert outside.status().state == state
    assert STALE == 15


def test_the_lock_nests_on_one_object_and_excludes_others(tmp_path: Path) -> None:
    place, other = RunFolder(tmp_path), RunFolder(tmp_path)
    with place.lock():
        with place.lock():
            pass
        inside = place.locked
        with pytest.raises(RunBusy, match="Another process"), other.lock():
            pass
    assert (inside, place.locked) == (True, False)
    with other.lock():
        assert other.locked


def test_events_come_back_in_order_and_piecewise(tmp_path: Path) -> None:
    place = RunFolder(tmp_path)
    assert place.events() == ([], 0)
    place.append(Notice("first"))
    first, offset = place.events()
    place.append(StageDone("train", 2.0))
    assert first == [Notice("first")]
    assert place.events(offset)[0] == [StageDone("train", 2.0)]
    assert place.events()[0] == [Notice("first"), StageDone("train", 2.0)]


@pytest.mark.parametrize("rubbish", [b'{"event": "Noti', b"\xff\xfe", b"null\n", b'{"event": "Later"}\n', b"[]\n7\n"])
def test_torn_and_foreign_lines_are_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    place = RunFolder(tmp_path)
    place.append(Notice("before"))
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(rubbish)
    place.append(Notice("after"))
    assert place.events()[0] == [Notice("before"), Notice("after")]


def test_events_of_several_writers_never_mix(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for index in range(50):
            RunFolder(tmp_path).append(Notice(f"{number}:{index} {'x' * 500}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(RunFolder(tmp_path).events()[0]) == 200


def test_a_stop_reaches_who_works_and_takes_who_waits(tmp_path: Path) -> None:
    place = RunFolder(tmp_path)
    with place.lock():
        place.enter("running")
        RunFolder(tmp_path).request_stop()
        assert place.stop_requested() and place.status().state == "running"
        place.forget("stop")
        assert not place.stop_requested()
    place.enter("queued")
    RunFolder(tmp_path).request_stop()
    assert place.status().state == "stopped"


def test_a_stop_settles_a_run_whose_process_died(tmp_path: Path) -> None:
    place = RunFolder(tmp_path)
    place.enter("running")
    place.request_stop()
    assert place.status().state == "stopped"


def test_a_stop_leaves_a_finished_run_alone(tmp_path: Path) -> None:
    place = RunFolder(tmp_path)
    place.enter("done")
    place.request_stop()
    assert place.status().state == "done"
