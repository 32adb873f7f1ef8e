"""What a process keeps loaded from one run to the next: the base, and the adapter that is on it.

Nothing is kept unless the process says so (`with keep_models():`), which the worker's process does; a command
typed by a person ends after one run.
"""

import contextlib
import gc
from collections.abc import Hashable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from realfill.config import TrainConfig
from realfill.models import lora
from realfill.models.backbone import Backbone
from realfill.models.fast.compiled import compile_blocks
from realfill.models.fast.switch import tries
from realfill.models.lora import adapter_parameters
from realfill.models.registry import file_state, load_backbone


class ModelCache:
    """At most one base, and which run's adapter it carries."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._base: Backbone | None = None
        self._adapter: tuple[Hashable, Any] = (None, None)  # whose, and one of its tensors as the proof

    def base(self, name: str, device: str) -> Backbone:
        """The base, loaded only where another one is here, or its files have changed since."""
        key = (name, device, file_state(name))
        if self._base is None or key != self._key:
            self._base, self._adapter = None, (None, None)  # two at once may not fit
            release_unused_memory()
            self._base, self._key = load_backbone(name, device=device), key
            if tries("compile"):
                compile_blocks(self._base)
        return self._base

    def carries(self, backbone: Backbone, adapter: Hashable) -> bool:
        """Whether `backbone` carries just this adapter: the one noted, and not replaced since."""
        name, proof = self._adapter
        return backbone is self._base and name == adapter and proof is not None and proof is _first_tensor(backbone)

    def note(self, backbone: Backbone, adapter: Hashable) -> None:
        """Remembers whose adapter is on the base."""
        self._adapter = (adapter, _first_tensor(backbone))

    def forget_adapter(self) -> None:
        """No run's adapter is taken for granted any more."""
        self._adapter = (None, None)


_CACHE: ContextVar[ModelCache | None] = ContextVar("models", default=None)


@contextlib.contextmanager
def keep_models(models: ModelCache | None = None) -> Iterator[None]:
    """Inside the block, bases and adapters stay loaded from one run to the next, in `models` where they are given."""
    token = _CACHE.set(models or ModelCache())
    try:
        yield
    finally:
        _CACHE.reset(token)


def load_base(name: str, device: str) -> Backbone:
    """A base on a device.

    Raises:
        OptionError, WeightsError: as `models.registry.load_backbone`.
    """
    cache = _CACHE.get()
    return load_backbone(name, device=device) if cache is None else cache.base(name, device)


def load_adapter(backbone: Backbone, folder: Path, config: TrainConfig) -> None:
    """Puts the adapter in `folder` on the backbone, unless it is there already.

    Raises:
        WeightsError: as `models.lora.load_lora`.
    """
    cache = _CACHE.get()
    if cache is None or not cache.carries(backbone, _adapter_key(folder, config)):
        lora.load_lora(backbone, folder, config)
        note_adapter(backbone, folder, config)


def note_adapter(backbone: Backbone, folder: Path, config: TrainConfig) -> None:
    """Notes that the backbone carries the adapter in `folder`, having just been trained."""
    if (cache := _CACHE.get()) is not None:
        cache.note(backbone, _adapter_key(folder, config))


def forget_adapter() -> None:
    """Says that the adapter's values are about to be changed: the next run loads its own."""
    if (cache := _CACHE.get()) is not None:
        cache.forget_adapter()


def release_unused_memory() -> None:
    """Gives memory that nothing uses back to the device, for other processes."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call, unused-ignore]
        torch.cuda.empty_cache()


def _adapter_key(folder: Path, config: TrainConfig) -> Hashable:
    """An adapter's identity: where it lies, the state of its files and the settings that shape it."""
    files = sorted((item.name, item.stat().st_mtime_ns, item.stat().st_size) for item in folder.iterdir())
    return str(folder.resolve()), tuple(files), config.model_dump_json()


def _first_tensor(backbone: Backbone) -> Any:
    """Attaching anew makes new tensors: the same one means the same adapter."""
    return next(iter(adapter_parameters(backbone).values()), None)
