"""LoRA on the denoiser and its text encoders: attach, drop whole layers, parameter groups, save and load (§3.4, §4.2).

Layer dropout is the paper's "LoRA layers": a 0/1 tensor multiplies the output of each layer's adapter. It
is neither `lora_dropout`, which drops single features, nor disabling adapters, which would leave
parameters without a gradient.
"""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE
from diffusers.utils import recurse_remove_peft_layers
from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from realfill import files, seeds
from realfill.config import TrainConfig
from realfill.errors import WeightsError
from realfill.models.backbone import Backbone
from realfill.models.fast.lora import lora_product, round_together, sum_weights
from realfill.models.fast.siblings import SiblingProduct, find_siblings
from realfill.models.fast.switch import use_fast

ADAPTER = "default"
_HALF = (torch.bfloat16, torch.float16)
_ROUNDED, _JOINED = "rounded_factors", "joined_output"  # of a layer, inside `FactorRounding.rounded`


def attach_adapters(backbone: Backbone, config: TrainConfig, *, seed: int) -> None:
    """Put fresh adapters on the backbone's networks; a fresh adapter changes nothing (B is zero).

    The initial values depend on `seed` alone. Adapter weights are float32 whatever the base computes in.
    """
    detach_adapters(backbone)
    targets = backbone.lora_targets(config.layers)
    for index, (name, network) in enumerate(backbone.trainable().items()):
        modules = list(targets[name])
        lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=modules, init_lora_weights=True)
        network.add_adapter(lora)  # type: ignore[operator]
        generator = torch.Generator().manual_seed(seeds.key(seed, seeds.Stream.INIT, index))
        for layer in lora_layers(network):
            down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
            fan_in = down[0].numel()
            values = (torch.rand(down.shape, generator=generator) * 2 - 1) / fan_in**0.5
            down.data = values.to(backbone.device)  # peft's own initial range, from our own generator
            up.data = torch.zeros(up.shape, device=backbone.device)
            if use_fast():
                layer.forward = partial(layer_output, layer)  # in place of PEFT's own, whose parameters and files stay


def detach_adapters(backbone: Backbone) -> None:
    """Remove adapters, if there are any; the base is as it was loaded."""
    for network in backbone.trainable().values():
        if getattr(network, "peft_config", None):
            recurse_remove_peft_layers(network)
            del network.peft_config
            network._hf_peft_config_loaded = False  # type: ignore[assignment]


def lora_layers(network: nn.Module) -> Iterator[Any]:
    """The network's layers that carry an adapter, in the order of its modules."""
    for module in network.modules():
        if isinstance(module, LoraLayer) and ADAPTER in module.lora_A:
            yield module


def adapter_parameters(backbone: Backbone) -> dict[str, Tensor]:
    """The trainable tensors by name, e.g. `unet.down_blocks.….lora_A.default.weight`."""
    return {
        f"{prefix}.{name}": parameter
        for prefix, network in backbone.trainable().items()
        for name, parameter in network.named_parameters()
        if "lora_" in name
    }


def parameter_groups(backbone: Backbone, config: TrainConfig) -> list[dict[str, Any]]:
    """Optimiser parameter groups: the denoiser at its own learning rate, text encoders at theirs."""
    groups: list[dict[str, Any]] = []
    for name in backbone.trainable():
        rate = config.learning_rate_text if groups else config.learning_rate_unet
        own = [p for n, p in adapter_parameters(backbone).items() if n.startswith(f"{name}.")]
        groups.append({"params": own, "lr": rate})
    return groups


def layer_output(layer: Any, x: Tensor) -> Tensor:
    """What PEFT's layer computes, in fewer passes over the activation."""
    joined: Callable[[Tensor], Tensor] | None = getattr(layer, _JOINED, None)
    return joined(x) if joined else lora_product(x, layer.base_layer, *_factors(layer))


def _factors(layer: Any) -> tuple[Tensor, Tensor, float]:
    """A, B and what their product is multiplied by just now."""
    return *_weights(layer), layer.scaling[ADAPTER]


