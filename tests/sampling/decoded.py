"""What a backbone decodes while it samples, before it is rounded to eight bits."""

import contextlib
from collections.abc import Iterator

import pytest
from torch import Tensor

from realfill.models.backbone import Backbone


@contextlib.contextmanager
def decoded_pixels(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """A list that fills with decoded pixels (B, 3, H, W), a batch at a time."""
    decoded: list[Tensor] = []
    decode = backbone.decode

    def listening(latents: Tensor) -> Tensor:
        decoded.append(decode(latents))
        return decoded[-1]

    with monkeypatch.context() as patch:
        patch.setattr(backbone, "decode", listening)
        yield decoded
