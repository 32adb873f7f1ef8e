"""A run is a folder, and the folder is the truth: what was asked, what exists, and whether someone works on it.

    run.json       schema number, config, versions; added once known: base and its weight hash, fit, device, precision
    labels.json    what a person decided about it: a name, a chosen seed
    scene/         the inputs as given, normalised
    events.jsonl   what happened, append only
    checkpoints/   lora/   seeds/000017.png   scores.json   result.png   result.json (what made result.png)
    previews/000100.png (one seed after so many steps)   matches/000017.json (what a seed's count is made of)
    earlier/1/     seeds and scores that other settings made before
    log.txt        what a worker's process wrote; state.json, lock, stop: see states.py

Everything is written to a temporary name, synced and renamed, so a kill between any two writes leaves a run
that opens. No torch here: the page's process lives on this module.
"""

import contextlib
import datetime
import importlib.metadata
import json
import os
import threading
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
from realfill.imaging.photo import read_photo, save_photo
from realfill.runs.status import Workplace
from realfill.scene import scene
from realfill.seeds import starts_from_draft

SCHEMA = 1
PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "kornia", "opencv-python-headless", "numpy")
Notes = Literal["scores", "result", "seeds/made"]

# Settings that decide what training makes; the others of these groups only decide how it is carried out.
_TRAINING = ("base", "seed", "variants", "fit.", "train.", "guide.only")  # the last one: its fit is another
_NEUTRAL = (
    "train.micro_batch",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.preview_every",
    "train.patience",
)
_LABELS = threading.RLock()  # the page's handlers label one run from several threads
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
_OURS = ("scene", "lock", "state.json", "labels.json", "log.txt", "stop")


