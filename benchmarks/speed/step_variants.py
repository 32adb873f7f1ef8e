"""Ways to run the U-Net's training step, each alone and together, before the library takes one over.

Only the U-Net's forward and backward pass and the optimiser, on latents that are given; bf16 weights, adapters and
optimiser state in fp32, as training has them. All variants compute the same thing: the gradient of the first step is
laid beside the first variant's. A scalar a layer stands for layer dropout.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from benchmarks.speed import stock_loop
from benchmarks.speed.timing import DeviceTimer, SpeedReport, relative
from benchmarks.speed.training import Workload, initial_adapter
from realfill.models.fast.lora import lora_product
from realfill.models.lora import FactorRounding, layer_output

# bf16 keeps eight bits, and each variant rounds elsewhere.
MOST_APART = 0.2
_ADAPTER = "default"


@dataclass(frozen=True)
class StepVariant:
    """One variant to run a step.

    `adapters`: "peft" as PEFT does by default, activations cast to the adapter's fp32; "uncast": PEFT without that
    cast, so autocast casts the small weights instead; "low": the same without autocast, norms in bf16 too;
    "formed": W + g·s·BA formed once a step, so that activations pass each layer once, without autocast too; "own":
    the library's layer (`realfill.models.fast.lora`), which is "low" with a backward pass of its own and gates that are
    numbers of the processor; "joined": the same with factors rounded together and queries, keys and values in one
    product (`models.lora.FactorRounding`). Training runs "joined" with channels-last and fused.
    """

    adapters: Literal["peft", "uncast", "low", "formed", "own", "joined"] = "peft"
    channels_last: bool = False
    fused: bool = False  # AdamW in one kernel
    compiled: bool = False  # the transformer blocks, by torch.compile
    graph: bool = False  # forward and backward pass replayed as one CUDA graph

    @property
    def name(self) -> str:
        """What differs from the first variant."""
        flags = [flag for flag in ("channels_last", "fused", "compiled", "graph") if getattr(self, flag)]
        return " + ".join([self.adapters, *flags])


VARIANTS = (
    StepVariant(),
    StepVariant(channels_last=True),
    StepVariant(fused=True),
    StepVariant("uncast"),
    StepVariant("low"),
    StepVariant("formed"),
    StepVariant("own"),
    StepVariant("own", channels_last=True, fused=True),
    StepVariant("joined"),
    StepVariant("joined", channels_last=True, fused=True),
    StepVariant("low", channels_last=True, fused=True),
    StepVariant("formed", channels_last=True, fused=True),
    StepVariant("low", channels_last=True, fused=True, graph=True),
    StepVariant("own", channels_last=True, fused=True, compiled=True),
    StepVariant("low", channels_last=True, fused=True, compiled=True),
    StepVariant("formed", channels_last=True, fused=True, compiled=True),
    StepVariant("low", channels_last=True, fused=True, compiled=True, graph=True),
)


def variants_section(workload: Workload, report: SpeedReport, variants: tuple[StepVariant, ...] = VARIANTS) -> None:
    """Time, memory and gradient of every variant, at the largest batch first."""
    first = initial_adapter(workload, workload.preset.train)
    # Values of the very first step would leave A without a gradient: B is zero then.
    first = {name: torch.full_like(value, 0.01) if "lora_B" in name else value for name, value in first.items()}
    pristine = workload.pipeline(torch.bfloat16).unet.cpu()
    for batch in sorted(workload.batches, reverse=True):
        reference: Tensor | None = None
        for variant in variants:
            if report.skip_if_late(f"{variant.name}, batch {batch}"):
                continue
            if (variant.compiled or variant.graph) and workload.device == "cpu":
                report.add(variant.name, batch=batch, skipped="needs CUDA")
                continue
            try:
                step = VariantStep(workload, variant, batch, unet=copy.deepcopy(pristine), first=first)
                reference = _measure(workload, report, step, reference)
            except RuntimeError as error:  # a variant that does not work here is a result
                report.add(variant.name, batch=batch, broken=str(error).splitlines()[0][:200])


def _measure(workload: Workload, report: SpeedReport, step: "VariantStep", reference: Tensor | None) -> Tensor:
    """One row, and the gradient to compare others with."""
    timer, batch = DeviceTimer(workload.device), step.batch
    timer.reset_peak()
    gradient = step.gradient()
    apart = 0.0 if reference is None else relative(gradient, reference)
    began = timer.now()
    step.prepare()
    ready = timer.now() - began
    timed = timer.time(step, warm_up=workload.warm_up, calls=workload.calls, until=report.until)
    share = {}
    if workload.tflop and workload.tflops:
        share = {"share_of_floor": workload.tflop * batch / workload.tflops / timed.seconds}
    report.add(
        step.variant.name,
        timed,
        batch=batch,
        warm_up=ready,
        gradient_apart=apart,
        ok=bool(apart <= MOST_APART),
        **share,
    )
    return gradient if reference is None else reference


class VariantStep:
    """One optimisation step of the U-Net in one variant."""

    def __init__(
        self, workload: Workload, variant: StepVariant, batch: int, *, unet: Any, first: dict[str, Tensor]
    ) -> None:
        self.variant, self.batch, self._device = variant, batch, workload.device
        self._unet = unet.to(workload.device)
        config = workload.preset.train
        stock_loop.attach(self._unet, "unet", config, first)
        _apply_variant(self._unet, variant)
        if variant.channels_last:
            self._unet.to(memory_format=torch.channels_last)
        self._factors = FactorRounding([self._unet] if variant.adapters == "joined" else [])
        self._trained = [value for name, value in self._unet.named_parameters() if "lora_" in name]
        self._optimiser = torch.optim.AdamW(self._trained, lr=config.learning_rate_unet, fused=variant.fused or None)
        self._inputs = _inputs(workload, batch)
        self._replay: Callable[[], Any] | None = None

    def prepare(self) -> None:
        """Compiles and captures, where the variant has it, and makes the first step."""
        if self.variant.compiled:
            torch.compiler.reset()  # else earlier variants use up the number of times that a function may be compiled
            self._unet.compile_repeated_blocks()
        if self.variant.graph:
            self._capture()
        self()

    def gradient(self) -> Tensor:
        """Of the loss in the adapter, flat."""
        self._backward()
        gradient = torch.cat([torch.as_tensor(value.grad).flatten() for value in self._trained]).clone()
        self._optimiser.zero_grad()
        return gradient

    def __call__(self) -> None:
        """One step."""
        if self._replay is None:
            self._optimiser.zero_grad()
            self._backward()
        else:
            self._replay()
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimiser.step()

    def _backward(self) -> None:
        noisy, t, prompt_embeds, noise = self._inputs
        without_autocast = self.variant.adapters not in ("peft", "uncast")
        plain = contextlib.nullcontext()
        mixed = plain if without_autocast else torch.autocast(self._device.split(":")[0], torch.bfloat16)
        with mixed, self._factors.rounded():
            prediction = self._unet(noisy, t, prompt_embeds).sample
        torch.autograd.backward(F.mse_loss(prediction.float(), noise))

    def _capture(self) -> None:
        """Records forward and backward pass once; later steps replay them on the same tensors."""
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._optimiser.zero_grad()
                self._backward()
        torch.cuda.current_stream().wait_stream(stream)
        self._optimiser.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._backward()
        self._replay = graph.replay


def _inputs(workload: Workload, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """U-Net input (B, 9, h, w) and prompt embeddings in bf16, times, and the noise to predict."""
    generator = torch.Generator().manual_seed(4)
    height, width = workload.fit.height // workload.cell, workload.fit.width // workload.cell
    noisy = torch.randn(batch, 9, height, width, generator=generator)
    prompt_embeds = torch.randn(batch, 77, workload.text_width, generator=generator)
    noise = torch.randn(batch, 4, height, width, generator=generator)
    t = torch.randint(1000, (batch,), generator=generator)
    device = workload.device
    return noisy.to(device, torch.bfloat16), t.to(device), prompt_embeds.to(device, torch.bfloat16), noise.to(device)


def _apply_variant(unet: nn.Module, variant: StepVariant) -> None:
    """Turns PEFT's layers into the variant's."""
    for layer in _layers(unet):
        gate = torch.ones((), device=layer.lora_A[_ADAPTER].weight.device)
        if variant.adapters == "uncast":
            layer.cast_input_dtype_enabled = False
        elif variant.adapters == "own":
            layer.forward = _fast_forward(layer)
        elif variant.adapters == "joined":
            layer.forward = partial(layer_output, layer)
        elif variant.adapters != "peft":  # attention's layers are all linear
            layer.forward = (
                _merged_forward(layer, gate) if variant.adapters == "formed" else _low_precision_forward(layer, gate)
            )
        if variant.adapters in ("peft", "uncast"):
            layer.lora_B[_ADAPTER].register_forward_hook(lambda _, __, out, gate=gate: out * gate.to(out.dtype))


def _layers(unet: nn.Module) -> Iterator[Any]:
    for module in unet.modules():
        if isinstance(module, LoraLayer):
            yield module


def _fast_forward(layer: Any) -> Callable[[Tensor], Tensor]:
    """As training computes it; the gate is 1."""
    base, scale = layer.base_layer, float(layer.scaling[_ADAPTER])
    down, up = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
    return lambda x: lora_product(x, base, down, up, scale)


def _low_precision_forward(layer: Any, gate: Tensor) -> Callable[[Tensor], Tensor]:
    """y + g·s·B(A x) in the input's precision; the fp32 weights are cast, their gradients come back in fp32."""
    base, scale = layer.base_layer, layer.scaling[_ADAPTER]
    down, up = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight

    def forward(x: Tensor) -> Tensor:
        part = F.linear(F.linear(x, down.to(x.dtype)), (up * (gate * scale)).to(x.dtype))
        return torch.as_tensor(base(x) + part)

    return forward


def _merged_forward(layer: Any, gate: Tensor) -> Callable[[Tensor], Tensor]:
    """(W + g·s·BA) x, the sum formed in fp32 and cast."""
    base, scale = layer.base_layer, layer.scaling[_ADAPTER]
    down, up = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight

    def forward(x: Tensor) -> Tensor:
        weight = (base.weight.float() + (up * (gate * scale)) @ down).to(x.dtype)
        return F.linear(x, weight, base.bias)

    return forward
