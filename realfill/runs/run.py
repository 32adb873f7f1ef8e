"""A run is a folder, and the folder is the truth: what was asked, what exists, and whether someone works on it.

    run.json       schema number, config, versions, notices about the scene's files; added once known: base and its
                   weight hash, fit, device, precision, and whose adapter it is where it was taken from another run
    labels.json    what a person decided about it: a name, a chosen seed; see labels.py
    scene/         the inputs as given, normalised
    events.jsonl   what happened, append only
    checkpoints/   lora/   seeds/000017.png   scores.json   result.png   result.json (what made result.png)
    previews/000100.png (one seed after so many steps)   matches/000017.json (what a seed's count is made of)
    earlier/1/     seeds and scores that other settings made before
    log.txt        what a worker's process wrote; state.json, lock, stop: see status.py

Everything is written to a temporary name, synced and renamed, so a kill between any two writes leaves a run
that opens. No torch here: the page's process lives on this module.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from realfill import config as settings
from realfill import files, seeds
from realfill.arrays import Photo
from realfill.config import Config, flatten
from realfill.errors import RunError
from realfill.files import speak_refusals
from realfill.geometry.propose import count_starting, load_ranking
from realfill.imaging.photo import read_photo, save_photo
from realfill.runs.labels import Labels
from realfill.runs.layout import checkpoint_steps, is_whole_png, list_items
from realfill.runs.status import RunFolder
from realfill.scene import scene
from realfill.scene.scene_files import SceneFiles
from realfill.seeds import proposal_seed, starting_rank, starts_from_draft

SCHEMA = 1
PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "kornia", "opencv-python-headless", "numpy")
Notes = Literal["scores", "result", "seeds/made"]

# Settings that decide what training makes; the others of these groups only decide how it is carried out.
_DECIDES_TRAINING = ("base", "seed", "variants", "fit.", "train.", "guide.only")  # the last one: its fit is another
_CARRIES_OUT_TRAINING = (
    "train.micro_batch",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.preview_every",
    "train.patience",
)
_BEFORE_RUN_JSON = ("scene", "lock", "state.json", "labels.json", "log.txt", "stop")


class Run(RunFolder):
    """One run folder. Make it with `Run.create`, `Run.open` or `Run.ensure`."""

    def __init__(self, folder: Path, data: dict[str, Any], config: Config) -> None:
        super().__init__(folder)
        self.config = config
        self.labels = Labels(folder)
        self._data = data

    @classmethod
    def create(cls, folder: Path, config: Config, source: Path | SceneFiles | None = None) -> "Run":
        """A new run in `folder` with a scene folder or files as its scene; None: folder/scene was filled before.

        run.json comes last: a creation that was killed is no run and may be done again. A refusal removes what this
        call made and nothing else.

        Raises:
            RunError: `folder` holds a run, another scene or other things, or is no folder.
            SceneError: the scene cannot be used.
        """
        check_run_folder(folder)
        if (folder / "run.json").exists():
            raise RunError("{folder} holds a run already; give another folder with --run.", folder=folder)
        names = [item.name for item in list_items(folder)]
        foreign = [name for name in names if name not in _BEFORE_RUN_JSON and not name.startswith(".")]
        if foreign:
            raise RunError(
                "{folder} is no run and holds {foreign}; give a new folder with --run.",
                folder=folder,
                foreign=foreign[0],
            )
        with files.undo_creation(folder, ("lock", "scene")), RunFolder(folder).lock():
            return cls(folder, cls._fill(folder, config, source), config)

    @staticmethod
    def _fill(folder: Path, config: Config, source: Path | SceneFiles | None) -> dict[str, Any]:
        place = folder / "scene"
        if source is not None and not place.exists():
            notices = scene.store(place, source, variants=config.variants)
        elif source is None or _are_same_scene(place, source, variants=config.variants):
            notices = scene.check(source or place, variants=config.variants)
        else:
            raise RunError(
                "{place} holds other photos or another mask; give a new folder with --run, or leave "
                "out the scene to use the one there.",
                place=place,
            )
        plain = config.model_dump(mode="json")
        data = {"schema": SCHEMA, "created": timestamp(), "config": plain, "versions": versions()}
        data["notices"] = list(notices)
        files.write_json(folder / "run.json", data)
        return data

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """The run in `folder`.

        Raises:
            RunError: there is none, or a newer version of RealFill made it.
            OptionError: its settings were changed by hand to something impossible.
        """
        check_run_folder(folder)
        data = files.read_json(folder / "run.json")
        if data is None:
            raise RunError(
                "There is no run in {folder}; start one with: realfill complete SCENE --run {folder}", folder=folder
            )
        schema = data.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            raise RunError(
                "A newer RealFill made the run in {folder} (schema {schema}); update RealFill to open it.",
                folder=folder,
                schema=schema,
            )
        return cls(folder, data, settings.validate(data.get("config")))

    @classmethod
    def ensure(cls, folder: Path, config: Config | None = None, source: Path | None = None) -> "Run":
        """Opens the run in `folder` or creates it; what is given must agree with what was trained.

        A refusal changes nothing. Other settings are written down under the run's lock, which is free again
        afterwards; equal ones need no lock, so that a folder that cannot be written to opens.

        Raises:
            RunBusy: another process works on the run, and the settings are others.
            RunError: another scene or other training settings belong to this folder, or there is neither
                run nor scene.
            SceneError: as `create`.
        """
        if not (folder / "run.json").exists():
            if source is None and not (folder / "scene").is_dir():
                raise RunError("There is no run in {folder} yet; give a scene folder to start one.", folder=folder)
            return cls.create(folder, config or settings.make("mini", {}), source)
        run = cls.open(folder)
        if config is not None:
            run.check(config)
        if source is not None and not _are_same_scene(run.scene_folder, source, variants=run.config.variants):
            raise RunError(
                "The run in {folder} has other photos or another mask; give a new folder with --run.", folder=folder
            )
        if config is not None and config != run.config:
            with RunFolder(folder).lock():
                run = cls.open(folder)  # as whoever held the lock before left it
                run.update(config)
        return run

    def update(self, config: Config) -> None:
        """Takes other settings for what comes after training; those of training must stay as they are.

        Only more steps are welcome: training then goes on from its newest checkpoint, and the adapter and the
        seeds of before stay until the new ones are there.

        Raises:
            RunError: a setting that decides the training differs.
        """
        self.check(config)
        facts: dict[str, Any] = {"config": config.model_dump(mode="json")}
        further = config.train.steps > self.config.train.steps
        if further and self.lora.is_dir() and self.fact("adapter_steps") is None:
            facts["adapter_steps"] = self.config.train.steps
        if config != self.config:
            self.record(**facts)
            self.config = config

    def take_adapter(self, trained: "Run") -> None:
        """Takes the finished adapter of another run of the same place: nothing is trained for this target.

        Base, seed and training settings become those of that run; run.json says whose adapter it is and which photos
        it knows. What was begun is done again when asked again, as it was.

        Raises:
            RunError: the other run has no finished adapter, or this one has learnt or filled something by itself.
            RunBusy: someone works on this run.
        """
        if not trained.is_trained or trained.config.guide.only:
            raise RunError(
                "The run in {folder} has no finished adapter; train it first: realfill train", folder=trained.folder
            )
        origin = {"run": trained.folder.name, "photos": trained.adapter_photos()}
        with self.lock():
            if self.fact("adapter") != origin and (self.lora.is_dir() or self.checkpoint_steps() or self.seeds_done()):
                raise RunError(
                    "The run in {folder} has an adapter or pictures already; give a new folder.", folder=self.folder
                )
            same = {
                name: value
                for name, value in flatten(trained.config).items()
                if name.startswith(("base", "seed", "train.", "guide.only"))
            }
            config = settings.change(self.config, {**same, "sample.checkpoint": 0})
            facts = {"base": trained.fact("base"), "adapter_steps": trained.adapter_steps, "adapter": origin}
            self.record(config=config.model_dump(mode="json"), **facts)
            self.config = config
            with files.new_folder(self.lora) as copy, speak_refusals(self.lora):
                shutil.copytree(trained.lora, copy, dirs_exist_ok=True)

    def adapter_photos(self) -> list[dict[str, str]]:
        """The photos that the adapter knows: those of this run's scene, or of the run that it was taken from."""
        origin = self.fact("adapter")
        return origin["photos"] if origin else self.scene_photos()

    def scene_photos(self) -> list[dict[str, str]]:
        """File and sha256 of the scene's photos, the references first."""
        photos = [*list_items(self.scene_folder / "ref"), *list_items(self.scene_folder / "target")]
        return [
            {"file": f"{photo.parent.name}/{photo.name}", "sha256": hashlib.sha256(photo.read_bytes()).hexdigest()}
            for photo in photos
            if photo.stem not in ("mask", "gt")
        ]

    def check(self, config: Config) -> None:
        """Whether `update` would take these settings; writes nothing.

        Raises:
            RunError: as `update`.
        """
        old, new = flatten(self.config), flatten(config)
        for name, value in new.items():
            further = name == "train.steps" and value > old[name]
            if (
                old[name] != value
                and name.startswith(_DECIDES_TRAINING)
                and name not in _CARRIES_OUT_TRAINING
                and not further
            ):
                raise RunError(
                    "The run in {folder} was started with {name} = {old}, not {value}; give a new folder "
                    "with --run, or leave that setting out.",
                    folder=self.folder,
                    name=name,
                    old=old[name],
                    value=value,
                )

    def record(self, **facts: Any) -> None:
        """Adds JSON facts to run.json, such as the base's weight hash; equal ones are not written again."""
        # read again: the page may have changed the export's settings meanwhile
        old = files.read_json(self.folder / "run.json") or self._data
        data = {**old, **json.loads(json.dumps(facts))}
        if data != old:
            files.write_json(self.folder / "run.json", data)
            self._data = data

    def fact(self, name: str) -> Any:
        """A fact of run.json as JSON data, or None."""
        return self._data.get(name)

    @property
    def scene_notices(self) -> list[str]:
        """What there was to say about the scene's files when they were stored; the stored ones say less."""
        known = self.fact("notices")
        return [one for one in known if isinstance(one, str)] if isinstance(known, list) else []

    # ── what exists ──

    @property
    def scene_folder(self) -> Path:
        """The inputs, for scene.load."""
        return self.folder / "scene"

    @property
    def checkpoints(self) -> Path:
        """The folder of training's checkpoints."""
        return self.folder / "checkpoints"

    @property
    def lora(self) -> Path:
        """The folder of the finished adapter; appears as a whole."""
        return self.folder / "lora"

    @property
    def is_trained(self) -> bool:
        """Whether the adapter is finished, after as many steps as are asked for."""
        return self.lora.is_dir() and self.adapter_steps >= self.config.train.steps

    @property
    def adapter_steps(self) -> int:
        """After how many steps the adapter in `lora` was made."""
        known = self.fact("adapter_steps")
        return known if isinstance(known, int) else self.config.train.steps

    def checkpoint_steps(self) -> list[int]:
        """The steps of the checkpoints, oldest first; each of them can fill in the hole."""
        return checkpoint_steps(self.checkpoints)

    def preview_path(self, step: int) -> Path:
        """Where the small picture that training makes after so many steps lies or will lie."""
        return self.folder / "previews" / f"{step:06d}.png"

    def previews(self) -> list[tuple[int, Path]]:
        """Step and file of the small pictures that training left, oldest first."""
        pictures = [item for item in list_items(self.folder / "previews") if item.suffix == ".png"]
        return sorted((int(item.stem), item) for item in pictures if item.stem.isdecimal() and is_whole_png(item))

    def matches_path(self, seed: int) -> Path:
        """Where the points that a seed's count is made of lie, where they were kept."""
        return self.folder / "matches" / f"{seed:06d}.json"

    @property
    def result(self) -> Path:
        """The exported picture."""
        return self.folder / "result.png"

    def seed_path(self, seed: int) -> Path:
        """Where a seed's picture at working size lies or will lie."""
        return self.folder / "seeds" / f"{seed_stem(seed)}.png"

    def seeds_done(self) -> list[int]:
        """Seeds that have a whole picture, ascending; an empty or cut file counts as missing."""
        pictures = [item for item in list_items(self.folder / "seeds") if item.suffix == ".png"]
        by_seed = {_seed_of_file(item): item for item in pictures if _is_seed(item.stem)}
        return sorted(seed for seed, item in by_seed.items() if is_whole_png(item))

    def seeds_wanted(self) -> list[int]:
        """Seeds that the run asks for, and the draft where there is one."""
        return list(dict.fromkeys([*self.proposal_seeds(), *self.config.seeds]))

    def proposal_seeds(self) -> list[int]:
        """What stands among the seeds for the proposals that have a whole picture, as made; none without a draft."""
        made = [seed for seed in self.seeds_done() if seeds.is_proposal(seed)]
        return sorted(made, reverse=True) if self.config.guide.draft else []

    def kind(self, seed: int) -> str:
        """What a seed starts from: "draft" is a proposal as it is, "guided" began from one, "" from pure noise."""
        if seeds.is_proposal(seed):
            return "draft"
        from_draft = self.config.guide.draft and starts_from_draft(seed, self.config.guide.warm)
        return "guided" if from_draft and self.seed_path(seeds.DRAFT).exists() else ""

    @property
    def draft_folder(self) -> Path:
        """The draft by geometry, for `geometry.draft.load_draft`; appears as a whole."""
        return self.folder / "draft"

    def started_from(self, seed: int) -> int | None:
        """What stands among the seeds for the proposal that a seed began from; None where it began from pure noise."""
        if self.kind(seed) != "guided":
            return None
        starting = self.starting_proposals()
        return starting[starting_rank(seed, self.config.guide.warm, len(starting))] if starting else None

    def starting_proposals(self) -> list[int]:
        """What stands among the seeds for the proposals that others begin from, best first."""
        ranked = self.ranked_proposals()
        return ranked[: count_starting(self.proposals_folder)] if self.config.guide.proposals else ranked

    def ranked_proposals(self) -> list[int]:
        """What stands among the seeds for the proposals, best first; the draft alone where none were asked for."""
        if not self.config.guide.proposals:
            return [seeds.DRAFT]
        return [proposal_seed(number) for number in load_ranking(self.proposals_folder)]

    @property
    def proposals_folder(self) -> Path:
        """The proposals of the draft, for `geometry.proposals`."""
        return self.folder / "proposals"

    def write_seed(self, seed: int, photo: Photo) -> None:
        """Stores a seed's picture (H, W, 3), atomically."""
        path = self.seed_path(seed)
        with speak_refusals(path):
            path.parent.mkdir(exist_ok=True)
            save_photo(photo, path)

    def read_seed(self, seed: int) -> Photo:
        """A seed's picture (H, W, 3) at working size."""
        return read_photo(self.seed_path(seed))

    def read(self, name: Notes) -> dict[str, Any]:
        """One of the JSON files beside the pictures; empty where there is none."""
        return files.read_json(self.folder / f"{name}.json") or {}

    def write(self, name: Notes, data: Mapping[str, Any]) -> None:
        """Stores one of the JSON files beside the pictures, atomically."""
        files.write_json(self.folder / f"{name}.json", data)

    def delete(self) -> None:
        """Removes the run and everything in it.

        Raises:
            RunBusy: someone works on it.
        """
        with self.lock():
            files.remove_folder(self.folder)


