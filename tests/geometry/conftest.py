"""What the tests of whole drafts share."""

from collections.abc import Iterator

import pytest

from realfill.geometry import confidence


@pytest.fixture(scope="module")
def scoring_size() -> Iterator[None]:
    """A third of the frame's side, where photos are scored at a quarter, and not nearly all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confidence, "SIDE", 128)
        yield
