"""Text encoders that are loaded for a run's two fixed prompts and dropped again.

Those of transformers are as large as the transformer itself. What they say of a prompt stays in the computer's memory,
for every base of this process that has the same ones: a distilled model mostly has those of its base.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from realfill.models.base_folder import hash_parts
from realfill.models.pipelines import load_pipeline
from realfill.models.room import make_room, move

Embeddings = tuple[Tensor, ...]
_KEPT = 16  # prompts whose embeddings stay, some megabytes each


@dataclass(frozen=True)
class TextEncoders:
    """The text encoders and tokenizers of a base."""

    load: Callable[[], Any]  # the stock pipeline with these parts alone, in the computer's memory
    identity: Callable[[], str]  # equal for equal files

    def embed(
        self,
        prompts: Sequence[str],
        compute: Callable[[Any, str], Embeddings],
        *,
        device: torch.device,
        denoiser: nn.Module,
    ) -> Mapping[str, Embeddings]:
        """Embeddings of prompts on a device; nothing is loaded where all of them are known.

        Args:
            compute: embeds a prompt by the loaded pipeline, whose text encoders are on the device.
            denoiser: gives its room on the device up meanwhile, where there is none for both.
        """
        identity = self.identity()
        keys = {prompt: (identity, device.type, prompt) for prompt in prompts}
        with _LOCK:
            if missing := [prompt for prompt in prompts if keys[prompt] not in _KNOWN]:
                pipeline = self.load()
                with torch.no_grad(), _put_on_device(pipeline, device, denoiser):
                    for prompt in missing:
                        _KNOWN[keys[prompt]] = tuple(part.cpu() for part in compute(pipeline, prompt))
            found = {prompt: tuple(part.to(device) for part in _KNOWN[keys[prompt]]) for prompt in prompts}
            for old in list(_KNOWN)[:-_KEPT]:
                del _KNOWN[old]
        return found


_LOCK = threading.Lock()
_KNOWN: dict[tuple[str, str, str], Embeddings] = {}


def text_encoders_in(
    folder: Path, pipeline_class: Any, parts: Sequence[str], *, name: str, device: str, dtype: torch.dtype
) -> TextEncoders:
    """Those in a stock diffusers folder; `parts`: text encoders and tokenizers by the names of its folders."""

    def load() -> Any:
        return load_pipeline(
            pipeline_class,
            folder,
            name=name,
            device=device,
            dtype=dtype,
            resting=parts,
            transformer=None,
            vae=None,
        )

    return TextEncoders(load, lambda: f"{hash_parts(folder, parts)} in {dtype}")


@contextlib.contextmanager
def _put_on_device(pipeline: Any, device: torch.device, denoiser: nn.Module) -> Iterator[None]:
    """The text encoders on the device, in the denoiser's place where there is no room for both."""
    if device.type == "cpu":
        yield
        return
    encoders = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    with make_room(device, encoders, [denoiser]):
        try:
            move(encoders, device, device)
            yield
        finally:
            move(encoders, "cpu", device)
