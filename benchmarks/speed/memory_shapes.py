"""The bytes that memory plans are made with, counted: `python -m benchmarks.speed.memory_shapes [BASE …] [--json]`.

Networks on torch's `meta` device have shapes and no values, so that every tensor which lives at once can be counted
without a device: what the backward pass keeps, and the peak. Workspaces of convolutions, gaps of the allocator and
CUDA itself are not in it, and attention counts as one fused operation. Takes a minute on a CPU.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.options import base_parser, print_json
from benchmarks.speed.architectures import ARCHITECTURES, WIDTHS, Shapes, empty
from realfill import config
from realfill.bases import BASES
from realfill.config import TrainConfig
from realfill.device.memory_plan import MemoryPlan, memory_needs
from realfill.models.lora import attach_adapters, detach_adapters, lora_layers

ADAPTERS: dict[str, TrainConfig] = {name: TrainConfig(layers=name) for name in ("attention", "all")}


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Counts the bytes of the tensors that were made inside and live at once; `known` were there before."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.now, self.peak = 0, 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation and counts what is new in its result."""
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and (storage := leaf.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._subtract, storage.nbytes())
        return result

    def _subtract(self, count: int) -> None:
        self.now -= count


class _Fused(torch.autograd.Function):
    """Attention as one operation that keeps its inputs and its result."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        result = torch.empty_like(parts[0])
        ctx.save_for_backward(*parts, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override, unused-ignore]
        return tuple(torch.empty_like(part) for part in ctx.saved_tensors[:3])


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    fused: Any = _Fused
    return torch.as_tensor(fused.apply(query, key, value))


@contextmanager
def _fuse_attention() -> Iterator[None]:
    """Attention as one operation; autocast, which does not know shapes without values, is off, as in training."""
    with (
        patch.object(F, "scaled_dot_product_attention", _attention),
        patch.object(torch, "is_autocast_enabled", lambda *_: False),
    ):
        yield


@dataclass(frozen=True)
class ShapeCounter:
    """A base without values."""

    shapes: Shapes

    @property
    def backbone(self) -> Any:
        """The base."""
        return self.shapes.backbone

    @property
    def parameters(self) -> dict[str, float]:
        """How many weights there are, by the names of `bases.MemoryFigures`."""
        counts = {
            name: float(sum(weight.numel() for weight in part.parameters()))
            for name, part in self.shapes.networks.items()
        }
        denoiser, *_ = counts
        others = sum(count for name, count in counts.items() if name != denoiser)
        return {"denoiser": counts[denoiser], "others": others, "autoencoder": counts["vae"]}

    def count_adapted(self) -> dict[str, float]:
        """Weights of the layers that have adapters, by `ADAPTERS`."""
        counts = {}
        for layers, training in ADAPTERS.items():
            attach_adapters(self.backbone, training, seed=0)
            adapted = (layer for part in self.backbone.trainable().values() for layer in lora_layers(part))
            counts[layers] = float(sum(layer.base_layer.weight.numel() for layer in adapted))
            detach_adapters(self.backbone)
        return counts

    def count_bytes(self, adapters: Iterable[str] = ADAPTERS) -> dict[str, float]:
        """Bytes by the names of `memory_plan.MemoryNeeds`; `_all`: with adapters on all layers."""
        side = self.backbone.spec.size
        counts = {
            "seed": self._peak(lambda: self._predict(1), grad=False),
            "encode": self._peak(lambda: self.backbone.encode(self._empty(1, 3, side, side)), grad=False),
            "decode": self._peak(lambda: self.backbone.decode(self._latents(1)), grad=False),
        }
        for layers in adapters:
            attach_adapters(self.backbone, ADAPTERS[layers], seed=0)
            for again in (False, True):
                self.backbone.use_plan(MemoryPlan(1, 1, 1, recompute=again))
                name = "item" + ("_again" if again else "") + ("_all" if layers == "all" else "")
                # The difference, since gradients and adapters cast once are there however many items there are.
                counts[name] = self._peak(lambda: self._train(2)) - self._peak(lambda: self._train(1))
            self.backbone.use_plan(None)
        detach_adapters(self.backbone)
        return counts

    def _peak(self, work: Callable[[], Any], *, grad: bool = True) -> float:
        denoiser, *_ = parts = list(self.shapes.networks.values())
        known = [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]
        with torch.set_grad_enabled(grad), _fuse_attention(), LiveBytes(known) as live:
            work()
        denoiser.zero_grad(set_to_none=True)
        return float(live.peak)

    def _train(self, count: int) -> None:
        loss: Any = self._predict(count).square().mean()
        loss.backward()

    def _predict(self, count: int) -> Tensor:
        prediction: Tensor = self.backbone.predict(
            self._latents(count), self._empty(count), self.shapes.condition(count)
        )
        return prediction

    def _latents(self, count: int) -> Tensor:
        spec = self.backbone.spec
        return self._empty(count, *spec.latent_shape(spec.size, spec.size))

    def _empty(self, *shape: int) -> Tensor:
        return empty(*shape, dtype=self.backbone.dtype)


def make_counter(base: str, dtype: torch.dtype | None = None) -> ShapeCounter:
    """A base's architecture, in the format that its estimates are stated for unless another is named."""
    return ShapeCounter(ARCHITECTURES[base](dtype or WIDTHS.get(base, torch.bfloat16)))


def main(arguments: list[str] | None = None) -> int:
    """Prints every count beside the estimate in `realfill.device.memory_plan`."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("bases", nargs="*", default=list(ARCHITECTURES), help=", ".join(ARCHITECTURES))
    args = parser.parse_args(arguments)
    rows = []
    for base in args.bases:
        dtype, counter = WIDTHS.get(base, torch.bfloat16), make_counter(base)
        known = BASES[base].memory
        planned_parameters = {name: getattr(known, name) for name in counter.parameters}
        adapted = {f"adapted_{layers}": count for layers, count in counter.count_adapted().items()}
        planned_parameters |= dict(zip(adapted, known.adapted, strict=True))
        for name, count in {**counter.parameters, **adapted}.items():
            rows.append({"base": base, "name": name, "parameters": count, "planned": planned_parameters[name]})
            if not args.json:
                print(f"{base:9} {name:17} {count / 1e6:9.1f} M counted  {rows[-1]['planned'] / 1e6:9.1f} M planned")
        for name, count in counter.count_bytes().items():
            layers = "all" if name.endswith("_all") else "attention"
            planned = memory_needs(config.make("paper", {"base": base, "train.layers": layers}), width=dtype.itemsize)
            rows.append(
                {"base": base, "name": name, "bytes": count, "planned": getattr(planned, name.removesuffix("_all"))}
            )
            if not args.json:
                print(f"{base:9} {name:17} {count / 1e6:9.1f} MB counted {rows[-1]['planned'] / 1e6:9.1f} MB planned")
    if args.json:
        print_json(rows=rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
