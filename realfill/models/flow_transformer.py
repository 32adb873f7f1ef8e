"""What transformers of rectified flow share: latents in patches of 2 × 2, and text encoders that rest off the device.

Prompts are fixed, so each is encoded once; the text encoders, half of all weights, lie on the device only meanwhile.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realfill.device.devices import free_memory, release_memory
from realfill.device.memory_plan import MemoryPlan
from realfill.models.autoencoder import Autoencoder, recompute_activations
from realfill.models.backbone import Layers, Spec
from realfill.models.latent_grid import known_cells
from realfill.models.scheduler import FlowMatch

PATCH = 2  # latent cells of the autoencoder on a side of one token
ROOM = 1.1  # of the text encoders' bytes that must be free for them to lie beside the transformer
# PEFT's `target_modules` that both architectures have in their double blocks
JOINT_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")


class FlowTransformer:
    """Autoencoder, transformer and resting text encoders of a stock pipeline; what is shown is a subclass' affair."""

    family: ClassVar[str]
    size: ClassVar[int]  # pixels of the working size
    has_context: ClassVar[bool] = False

    def __init__(
        self,
        pipeline: Any,
        *,
        name: str,
        weights_hash: str,
        text_encoders: Sequence[nn.Module],
        shift: Callable[[int, int], float],
    ) -> None:
        """Products are computed in the weights' own precision. `shift`: see `FlowMatch`."""
        self.vae, self.transformer = pipeline.vae, pipeline.transformer
        self._pipeline, self._text_encoders = pipeline, text_encoders
        for part in (self.vae, self.transformer, *text_encoders):
            part.requires_grad_(False).eval()
        self.device, self.dtype = self.transformer.device, self.transformer.dtype
        self._autoencoder = Autoencoder(self.vae, dtype=self.dtype)
        self._prompts: dict[str, Any] = {}
        self._encoding = threading.Lock()
        self.process = FlowMatch(pipeline.scheduler.config, shift)
        cell = self._autoencoder.cell * PATCH
        self.spec = Spec(
            name=name,
            family=self.family,
            size=self.size,
            multiple=cell,
            cell=cell,
            latent_channels=int(self.vae.config.latent_channels) * PATCH**2,
            loss_cell=self._autoencoder.cell,
            weights_hash=weights_hash,
            has_context=self.has_context,
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """See `Backbone.encode`. The result is float32, whatever it is computed in."""
        return self._scale(F.pixel_unshuffle(self._autoencoder.encode(pixels), PATCH)).contiguous()

    def decode(self, latents: Tensor) -> Tensor:
        """See `Backbone.decode`."""
        return self._autoencoder.decode(F.pixel_shuffle(self._unscale(latents.to(self.device)), PATCH))

    def _scale(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents in patches (B, c, h, w) as the transformer takes them."""
        raise NotImplementedError

    def _unscale(self, latents: Tensor) -> Tensor:
        """The inverse of `_scale`."""
        raise NotImplementedError

    def latent_known(self, weight: Tensor) -> Tensor:
        """See `Backbone.latent_known`: the autoencoder's own cells, which lie in the channels of a token."""
        known = F.pixel_unshuffle(known_cells(weight, self.spec.loss_cell), PATCH)
        return known.repeat(1, self.spec.latent_channels // PATCH**2, 1, 1)

    def embed_prompt(self, prompt: str) -> Any:
        """A prompt's embeddings as `_embed` makes them, from the first time on kept on the device."""
        with self._encoding:
            if prompt not in self._prompts:
                with torch.no_grad(), self._text_encoders_on_device():
                    self._prompts[prompt] = self._embed(prompt)
            return self._prompts[prompt]

    def _embed(self, prompt: str) -> Any:
        """A prompt's embeddings; the text encoders are on the device."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _text_encoders_on_device(self) -> Iterator[None]:
        """The text encoders on the device, in the transformer's place where there is no room for both."""
        if self.device.type == "cpu":
            yield
            return
        device = str(self.device)
        weights = [weight for part in self._text_encoders for weight in part.parameters()]
        is_short = free_memory(device) < ROOM * sum(weight.nbytes for weight in weights)
        try:
            if is_short:
                self.transformer.to("cpu")
                release_memory(device)
            for part in self._text_encoders:
                part.to(self.device)
            yield
        finally:
            for part in self._text_encoders:
                part.to("cpu")
            release_memory(device)
            self.transformer.to(self.device)

    def _call_transformer(self, tokens: Tensor, t: Tensor, **told: Any) -> Tensor:
        """The transformer's output (B, tokens, c), float32 whatever it computes in; `told`: what it takes by name."""
        self._autoencoder.park()
        sigma = t.to(self.device).expand(len(tokens)).to(tokens.dtype) / self.process.train_steps
        output: Tensor = self.transformer(
            hidden_states=tokens.to(self.dtype), timestep=sigma.to(self.dtype), return_dict=False, **told
        )[0]
        return output.float()

    def trainable(self) -> dict[str, nn.Module]:
        """The transformer alone: stock pipelines of this kind load no adapter of a text encoder."""
        return {"transformer": self.transformer}

    def lora_targets(self, layers: Layers) -> Mapping[str, Sequence[str]]:
        """See `Backbone.lora_targets`."""
        return {"transformer": self._transformer_targets(layers)}

    def _transformer_targets(self, layers: Layers) -> Sequence[str]:
        raise NotImplementedError

    def use_plan(self, plan: MemoryPlan | None) -> None:
        """See `Backbone.use_plan`."""
        recompute_activations(self.transformer, plan)
        self._autoencoder.use_plan(plan)


def as_tokens(latents: Tensor) -> Tensor:
    """(B, c, h, w) → (B, h · w, c), row by row."""
    return latents.flatten(2).transpose(1, 2)


def as_latents(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, h · w, c) → (B, c, h, w), the inverse of `as_tokens`."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width).contiguous()
