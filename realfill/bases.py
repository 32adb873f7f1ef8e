"""The one table of pretrained bases: what each is, needs and costs. Read by command line, page and `models.registry`.

A new base of a known family is a row here; a new family is a file in `models`, its line in
`models.registry.FAMILIES`, and a row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DefaultPreset = Literal["mini", "quick"]  # those of `config.PRESETS` that a run may begin with by itself


@dataclass(frozen=True)
class MemoryFigures:
    """Counted for one item at the base's own size with adapters on attention, weights of `width` bytes."""

    width: int  # bytes of a weight that the other numbers are stated for
    denoiser: float  # parameters of U-Net or transformer
    others: float  # parameters of autoencoder and text encoder
    autoencoder: float  # parameters
    fixed: float  # bytes beside everything else
    item: float  # bytes of a training item
    item_again: float  # the same where activations are computed twice
    seed: float  # bytes of a seed while it is denoised
    encode: float  # bytes of a picture in the encoder
    decode: float  # bytes of a picture in the decoder
    every_layer: tuple[float, float]  # times what item and item_again take with adapters on all layers


@dataclass(frozen=True)
class Base:
    """A base that has a name of its own."""

    label: str  # as the page lists it
    family: str  # a loader of `models.registry`
    source: str  # a hub id, or a folder of `assets.FOLDER`
    size: int  # pixels of a side
    gigabytes: float  # to download
    licence: str
    preset: DefaultPreset  # the preset that a run begins with
    least_memory: float  # bytes of device memory to train with comfort; 0: a CPU will do
    memory: MemoryFigures

    @property
    def is_embedded(self) -> bool:
        """Whether it comes with the project."""
        return "/" not in self.source


BASES: Mapping[str, Base] = {
    "mini": Base(
        label="mini",
        family="stable_diffusion",
        source="mini",
        size=256,
        gigabytes=0.03,
        licence="Apache-2.0",
        preset="mini",
        least_memory=0,
        memory=MemoryFigures(
            width=4,
            denoiser=10.7e6,
            others=1.8e6,
            autoencoder=1.4e6,
            fixed=5e6,
            item=54e6,
            item_again=20e6,
            seed=10.5e6,
            encode=17.6e6,
            decode=38e6,
            every_layer=(1.25, 1.4),
        ),
    ),
    "sd2": Base(
        label="sd2, needs a GPU",
        family="stable_diffusion",
        source="sd2-community/stable-diffusion-2-inpainting",
        size=512,
        gigabytes=5.2,
        licence="CreativeML Open RAIL++-M",
        preset="quick",
        least_memory=8e9,
        memory=MemoryFigures(
            width=2,
            denoiser=866e6,
            others=424e6,
            autoencoder=84e6,
            fixed=200e6,
            item=0.79e9,
            item_again=0.195e9,
            seed=0.069e9,
            encode=0.337e9,
            decode=0.403e9,
            every_layer=(1.25, 1.3),
        ),
    ),
}
EMBEDDED = "mini"  # needs nothing but a CPU
PREFERRED = "sd2"  # where a device has room for it; the paper's own, and what an unknown base is estimated by


def default_base(memory: float) -> str:
    """The base for new runs on a device with so many bytes of memory in all; 0: there is only a CPU."""
    return PREFERRED if memory and memory >= BASES[PREFERRED].least_memory else EMBEDDED


def default_preset(base: str) -> DefaultPreset:
    """The preset for a base by name; `quick` for one that has no row here."""
    return BASES[base].preset if base in BASES else "quick"
