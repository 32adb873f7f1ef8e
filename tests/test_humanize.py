"""Numbers as people say them."""

import pytest

from realfill import humanize


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (75, "1 min 15 s"),
        (601, "10 min"),
        (3600, "1 h 00 min"),
        (-2, "0 s"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert humanize.duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 bytes"), (2e6, "2 MB"), (8.54e9, "8.5 GB"), (5e15, "5000.0 TB")])
def test_size(count: float, said: str) -> None:
    assert humanize.size(count) == said


def test_a_transfer_says_how_far_how_fast_and_how_long() -> None:
    assert humanize.transfer(3.1e9, 16e9, 25e6) == "3.1 GB of 16.0 GB · 25 MB/s · 8 min 36 s left"
    assert humanize.transfer(0, 16e9, 0) == "0 bytes of 16.0 GB · 0 bytes/s"
