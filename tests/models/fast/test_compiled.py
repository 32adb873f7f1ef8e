"""Compiled blocks: in a process that keeps its base and asks for it, for filling alone, with the same numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from realfill.config import TrainConfig
from realfill.models import cache
from realfill.models.fast import compiled, switch
from realfill.models.lora import adapter_parameters, attach_adapters, merge_adapters


def compiled_blocks(backbone: Any) -> int:
    return sum(module._compiled_call_impl is not None for module in backbone.unet.modules())


def load(base: Path) -> Any:
    return cache.load_base(str(base), "cpu")


def predict(backbone: Any, *, seed: int) -> Tensor:
    """A prediction with an adapter that says something."""
    attach_adapters(backbone, TrainConfig(), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for value in adapter_parameters(backbone).values():
        value.data = torch.randn(value.shape, generator=generator) * 0.05
    noisy, prompt = torch.ones(2, 9, 16, 16), torch.ones(2, 77, 16)
    with torch.no_grad(), merge_adapters(backbone):
        return torch.as_tensor(backbone.unet(noisy, torch.tensor([5, 500]), prompt).sample)


def test_only_who_keeps_a_base_and_asks_compiles(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(switch.TRY, "compile")
    assert compiled_blocks(load(tiny_base)) == 0
    with cache.keep_models():
        assert compiled_blocks(load(tiny_base)) > 0
    monkeypatch.delenv(switch.TRY)
    with cache.keep_models():
        assert compiled_blocks(load(tiny_base)) == 0


def test_training_compiles_nothing(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.utils import counters

    monkeypatch.setenv(switch.TRY, "compile")
    with cache.keep_models():
        backbone = load(tiny_base)
    counters.clear()
    with compiled.run_eagerly():
        predict(backbone, seed=0)
    assert not counters["frames"]


@pytest.mark.long
def test_compiled_blocks_compute_the_same_and_stay_for_the_next_adapter(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    plain = [predict(load(tiny_base), seed=seed) for seed in (0, 1)]
    monkeypatch.setenv(switch.TRY, "compile")
    with cache.keep_models():
        backbone = load(tiny_base)
        for seed, wanted in enumerate(plain):
            counters.clear()
            torch.testing.assert_close(predict(backbone, seed=seed), wanted, atol=1e-4, rtol=1e-4)
            assert bool(counters["frames"]) == (seed == 0)
