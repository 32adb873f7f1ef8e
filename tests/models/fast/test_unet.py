"""Enlarging in four quarters and attention in float32: what diffusers' own modules compute."""

import copy
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.upsampling import Upsample2D
from torch import Tensor

from realfill.models.fast import unet
from realfill.models.fast.unet import speed_up


def module(*, bias: bool = True, **changes: Any) -> Any:
    torch.manual_seed(2)
    return Upsample2D(5, use_conv=True, out_channels=7, bias=bias, **changes).double().requires_grad_(False)


def picture(height: int = 4, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 5, height, width, generator=generator, dtype=torch.float64)
    return x.to(memory_format=torch.channels_last).requires_grad_()


def quick(stock: Any) -> Any:
    found = copy.deepcopy(stock)
    speed_up(found)
    return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (3, 2)])
def test_it_is_the_enlarged_convolution(bias: bool, size: tuple[int, int]) -> None:
    stock, x = module(bias=bias), picture(*size)
    results = [stock(x), quick(stock)(x)]
    torch.testing.assert_close(results[1], results[0], atol=1e-12, rtol=1e-12)
    weights = torch.linspace(-1, 2, results[0].numel(), dtype=torch.float64).view(results[0].shape)
    gradients = [torch.autograd.grad((result * weights).sum(), x)[0] for result in results]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-12, rtol=1e-12)


def test_under_autocast_sums_of_weights_are_rounded_once() -> None:
    stock, x = module().float(), picture().detach().float()
    with torch.autocast("cpu", torch.bfloat16):
        found = quick(stock)(x)
    assert found.dtype == torch.bfloat16
    wanted = stock(x)
    assert float((found.float() - wanted).norm() / wanted.norm()) < 0.01
    exact = unet._split_kernel(stock.conv.weight, torch.float32)
    for (*place, rounded), (*same, full) in zip(
        unet._split_kernel(stock.conv.weight, torch.bfloat16), exact, strict=True
    ):
        assert place == same
        assert torch.equal(rounded, full.bfloat16())


@pytest.mark.parametrize("cross", [False, True])
def test_attention_is_float32_under_autocast_too(cross: bool) -> None:
    torch.manual_seed(1)
    stock = Attention(query_dim=8, cross_attention_dim=6 if cross else None, heads=2, dim_head=4)
    x, words = torch.randn(2, 5, 8), torch.randn(2, 3, 6) if cross else None
    wanted = stock(x, encoder_hidden_states=words)
    found = quick(torch.nn.ModuleList([stock]))[0]
    assert torch.equal(found(x, encoder_hidden_states=words), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(found(x, encoder_hidden_states=words), wanted)
        assert stock(x, encoder_hidden_states=words).dtype == torch.bfloat16


def test_other_ways_to_enlarge_stay_as_they_are() -> None:
    stock, x = module(), picture()
    assert torch.equal(quick(stock)(x, (9, 13)), stock(x, (9, 13)))
    trained = module().requires_grad_(True)
    assert torch.equal(quick(trained)(x), trained(x))
    wide = module(kernel_size=5, padding=2)
    assert torch.equal(quick(wide)(x), wide(x))


def test_a_copy_is_a_module_of_its_own() -> None:
    first = quick(module())
    second = copy.deepcopy(first)
    second.conv.weight.data.zero_()
    x = picture().detach()
    assert float(first(x).abs().max()) > 0.1
    assert torch.equal(second(x), second.conv.bias[:, None, None].expand_as(first(x)))