class Run(Workplace):
    """One run folder. Make it with `Run.create`, `Run.open` or `Run.ensure`."""

    def __init__(self, folder: Path, data: dict[str, Any], config: Config) -> None:
        super().__init__(folder)
        self.config = config
        self._data = data

    @classmethod
    def create(cls, folder: Path, config: Config, source: Path | None = None) -> "Run":
        """A new run in `folder` with the scene folder `source`; None: folder/scene was filled before.

        run.json comes last: a creation that was killed is no run and may be done again.

        Raises:
            RunError: `folder` holds a run or other things.
            SceneError: the scene cannot be used.
        """
        if (folder / "run.json").exists():
            raise RunError(f"{folder} holds a run already; give another folder with --run.")
        items = _items(folder)
        foreign = [item.name for item in items if item.name not in _OURS and not item.name.startswith(".")]
        if foreign:
            raise RunError(f"{folder} is no run and holds {foreign[0]}; give a new folder with --run.")
        try:
            data = cls._fill(folder, config, source)
        except BaseException:
            if not items:
                files.remove_folder(folder)
            raise
        return cls(folder, data, config)

    @staticmethod
    def _fill(folder: Path, config: Config, source: Path | None) -> dict[str, Any]:
        with Workplace(folder).lock():
            if source is not None:
                files.remove_folder(folder / "scene")
                scene.store(folder / "scene", source, variants=config.variants)
            scene.load(folder / "scene", variants=config.variants)
            plain = config.model_dump(mode="json")
            data = {"schema": SCHEMA, "created": timestamp(), "config": plain, "versions": versions()}
            files.write_json(folder / "run.json", data)
        return data

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """The run in `folder`.

        Raises:
            RunError: there is none, or a newer version of RealFill made it.
            OptionError: its settings were changed by hand to something impossible.
        """
        data = files.read_json(folder / "run.json")
        if data is None:
            raise RunError(f"There is no run in {folder}; start one with: realfill complete SCENE --run {folder}")
        schema = data.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            raise RunError(f"A newer RealFill made the run in {folder} (schema {schema}); update RealFill to open it.")
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
                raise RunError(f"There is no run in {folder} yet; give a scene folder to start one.")
            return cls.create(folder, config or settings.make("mini", {}), source)
        run = cls.open(folder)
        if config is not None:
            run.check(config)
        if source is not None and not _same_scene(run, source):
            raise RunError(f"The run in {folder} has other photos or another mask; give a new folder with --run.")
        if config is not None and config != run.config:
            with Workplace(folder).lock():
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

    def check(self, config: Config) -> None:
        """Whether `update` would take these settings; writes nothing.

        Raises:
            RunError: as `update`.
        """
        old, new = flatten(self.config), flatten(config)
        for name, value in new.items():
            further = name == "train.steps" and value > old[name]
            if old[name] != value and name.startswith(_TRAINING) and name not in _NEUTRAL and not further:
                raise RunError(
                    f"The run in {self.folder} was started with {name} = {old[name]}, not {value}; "
                    "give a new folder with --run, or leave that setting out."
                )

    def record(self, **facts: Any) -> None:
        """Adds JSON facts to run.json, such as the base's weight hash; equal ones are not written again."""
        before = (
            files.read_json(self.folder / "run.json") or self._data
        )  # the page may have changed the export's settings
        data = {**before, **json.loads(json.dumps(facts))}
        if data != before:
            files.write_json(self.folder / "run.json", data)
            self._data = data

    def fact(self, name: str) -> Any:
        """A fact of run.json as JSON data, or None."""
        return self._data.get(name)

    # ── what a person decides ──

    @property
    def name(self) -> str:
        """The name a person gave it, or the folder's."""
        return str((files.read_json(self.folder / "labels.json") or {}).get("name") or self.folder.resolve().name)

    @property
    def is_example(self) -> bool:
        """Whether it is one of the finished examples that come with the program, which nobody changes."""
        return (files.read_json(self.folder / "labels.json") or {}).get("example") is True

    @property
    def chosen(self) -> int | None:
        """The seed a person chose for the result, or None: the one with most matches."""
        seed = (files.read_json(self.folder / "labels.json") or {}).get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def starred(self) -> list[int]:
        """Seeds that a person marked as good, ascending."""
        return self._marked("starred")

    @property
    def hidden(self) -> list[int]:
        """Seeds that a person does not want to see, ascending."""
        return self._marked("hidden")

    def mark(self, seed: int, kind: Literal["starred", "hidden"], on: bool) -> None:
        """Sets or takes back a person's mark on a seed."""
        with _LABELS:
            marked = set(self._marked(kind)) - {seed} | ({seed} if on else set())
            self.label(**{kind: sorted(marked)})

    def _marked(self, kind: str) -> list[int]:
        found = (files.read_json(self.folder / "labels.json") or {}).get(kind)
        return sorted(seed for seed in found if isinstance(seed, int)) if isinstance(found, list) else []

    def label(self, **labels: str | int | list[int] | None) -> None:
        """Sets `name`, `seed` or a list of seeds; None takes it back."""
        path = self.folder / "labels.json"
        with _LABELS:
            files.write_json(path, {**(files.read_json(path) or {}), **labels})

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
    def trained(self) -> bool:
        """Whether the adapter is finished, after as many steps as are asked for."""
        return self.lora.is_dir() and self.adapter_steps >= self.config.train.steps

    @property
    def adapter_steps(self) -> int:
        """After how many steps the adapter in `lora` was made."""
        known = self.fact("adapter_steps")
        return known if isinstance(known, int) else self.config.train.steps

    def checkpoint_steps(self) -> list[int]:
        """The steps of the checkpoints, oldest first; each of them can fill in the hole."""
        found = [item for item in _items(self.checkpoints) if item.name.isdecimal() and item.is_dir()]
        return sorted(int(item.name) for item in found)

    def previews(self) -> list[tuple[int, Path]]:
        """Step and file of the small pictures that training left, oldest first."""
        found = [item for item in _items(self.folder / "previews") if item.suffix == ".png" and item.stem.isdecimal()]
        return sorted((int(item.stem), item) for item in found if _whole_png(item))

    def matches_path(self, seed: int) -> Path:
        """Where the points that a seed's count is made of lie, where they were kept."""
        return self.folder / "matches" / f"{seed:06d}.json"

    @property
    def result(self) -> Path:
        """The exported picture."""
        return self.folder / "result.png"

    def seed_path(self, seed: int) -> Path:
        """Where a seed's picture at working size lies or will lie."""
        return self.folder / "seeds" / ("draft.png" if seed == seeds.DRAFT else f"{seed:06d}.png")

    def seeds_done(self) -> list[int]:
        """Seeds that have a whole picture, ascending; an empty or cut file counts as missing."""
        found = {item.stem: item for item in _items(self.folder / "seeds") if item.suffix == ".png"}
        numbers = {
            seeds.DRAFT if stem == "draft" else int(stem): item for stem, item in found.items() if _is_seed(stem)
        }
        return sorted(seed for seed, item in numbers.items() if _whole_png(item))

    def seeds_wanted(self) -> list[int]:
        """Seeds that the run asks for, and the draft where there is one."""
        draft = [seeds.DRAFT] if self.config.guide.draft and self.seed_path(seeds.DRAFT).exists() else []
        return list(dict.fromkeys([*draft, *self.config.seeds]))

    def kind(self, seed: int) -> str:
        """What a seed starts from: "draft" is geometry alone, "guided" began from it, "" from pure noise."""
        if seed == seeds.DRAFT:
            return "draft"
        warm = self.config.guide.draft and starts_from_draft(seed, self.config.guide.warm)
        return "guided" if warm and self.seed_path(seeds.DRAFT).exists() else ""

    @property
    def draft_folder(self) -> Path:
        """The draft by geometry, for drafts.load; appears as a whole."""
        return self.folder / "draft"

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
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _same_scene(run: Run, source: Path) -> bool:
    mine = scene.load(run.scene_folder, variants=run.config.variants)
    given = scene.load(source, variants=run.config.variants)
    pairs = [(mine.original.pixels, given.original.pixels), (mine.hole, given.hole)]
    pairs += zip(mine.references, given.references, strict=False)
    return len(mine.references) == len(given.references) and all(np.array_equal(a, b) for a, b in pairs)


def _is_seed(stem: str) -> bool:
    return stem.isdecimal() or stem == "draft"


def _whole_png(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8) == _PNG_START and file.seek(-12, os.SEEK_END) > 0 and file.read() == _PNG_END
    except OSError:
        return False


def _items(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
