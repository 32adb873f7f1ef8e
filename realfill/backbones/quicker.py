"""Enlarging in diffusers' networks with less arithmetic; the numbers are theirs up to rounding.

For channels-last tensors on a processor, where it was measured to pay (docs/performance.md). Parameters, their names
and everything else of the modules stay.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn


def quicken(network: nn.Module) -> None:
    """Gives the enlarging modules of a network another forward pass."""
    for module in network.modules():
        if isinstance(module, Upsample2D):
            module.forward = partial(_upsample, module, module.forward)


def _upsample(module: Any, stock: Any, x: Tensor, output_size: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    if output_size is not None or not _plain(module) or torch.is_autocast_enabled(x.device.type):
        return torch.as_tensor(stock(x, output_size, *args, **kwargs))
    way: Any = _Upsampled
    return torch.as_tensor(way.apply(x, module.conv.weight, module.conv.bias))


def _plain(module: Any) -> bool:
    """Twice the size by nearest, then a frozen 3 × 3 convolution: all that the known bases have."""
    conv = getattr(module, "conv", None)
    if not isinstance(conv, nn.Conv2d) or module.norm is not None or not module.interpolate:
        return False
    shape = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and not conv.weight.requires_grad


class _Upsampled(torch.autograd.Function):
    """A 3 × 3 convolution of a picture twice enlarged by nearest is four 2 × 2 convolutions of the small one.

    Rows 0, 1, 2 of the kernel meet two small rows only: for even rows of the result 0 | 1 + 2, for odd ones 0 + 1 | 2;
    columns likewise. 16 products a small pixel instead of 36, and nothing enlarged has to be written and read.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        height, width = x.shape[-2:]
        ctx.save_for_backward(x, weight)
        wide = F.pad(x, (1, 1, 1, 1))
        y = _empty(x, len(weight), 2 * height, 2 * width)
        for row, column, kernel in _quarters(weight):
            part = wide[:, :, row : row + height + 1, column : column + width + 1]
            y[:, :, row::2, column::2] = F.conv2d(part, kernel, bias)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        _, channels, height, width = x.shape
        layout = torch.channels_last
        dx = _empty(x, channels, height + 2, width + 2).zero_()
        like = _empty(x, channels, height + 1, width + 1)
        for row, column, kernel in _quarters(weight):
            part = dy[:, :, row::2, column::2].contiguous(memory_format=layout)
            back = torch.ops.aten.convolution_backward(
                part, like, kernel, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, [True, False, False]
            )[0]
            dx[:, :, row : row + height + 1, column : column + width + 1] += back
        return dx[:, :, 1:-1, 1:-1].contiguous(memory_format=layout), None, None


def _empty(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    shape = (len(x), channels, height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _quarters(weight: Tensor) -> list[tuple[int, int, Tensor]]:
    """Row and column in each square of 2 × 2 results, and the 2 × 2 kernel that makes it."""
    rows = [_halved(weight, 2, row) for row in (0, 1)]
    return [(row, column, _halved(rows[row], 3, column)) for row in (0, 1) for column in (0, 1)]


def _halved(weight: Tensor, axis: int, odd: int) -> Tensor:
    first, second, third = torch.split(weight, 1, axis)
    pair = (first + second, third) if odd else (first, second + third)
    return torch.cat(pair, axis)
