"""What a benchmark is asked to do. Plain data: it travels to worker processes and into bench.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realfill.config import Config
from realfill.runs import run

PACKAGES = ("torchmetrics", "torchvision", "lpips", "dreamsim")


@dataclass(frozen=True)
class Scoring:
    """How pictures are scored."""

    device: str = "cpu"
    weights: Path | None = None  # a folder with the metrics' weights
    fetch: bool = False  # whether missing weights may be downloaded
    matchers: tuple[str, ...] = ("loftr", "sift")  # the first that works here ranks; the others are compared with it
    files: tuple[tuple[str, str], ...] = ()  # matchers whose weights were given, each with its file
    size: int = 512  # longest side of what is matched
    confidence: float = 0.5
    context: float = 0.5  # around the hole, of what is matched


@dataclass(frozen=True)
class BenchmarkPlan:
    """Which pictures are made."""

    out: Path
    methods: tuple[str, ...]
    config: Config
    scoring: Scoring
    device: str = "cpu"
    prompts: Mapping[str, str] = field(default_factory=dict)  # by scene
    text_base: str = ""
    example_base: str = ""

    def facts(self, root: Path, scenes: list[str]) -> dict[str, Any]:
        """The plan as JSON data for bench.json; the prompts are with the pictures."""
        return {
            "schema": 1,
            "root": str(root.resolve()),
            "scenes": scenes,
            "methods": list(self.methods),
            "seeds": list(self.config.sample.seeds),
            "device": self.device,
            "config": self.config.model_dump(mode="json"),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """Installed versions of everything that decides a number."""
    import importlib.metadata

    installed = run.versions()
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