def _weights(layer: Any) -> tuple[Tensor, Tensor]:
    """A and B, rounded where `FactorRounding` did it."""
    rounded: tuple[Tensor, Tensor] | None = getattr(layer, _ROUNDED, None)
    return rounded or (layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight)


def _adapted_layers(networks: Iterable[nn.Module]) -> list[Any]:
    """The layers of all networks that carry an adapter."""
    return [layer for network in networks for layer in lora_layers(network)]


class LayerDropout:
    """Switches adapters off by layer: `draw(step)` sets one 0/1 gate a layer, `close` switches all of them on.

    A gate is a factor on the layer's scaling (PEFT's `set_scale`): at 0 both factors still get a gradient, of zeros.
    """

    def __init__(self, backbone: Backbone, *, rate: float, seed: int) -> None:
        self._rate, self._seed = rate, seed
        self._layers = _adapted_layers(backbone.trainable().values())

    @property
    def gates(self) -> Tensor:
        """(layers,) of 0 and 1. They live in the processor's memory: reading them waits for no device."""
        return torch.tensor([float(layer.scaling[ADAPTER] != 0) for layer in self._layers])

    def draw(self, step: int) -> None:
        """The gates of a step, from (seed, step, layer): zero with probability `rate`."""
        draws = seeds.rng(self._seed, seeds.Stream.LAYERS, step).random(len(self._layers))
        self.set([float(draw >= self._rate) for draw in draws])

    def set(self, gates: Sequence[float]) -> None:
        """Gives every layer its gate."""
        for layer, gate in zip(self._layers, gates, strict=True):
            layer.set_scale(ADAPTER, gate)

    def close(self) -> None:
        """Every adapter is on again."""
        self.set([1.0] * len(self._layers))


@contextlib.contextmanager
def enable_all_layers(backbone: Backbone) -> Iterator[None]:
    """Switches no adapter off inside the block, whatever `LayerDropout` drew; for pictures between two steps."""
    layers = _adapted_layers(backbone.trainable().values())
    scales = [layer.scaling[ADAPTER] for layer in layers]
    for layer in layers:
        layer.set_scale(ADAPTER, 1.0)
    try:
        yield
    finally:
        for layer, scale in zip(layers, scales, strict=True):
            layer.scaling[ADAPTER] = scale


