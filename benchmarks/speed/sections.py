"""The sections of a speed benchmark: which are asked for, and how they share the time."""

import argparse
from collections.abc import Callable, Collection, Mapping

from benchmarks.options import base_parser
from benchmarks.speed.timing import SpeedReport


def sections_parser(description: str, sections: Collection[str], *, minutes: float) -> argparse.ArgumentParser:
    """A parser with --only, --minutes and --json."""
    parser = base_parser(description)
    parser.add_argument("--only", default="", help=f"sections, comma between: {','.join(sections)}")
    parser.add_argument(
        "--minutes", type=float, default=minutes, help="for all sections asked for; building comes on top"
    )
    return parser


def parse_sections(parser: argparse.ArgumentParser, text: str, sections: Collection[str]) -> list[str]:
    """`"train,vae"` → train, vae; all where nothing is asked for. The parser refuses a section that is not there."""
    names = text.split(",") if text else list(sections)
    if unknown := set(names) - set(sections):
        parser.error(f"there is no section {', '.join(sorted(unknown))}; the sections are {', '.join(sections)}")
    return names


def run_sections(
    report: SpeedReport,
    calls: Mapping[str, Callable[[], None]],
    names: Collection[str],
    *,
    shares: Mapping[str, float],
    minutes: float,
) -> None:
    """Runs the named sections; each has its share of the minutes, out of the shares of those that run."""
    total = sum(shares[name] for name in names)
    for name in names:
        report.run(name, calls[name], budget=minutes * 60 * shares[name] / total)
