"""Writes a benchmark's tables into the docs: `python -m benchmarks.examples BENCH [--into docs/benchmarks.md]`.

BENCH is a folder that `realfill bench assets/scenes -o BENCH …` or `realfill bench-score` has made. What stands between
the two marks in the document is replaced by its tables, under a line that says what they were made with.
"""

import argparse
from pathlib import Path

from realfill.evaluation import results
from realfill.evaluation.report import markdown
from realfill.evaluation.results import Results
from realfill.evaluation.store import Store

BEGIN, END = "<!-- tables begin -->", "<!-- tables end -->"
ROOT = Path(__file__).resolve().parents[2]


def made_with(found: Results) -> str:
    """Settings, seeds, device, versions and weights in one paragraph."""
    facts = found.facts
    seeds, settings = facts.get("seeds", []), facts.get("config", {})
    train, sample = settings.get("train", {}), settings.get("sample", {})
    names = ("torch", "diffusers", "peft", "torchmetrics")
    versions = ", ".join(f"{name} {facts['versions'][name]}" for name in names if name in facts.get("versions", {}))
    bases = {str(made["base"]["weights_hash"])[:16] for made in found.made_with.values() if made.get("base")}
    matchers = [said for name in found.matchers for said in found.measured_by.get(f"matches_{name}", [])]
    return (
        f"{len(facts.get('scenes', []))} scenes, {len(seeds)} seeds a scene, `{settings.get('base')}` (weights "
        f"{', '.join(sorted(bases))}…), {train.get('steps')} steps of {train.get('batch')}, {sample.get('sampler')} "
        f"{sample.get('steps')} steps, device {facts.get('device')}, {versions}. Matchers: {'; '.join(matchers)}."
    )


def section(folder: Path) -> str:
    """The tables of a benchmark, their headings one level lower than in tables.md."""
    found = results.collect(Store(folder))
    text = markdown.whole(found).replace("\n### ", "\n#### ").replace("\n## ", "\n### ")
    return f"{BEGIN}\n{made_with(found)}\n\n#{text}\n{END}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "benchmarks.md")
    args = parser.parse_args()
    before, _, rest = args.into.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    args.into.write_text(before + section(args.bench) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