class FactorRounding:
    """Adapters on layers in half precision, rounded to it once a step, all of them together.

    Each layer by itself would round its own at every call, and a step has thousands of kernels as it is. Layers that
    read one input are computed as one. Nothing is rounded on the plain way (`models.fast.switch`).
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        self._groups: list[tuple[Any, ...]] = []
        networks = list(networks)
        self._order = {id(layer): index for index, layer in enumerate(_adapted_layers(networks))}
        for network in networks if use_fast() else ():
            layers = [layer for layer in lora_layers(network) if layer.base_layer.weight.dtype in _HALF]
            # A processor's kernels begin at once, and threads compute items side by side there.
            on_cuda = any(layer.base_layer.weight.device.type == "cuda" for layer in layers[:1])
            self._groups += find_siblings(network, layers) if on_cuda else zip(layers)

    @property
    def covers_all(self) -> bool:
        """Whether all adapters there are get rounded."""
        return sum(len(group) for group in self._groups) == len(self._order) > 0

    @contextlib.contextmanager
    def rounded(self, gates: Tensor | None = None) -> Iterator[None]:
        """Inside the block every layer computes with rounded factors; gradients go back to the float32 ones.

        Args:
            gates: (layers,) on the device, which B is multiplied by beside the scale that the layer has.
        """
        if not self._groups:
            yield
            return
        stacks: list[list[Tensor]] = []
        scales: list[list[float]] = []
        for group in self._groups:
            stacks += [[layer.lora_A[ADAPTER].weight for layer in group]]
            stacks += [[self._gated(layer, gates) for layer in group]]
            # One layer by itself scales what it multiplies, and leaves out what is off.
            scales += [[1.0] * len(group), [layer.scaling[ADAPTER] if len(group) > 1 else 1.0 for layer in group]]
        factors = round_together(stacks, scales, self._groups[0][0].base_layer.weight.dtype)
        for group, down, up in zip(self._groups, factors[::2], factors[1::2], strict=True):
            if len(group) == 1:
                setattr(group[0], _ROUNDED, (down, up))
                continue
            product = SiblingProduct([layer.base_layer for layer in group], down, up)
            for index, layer in enumerate(group):
                setattr(layer, _JOINED, partial(product.output, index))
        try:
            yield
        finally:
            for layer in itertools.chain(*self._groups):
                for name in (_ROUNDED, _JOINED):
                    layer.__dict__.pop(name, None)

    def _gated(self, layer: Any, gates: Tensor | None) -> Tensor:
        up: Tensor = layer.lora_B[ADAPTER].weight
        return up if gates is None else up * gates[self._order[id(layer)]]


@contextlib.contextmanager
def merge_adapters(backbone: Backbone) -> Iterator[None]:
    """Inside the block every adapted layer is one product with W + s·BA, which is what it computes anyway.

    For many calls with the same adapter and without gradients: sampling. The base's own tensors are put aside and
    come back as they were, bit by bit. In half precision the sum is rounded once, after it was formed in float32.
    Nothing is merged on the plain way (`models.fast.switch`).
    """
    if not use_fast():
        yield
        return
    with contextlib.ExitStack() as undo:
        for layer in _adapted_layers(backbone.trainable().values()):
            weight = layer.base_layer.weight
            undo.callback(setattr, weight, "data", weight.data)
            undo.callback(setattr, layer, "forward", layer.forward)
            weight.data = sum_weights(layer.base_layer, *_factors(layer))
            layer.forward = layer.base_layer.forward
        yield


def save_lora(backbone: Backbone, folder: Path) -> None:
    """Write the adapter in diffusers' format, with rank and alpha: a stock pipeline's `load_lora_weights` takes it.

    Equal adapters give byte-equal files.
    """
    layers: dict[str, Any] = {}
    for name, network in backbone.trainable().items():
        state = {
            key: value.detach().float().cpu()
            for key, value in get_peft_model_state_dict(network, save_embedding_layers=False).items()
        }
        layers[f"{name}_lora_layers"] = state  # PEFT's own names, which current and older loaders both read
        metadata = network.peft_config[ADAPTER].to_dict()  # type: ignore[index, union-attr]
        metadata["base_model_name_or_path"] = None  # a path on this machine is nobody else's business
        metadata["target_modules"] = sorted(metadata["target_modules"])  # a set, ordered by the process' hash seed
        layers[f"{name}_lora_adapter_metadata"] = metadata
    folder.mkdir(parents=True, exist_ok=True)
    backbone.pipeline_class().save_lora_weights(folder, **layers)
    file = folder / LORA_WEIGHT_NAME_SAFE
    files.write_bytes(file, sort_metadata(file.read_bytes()))


def sort_metadata(data: bytes) -> bytes:
    """A safetensors file with the entries of its `__metadata__` by name: safetensors writes them in any order.

    The format: 8 bytes of length, a JSON header padded with spaces to a multiple of 8, the tensors.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load_lora(backbone: Backbone, folder: Path, config: TrainConfig) -> None:
    """Attach the adapter that `save_lora` wrote.

    Raises:
        WeightsError: there is none, it is damaged, or it fits another base or other settings.
    """
    file = folder / LORA_WEIGHT_NAME_SAFE
    if not file.exists():
        raise WeightsError("There is no adapter in {folder}; train first.", folder=folder)
    try:
        saved = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError("The adapter {file} is damaged; delete its folder and train again.", file=file) from error
    attach_adapters(backbone, config, seed=0)
    ours = {
        name.replace(f".{ADAPTER}.weight", ".weight"): tensor for name, tensor in adapter_parameters(backbone).items()
    }
    if {key: tensor.shape for key, tensor in ours.items()} != {key: tensor.shape for key, tensor in saved.items()}:
        detach_adapters(backbone)
        raise WeightsError(
            "The adapter in {folder} does not fit base '{name}' and the run's settings.",
            folder=folder,
            name=backbone.spec.name,
        )
    for key, tensor in ours.items():
        tensor.data.copy_(saved[key])
