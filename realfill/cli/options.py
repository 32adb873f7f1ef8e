"""The options that the commands share, and how they become a Config."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from realfill import config as settings
from realfill.bases import BASES, EMBEDDED, check_file, check_folder, default_preset
from realfill.config import Config, PresetName
from realfill.errors import OptionError
from realfill.runs.run import Run, check_run_folder
from realfill.scene import examples


@dataclass(frozen=True)
class Options:
    """What every command that works on a run understands; None and empty: not given."""

    base: Annotated[
        str | None,
        typer.Option(help=f"Pretrained model: {', '.join(BASES)}, a folder, a .safetensors file or a hub id."),
    ] = None
    preset: Annotated[
        PresetName | None,
        typer.Option(help="Settings to begin with: paper, quick, mini or patient. [default: by base]"),
    ] = None
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Any setting, repeatable; `realfill settings` lists them."),
    ] = None
    device: Annotated[str, typer.Option(help="auto, cuda, cuda:1, mps or cpu.")] = "auto"
    seeds: Annotated[str | None, typer.Option(help="Seeds to make, like 0-15 or 1,5,9.")] = None
    matcher: Annotated[str | None, typer.Option(help="Ranks the pictures: loftr, xfeat, aliked or sift.")] = None
    matcher_weights: Annotated[Path | None, typer.Option(help="A file with the matcher's weights.")] = None
    variants: Annotated[bool, typer.Option("--variants", help="A blank canvas: generate the whole picture.")] = False
    json: Annotated[bool, typer.Option("--json", help="End with one JSON object on stdout.")] = False

    def changes(self) -> dict[str, Any]:
        """The settings that were given, by dotted name.

        Raises:
            OptionError: a --set without "=".
            WeightsError: the base is a folder of another kind of model.
        """
        changes: dict[str, Any] = {}
        for text in self.set or ():
            name, equals, value = text.partition("=")
            if not equals:
                raise OptionError(f"--set {text} has no value; write it like --set train.steps=500.")
            changes[name.strip()] = value.strip()
        weights = None if self.matcher_weights is None else str(self.matcher_weights.expanduser().resolve())
        options = {
            "base": self.base,
            "sample.seeds": self.seeds,
            "select.matcher": self.matcher,
            "select.weights": weights,
        }
        changes.update({name: value for name, value in options.items() if value is not None})
        if self.variants:
            changes["variants"] = True
        base = changes.get("base", EMBEDDED)
        if base not in BASES and (path := Path(base).expanduser()).exists():
            changes["base"] = str(path.resolve())  # the run may be resumed from elsewhere
            if path.is_dir():
                check_folder(path, base)  # refuses another kind of model before a run folder is made
            elif path.suffix == ".safetensors":
                check_file(path)
        return changes

    def config(self, folder: Path) -> Config:
        """The settings for the run in `folder`: its own with the changes asked for, or a preset with them.

        Raises:
            OptionError: a name or a value is wrong.
            RunError: the run cannot be opened.
        """
        changes = self.changes()
        if self.preset is None and (folder / "run.json").exists():
            return settings.change(Run.open(folder).config, changes)
        if "base" not in changes:
            changes["base"] = EMBEDDED if self.preset == "mini" else _default_base(self.device)
        preset: PresetName = self.preset or default_preset(changes["base"])
        return settings.make(preset, changes)


def add_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the shared options: its parameter `options` becomes one command line option a field."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(Options, eval_str=True).parameters

    @functools.wraps(command)
    def run(**values: Any) -> None:
        options = Options(**{name: values.pop(name) for name in shared})
        command(**values, options=options)

    parameters = [*(own[name] for name in own if name != "options"), *shared.values()]
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keywords}
    return cast(Callable[..., None], run)


def scene_folder(scene: Path | None, example: str | None) -> Path | None:
    """The scene folder that was asked for, if any.

    Raises:
        OptionError: both were given, or there is no such example.
    """
    if example is None:
        return scene
    if scene is not None:
        raise OptionError("Give a scene folder or --example, not both.")
    return examples.find(example).folder


def run_folder(run: Path | None, scene: Path | None) -> Path:
    """Where the run lives: as given, else runs/NAME for a scene folder NAME.

    Raises:
        OptionError: neither was given.
        RunError: there can be no folder.
    """
    if run is None and scene is None:
        raise OptionError("Give a scene folder or --example NAME to start, or --run DIR to go on with a run.")
    folder = run if run is not None else Path("runs") / cast(Path, scene).resolve().name
    check_run_folder(folder)
    return folder


def _default_base(device: str) -> str:
    from realfill.device import devices
    from realfill.device.devices import choose_device

    return devices.default_base(choose_device(device))
