"""A frozen layer with a low-rank update: (W + s·B A) x, its gradients in A, B and x, and nothing else.

PEFT computes W x and s·B (A x) one after the other, each over the whole activation, and autograd then goes back
through every one of those products. Here a layer is one operation: the big product runs once forward and once backward
with the sum of both weights, and only products of `rank` channels are added to it. The numbers are PEFT's, up to the
order of sums.
"""

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
        down: A, (rank, in) or (rank, in, kh, kw). Its gradient is a tensor of zeros where `scale` is 0, never None.
        up: B, (out, rank) or (out, rank, 1, 1).
    """
    # The sum of weights in half precision would swallow an update smaller than half a step of the weight it is added
    # to, and early updates are; there the two products stay apart. Under autocast weights are in float32 and so is
    # their sum. It is rounded for the product as autocast rounds every weight: since weights lie anywhere between two
    # steps, an update smaller than a step moves some of them by a whole one, and is right in the mean only.
    way: Any = _Summed if base.weight.dtype in (torch.float32, torch.float64) else _Beside
    return call_rounded(way, x, base.weight, base.bias, down, up, scale, convolution_geometry(base))


def call_rounded(way: Any, x: Tensor, *rest: Any) -> Tensor:
    """Applies an autograd function to an activation in the precision that autocast asks for, with autocast off."""
    kind = x.device.type
    if not torch.is_autocast_enabled(kind):
        return torch.as_tensor(way.apply(x, *rest))
    with torch.autocast(kind, enabled=False):
        return torch.as_tensor(way.apply(x.to(torch.get_autocast_dtype(kind)), *rest))


def sum_weights(base: nn.Module, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """W + scale · B A in W's own precision and layout; added up in float32 at least."""
    weight: Any = base.weight
    wide = torch.promote_types(weight.dtype, torch.float32)
    return _sum(weight.detach().to(wide), down.detach().to(wide), up.detach().to(wide), scale).to(weight.dtype)


def convolution_geometry(base: nn.Module) -> ConvolutionGeometry | None:
    """None for a linear layer."""
    if isinstance(base, nn.Conv2d) and not isinstance(base.padding, str):
        return ConvolutionGeometry(base.stride, base.padding, base.dilation)
    return None


class _Summed(torch.autograd.Function):
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
        moves: ConvolutionGeometry | None,
    ) -> Tensor:
        if scale:
            weight = _sum(weight, down.to(weight.dtype), up.to(weight.dtype), scale)
        weight = weight.to(x.dtype)
        ctx.save_for_backward(x, weight, down, up)
        ctx.scale, ctx.moves = scale, moves
        return _forward(x, weight, None if bias is None else bias.to(x.dtype), moves)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, down, up = ctx.saved_tensors
        scale, moves = ctx.scale, ctx.moves
        dy = _laid_out(dy, x)
        dx = _into_input(dy, x, weight, moves) if ctx.needs_input_grad[0] else None
        if not scale:
            return dx, None, None, torch.zeros_like(down), torch.zeros_like(up), None, None
        a, b = down.to(x.dtype), up.to(x.dtype) * scale
        into_down = _into_weight(_back(dy, b), x, a, moves)
        into_up = _outer(dy, _forward(x, a, None, moves)) * scale
        return dx, None, None, into_down.to(down.dtype), into_up.view(up.shape).to(up.dtype), None, None


