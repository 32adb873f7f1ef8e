"""The one table of pretrained bases: what each is, needs and costs. Read by command line, page and `models.registry`.

A new base of a known family is a row in `BASES`; a new family is a file in `models`, a row in `FAMILIES` under the
file's name, and a row in `BASES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from realfill import files
from realfill.errors import RunError, WeightsError
from realfill.sentences import Sentence

_DENOISER = "model.diffusion_model."  # before the denoiser's tensors in a single file
INPAINTING_CHANNELS = 9  # of a U-Net: noisy latents, hole, latents of what is known
DefaultPreset = Literal["mini", "quick"]  # those of `config.PRESETS` that a run may begin with by itself
Changes = Mapping[str, Any]  # settings by dotted name


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
    adapted: tuple[float, float]  # parameters of the layers with adapters on attention, and on all layers


@dataclass(frozen=True)
class PublicFigure:
    """What others measured of training an adapter on a base."""

    seconds: float  # of a training item
    card: str
    conditions: Sentence  # after the number of items
    source: str


@dataclass(frozen=True)
class Family:
    """Bases that one file in `models` drives."""

    classes: tuple[str, ...]  # `_class_name` of model_index.json
    parts: tuple[str, ...]  # folders that hold weights
    stands_for: str  # the row of `BASES` by which one without a row is estimated
    file_tensor: str = ""  # in a single .safetensors file of its maker's layout; empty: such files cannot be loaded
    changes: Changes = field(default_factory=dict)  # settings that differ from the presets, whichever preset
    preset_changes: Mapping[str, Changes] = field(default_factory=dict)  # the same by the preset's name


@dataclass(frozen=True)
class Base:
    """A base that has a name of its own."""

    label: str  # as the page lists it
    family: str
    source: str  # a hub id, or a folder of `assets.FOLDER`
    size: int  # pixels of a side
    multiple: int  # of which the sides of what it works on are multiples, in pixels
    gigabytes: float  # to download, and on the disk; all that a run needs
    licence: str
    preset: DefaultPreset  # the preset that a run begins with
    least_memory: float  # bytes of device memory to train with comfort; 0: a CPU will do
    memory: MemoryFigures
    commercial: bool = True  # whether the licence allows commercial use of the model
    gated: bool = False  # whether its page asks to accept the licence before anything can be downloaded
    variant: str = ""  # of the weight files that are downloaded: "fp16" takes *.fp16.safetensors
    changes: Changes = field(default_factory=dict)  # settings that differ from the family's
    time: Sentence | None = None  # of a scene, as it was measured for this project
    figure: PublicFigure | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it comes with the project."""
        return "/" not in self.source

    @property
    def page(self) -> str:
        """Where its maker describes it, and asks to accept the licence where it is gated."""
        return f"https://huggingface.co/{self.source}"


