"""A device is held by one run at a time, whichever of its names was given."""

import pytest

from realfill.errors import RunBusy
from realfill.jobs.device_lock import hold_device


def nothing() -> None:
    """No reason to give up waiting."""


@pytest.mark.parametrize(("held", "asked"), [("cuda", "cuda:0"), ("cuda:0", "cuda"), ("cpu", "cpu")])
def test_one_device_by_two_names_is_one_device(held: str, asked: str) -> None:
    with hold_device(held, check=nothing), pytest.raises(RunBusy), hold_device(asked, check=nothing):
        pass


def test_two_devices_are_two() -> None:
    with hold_device("cuda", check=nothing), hold_device("cuda:1", check=nothing), hold_device("cpu", check=nothing):
        pass
