"""A frozen layer with a low-rank update: (W + s·B A) x, its gradients in A, B and x, and nothing else.

PEFT computes W x and s·B (A x) one after the other, each over the whole activation, and autograd then goes back
through every one of those products. Here a layer is one operation: the big product runs once forward and once backward
with the sum of both weights, and only products of `rank` channels are added to it. The numbers are PEFT's, up to the
order of sums.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvolutionGeometry(NamedTuple):
    """How a convolution moves over its input."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


def lora_product(x: Tensor, base: nn.Module, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """base(x) + scale · B(A x), with gradients for x, A and B; `base` gets none.

    Args:
        x: (..., in) for an `nn.Linear`, (B, in, H, W) for an `nn.Conv2d` without groups, padded with zeros.
        down: A, (rank, in) or (rank, in, kh, kw), in the base's precision or a wider one. Its gradient is a tensor of
            zeros where `scale` is 0, never None.
        up: B, (out, rank) or (out, rank, 1, 1).
    """
    # The sum of weights in half precision would swallow an update smaller than half a step of the weight it is added
    # to, and early updates are; there the two products stay apart. Under autocast weights are in float32 and so is
    # their sum. It is rounded for the product as autocast rounds every weight: since weights lie anywhere between two
    # steps, an update smaller than a step moves some of them by a whole one, and is right in the mean only.
    function: Any = _SumWeights if base.weight.dtype in (torch.float32, torch.float64) else _AddProducts
    return call_rounded(function, x, base.weight, base.bias, down, up, scale, convolution_geometry(base))


def call_rounded(function: Any, x: Tensor, *rest: Any) -> Tensor:
    """Applies an autograd function to an activation in the precision that autocast asks for, with autocast off."""
    kind = x.device.type
    if not torch.is_autocast_enabled(kind):
        return torch.as_tensor(function.apply(x, *rest))
    with torch.autocast(kind, enabled=False):
        return torch.as_tensor(function.apply(x.to(torch.get_autocast_dtype(kind)), *rest))


def sum_weights(base: nn.Module, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """W + scale · B A in W's own precision and layout; added up in float32 at least."""
    weight: Any = base.weight
    wide = torch.promote_types(weight.dtype, torch.float32)
    return _add_update(weight.detach().to(wide), down.detach().to(wide), up.detach().to(wide), scale).to(weight.dtype)


def convolution_geometry(base: nn.Module) -> ConvolutionGeometry | None:
    """None for a linear layer."""
    if isinstance(base, nn.Conv2d) and not isinstance(base.padding, str):
        return ConvolutionGeometry(base.stride, base.padding, base.dilation)
    return None


class _SumWeights(torch.autograd.Function):
    """The sum of both weights, formed anew by every call: small beside the product that it is for."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
        geometry: ConvolutionGeometry | None,
    ) -> Tensor:
        if scale:
            weight = _add_update(weight, down.to(weight.dtype), up.to(weight.dtype), scale)
        weight = weight.to(x.dtype)
        ctx.save_for_backward(x, weight, down, up)
        ctx.scale, ctx.geometry = scale, geometry
        return _layer_product(x, weight, None if bias is None else bias.to(x.dtype), geometry)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, down, up = ctx.saved_tensors
        scale, geometry = ctx.scale, ctx.geometry
        dy = _match_layout(dy, x)
        dx = _input_gradient(dy, x, weight, geometry) if ctx.needs_input_grad[0] else None
        if not scale:
            return dx, None, None, torch.zeros_like(down), torch.zeros_like(up), None, None
        a, b = down.to(x.dtype), up.to(x.dtype) * scale
        down_gradient = _weight_gradient(_reduce(dy, b), x, a, geometry)
        up_gradient = _sum_outer_products(dy, _layer_product(x, a, None, geometry)) * scale
        return dx, None, None, down_gradient.to(down.dtype), up_gradient.view(up.shape).to(up.dtype), None, None


class _AddProducts(torch.autograd.Function):
    """Both products in the base's half precision; A, B and their gradients come and go in their own precision.

    Kernels count here, since starting one takes as long as most of them compute: whatever is rounded or scaled is so
    once and kept for the backward pass, and what is added to a large product is added by the product itself.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
        geometry: ConvolutionGeometry | None,
    ) -> Tensor:
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        y = _layer_product(x, weight, bias, geometry)
        ctx.scale, ctx.geometry, ctx.factors = scale, geometry, (down, up)
        if not scale:
            ctx.save_for_backward(x, weight)
            return y
        a, b = down.to(x.dtype), _scaled(up, scale).to(x.dtype)
        inner = _layer_product(x, a, None, geometry)
        ctx.save_for_backward(x, weight, a, b, inner)
        if geometry is not None:
            return y.add_(_expand(inner, b))
        _cells(y).addmm_(_cells(inner), b.t())
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, *rest = ctx.saved_tensors
        (down, up), scale, geometry = ctx.factors, ctx.scale, ctx.geometry
        dy = _match_layout(dy, x)
        dx = _input_gradient(dy, x, weight, geometry) if ctx.needs_input_grad[0] else None
        if not scale:
            return dx, None, None, torch.zeros_like(down), torch.zeros_like(up), None, None
        a, b, inner = rest
        narrow = _reduce(dy, b)
        if dx is not None and geometry is None:
            _cells(dx).addmm_(_cells(narrow), a)
        elif dx is not None:
            dx = dx.add_(_input_gradient(narrow, x, a, geometry))
        down_gradient = _weight_gradient(narrow, x, a, geometry).to(down.dtype)
        up_gradient = _scaled(_sum_outer_products(dy, inner).to(up.dtype), scale)
        return dx, None, None, down_gradient, up_gradient.view(up.shape), None, None


class _RoundTogether(torch.autograd.Function):
    """Scales and rounds many tensors in a kernel each, and their gradients back in as many."""

    @staticmethod
    def forward(
        ctx: Any, dtype: torch.dtype, counts: Sequence[int], scales: Sequence[float], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.dtype, ctx.counts, ctx.scales = tensors[0].dtype, counts, scales
        stacks: list[Tensor] = []
        parts: list[Tensor] = []
        for count in counts:
            first = tensors[len(parts)]
            stacks.append(first.new_empty((count * len(first), *first.shape[1:]), dtype=dtype))
            parts += stacks[-1].chunk(count)
        torch._foreach_copy_(parts, _scale_together(tensors, scales))
        return tuple(stacks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        parts = [part for stack, count in zip(gradients, ctx.counts, strict=True) for part in stack.chunk(count)]
        wide = [torch.empty_like(part, dtype=ctx.dtype) for part in parts]
        torch._foreach_copy_(wide, parts)
        return None, None, None, *_scale_together(wide, ctx.scales)


def round_together(
    stacks: Sequence[Sequence[Tensor]], scales: Sequence[Sequence[float]], dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """Equally shaped tensors of one dtype, times their scales, one below another in another dtype; differentiable."""
    rounded: Any = _RoundTogether.apply
    counts = [len(stack) for stack in stacks]
    return tuple(rounded(dtype, counts, [*itertools.chain(*scales)], *itertools.chain(*stacks)))


def _scale_together(tensors: Sequence[Tensor], scales: Sequence[float]) -> list[Tensor]:
    plain = all(scale == 1 for scale in scales)
    return list(tensors if plain else torch._foreach_mul(list(tensors), list(scales)))


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return tensor if scale == 1 else tensor * scale


def _add_update(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """W + scale · B A, in W's layout: a convolution of another layout runs another kernel."""
    if weight.is_contiguous():
        flat = torch.addmm(weight.flatten(1), up.flatten(1), down.flatten(1), alpha=scale)
        return flat.as_strided(weight.shape, weight.stride())
    out, channels, height, width = weight.shape
    rows, inner = (part.permute(0, 2, 3, 1).flatten(1) for part in (weight, down))
    flat = torch.addmm(rows, up.flatten(1), inner, alpha=scale)
    return flat.view(out, height, width, channels).permute(0, 3, 1, 2)


def _layer_product(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: ConvolutionGeometry | None) -> Tensor:
    return F.linear(x, weight, bias) if geometry is None else F.conv2d(x, weight, bias, *geometry)


def _input_gradient(dy: Tensor, x: Tensor, weight: Tensor, geometry: ConvolutionGeometry | None) -> Tensor:
    """The gradient of the layer's input."""
    if geometry is None:
        return dy @ weight
    if _is_pointwise(weight, geometry):
        return (dy.permute(0, 2, 3, 1) @ weight.flatten(1)).permute(0, 3, 1, 2)
    return _convolution_backward(dy, x, weight, geometry, 0)


def _weight_gradient(dy: Tensor, x: Tensor, weight: Tensor, geometry: ConvolutionGeometry | None) -> Tensor:
    """The gradient of a weight of the layer's kind; `weight` only tells the shape."""
    if geometry is None or _is_pointwise(weight, geometry):
        return _sum_outer_products(dy, x).view(weight.shape)
    return _convolution_backward(dy, x, weight, geometry, 1)


def _convolution_backward(dy: Tensor, x: Tensor, weight: Tensor, geometry: ConvolutionGeometry, which: int) -> Tensor:
    output_mask = [which == 0, which == 1, False]
    gradients = torch.ops.aten.convolution_backward(dy, x, weight, None, *geometry, False, [0, 0], 1, output_mask)
    return torch.as_tensor(gradients[which])


def _is_pointwise(weight: Tensor, geometry: ConvolutionGeometry) -> bool:
    """Whether a convolution is a product of every cell alone."""
    return weight.shape[-2:] == (1, 1) and geometry.stride == (1, 1) and geometry.padding == (0, 0)


def _expand(inner: Tensor, up: Tensor) -> Tensor:
    """B applied to the narrow activation."""
    return F.linear(inner, up) if up.dim() == 2 else F.conv2d(inner, up)


def _reduce(dy: Tensor, up: Tensor) -> Tensor:
    """Bᵀ applied to the gradient of the output."""
    if up.dim() == 2:
        return dy @ up
    return (dy.permute(0, 2, 3, 1) @ up.flatten(1)).permute(0, 3, 1, 2)


def _sum_outer_products(left: Tensor, right: Tensor) -> Tensor:
    """Σ over all cells of left · rightᵀ, (channels of left, channels of right)."""
    return _cells(left).t() @ _cells(right)


def _cells(x: Tensor) -> Tensor:
    """(cells, channels)."""
    return x.permute(0, 2, 3, 1).flatten(0, 2) if x.dim() == 4 else x.flatten(0, -2)


def _match_layout(dy: Tensor, x: Tensor) -> Tensor:
    """The gradient in the layout of the input: it is read several times."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return dy.contiguous(memory_format=torch.channels_last)
    return dy