def timestamp() -> str:
    """This moment, as run.json has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def parse_timestamp(moment: str) -> float:
    """A moment of run.json in seconds since 1970.

    Raises:
        ValueError: it is none.
    """
    return datetime.datetime.fromisoformat(moment).timestamp()


def versions() -> dict[str, str]:
    """The installed versions of the packages that decide a result, without importing them."""
    installed = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[package] = importlib.metadata.version(package)
    return installed


def check_run_folder(folder: Path) -> None:
    """Refuses a place where no folder can be made.

    Raises:
        RunError: a file, or a link that leads nowhere, stands there or on the way there.
    """
    place = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
    if os.path.lexists(place) and not place.is_dir():
        what = "a file" if place.exists() else "a link that leads nowhere"
        raise RunError("{place} is {what}; give a folder for the run.", place=place, what=what)


def _are_same_scene(folder: Path, source: Path | SceneFiles, *, variants: bool) -> bool:
    own, other = scene.load(folder, variants=variants), scene.load(source, variants=variants)
    pairs = [(own.original.pixels, other.original.pixels), (own.hole, other.hole)]
    pairs += zip(own.references, other.references, strict=False)
    return len(own.references) == len(other.references) and all(np.array_equal(a, b) for a, b in pairs)


def seed_stem(seed: int) -> str:
    """What a seed's files are called: `000017`; proposals `draft`, `draft-2`, …, as they were made."""
    number = seeds.proposal_number(seed)
    return f"{seed:06d}" if number < 1 else "draft" if number == 1 else f"draft-{number}"


def _is_seed(stem: str) -> bool:
    number = stem.removeprefix("draft-")
    return stem == "draft" or (number.isdecimal() and (number == stem or int(number) > 1))


def _seed_of_file(path: Path) -> int:
    number = path.stem.removeprefix("draft-")
    if number == path.stem:
        return seeds.DRAFT if path.stem == "draft" else int(path.stem)
    return seeds.proposal_seed(int(number))
