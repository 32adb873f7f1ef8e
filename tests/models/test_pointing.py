"""SAM 2.1's network, tiny and with random weights: what goes in and comes out, and what it keeps of a photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from realfill.errors import WeightsError
from realfill.models.pointing import Pointer

if TYPE_CHECKING:
    from transformers import Sam2Config


@pytest.fixture(scope="module")
def config() -> "Sam2Config":
    from transformers import Sam2Config

    backbone = {
        "model_type": "sam2_hiera_det_model", "image_size": [64, 64], "hidden_size": 8,
        "blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 1, 1], "window_size_per_stage": [4, 2, 2, 2],
        "global_attention_blocks": [], "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    return Sam2Config(
        vision_config={
            "model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"image_size": 64, "hidden_size": 32},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    )  # fmt: skip


@pytest.fixture(scope="module")
def weights(config: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a network for videos: with a memory, which a picture does not need."""
    from transformers import Sam2Model

    torch.manual_seed(3)
    state = {name: weight.contiguous() for name, weight in Sam2Model(config).state_dict().items()}
    path = tmp_path_factory.mktemp("sam") / "sam.safetensors"
    save_file({**state, "memory_encoder.weight": torch.zeros(3)}, path)
    return path


def test_a_point_and_a_box_give_a_hole_of_the_photos_size(config: Any, weights: Path) -> None:
    photo = np.random.default_rng(1).integers(0, 255, (90, 140, 3)).astype(np.uint8)
    one, other = Pointer(weights, config), Pointer(weights, config)
    for box in ((40, 30, 40, 30), (20, 10, 100, 80)):
        found = one.mark(photo, box, "a")
        assert found.shape == (90, 140) and found.dtype == np.bool_
        assert np.array_equal(found, other.mark(photo, box, "a"))


def test_a_photo_is_looked_at_once(config: Any, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = Pointer(weights, config)
    looks = []
    real = pointer._network.get_image_embeddings

    def look(pixels: torch.Tensor) -> list[torch.Tensor]:
        looks.append(pixels.shape)
        return list(real(pixels))

    monkeypatch.setattr(pointer._network, "get_image_embeddings", look)
    photo = np.zeros((64, 64, 3), np.uint8)
    for key in ("a", "a", "b", "a"):
        pointer.mark(photo, (10, 10, 10, 10), key)
    assert looks == 3 * [(1, 3, 64, 64)]


def test_other_weights_are_refused_in_a_sentence(config: Any, weights: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    first = next(name for name in state if name.startswith("mask_decoder"))
    for changed in ({**state, first: torch.zeros(1)}, {name: one for name, one in state.items() if name != first}):
        save_file(changed, tmp_path / "other.safetensors")
        with pytest.raises(WeightsError, match=r"other\.safetensors does not fit"):
            Pointer(tmp_path / "other.safetensors", config)
