"""Every knob, once: name, bounds, default and one line of doc. The doc is the CLI help and the UI hint.

One frozen class a stage; unknown names are refused. `paper` is the paper to the letter (method.md),
`quick` a quarter of its steps with a fast sampler and a pool, `mini` what the embedded base needs on two CPU cores,
`patient` what the paper's base can do on a CPU in a night.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from realfill.bases import BASES, EMBEDDED, PREFERRED, default_preset, preset_changes
from realfill.errors import OptionError

SamplerName = Literal["ddpm", "ddim", "dpm++"]
MatcherName = Literal["loftr", "xfeat", "aliked", "sift"]
MaskForm = Literal["green", "picture"]
PresetName = Literal["paper", "quick", "mini", "patient"]
PROPOSALS = 8  # complete proposals of a scene, where they are made
MOST_PROPOSALS = 64
MOST_SHOWN = 200  # characters of a wrong value in a sentence
Rate = Annotated[float, Field(ge=0.0, le=1.0)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FitConfig(_Settings):
    """How the target is cropped and resized to what the base works on."""

    size: int = Field(
        0, ge=0, le=2048, description="Working size in pixels, the square root of the area; 0 takes the base's own."
    )
    context: float = Field(
        0.5, ge=0.0, le=8.0, description="Known area kept around the hole, as a share of the hole's sides."
    )


class TrainConfig(_Settings):
    """Fine-tuning of LoRA weights on the references and the target (§3.4, §4.2)."""

    steps: int = Field(2000, ge=0, le=100_000, description="Optimisation steps.")
    batch: int = Field(16, ge=1, le=256, description="Items a step, drawn with replacement from references and target.")
    micro_batch: int = Field(0, ge=0, le=256, description="Items computed at once; 0 takes as many as memory allows.")
    learning_rate_unet: float = Field(
        2e-4, gt=0, le=0.1, description="Learning rate of the LoRA weights of the denoiser, a U-Net or a transformer."
    )
    learning_rate_text: float = Field(
        4e-5, gt=0, le=0.1, description="Learning rate of the text encoders' LoRA weights, where they have any."
    )
    decay: Rate = Field(
        0.0,
        description="Last share of the steps over which the learning rates fall to zero; 0 keeps them, as the paper.",
    )
    weight_decay: float = Field(1e-2, ge=0, le=1, description="AdamW weight decay of the LoRA weights.")
    clip_norm: float = Field(1.0, gt=0, description="Largest gradient norm of a step.")
    rank: int = Field(8, ge=1, le=256, description="LoRA rank.")
    alpha: float = Field(8.0, gt=0, le=1024, description="LoRA alpha; the adapter's output is scaled by alpha / rank.")
    layers: Literal["attention", "all"] = Field(
        "attention", description="LoRA on attention projections, or on every linear and convolution layer."
    )
    prompt: str = Field("a photo of sks", max_length=200, description="The fixed prompt with its rare token.")
    prompt_dropout: Rate = Field(0.1, description="Rate at which an item's prompt is emptied.")
    mask_dropout: Rate = Field(0.1, description="Rate at which everything is hidden from an item.")
    layer_dropout: Rate = Field(0.1, description="Rate at which a LoRA layer is switched off for a step.")
    context_dropout: Rate = Field(
        0.5, description="Rate at which each other photo is left out beside an item; for bases that see several."
    )
    mask_form: MaskForm = Field(
        "green",
        description="How bases without a channel for the mask are shown the hole: painted green, or filled smoothly "
        "with the mask beside it as a picture of its own.",
    )
    low_noise: float = Field(
        1.0,
        ge=1.0,
        le=4.0,
        description="Power of the uniformly drawn noise level; above 1 much noise is trained less often. 1: the paper.",
    )
    pool: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Crops with holes that are encoded once and drawn again; 0 makes new ones every step.",
    )
    crop: float = Field(
        0.4, gt=0, le=1, description="Smallest training crop, as a share of the largest that fits the photo."
    )
    guided: Rate = Field(
        0.0,
        description="Share of the items drawn from references warped into the target's frame; needs guide.draft.",
    )
    aware: Rate = Field(
        0.5, description="Share of those items that hide just what the target's hole hides; the others as the paper."
    )
    checkpoint_every: int = Field(50, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(
        2, ge=1, le=1000, description="How many checkpoints are kept; seeds can be made from each of them."
    )
    preview_every: int = Field(
        0, ge=0, le=100_000, description="Steps between small previews of one seed while it trains; 0 makes none."
    )
    patience: int = Field(
        0,
        ge=0,
        le=1000,
        description="Measurements on held-out patches without progress after which a notice offers to stop; 0: none.",
    )


class GuideConfig(_Settings):
    """What the references' geometry adds to the fill (docs/geometry.md); all off is the paper."""

    only: bool = Field(
        False, description="The draft alone is the fill: nothing is trained, no seeds are made. Switches draft on."
    )
    draft: bool = Field(
        False,
        validate_default=True,
        description="Make the instant draft by geometry and put it among the candidates; all below needs it.",
    )
    proposals: int = Field(
        0,
        ge=0,
        le=MOST_PROPOSALS,
        description="Complete proposals made of geometry and the scene's patches; seeds that start from the draft "
        "start in turn from those that score best. 0: from the geometry alone.",
    )
    warm: Rate = Field(0.0, description="Share of the seeds that start from the draft instead of pure noise.")
    strength: Rate = Field(
        0.5, description="Noise from which vouched-for parts of the draft are redone; 1 forgets the draft, 0 keeps it."
    )
    guess: Rate = Field(
        1.0, description="Noise from which invented parts are redone; below 1 they begin from plain inpainting."
    )
    known: bool = Field(False, description="Show vouched-for parts of the draft to the model as if they were known.")
    bound: Rate = Field(
        0.0, description="How far vouched-for parts are held to the draft after sampling; 1 keeps them exactly."
    )
    texture: Rate = Field(
        0.0,
        description="How far invented parts keep the proposal's detail that is finer than a cell of the latents, which "
        "a weak base blurs.",
    )
    detail: bool = Field(True, description="Add the draft's detail where the fill is enlarged for the target.")

    @field_validator("draft")
    @classmethod
    def _imply_draft(cls, value: bool, info: ValidationInfo) -> bool:
        return value or bool(info.data.get("only"))


