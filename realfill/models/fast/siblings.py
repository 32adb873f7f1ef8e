"""Adapted layers that read one input, computed as one: queries, keys and values of an attention.

Starting a kernel takes as long as most of them compute (docs/performance.md). So the frozen weights of such layers lie
one behind another in memory, where one product reads all of them, and so do their factors A; what B adds goes into the
result by one batched product. The numbers are `lora_product`'s, up to the order of sums.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realfill.models.fast.lora import call_rounded

# Names of layers that read one input, by what an attention is told: `to_q` of a cross-attention reads another.
_SELF = (("to_q", "to_k", "to_v"), ("add_q_proj", "add_k_proj", "add_v_proj"), ("q_proj", "k_proj", "v_proj"))
_CROSS = (("to_k", "to_v"),)


def find_siblings(network: nn.Module, adapted: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The adapted layers of a network in groups that read one input; what has no siblings is a group of its own."""
    alone = {id(layer): layer for layer in adapted}
    for module in network.modules():
        for names in _CROSS if getattr(module, "is_cross_attention", False) else _SELF:
            group = tuple(getattr(module, name, None) for name in names)
            if all(id(layer) in alone for layer in group) and _are_alike(group):
                for layer in group:
                    del alone[id(layer)]
                yield group
    yield from ((layer,) for layer in alone.values())


def _are_alike(group: Sequence[Any]) -> bool:
    """Whether the layers are linear and of one shape and rank, so that they can be stacked."""
    bases = [layer.base_layer for layer in group]
    shapes = {(base.weight.shape, base.bias is None) for base in bases}
    ranks = {tuple(layer.r.values()) for layer in group}
    return all(isinstance(base, nn.Linear) for base in bases) and len(shapes) == len(ranks) == 1


class SiblingProduct:
    """What a group of siblings makes of one input: computed when the first of them is called, kept for the others."""

    def __init__(self, bases: Sequence[nn.Linear], down: Tensor, up: Tensor) -> None:
        """Takes the factors of n layers, each stack of them one below another.

        Args:
            bases: the frozen layers (out, in), whose weights are moved to lie one behind another.
            down: A, (n · rank, in), in the precision of the bases.
            up: B with all that the product is multiplied by, (n · out, rank).
        """
        self._weight = lay_together([base.weight for base in bases])
        biases: list[Any] = [base.bias for base in bases]
        self._bias = None if biases[0] is None else lay_together(biases)
        self._down, self._up = down, up.view(len(bases), -1, up.shape[-1])
        self._input: Tensor | None = None
        self._outputs: list[Tensor | None] = []

    def output(self, index: int, x: Tensor) -> Tensor:
        """(..., out) of the layer `index` for an input (..., in)."""
        found = self._outputs[index] if x is self._input else None
        if found is None:
            y = call_rounded(_SiblingProducts, x, self._weight, self._bias, self._down, self._up)
            self._input, self._outputs = x, list(y.chunk(len(self._up), -1))
            found = torch.as_tensor(self._outputs[index])
        self._outputs[index] = None
        if not any(output is not None for output in self._outputs):
            self._input = None
        return found


def lay_together(tensors: Sequence[Tensor]) -> Tensor:
    """Equally shaped tensors as one, one below another; each becomes a part of it, unless they are so already."""
    first, *_ = values = [tensor.detach() for tensor in tensors]
    step = first.numel()
    start, storage = first.storage_offset(), first.untyped_storage().data_ptr()
    shape = (len(values) * len(first), *first.shape[1:])
    if all(
        value.untyped_storage().data_ptr() == storage
        and value.storage_offset() == start + step * index
        and value.is_contiguous()
        for index, value in enumerate(values)
    ):
        return first.as_strided(shape, first.stride(), start)
    whole = torch.cat(values)
    for tensor, part in zip(tensors, whole.chunk(len(values)), strict=True):
        tensor.data = part
    return whole


class _SiblingProducts(torch.autograd.Function):
    """`fast.lora._AddProducts` of n linear layers, their results side by side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor) -> Tensor:
        count = len(up)
        y, inner = F.linear(x, weight, bias), F.linear(x, down)
        _by_layer(y, count).baddbmm_(_by_layer(inner, count), up.mT)
        ctx.save_for_backward(x, weight, down, up, inner)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, down, up, inner = ctx.saved_tensors
        count, dx = len(up), None
        narrow = torch.empty_like(inner)
        torch.bmm(_by_layer(dy, count), up, out=_by_layer(narrow, count))
        if ctx.needs_input_grad[0]:
            dx = dy @ weight
            dx.flatten(0, -2).addmm_(narrow.flatten(0, -2), down)
        down_gradient = narrow.flatten(0, -2).t() @ x.flatten(0, -2)
        up_gradient = _by_layer(dy, count).mT @ _by_layer(inner, count)
        return dx, None, None, down_gradient, up_gradient


def _by_layer(x: Tensor, count: int) -> Tensor:
    """(..., n · c) as (n, cells, c), a view."""
    flat = x.flatten(0, -2)
    return flat.view(len(flat), count, -1).transpose(0, 1)
