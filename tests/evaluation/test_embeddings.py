"""DINO and CLIP on tiny random networks, against the same by hand; no embedding is computed twice."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPModel, ViTModel

from realfill.arrays import Photo
from realfill.errors import WeightsError
from realfill.evaluation.metrics import embeddings
from realfill.evaluation.metrics.base import EmbeddingCache, Picture
from realfill.evaluation.metrics.registry import load_metrics
from tests.evaluation.conftest import photo

HOLE = np.ones((40, 56), np.bool_)
TRUTH, OTHERS = Picture(photo(1), "truth"), [Picture(photo(2), "two"), Picture(photo(3), "three")]


def _pixels(one: Photo, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """The whole picture at 32 × 32, bicubic, normalised."""
    small = np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC), np.float32) / 255
    return torch.from_numpy((small - np.array(mean, np.float32)) / np.array(deviation, np.float32)).permute(2, 0, 1)[
        None
    ]


def _cosines(embed: list[Tensor]) -> list[float]:
    return [float(torch.nn.functional.cosine_similarity(embed[0], other)) for other in embed[1:]]


@torch.no_grad()
def test_dino_by_hand(metric_weights: Path) -> None:
    model = ViTModel.from_pretrained(metric_weights / "dino-vits16", add_pooling_layer=False).eval()
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    tokens = [model(_pixels(one.photo, mean, deviation)).last_hidden_state[:, 0] for one in (TRUTH, *OTHERS)]
    network = embeddings.dino(metric_weights / "dino-vits16", "cpu")
    found = embeddings.Embedding("dino", "id", network, EmbeddingCache()).measure(TRUTH, HOLE, OTHERS)
    assert found == pytest.approx(_cosines(tokens), abs=1e-4)
    assert abs(found[0] - found[1]) > 1e-3  # the network tells them apart


@torch.no_grad()
def test_clip_by_hand_sees_the_whole_picture(metric_weights: Path) -> None:
    model = CLIPModel.from_pretrained(metric_weights / "clip-vit-base-patch32").eval()
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    vectors = []
    for one in (TRUTH, *OTHERS):
        pooled = model.vision_model(pixel_values=_pixels(one.photo, mean, deviation)).pooler_output
        vectors.append(model.visual_projection(pooled))
    network = embeddings.clip(metric_weights / "clip-vit-base-patch32", "cpu")
    found = embeddings.Embedding("clip", "id", network, EmbeddingCache()).measure(TRUTH, HOLE, OTHERS)
    assert found == pytest.approx(_cosines(vectors), abs=1e-4)
    edge = TRUTH.photo.copy()
    edge[:, :6] ^= 255  # what the processor's own middle square leaves out
    assert (
        embeddings.Embedding("clip", "id", network, EmbeddingCache()).measure(TRUTH, HOLE, [Picture(edge, "e")])[0]
        < 0.9999
    )


class _Counting:
    """Embeds by the mean colour and counts how often."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, photos: Sequence[Photo]) -> Tensor:
        self.seen += len(photos)
        return torch.from_numpy(np.stack([one.reshape(-1, 3).mean(0) for one in photos]))


def test_no_picture_is_embedded_twice(tmp_path: Path) -> None:
    network, memory = _Counting(), EmbeddingCache()
    memory.open(tmp_path / "cache" / "scene.npz")
    metric = embeddings.Embedding("dino", "id", network, memory)
    first = metric.measure(TRUTH, HOLE, [*OTHERS, OTHERS[0], TRUTH])
    assert network.seen == 3 and first[0] == first[2] and first[3] == pytest.approx(1)
    memory.close()
    again = EmbeddingCache()
    again.open(tmp_path / "cache" / "scene.npz")
    assert embeddings.Embedding("dino", "id", network, again).measure(TRUTH, HOLE, OTHERS) == first[:2]
    assert network.seen == 3
    embeddings.Embedding("dino", "other weights", network, again).measure(TRUTH, HOLE, OTHERS)
    assert network.seen == 6


def test_a_damaged_cache_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "scene.npz").write_bytes(b"PK\x03\x04 no more")
    memory = EmbeddingCache()
    memory.open(tmp_path / "scene.npz")
    assert memory.get("id", TRUTH) is None


def test_distance_by_hand() -> None:
    a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    a[..., 0], b[..., 0], b[..., 1] = 10, 10, 10  # 45 degrees apart
    hole = np.ones((2, 2), np.bool_)
    pictures = Picture(a, "a"), Picture(b, "b")
    near = embeddings.Embedding("dino", "id", _Counting(), EmbeddingCache()).measure(pictures[0], hole, [pictures[1]])
    far = embeddings.Embedding("dreamsim", "id", _Counting(), EmbeddingCache(), distance=True)
    assert near == pytest.approx([2**-0.5])
    assert far.measure(pictures[0], hole, [pictures[1]]) == pytest.approx([1 - 2**-0.5])


def test_missing_weights_are_said_and_never_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loaded = load_metrics(tmp_path)
    assert {"dino", "clip", "lpips", "lpips_masked", "dreamsim"} <= loaded.missing.keys()
    assert not {metric.name for metric in loaded.metrics} & loaded.missing.keys()
    assert "hf download facebook/dino-vits16" in loaded.missing["dino"]


def test_weights_from_a_folder_with_their_hash(metric_weights: Path) -> None:
    loaded = load_metrics(metric_weights)
    by_name = {metric.name: metric for metric in loaded.metrics}
    assert {"dino", "clip"} <= by_name.keys()
    assert loaded.weights["dino"][:16] in by_name["dino"].identity
    assert loaded.weights["dino"] != loaded.weights["clip"]


def test_half_a_model_is_refused(metric_weights: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(metric_weights / "dino-vits16", tmp_path / "dino-vits16"))
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in tensors if name.endswith("weight")))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match="lacks"):
        embeddings.dino(folder, "cpu")
