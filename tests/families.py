"""A tiny random base of every family, and what its stock autoencoder does, for the tests that all families inherit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tests.tiny import make_base


@dataclass(frozen=True)
class TinyBase:
    """How a family's tiny base is made and read."""

    make: Callable[[Path], Path]  # writes the diffusers folder
    predicts: str  # its prediction type
    encode: Callable[[Any, Tensor], Tensor]  # latents of pixels by the stock autoencoder
    decode: Callable[[Any, Tensor], Tensor]


def _encode_scaled(vae: Any, pixels: Tensor) -> Tensor:
    latents: Tensor = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
    return latents


def _decode_scaled(vae: Any, latents: Tensor) -> Tensor:
    pixels: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
    return pixels


def _stable_diffusion(prediction_type: str) -> TinyBase:
    def make(folder: Path) -> Path:
        return make_base(folder, prediction_type=prediction_type)

    return TinyBase(make, prediction_type, _encode_scaled, _decode_scaled)


TINY: Mapping[str, TinyBase] = {
    "epsilon": _stable_diffusion("epsilon"),
    "v_prediction": _stable_diffusion("v_prediction"),
    "sample": _stable_diffusion("sample"),
}
