"""DINO and CLIP: the cosine between embeddings of whole pictures, by transformers (§4.2)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from realfill.arrays import Hole, Photo
from realfill.errors import WeightsError
from realfill.evaluation.metrics import weights
from realfill.evaluation.metrics.base import EmbeddingCache, LoadedMetrics, MetricSources, Picture, Vector

BATCH = 16  # pictures in one pass of a network

Network = Callable[[Sequence[Photo]], Tensor]  # B photos → embeddings (B, D)


class Embedding:
    """The cosine between the embeddings of a picture and of the truth; `distance`: one minus it."""

    def __init__(
        self, name: str, identity: str, network: Network, cache: EmbeddingCache, *, distance: bool = False
    ) -> None:
        self.name, self.identity = name, identity
        self._network, self._cache, self._distance = network, cache, distance

    def measure(self, truth: Picture, hole: Hole, pictures: Sequence[Picture]) -> list[float]:
        """See `Metric.measure`; the hole plays no part."""
        target, *vectors = self._vectors([truth, *pictures])
        cosines = [float(np.dot(target, one) / (np.linalg.norm(target) * np.linalg.norm(one))) for one in vectors]
        return [1 - cosine for cosine in cosines] if self._distance else cosines

    def _vectors(self, pictures: Sequence[Picture]) -> list[Vector]:
        missing = {one.digest: one for one in pictures if self._cache.get(self.identity, one) is None}
        waiting = list(missing.values())
        for start in range(0, len(waiting), BATCH):
            group = waiting[start : start + BATCH]
            with torch.no_grad():
                vectors = self._network([one.photo for one in group]).float().cpu().numpy()
            for one, vector in zip(group, vectors, strict=True):
                self._cache.put(self.identity, one, np.asarray(vector, np.float32))
        known = [self._cache.get(self.identity, one) for one in pictures]
        return [vector for vector in known if vector is not None]


def dino(folder: Path, device: str) -> Network:
    """The class token of a ViT in a transformers folder (facebook/dino-vits16), over the whole picture.

    Raises:
        WeightsError: the folder holds no such model.
    """
    from transformers import ViTImageProcessorPil, ViTModel

    model = _load(ViTModel, folder, device, add_pooling_layer=False)
    side = int(model.config.image_size)
    process = _processor(ViTImageProcessorPil, folder, size={"height": side, "width": side})

    def embed(photos: Sequence[Photo]) -> Tensor:
        pixels = process(images=list(photos), return_tensors="pt")["pixel_values"].to(device)
        tokens: Tensor = model(pixel_values=pixels).last_hidden_state
        return tokens[:, 0]

    return embed


def clip(folder: Path, device: str) -> Network:
    """The image embedding of a CLIP model in a transformers folder (openai/clip-vit-base-patch32).

    The processor would cut the middle square out; here the whole picture is brought to that square.

    Raises:
        WeightsError: the folder holds no such model.
    """
    from transformers import CLIPImageProcessorPil, CLIPModel

    model = _load(CLIPModel, folder, device)
    side = int(model.config.vision_config.image_size)
    process = _processor(CLIPImageProcessorPil, folder, size={"height": side, "width": side}, do_center_crop=False)

    def embed(photos: Sequence[Photo]) -> Tensor:
        pixels = process(images=list(photos), return_tensors="pt")["pixel_values"].to(device)
        embeddings: Tensor = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        return embeddings

    return embed


def _load(kind: Any, folder: Path, device: str, **options: Any) -> Any:
    try:
        model, loading = kind.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{folder} could not be loaded ({_first_line(error)}); fetch it again.") from error
    lacking = [name for name in loading["missing_keys"] if not name.endswith("position_ids")]
    lacking += [str(name) for name, *_ in loading["mismatched_keys"]]
    if lacking:  # transformers would go on with random values
        raise WeightsError(f"{folder} lacks {lacking[0]} or has it in another shape; fetch it again.")
    return model.eval().requires_grad_(False).to(device)


def _processor(kind: Any, folder: Path, **options: Any) -> Any:
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{folder} has no preprocessor_config.json that can be read ({_first_line(error)}); fetch it again."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__


def load_dino(sources: MetricSources) -> LoadedMetrics:
    """DINO of the published ViT-S/16.

    Raises:
        WeightsError: its weights are not on this machine.
    """
    return _load_embedding("dino", weights.DINO, dino, sources)


def load_clip(sources: MetricSources) -> LoadedMetrics:
    """CLIP of the published ViT-B/32.

    Raises:
        WeightsError: its weights are not on this machine.
    """
    return _load_embedding("clip", weights.CLIP, clip, sources)


def _load_embedding(
    name: str, source: str, make: Callable[[Path, str], Network], sources: MetricSources
) -> LoadedMetrics:
    folder = weights.find_on_hub(source, sources.weights, fetch=sources.fetch)
    sha256 = weights.sha256(folder)
    network = make(folder, sources.device)
    return LoadedMetrics([Embedding(name, f"{source} {sha256[:16]}", network, sources.cache)], sha256)
