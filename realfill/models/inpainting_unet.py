"""What all Stable Diffusion inpainting models share: autoencoder, and a U-Net with hole and picture in its channels."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from realfill.config import MaskForm
from realfill.device.memory_plan import MemoryPlan
from realfill.errors import WeightsError
from realfill.models.autoencoder import Autoencoder, autocast_to, fastest_layout, recompute_activations
from realfill.models.backbone import EncodedItems, Layers, Pictures, PromptChoice, Spec, blank_hole
from realfill.models.fast.switch import use_fast
from realfill.models.fast.unet import speed_up
from realfill.models.items import Items
from realfill.models.latent_grid import known_cells, nearest_cells
from realfill.models.pixels import upload
from realfill.models.scheduler import DDPM

# PEFT's `target_modules`. Where a small base must learn a scene, attention alone is too little: its first levels have
# none.
_UNET_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_UNET_ALL = (
    *_UNET_ATTENTION,
    *("proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut"),
)
_CLIP_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
UNET_TARGETS: Mapping[Layers, Sequence[str]] = {"attention": _UNET_ATTENTION, "all": _UNET_ALL}
CLIP_TARGETS: Mapping[Layers, Sequence[str]] = {"attention": _CLIP_ATTENTION, "all": (*_CLIP_ATTENTION, "fc1", "fc2")}


@dataclass(frozen=True, eq=False)
class MaskedImage(Items):
    """What stands in a U-Net's channels beside the noisy latents, and where the picture lies in its photo."""

    hole: Tensor  # (B, 1, h, w) of 0 and 1
    masked: Tensor  # (B, c, h, w) latents of the picture with its hole blanked
    place: Tensor  # (B, 6), as `Pictures.place`


class InpaintingUNet:
    """Autoencoder and U-Net of a stock inpainting pipeline; what it is told in words is a subclass' affair."""

    def __init__(
        self,
        pipeline: Any,
        *,
        name: str,
        family: str,
        weights_hash: str,
        text_parts: Sequence[Any],
        dtype: torch.dtype | None,
        autoencoder_dtype: torch.dtype | None,
    ) -> None:
        """`dtype`: what products are computed in, where it is not the weights' own (autocast)."""
        channels = pipeline.unet.config.in_channels
        latent_channels = pipeline.vae.config.latent_channels
        if channels != 2 * latent_channels + 1:
            raise WeightsError(
                "Base '{name}' is not an inpainting model (its U-Net takes {channels} channels, not "
                "{wanted}). Take an inpainting checkpoint.",
                name=name,
                channels=channels,
                wanted=2 * latent_channels + 1,
            )
        self.vae, self.unet = pipeline.vae, pipeline.unet
        for part in (self.vae, self.unet, *text_parts):
            part.requires_grad_(False).eval()
        self._stored = self.unet.dtype  # asking walks through the whole network
        self.device, self.dtype = self.unet.device, dtype or self._stored
        # Latents and pixels outside of the networks stay in the usual order.
        self._layout = fastest_layout(self.device)
        self.unet.to(memory_format=self._layout)
        if self.device.type == "cpu" and use_fast():
            speed_up(self.unet)
        self._autoencoder = Autoencoder(self.vae, dtype=autoencoder_dtype or self.dtype)
        self._tokenizing = threading.Lock()  # a fast tokenizer refuses a second thread
        self._known_ids: dict[tuple[int, str], Tensor] = {}  # by tokenizer and prompt
        self.process = DDPM(pipeline.scheduler.config)
        cell = self._autoencoder.cell
        self.spec = Spec(
            name=name,
            family=family,
            size=int(self.unet.config.sample_size) * cell,
            multiple=cell * 2 ** (len(self.unet.config.block_out_channels) - 1),
            cell=cell,
            latent_channels=latent_channels,
            loss_cell=cell,
            weights_hash=weights_hash,
            chooses_prompts=True,
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """See `Backbone.encode`. The result is float32, whatever it is computed in."""
        return self._autoencoder.encode(pixels) * float(self.vae.config.scaling_factor)

    def decode(self, latents: Tensor) -> Tensor:
        """See `Backbone.decode`."""
        return self._autoencoder.decode(latents / self.vae.config.scaling_factor)

    def encode_masked(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """See `Backbone.encode_masked`: grey stands in the hole."""
        return self.encode(blank_hole(pixels, hole))

    def use_mask_form(self, form: MaskForm) -> None:
        """See `Backbone.use_mask_form`: the mask has a channel."""

    def image_condition(self, pictures: Pictures) -> MaskedImage:
        """See `Backbone.image_condition`. The hole is shrunk by nearest, as the stock pipelines do."""
        return self._masked_image(pictures, self.encode_masked(pictures.pixels, pictures.hole))

    def encode_items(self, pictures: Pictures) -> EncodedItems:
        """See `Backbone.encode_items`."""
        both = self.encode(torch.cat([pictures.pixels, blank_hole(pictures.pixels, pictures.hole)]))
        clean, masked = both.chunk(2)
        return EncodedItems(clean, self._masked_image(pictures, masked))

    def _masked_image(self, pictures: Pictures, masked: Tensor) -> MaskedImage:
        hole = nearest_cells(pictures.hole.to(self.device), self.spec.cell)
        return MaskedImage(hole, masked, pictures.place.to(self.device))

    def latent_known(self, weight: Tensor) -> Tensor:
        """See `Backbone.latent_known`."""
        return known_cells(weight, self.spec.cell)

    def use_plan(self, plan: MemoryPlan | None) -> None:
        """See `Backbone.use_plan`."""
        recompute_activations(self.unet, plan)
        self._autoencoder.use_plan(plan)

    def _tokenize(self, tokenizer: Any, prompts: Sequence[str]) -> Tensor:
        """(B, tokens) token ids on the device, padded and cut to the length that the text encoder knows.

        A run has two prompts, so their ids stay on the device.
        """
        with self._tokenizing:
            return torch.stack([self._token_ids(tokenizer, prompt) for prompt in prompts])

    def _token_ids(self, tokenizer: Any, prompt: str) -> Tensor:
        key = (id(tokenizer), prompt)
        if key not in self._known_ids:
            tokens = tokenizer(
                prompt,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            self._known_ids[key] = tokens.input_ids[0].to(self.device)
        return self._known_ids[key]

    def _predict(self, noisy: Tensor, t: Tensor, image: MaskedImage, prompt_embeds: Tensor, **told: Any) -> Tensor:
        """The U-Net's prediction, float32 whatever it computes in; `told`: what else it takes by name."""
        self._autoencoder.park()
        inputs = torch.cat([noisy, image.hole, image.masked], 1)
        inputs = inputs.to(self.dtype, memory_format=self._layout)
        with autocast_to(self.dtype, self._stored, self.device):
            output: Tensor = self.unet(inputs, t.to(self.device), prompt_embeds.to(self.dtype), **told).sample
        return output.float().contiguous()


def select_distinct(prompts: Sequence[str], device: torch.device) -> tuple[list[str], Tensor | None]:
    """The distinct ones of B prompts, and where each stands among them, (B,); None: they are the prompts themselves."""
    if isinstance(prompts, PromptChoice):
        return list(prompts.distinct), prompts.where
    distinct = sorted(set(prompts))
    if distinct == list(prompts):
        return distinct, None
    return distinct, upload(torch.tensor([distinct.index(prompt) for prompt in prompts]), device)