# What trainers of FLUX adapters agree on (diffusers, PEFT, SimpleTuner).
_FLOW_ADAPTER: Changes = {
    "train.rank": 16,
    "train.alpha": 16.0,
    "train.layers": "all",
    "train.learning_rate_unet": 1e-4,
}
FAMILIES: Mapping[str, Family] = {
    "stable_diffusion": Family(
        classes=("StableDiffusionInpaintPipeline", "StableDiffusionPipeline"),
        parts=("unet", "vae", "text_encoder"),
        stands_for="sd2",
        file_tensor="model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    ),
    "stable_diffusion_xl": Family(
        classes=("StableDiffusionXLInpaintPipeline", "StableDiffusionXLPipeline"),
        parts=("unet", "vae", "text_encoder", "text_encoder_2"),
        stands_for="sdxl",
        file_tensor="model.diffusion_model.label_emb.0.0.weight",
        preset_changes={"quick": {"train.steps": 300, "train.batch": 4}},
    ),
    "flux2_klein": Family(
        classes=("Flux2KleinPipeline", "Flux2KleinInpaintPipeline"),
        parts=("transformer", "vae", "text_encoder"),
        stands_for="klein",
        changes={
            **_FLOW_ADAPTER,
            **{"sample.sampler": "ddim", "sample.steps": 50, "sample.guidance": 4.0},  # as the pipeline has them
            **{"sample.hold": True, "export.match_colour": True},  # it drifts in colour and pixels where it may
        },
        preset_changes={"quick": {"train.steps": 300, "train.batch": 4}},
    ),
    "flux_fill": Family(
        classes=("FluxFillPipeline",),
        parts=("transformer", "vae", "text_encoder", "text_encoder_2"),
        stands_for="flux-fill",
        changes={**_FLOW_ADAPTER, "sample.sampler": "ddim", "sample.steps": 50},
        preset_changes={"quick": {"train.steps": 300, "train.batch": 4}},
    ),
}

BASES: Mapping[str, Base] = {
    "mini": Base(
        label="mini",
        family="stable_diffusion",
        source="mini",
        size=256,
        multiple=32,
        gigabytes=0.03,
        licence="Apache-2.0",
        preset="mini",
        least_memory=0,
        time=Sentence("one to two minutes on two cores"),
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
            adapted=(1.5e6, 9.6e6),
        ),
    ),
    "sd2": Base(
        label="sd2, needs a GPU",
        family="stable_diffusion",
        source="sd2-community/stable-diffusion-2-inpainting",
        size=512,
        multiple=64,
        gigabytes=5.2,
        licence="CreativeML Open RAIL++-M",
        preset="quick",
        least_memory=8e9,
        time=Sentence("not known yet on a GPU; without one the preset patient takes about two hours of one core"),
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
            adapted=(196e6, 1074e6),
        ),
    ),
    "sdxl": Base(
        label="sdxl, needs a GPU",
        family="stable_diffusion_xl",
        source="diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
        size=1024,
        multiple=32,
        gigabytes=7.0,
        licence="CreativeML Open RAIL++-M",
        preset="quick",
        least_memory=12e9,
        variant="fp16",
        figure=PublicFigure(1.12, "RTX 3090 Ti", Sentence("at 1024 px"), "kohya-ss/sd-scripts#827"),
        memory=MemoryFigures(
            width=2,
            denoiser=2567e6,
            others=985e6,
            autoencoder=167e6,  # in float32: counted twice
            fixed=300e6,
            item=5.65e9,
            item_again=0.55e9,
            seed=0.17e9,
            encode=2.7e9,
            decode=3.22e9,
            every_layer=(1.23, 1.29),
            adapted=(1.19e9, 3.22e9),
        ),
    ),
    "klein": Base(
        label="klein, needs a GPU",
        family="flux2_klein",
        source="black-forest-labs/FLUX.2-klein-base-4B",
        size=512,
        multiple=16,
        gigabytes=32.0,  # two models of 16
        licence="Apache-2.0",
        preset="quick",
        least_memory=12e9,
        # trained on the base, drawn by the distilled one in four steps
        changes={
            "sample.base": "black-forest-labs/FLUX.2-klein-4B",
            **{"sample.steps": 4, "sample.guidance": 1.0},
        },
        figure=PublicFigure(
            0.505, "L40S", Sentence("at 512 px without references beside them"), "huggingface/peft method_comparison"
        ),
        memory=MemoryFigures(
            width=2,
            denoiser=3876e6,
            others=84e6,
            autoencoder=84e6,
            fixed=500e6,
            item=13.6e9,
            item_again=1.43e9,
            seed=0.49e9,
            encode=0.337e9,
            decode=0.404e9,
            every_layer=(1.03, 1.0),
            adapted=(2.83e9, 3.68e9),
        ),
    ),
    "flux-fill": Base(
        label="flux-fill, needs a GPU of 32 GB, not for commercial use",
        family="flux_fill",
        source="black-forest-labs/FLUX.1-Fill-dev",
        size=1024,
        multiple=16,
        gigabytes=34.0,
        licence="FLUX.1 [dev] Non-Commercial License",
        commercial=False,
        gated=True,
        preset="quick",
        least_memory=32e9,
        memory=MemoryFigures(
            width=2,
            denoiser=11902e6,
            others=84e6,
            autoencoder=84e6,
            fixed=1200e6,
            item=24.6e9,
            item_again=2.41e9,
            seed=0.5e9,
            encode=1.35e9,
            decode=1.61e9,
            every_layer=(1.33, 1.04),
            adapted=(2.51e9, 8.61e9),
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


def sources(base: str) -> list[str]:
    """The hub ids that a base by name comes from: what is trained and, where another one draws, that."""
    row = BASES[base]
    draws = row.changes.get("sample.base")
    return [row.source, *([str(draws)] if draws else [])]


def find_family(base: str) -> str | None:
    """The family of a base by name, folder or hub id, as far as it is known without loading or fetching anything.

    A hub id without a row is taken for Stable Diffusion until it is here; None: a folder or file of another kind of
    model.
    """
    for row in BASES.values():
        if row is BASES.get(base) or row.source == base:
            return row.family
    place = Path(base).expanduser()
    if place.is_file():
        try:
            return family_of_file(place)
        except (OSError, ValueError):
            return None
    return family_of_class(read_class_name(place)) if place.is_dir() else "stable_diffusion"


def family_of_class(class_name: str) -> str | None:
    """The family that drives a pipeline of this class, or None."""
    return next((name for name, family in FAMILIES.items() if class_name in family.classes), None)


def family_of_file(file: Path) -> str | None:
    """The family of a model in one .safetensors file of its maker's layout, or None.

    Raises:
        OSError, ValueError: as `files.read_tensor_header`.
    """
    return _family_of_tensors(files.read_tensor_header(file))


def _family_of_tensors(tensors: Mapping[str, Any]) -> str | None:
    return next((name for name, family in FAMILIES.items() if family.file_tensor in tensors), None)


def read_class_name(folder: Path) -> str:
    """What a diffusers folder says that it is, `_class_name` of its model_index.json; empty where it does not say."""
    try:
        index = files.read_json(folder / "model_index.json") or {}
    except RunError:  # damaged
        return ""
    return str(index.get("_class_name", ""))


def check_folder(folder: Path, base: str) -> str:
    """The family that drives a diffusers folder.

    Raises:
        WeightsError: it is none, or no family drives such a model; the sentence says what would do.
    """
    class_name = read_class_name(folder)
    family = family_of_class(class_name)
    if family is None:
        what = f"a {class_name}" if class_name else "no diffusers folder: it has no model_index.json that names a class"
        known = ", ".join(one.classes[0] for one in FAMILIES.values())
        raise WeightsError(
            "Base '{base}' is {what}. Folders of these can be used: {known}.", base=base, what=what, known=known
        )
    return family


def check_file(file: Path) -> str:
    """The family that drives a model in one .safetensors file; its header alone is read.

    Raises:
        WeightsError: it is damaged, none drives such a model, or it does not inpaint; the sentence says what would do.
    """
    try:
        tensors = files.read_tensor_header(file)
    except (OSError, ValueError) as error:
        raise WeightsError(
            "{name} is damaged or no safetensors file: {first_line} Fetch it again.",
            name=file.name,
            first_line=f"{error}.",
        ) from error
    family = _family_of_tensors(tensors)
    if family is None and any(name.removeprefix(_DENOISER).startswith("double_blocks.") for name in tensors):
        raise WeightsError(
            "{name} is a FLUX transformer alone, without text encoders and autoencoder; give the model's "
            "diffusers folder or its hub id.",
            name=file.name,
        )
    if family is None:
        raise WeightsError(
            "{name} is not a Stable Diffusion 1.5, 2 or XL checkpoint in the original layout; give such a file, "
            "or a diffusers folder.",
            name=file.name,
        )
    shape = tensors.get(f"{_DENOISER}input_blocks.0.0.weight", {}).get("shape") or [0, INPAINTING_CHANNELS]
    if shape[1] != INPAINTING_CHANNELS:
        raise WeightsError(
            "{name} is not an inpainting model (its U-Net takes {channels} channels, not {wanted}); "
            "take an inpainting checkpoint.",
            name=file.name,
            channels=shape[1],
            wanted=INPAINTING_CHANNELS,
        )
    return family


def describe_base(name: str) -> str:
    """`Apache-2.0 · 32 GB to download · 512 px · trains on GPUs from 12 GB`, and what its licence asks."""
    return " · ".join(base_facts(name))


def base_facts(name: str) -> list[Sentence]:
    """What is to be known of a base before it is chosen, each fact apart."""
    base = BASES.get(name)
    if base is None:
        return [Sentence("A base of this server; its licence is its maker's.")]
    facts = [Sentence(base.licence), Sentence("{size} px", size=base.size)]
    if base.is_embedded:
        facts.append(Sentence("comes with the project"))
    else:
        facts.append(Sentence("{size} GB to download", size=f"{base.gigabytes:g}"))
    if base.least_memory:
        facts.append(Sentence("trains on GPUs from {size} GB", size=f"{base.least_memory / 1e9:g}"))
    else:
        facts.append(Sentence("no GPU needed"))
    if not base.commercial:
        facts.append(Sentence("not for commercial use"))
    if base.gated:
        facts.append(Sentence("its licence must be accepted at {page} first", page=base.page))
    return facts


def describe_time(name: str, items: int, *, brief: bool = False) -> Sentence:
    """How long a base takes where this machine has not measured it, without a full stop.

    Args:
        items: of the whole training; others' figures are of training alone.
        brief: leaves out how others measured.
    """
    base = BASES.get(name)
    if base is not None and base.time is not None:
        return base.time
    figure = base.figure if base is not None else None
    if figure is None:
        return Sentence("not known yet")
    minutes = max(1, round(items * figure.seconds / 60))
    took = Sentence("training took others about {minutes} min ({card})", minutes=minutes, card=figure.card)
    how = {"items": items, "conditions": figure.conditions, "source": figure.source}
    return took if brief else Sentence("{took}: {items} items {conditions}, {source}", took=took, **how)


def base_record(name: str, items: int) -> dict[str, Any]:
    """A base as programs read it; `items`: as `describe_time`."""
    base = BASES[name]
    return {
        "name": name,
        "family": base.family,
        "size": base.size,
        "licence": base.licence,
        "commercial": base.commercial,
        "gated": base.gated,
        "gigabytes": base.gigabytes,
        "least_memory": base.least_memory,
        "preset": base.preset,
        "source": base.source,
        "time": describe_time(name, items),
    }


def licence_notice(name: str) -> str:
    """What a person must know of a base's licence before it is used; empty where nothing is special."""
    base = BASES.get(name)
    if base is None or base.commercial:
        return ""
    return Sentence(
        "The base '{name}' is under the {licence}: not for commercial use. Its text: {page}",
        name=name,
        licence=base.licence,
        page=base.page,
    )


def estimated_as(base: str) -> Base:
    """The base's row, or the one that stands for its family."""
    return BASES.get(base) or BASES[FAMILIES[find_family(base) or "stable_diffusion"].stands_for]


def preset_changes(base: str, preset: str) -> Changes:
    """The settings by which a preset differs for a base."""
    family = FAMILIES[find_family(base) or "stable_diffusion"]
    own = BASES[base].changes if base in BASES else {}
    return {**family.changes, **family.preset_changes.get(preset, {}), **own}


def download_command(source: str) -> str:
    """The command that fetches what is read of a model on the hub, and not its copies in other formats."""
    variant = next((base.variant for base in BASES.values() if base.source == source), "")
    weights = f"'*/*.{variant}*safetensors'" if variant else "'*/*.safetensors'"
    others = "'safety_checker/*'" if variant else "'*.fp16*' 'safety_checker/*'"
    return (
        f"hf download {source} --include '*.json' '*.txt' '*.model' '*.jinja' {weights} --exclude {others} "
        "--local-dir FOLDER"
    )
