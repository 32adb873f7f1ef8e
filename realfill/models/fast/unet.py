"""Enlarging and attention in diffusers' networks in less time; the numbers are theirs up to rounding.

For channels-last tensors on a processor, where it was measured to pay (docs/performance.md). Parameters, their names
and everything else of the modules stay.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from realfill.models.fast.lora import call_rounded


def speed_up(network: nn.Module) -> None:
    """Gives the enlarging modules of a network another forward pass, its attention another processor."""
    for module in network.modules():
        if isinstance(module, Upsample2D):
            module.forward = partial(_upsample, module, module.forward)
        elif isinstance(module, Attention):
            module.set_processor(_Float32Attention())


class _Float32Attention(AttnProcessor2_0):  # type: ignore[misc]
    """Attention in float32 also under autocast: in bf16 its backward pass takes three times as long on a processor."""

    def __call__(  # diffusers reads the names: what is not among them is not handed over
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Any:
        inputs = (hidden_states, encoder_hidden_states, attention_mask, temb)
        kind = hidden_states.device.type
        if not torch.is_autocast_enabled(kind):
            return super().__call__(attn, *inputs)
        with torch.autocast(kind, enabled=False):
            return super().__call__(attn, *(None if part is None else part.float() for part in inputs))


def _upsample(module: Any, stock: Any, x: Tensor, output_size: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    if output_size is not None or not _is_nearest_3x3(module):
        return torch.as_tensor(stock(x, output_size, *args, **kwargs))
    return call_rounded(_UpsampleConvolution, x, module.conv.weight, module.conv.bias)


def _is_nearest_3x3(module: Any) -> bool:
    """Twice the size by nearest, then a frozen 3 × 3 convolution: all that the known bases have."""
    conv = getattr(module, "conv", None)
    if not isinstance(conv, nn.Conv2d) or module.norm is not None or not module.interpolate:
        return False
    shape = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and not conv.weight.requires_grad


class _UpsampleConvolution(torch.autograd.Function):
    """A 3 × 3 convolution of a picture twice enlarged by nearest is four 2 × 2 convolutions of the small one.

    Rows 0, 1, 2 of the kernel meet two small rows only: for even rows of the result 0 | 1 + 2, for odd ones 0 + 1 | 2;
    columns likewise. 16 products a small pixel instead of 36, and nothing enlarged has to be written and read.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        height, width = x.shape[-2:]
        ctx.save_for_backward(x, weight)
        wide = F.pad(x, (1, 1, 1, 1))
        y = _empty_channels_last(x, len(weight), 2 * height, 2 * width)
        bias = None if bias is None else bias.to(x.dtype)
        for row, column, kernel in _split_kernel(weight, x.dtype):
            part = wide[:, :, row : row + height + 1, column : column + width + 1]
            y[:, :, row::2, column::2] = F.conv2d(part, kernel, bias)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        _, channels, height, width = x.shape
        layout = torch.channels_last
        dx = _empty_channels_last(x, channels, height + 2, width + 2).zero_()
        like = _empty_channels_last(x, channels, height + 1, width + 1)
        for row, column, kernel in _split_kernel(weight, x.dtype):
            part = dy[:, :, row::2, column::2].contiguous(memory_format=layout)
            back = torch.ops.aten.convolution_backward(
                part, like, kernel, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, [True, False, False]
            )[0]
            dx[:, :, row : row + height + 1, column : column + width + 1] += back
        return dx[:, :, 1:-1, 1:-1].contiguous(memory_format=layout), None, None


def _empty_channels_last(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    shape = (len(x), channels, height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _split_kernel(weight: Tensor, precision: torch.dtype) -> list[tuple[int, int, Tensor]]:
    """Row and column in each square of 2 × 2 results, and the 2 × 2 kernel that makes it, rounded after the sums."""
    rows = [_fold_kernel(weight, 2, row) for row in (0, 1)]
    return [(row, column, _fold_kernel(rows[row], 3, column).to(precision)) for row in (0, 1) for column in (0, 1)]


def _fold_kernel(weight: Tensor, axis: int, odd: int) -> Tensor:
    first, second, third = torch.split(weight, 1, axis)
    pair = (first + second, third) if odd else (first, second + third)
    return torch.cat(pair, axis)
