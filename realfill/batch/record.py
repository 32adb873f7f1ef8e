"""RUNS/batch.json: what was asked for, by which versions, and how each scene's last try ended.

What a scene has come to stands in its run folder. Here is only what no run folder can say: why a scene was refused
before there was one, where the work was done, and how often it was tried. Each shard writes a file of its own.
"""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realfill import files
from realfill.batch.scenes import parse_shard
from realfill.distributed.results import ItemResult
from realfill.errors import OptionError
from realfill.runs.run import timestamp, versions

SCHEMA = 1


class BatchRecord:
    """One batch.json; written anew after each scene."""

    def __init__(self, runs: Path, shard: str = "") -> None:
        number, count = parse_shard(shard)
        name = "batch.json" if count == 1 else f"batch.{number}-of-{count}.json"
        self.path = runs / name
        self._data = files.read_json(self.path) or {"schema": SCHEMA, "created": timestamp(), "scenes": {}}

    def begin(self, options: Mapping[str, Any], scenes: Mapping[str, Path]) -> None:
        """Writes down what is asked for; what is known of scenes that are not asked for this time stays."""
        known: dict[str, Any] = self._data["scenes"]
        for name, folder in scenes.items():
            known[name] = {**known.get(name, {}), "folder": str(folder.resolve())}
        facts: dict[str, Any] = {
            "options": dict(options),
            "versions": versions(),
            "host": platform.node(),
            "begun": timestamp(),
        }
        self._data |= facts
        files.write_json(self.path, self._data)

    def add(self, name: str, result: ItemResult[Any]) -> None:
        """Writes down how a scene's last try ended."""
        facts: dict[str, Any] = {"ending": result.ending, "sentence": result.sentence, "where": result.where}
        facts |= {"tries": result.tries, "seconds": result.seconds}
        self._data["scenes"][name] = {**self._data["scenes"].get(name, {}), **facts}
        files.write_json(self.path, self._data)


def read_scenes(runs: Path) -> dict[str, dict[str, Any]]:
    """What all batch.json files of a folder say of each scene, by name.

    Raises:
        OptionError: there is none.
    """
    scenes: dict[str, dict[str, Any]] = {}
    for path in batch_files(runs):
        scenes |= (files.read_json(path) or {}).get("scenes", {})
    return scenes


def read_options(runs: Path) -> dict[str, Any]:
    """What was asked for last.

    Raises:
        OptionError: there is no batch.json.
    """
    newest = max(batch_files(runs), key=lambda path: path.stat().st_mtime_ns)
    return dict((files.read_json(newest) or {}).get("options", {}))


def batch_files(runs: Path) -> list[Path]:
    """The batch.json files of a folder of runs, by name.

    Raises:
        OptionError: there is none.
    """
    found = sorted([*runs.glob("batch.json"), *runs.glob("batch.*-of-*.json")])
    if not found:
        raise OptionError(f"There is no batch in {runs}; start one with: realfill batch ROOT --runs {runs}")
    return found
