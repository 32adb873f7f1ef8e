"""Ray on a machine that computes too much else: it gives its processes 30 s to come up."""

import signal

import pytest

from realfill.distributed.ray_executor import keep_sigterm, start_patiently
from realfill.errors import StageError

pytest.importorskip("ray", reason="ray is in requirements-dev.txt")


def test_a_machine_that_is_too_busy_is_given_time_and_told() -> None:
    tries = []

    def start() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Exception("The current node timed out during startup. This could happen because …")

    start_patiently(start)
    assert len(tries) == 3
    with pytest.raises(StageError, match="did not come up within 30 s, 3 times"):
        start_patiently(_time_out)
    with pytest.raises(ValueError, match="no such address"):
        start_patiently(_refuse)


def test_what_sigterm_does_is_not_taken_away() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keep_sigterm():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


def _time_out() -> None:
    raise Exception("The current node timed out during startup.")


def _refuse() -> None:
    raise ValueError("no such address")