class SampleConfig(_Settings):
    """Filling the hole, one generator for each seed (§3.4)."""

    seeds: tuple[Annotated[int, Field(ge=0, lt=10**10)], ...] = Field(
        tuple(range(64)), min_length=1, max_length=4096, description="Seeds to make; written 0-63 or 1,5,9."
    )
    base: str = Field(
        "",
        description="Base that makes the seeds with the adapter, such as a distilled one; empty: the trained one.",
    )
    sampler: SamplerName = Field(
        "ddpm", description="Sampler: ddpm as in the paper, dpm++ and ddim in far fewer steps."
    )
    steps: int = Field(200, ge=1, le=1000, description="Denoising steps of a seed.")
    guidance: float = Field(
        1.0, ge=0.0, le=30.0, description="Classifier-free guidance; 1 switches it off, as in the paper."
    )
    hold: bool = Field(
        False, description="Put the target's known cells back after every step, for bases that drift; off in the paper."
    )
    batch: int = Field(0, ge=0, le=256, description="Seeds made at once; 0 takes as many as memory allows.")
    checkpoint: int = Field(
        0, ge=0, le=100_000, description="Step of the checkpoint that fills in; 0 takes the finished adapter."
    )

    @field_validator("seeds", mode="before")
    @classmethod
    def _parse_seeds(cls, value: object) -> object:
        return parse_seeds(value) if isinstance(value, str) else value


class SelectConfig(_Settings):
    """Ranking by matches between the references and the filled region (§3.4)."""

    matcher: MatcherName = Field("loftr", description="Feature matcher; sift needs no weights, xfeat no network.")
    weights: str = Field("", description="A file with the matcher's weights; empty looks in the usual places.")
    size: int = Field(512, ge=64, le=2048, description="Longest side of the pictures that are matched, in pixels.")
    confidence: Rate = Field(0.5, description="Least confidence of a match that counts (loftr, xfeat, aliked).")


class ExportConfig(_Settings):
    """The composite at the target's own size (§3.4)."""

    feather: int = Field(
        8,
        ge=0,
        le=512,
        description="Width in target pixels of the known border that is blended; 0 changes no known pixel.",
    )
    quality: int = Field(95, ge=1, le=100, description="JPEG and lossy WebP quality.")
    match_colour: bool = Field(
        False, description="Shift the filled-in colours smoothly so that they meet the known ones at the seam."
    )


