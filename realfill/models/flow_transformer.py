"""What transformers of rectified flow share: latents in patches of 2 × 2, prompts that are encoded once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from realfill.config import MaskForm
from realfill.device.memory_plan import MemoryPlan
from realfill.models.autoencoder import Autoencoder, recompute_activations
from realfill.models.backbone import Layers, Spec
from realfill.models.latent_grid import known_cells
from realfill.models.scheduler import FlowMatch
from realfill.models.text_encoders import Embeddings, TextEncoders

PATCH = 2  # latent cells of the autoencoder on a side of one token
# PEFT's `target_modules` that both architectures have in their double blocks
JOINT_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")


class FlowTransformer:
    """Autoencoder and transformer of a stock pipeline, and its text encoders; what is shown is a subclass' affair."""

    family: ClassVar[str]
    size: ClassVar[int]  # pixels of the working size
    has_context: ClassVar[bool] = False

    def __init__(
        self,
        pipeline: Any,
        *,
        name: str,
        weights_hash: str,
        text: TextEncoders,
        shift: Callable[[int, int], float],
    ) -> None:
        """Products are computed in the weights' own precision. `shift`: see `FlowMatch`."""
        self.vae, self.transformer = pipeline.vae, pipeline.transformer
        self._text = text
        for part in (self.vae, self.transformer):
            part.requires_grad_(False).eval()
        self.device, self.dtype = self.transformer.device, self.transformer.dtype
        self._autoencoder = Autoencoder(self.vae, dtype=self.dtype)
        self._prompts: dict[str, Embeddings] = {}
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

    def use_mask_form(self, form: MaskForm) -> None:
        """See `Backbone.use_mask_form`."""

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

    def embed_prompt(self, prompt: str) -> Embeddings:
        """A prompt's embeddings as `_embed` makes them, from the first time on kept on the device."""
        with self._encoding:
            if prompt not in self._prompts:  # the empty one is needed, too: by dropout and by guidance
                wanted = [one for one in dict.fromkeys((prompt, "")) if one not in self._prompts]
                found = self._text.embed(wanted, self._embed, device=self.device, denoiser=self.transformer)
                self._prompts.update(found)
            return self._prompts[prompt]

    def _embed(self, pipeline: Any, prompt: str) -> Embeddings:
        """A prompt's embeddings by a stock pipeline of the text parts."""
        raise NotImplementedError

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
