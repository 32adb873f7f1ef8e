"""Layers that read one input: found by what they read, and computed as one they give what each of them gives."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from realfill.models.fast.lora import lora_product, round_together
from realfill.models.fast.siblings import SiblingProduct, find_siblings, lay_together
from realfill.models.lora import lora_layers

COUNT, RANK, WIDTH, OUT = 3, 2, 6, 5


class Attention(nn.Module):
    """The layers' names of diffusers' attention."""

    def __init__(self, *, cross: bool = False, bias: bool = False, out: int = OUT) -> None:
        super().__init__()
        self.is_cross_attention = cross
        self.to_q, self.to_k = nn.Linear(WIDTH, OUT, bias=bias), nn.Linear(WIDTH, OUT, bias=bias)
        self.to_v, self.to_out = nn.Linear(WIDTH, out, bias=bias), nn.Linear(OUT, WIDTH)


def adapted(*modules: nn.Module, names: Sequence[str] = ("to_q", "to_k", "to_v", "to_out")) -> Any:
    """A network with adapters that say something."""
    torch.manual_seed(3)
    network = nn.ModuleList(modules).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(names)), network)
    for layer in lora_layers(network):
        layer.lora_B["default"].weight.data.normal_()
    return network.double()


def siblings(*, bias: bool = False) -> tuple[list[Any], list[Tensor], list[Tensor]]:
    """Three layers, their factors A and their factors B."""
    attention = adapted(Attention(bias=bias))[0]
    layers = [attention.to_q, attention.to_k, attention.to_v]
    downs, ups = ([getattr(layer, name)["default"].weight for layer in layers] for name in ("lora_A", "lora_B"))
    return layers, downs, ups


def groups(network: Any) -> list[list[str]]:
    names = {id(module): name for name, module in network.named_modules()}
    return [[names[id(layer)] for layer in group] for group in find_siblings(network, list(lora_layers(network)))]


def test_siblings_read_one_input() -> None:
    found = groups(adapted(Attention(), Attention(cross=True), Attention(out=OUT + 1)))
    assert found[:2] == [["0.to_q", "0.to_k", "0.to_v"], ["1.to_k", "1.to_v"]]
    assert all(len(group) == 1 for group in found[2:])
    assert sorted(name for group in found[2:] for name in group) == [
        *("0.to_out", "1.to_out", "1.to_q", "2.to_k", "2.to_out", "2.to_q", "2.to_v"),
    ]


def test_a_layer_without_an_adapter_has_no_siblings() -> None:
    assert groups(adapted(Attention(), names=("to_q", "to_k"))) == [["0.to_q"], ["0.to_k"]]


def gradients(outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> list[Tensor]:
    total = sum(
        (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum() * n for n, y in enumerate(outputs, 1)
    )
    return [*(y.detach() for y in outputs), *torch.autograd.grad(torch.as_tensor(total), wanted)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (2.0, 0.0, 2.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("shape", [(2, 4, WIDTH), (7, WIDTH)])
def test_the_product_of_all_is_the_products_of_each(
    bias: bool, scales: tuple[float, ...], shape: tuple[int, ...]
) -> None:
    attention = adapted(Attention(bias=bias))[0]
    layers = [attention.to_q, attention.to_k, attention.to_v]
    downs = [layer.lora_A["default"].weight for layer in layers]
    ups = [layer.lora_B["default"].weight for layer in layers]
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    each = [
        lora_product(x, layer.base_layer, down, up, scale)
        for layer, down, up, scale in zip(layers, downs, ups, scales, strict=True)
    ]
    plain = gradients(each, [x, *downs, *ups])
    down, up = round_together([downs, ups], [(1.0,) * COUNT, scales], torch.float64)
    product = SiblingProduct([layer.base_layer for layer in layers], down, up)
    joined = gradients([product.output(index, x) for index in range(COUNT)], [x, *downs, *ups])
    for mine, theirs in zip(joined, plain, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


def test_what_one_input_gave_is_not_given_to_another() -> None:
    attention = adapted(Attention())[0]
    layers = [attention.to_q, attention.to_k, attention.to_v]
    factors = (
        [layer.lora_A["default"].weight for layer in layers],
        [layer.lora_B["default"].weight for layer in layers],
    )
    product = SiblingProduct(
        [layer.base_layer for layer in layers], *round_together(factors, [(1.0,) * COUNT] * 2, torch.float64)
    )
    one, other = torch.randn(2, WIDTH, dtype=torch.float64), torch.randn(2, WIDTH, dtype=torch.float64)
    for index, x in ((0, one), (0, other), (0, other), (1, other), (2, one), (1, one)):
        torch.testing.assert_close(product.output(index, x), layers[index](x))


def test_weights_are_laid_together_once_and_keep_their_values() -> None:
    weights = [nn.Parameter(torch.randn(2, 3), requires_grad=False) for _ in range(COUNT)]
    before = [weight.clone() for weight in weights]
    whole = lay_together(weights)
    assert torch.equal(whole, torch.cat(before))
    assert lay_together(weights).data_ptr() == whole.data_ptr()
    assert all(torch.equal(*pair) for pair in zip(weights, before, strict=True))
    weights[1].data = weights[1].data.clone()  # as a journey to another device and back leaves it
    assert torch.equal(lay_together(weights), torch.cat(before))
