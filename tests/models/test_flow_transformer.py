"""What transformers of rectified flow share: text encoders that rest, and patches of latents."""

from pathlib import Path
from typing import Any

import pytest
import torch

from realfill.config import TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models.flow_transformer import as_latents, as_tokens
from realfill.models.lora import adapter_parameters, detach_adapters
from realfill.models.registry import load_backbone
from realfill.scene.scene import Scene
from realfill.training import train


@pytest.mark.parametrize("family", ["klein", "flux-fill"])
def test_a_training_encodes_each_of_its_two_prompts_once_and_trains_the_transformer_alone(
    family: str, tiny_bases: dict[str, Path], toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone(str(tiny_bases[family]), device="cpu", dtype=torch.float32)
    network: Any = backbone
    asked, embed = [], network._embed

    def counted(pipeline: Any, prompt: str) -> object:
        asked.append(prompt)
        return embed(pipeline, prompt)

    monkeypatch.setattr(backbone, "_embed", counted)
    monkeypatch.setattr("realfill.models.text_encoders._KNOWN", {})
    config = TrainConfig(steps=5, batch=4, rank=2, prompt_dropout=0.5)
    crop = crop_around(toy.hole, size=32, multiple=8, context=0.5)
    steps = list(train.train(backbone, toy, crop, config, seed=3, folder=tmp_path))
    assert sorted(asked) == ["", config.prompt]
    assert {step.learning_rate_text for step in steps} == {0.0}
    assert {name.partition(".")[0] for name in adapter_parameters(backbone)} == {"transformer"}
    detach_adapters(backbone)


def test_tokens_are_the_cells_row_by_row() -> None:
    latents = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    tokens = as_tokens(latents)
    assert torch.equal(tokens[1, 7], latents[1, :, 1, 2])
    assert torch.equal(as_latents(tokens, 4, 5), latents)