class Config(_Settings):
    """All that decides what a run computes; written to run.json."""

    base: str = Field(
        EMBEDDED,
        description=f"Pretrained inpainting model: {', '.join(BASES)}, a folder, a .safetensors file or a hub id.",
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of training; every random number of a step derives from it."
    )
    variants: bool = Field(False, description="Scene variants: a blank canvas, everything is generated (§5.2).")
    fit: FitConfig = FitConfig()
    train: TrainConfig = TrainConfig()
    guide: GuideConfig = GuideConfig()
    sample: SampleConfig = SampleConfig()
    select: SelectConfig = SelectConfig()
    export: ExportConfig = ExportConfig()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds to make; none where the draft alone is the fill."""
        return () if self.guide.only else self.sample.seeds


PRESETS: Mapping[PresetName, Config] = {
    "paper": Config(base=PREFERRED, guide=GuideConfig(proposals=PROPOSALS)),
    "quick": Config(
        base=PREFERRED,
        train=TrainConfig(steps=500, pool=256),
        guide=GuideConfig(proposals=PROPOSALS),
        sample=SampleConfig(seeds=tuple(range(32)), sampler="dpm++", steps=25),
    ),
    "mini": Config(
        base=EMBEDDED,
        train=TrainConfig(
            steps=75,
            batch=4,
            pool=64,
            rank=16,
            alpha=16.0,
            layers="all",
            learning_rate_unet=3e-4,
            learning_rate_text=6e-5,
            decay=0.5,
        ),
        guide=GuideConfig(
            draft=True, proposals=PROPOSALS, warm=1.0, strength=0.2, guess=0.1, known=True, bound=1.0, texture=1.0
        ),
        sample=SampleConfig(seeds=tuple(range(16)), sampler="ddim", steps=20),
    ),
    # By measurement of single parts on one core with AVX-512 BF16: 1.5 core-hours of training, 10 minutes of seeds.
    "patient": Config(
        base=PREFERRED,
        train=TrainConfig(steps=100, batch=4, pool=64, decay=0.5, checkpoint_every=5),
        sample=SampleConfig(seeds=tuple(range(8)), sampler="dpm++", steps=10),
    ),
}
PRESET_LABELS: Mapping[PresetName, str] = {
    "mini": "mini, for mini",
    "quick": "quick",
    "paper": "paper, in full",
    "patient": "patient, sd2 without a GPU: about 2 hours of one core",
}
"""The presets as the page lists them, the quickest on a GPU first."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """`"0-3,17"` → (0, 1, 2, 3, 17), each once, in the order written.

    Raises:
        OptionError: the text is not a list of seeds.
    """
    seeds: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(first) > 10 or len(last) > 10:
            raise OptionError("'{text}' is not a list of seeds; write it like 0-15 or 1,5,9.", text=text)
        low, high = int(first), int(last or first)
        if high - low >= 4096 or high < low:
            raise OptionError("'{part}' is not a range of at most 4096 seeds; write it like 0-15.", part=part)
        seeds.update(dict.fromkeys(range(low, high + 1)))
    return tuple(seeds)


def make(preset: PresetName, changes: Mapping[str, Any]) -> Config:
    """A preset for a base, with changes given by dotted names, e.g. `{"base": "mini", "train.steps": 500}`.

    Raises:
        OptionError: as `change`.
    """
    base = str(changes.get("base", PRESETS[preset].base))
    return change(PRESETS[preset], {**preset_changes(base, preset), **changes})


def default_items(base: str) -> int:
    """Items of the whole training that a base begins with, by the preset that it begins with."""
    train = make(default_preset(base), {"base": base}).train
    return train.steps * train.batch


def change(config: Config, changes: Mapping[str, Any]) -> Config:
    """A config with changes given by dotted names; values may be text, as typed.

    Raises:
        OptionError: a name does not exist or a value does not fit; the sentence says which and why.
    """
    data: dict[str, Any] = config.model_dump()
    for name, value in changes.items():
        *path, last = name.split(".")
        place: Any = data
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            known = ", ".join(sorted(flat_fields()))
            raise OptionError("There is no setting '{name}'; the settings are {known}.", name=name, known=known)
        place[last] = value
    return validate(data)


def validate(data: object) -> Config:
    """A Config from plain data such as run.json's.

    Raises:
        OptionError: the first thing that is wrong, as a sentence.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the settings"
        value = _shorten(repr(first["input"]))
        raise OptionError(
            "Setting {name}: {problem} (given: {value}).", name=name, problem=first["msg"].rstrip("."), value=value
        ) from error


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def flat_fields() -> dict[str, Any]:
    """Every setting's pydantic FieldInfo by dotted name, in the order of the classes."""
    fields: dict[str, Any] = {}
    for name, info in Config.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, _Settings):
            fields.update({f"{name}.{inner}": field for inner, field in kind.model_fields.items()})
        else:
            fields[name] = info
    return fields


def flatten(config: Config) -> dict[str, Any]:
    """A config's values by dotted name, e.g. {"base": "mini", "train.steps": 150}."""
    values: dict[str, Any] = {}
    for name, value in config.model_dump().items():
        if isinstance(value, dict):
            values.update({f"{name}.{inner}": deep for inner, deep in value.items()})
        else:
            values[name] = value
    return values