class _Beside(torch.autograd.Function):
    """Both products in the base's half precision; A, B and their gradients come and go in float32."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
        moves: ConvolutionGeometry | None,
    ) -> Tensor:
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        y = _forward(x, weight, bias, moves)
        inner = _forward(x, down.to(x.dtype), None, moves) if scale else None
        ctx.save_for_backward(x, weight, down, up, inner)
        ctx.scale, ctx.moves = scale, moves
        return y if inner is None else y.add_(_through(inner, (up * scale).to(x.dtype)))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, down, up, inner = ctx.saved_tensors
        scale, moves = ctx.scale, ctx.moves
        dy = _laid_out(dy, x)
        dx = _into_input(dy, x, weight, moves) if ctx.needs_input_grad[0] else None
        if not scale:
            return dx, None, None, torch.zeros_like(down), torch.zeros_like(up), None, None
        a = down.to(x.dtype)
        narrow = _back(dy, (up * scale).to(x.dtype))
        if dx is not None:
            dx = dx.add_(_into_input(narrow, x, a, moves))
        into_down = _into_weight(narrow, x, a, moves).to(down.dtype)
        into_up = _outer(dy, inner).to(up.dtype) * scale
        return dx, None, None, into_down, into_up.view(up.shape), None, None


def _sum(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """W + scale · B A, in W's layout: a convolution of another layout runs another kernel."""
    if weight.is_contiguous():
        flat = torch.addmm(weight.flatten(1), up.flatten(1), down.flatten(1), alpha=scale)
        return flat.as_strided(weight.shape, weight.stride())
    out, channels, height, width = weight.shape
    rows, inner = (part.permute(0, 2, 3, 1).flatten(1) for part in (weight, down))
    flat = torch.addmm(rows, up.flatten(1), inner, alpha=scale)
    return flat.view(out, height, width, channels).permute(0, 3, 1, 2)


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, moves: ConvolutionGeometry | None) -> Tensor:
    return F.linear(x, weight, bias) if moves is None else F.conv2d(x, weight, bias, *moves)


def _into_input(dy: Tensor, x: Tensor, weight: Tensor, moves: ConvolutionGeometry | None) -> Tensor:
    """The gradient of the layer's input."""
    if moves is None:
        return dy @ weight
    if _pointwise(weight, moves):
        return (dy.permute(0, 2, 3, 1) @ weight.flatten(1)).permute(0, 3, 1, 2)
    return _convolution_backward(dy, x, weight, moves, 0)


def _into_weight(dy: Tensor, x: Tensor, weight: Tensor, moves: ConvolutionGeometry | None) -> Tensor:
    """The gradient of a weight of the layer's kind; `weight` only tells the shape."""
    if moves is None or _pointwise(weight, moves):
        return _outer(dy, x).view(weight.shape)
    return _convolution_backward(dy, x, weight, moves, 1)


def _convolution_backward(dy: Tensor, x: Tensor, weight: Tensor, moves: ConvolutionGeometry, which: int) -> Tensor:
    wanted = [which == 0, which == 1, False]
    found = torch.ops.aten.convolution_backward(dy, x, weight, None, *moves, False, [0, 0], 1, wanted)
    return torch.as_tensor(found[which])


def _pointwise(weight: Tensor, moves: ConvolutionGeometry) -> bool:
    """Whether a convolution is a product of every cell alone."""
    return weight.shape[-2:] == (1, 1) and moves.stride == (1, 1) and moves.padding == (0, 0)


def _through(inner: Tensor, up: Tensor) -> Tensor:
    """B applied to the narrow activation."""
    return F.linear(inner, up) if up.dim() == 2 else F.conv2d(inner, up)


def _back(dy: Tensor, up: Tensor) -> Tensor:
    """Bᵀ applied to the gradient of the output."""
    if up.dim() == 2:
        return dy @ up
    return (dy.permute(0, 2, 3, 1) @ up.flatten(1)).permute(0, 3, 1, 2)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """Σ over all cells of left · rightᵀ, (channels of left, channels of right)."""
    return _cells(left).t() @ _cells(right)


def _cells(x: Tensor) -> Tensor:
    """(cells, channels)."""
    return x.permute(0, 2, 3, 1).flatten(0, 2) if x.dim() == 4 else x.flatten(0, -2)


def _laid_out(dy: Tensor, x: Tensor) -> Tensor:
    """The gradient in the layout of the input: it is read several times."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return dy.contiguous(memory_format=torch.channels_last)
    return dy
