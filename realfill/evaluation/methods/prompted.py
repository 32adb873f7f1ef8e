"""Inpainting with words alone, and Paint-by-Example: the paper's two baselines (§4.2)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from realfill import seeds
from realfill.errors import WeightsError
from realfill.evaluation.methods.base import Method, Setup, resize_to_target
from realfill.evaluation.methods.ours import realfill_settings
from realfill.evaluation.metrics import weights
from realfill.models.registry import load_backbone
from realfill.sampling import sample
from realfill.sampling.sample import Candidate
from realfill.scene.scene import Scene, crop_to_fill

GUIDANCE = 7.5  # of Stable Diffusion with words, as its pipelines have it
EXAMPLE_BASE = "Fantasy-Studio/Paint-by-Example"
EXAMPLE_GUIDANCE, EXAMPLE_STEPS = 5.0, 50  # as its authors have them
_EXAMPLE_STREAM = 11  # which reference a seed takes; no stream of training


class SdInpaint:
    """The base as it is, told in words what the scene shows; guidance 7.5."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        setup, config = self._setup, self._setup.config
        if not setup.prompt:
            raise WeightsError("There is no prompt for this scene; write one into the file of --prompts or prompt.txt.")
        with setup.using_device():
            backbone = load_backbone(config.base, device=setup.device)
            spec = backbone.spec
            setup.facts["base"] = {"name": spec.name, "weights_hash": spec.weights_hash}
            size = config.fit.size or spec.size
            fit = crop_to_fill(scene, size=size, multiple=spec.multiple, context=config.fit.context)
            sampling = config.sample.model_copy(update={"guidance": GUIDANCE})
            candidates = sample.sample(backbone, scene, fit, sampling, prompt=setup.prompt, seeds=seeds)
            for candidate in setup.report_seeds(candidates, len(seeds)):
                yield Candidate(candidate.seed, resize_to_target(scene, fit, candidate.photo))


class PaintByExample:
    """Paint-by-Example by diffusers: a reference drawn anew for every seed stands for the hole's content."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        with self._setup.using_device():
            yield from self._setup.report_seeds(self._sample_seeds(scene, seeds), len(seeds))

    def _sample_seeds(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        setup = self._setup
        source = setup.example_base or EXAMPLE_BASE
        pipe = _paint_by_example(source, setup.device)
        setup.facts["base"] = {"name": source, "weights_hash": weights_hash(source)}
        cell = 2 ** (len(pipe.vae.config.block_out_channels) - 1)
        size, multiple = int(pipe.unet.config.sample_size) * cell, cell * 8
        fit = crop_to_fill(scene, size=size, multiple=multiple, context=setup.config.fit.context)
        target = Image.fromarray(fit.crop_photo(scene.target))
        mask = Image.fromarray(fit.crop_hole(scene.hole).astype(np.uint8) * 255)
        for seed in seeds:
            out = pipe(
                example_image=Image.fromarray(scene.references[pick_reference(seed, len(scene.references))]),
                image=target,
                mask_image=mask,
                guidance_scale=EXAMPLE_GUIDANCE,
                num_inference_steps=EXAMPLE_STEPS,
                generator=torch.Generator().manual_seed(seed),
            )
            yield Candidate(seed, resize_to_target(scene, fit, np.asarray(out.images[0], np.uint8)))


def pick_reference(seed: int, count: int) -> int:
    """Which of `count` references a seed takes."""
    return int(seeds.rng(seed, _EXAMPLE_STREAM).integers(count))


def sd_inpaint(setup: Setup) -> Method:
    """Stable Diffusion inpainting with a written prompt."""
    return SdInpaint(setup)


def paint_by_example(setup: Setup) -> Method:
    """Paint-by-Example."""
    return PaintByExample(setup)


def sd_inpaint_settings(setup: Setup) -> dict[str, Any]:
    """What decides the pictures of `sd_inpaint`: of RealFill's settings base, crop and sampling, and the prompt."""
    names = ("base", "fit.", "sample.")
    settings = {name: value for name, value in realfill_settings(setup).items() if name.startswith(names)}
    return {**settings, "prompt": setup.prompt}


def paint_by_example_settings(setup: Setup) -> dict[str, Any]:
    """What decides the pictures of `paint_by_example`."""
    return {"example_base": setup.example_base, "context": setup.config.fit.context}


def _paint_by_example(source: str, device: str) -> Any:
    """The pipeline from its parts: the published index names some of them as old versions of the libraries did.

    Raises:
        WeightsError: a part is not on this machine or damaged.
    """
    from diffusers import AutoencoderKL, PaintByExamplePipeline, PNDMScheduler, UNet2DConditionModel
    from diffusers.pipelines.deprecated.paint_by_example.image_encoder import PaintByExampleImageEncoder
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig

    def part(kind: Any, name: str, **options: Any) -> Any:
        return kind.from_pretrained(source, subfolder=name, local_files_only=True, **options)

    try:
        config = part(CLIPVisionConfig, "image_encoder")
        encoder, loading = part(PaintByExampleImageEncoder, "image_encoder", config=config, output_loading_info=True)
        pipe = PaintByExamplePipeline(
            vae=part(AutoencoderKL, "vae"),
            image_encoder=encoder,
            unet=part(UNet2DConditionModel, "unet"),
            scheduler=part(PNDMScheduler, "scheduler"),
            safety_checker=None,
            feature_extractor=part(CLIPImageProcessorPil, "feature_extractor"),
            requires_safety_checker=False,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _load_error(source, error) from error
    if loading["mismatched_keys"] or [name for name in loading["missing_keys"] if not name.endswith("position_ids")]:
        raise WeightsError(f"The image encoder of {source} does not fit its configuration; fetch it again.")
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)


def weights_hash(source: str) -> str:
    """sha256 over the weight files of a folder or of a hub model on this machine."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(source, local_files_only=True))
    return weights.sha256(folder)


def load_pipeline(kind: Any, source: str, device: str, **options: Any) -> Any:
    """A stock pipeline from a folder or the hub's cache, in float32, without its safety checker; no download.

    Raises:
        WeightsError: it is not on this machine or damaged.
    """
    try:
        pipe = kind.from_pretrained(source, safety_checker=None, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _load_error(source, error) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)


def _load_error(source: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"{source} cannot be loaded ({type(error).__name__}). Fetch it with: hf download {source} "
        "and start again, or give a folder that holds it."
    )
