"""Scenes and tiny networks for the benchmark's tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realfill.config import Config, make
from realfill.evaluation.dataset import Case, find_cases
from realfill.evaluation.plan import BenchmarkPlan, Scoring
from tests.tiny import make_scene


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two scenes with ground truth, 2 and 10, and one without, 1."""
    folder = tmp_path / "RealBench"
    for name in ("10", "2", "1"):
        make_scene(folder / name)
    (folder / "1" / "target" / "gt.png").unlink()
    return folder


@pytest.fixture
def case(root: Path) -> Case:
    return find_cases(root)[0][0]


@pytest.fixture
def quick(tiny_base: Path) -> Config:
    """Settings under which a scene takes a second or two."""
    changes = {
        "base": str(tiny_base),
        "train.steps": 2,
        "train.batch": 2,
        "train.rank": 2,
        "train.pool": 0,
        "train.layers": "attention",
        "sample.seeds": (0, 1, 2),
        "sample.steps": 2,
        "sample.batch": 1,
        "select.matcher": "sift",
        "guide.draft": False,
    }
    return make("mini", changes)


@pytest.fixture
def plan(tmp_path: Path, quick: Config) -> BenchmarkPlan:
    return BenchmarkPlan(tmp_path / "bench", ("telea",), quick, Scoring(matchers=("sift",)))


@pytest.fixture(scope="session")
def metric_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --weights folder with a tiny ViT and a tiny CLIP of random weights, laid out as on the hub."""
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPTextConfig,
        CLIPVisionConfig,
        ViTConfig,
        ViTImageProcessorPil,
        ViTModel,
    )

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(7)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vit = ViTModel(ViTConfig(**small, image_size=32, patch_size=8, initializer_range=0.5), add_pooling_layer=False)
    vit.save_pretrained(folder / "dino-vits16")
    ViTImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225], resample=3
    ).save_pretrained(folder / "dino-vits16")
    clip = CLIPModel(
        CLIPConfig(
            text_config=CLIPTextConfig(**small, vocab_size=20).to_dict(),
            vision_config=CLIPVisionConfig(**small, image_size=32, patch_size=8, initializer_range=0.5).to_dict(),
            projection_dim=12,
        )
    )
    clip.save_pretrained(folder / "clip-vit-base-patch32")
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder / "clip-vit-base-patch32"
    )
    return folder


def photo(seed: int, height: int = 40, width: int = 56) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A smooth random picture (height, width, 3)."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.uint8)
