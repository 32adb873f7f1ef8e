"""Writes a benchmark's tables into the docs: `python -m benchmarks.quality.write_docs BENCH
[--into docs/benchmarks.md]`.

BENCH is a folder that `realfill bench assets/scenes -o BENCH …` or `realfill bench-score` has made. What stands between
the two marks in the document is replaced by its tables, under a line that says what they were made with. Takes seconds.
"""

import argparse
from pathlib import Path

from realfill.evaluation.report import markdown
from realfill.evaluation.results import Results, collect_results
from realfill.evaluation.store import Store

BEGIN, END = "<!-- tables begin -->", "<!-- tables end -->"
ROOT = Path(__file__).resolve().parents[2]


def describe_provenance(results: Results) -> str:
    """Settings, seeds, device, versions and weights in one paragraph."""
    facts = results.facts
    seeds, settings = facts.get("seeds", []), facts.get("config", {})
    train, sample = settings.get("train", {}), settings.get("sample", {})
    names = ("torch", "diffusers", "peft", "torchmetrics")
    versions = ", ".join(f"{name} {facts['versions'][name]}" for name in names if name in facts.get("versions", {}))
    bases = {str(origin["base"]["weights_hash"])[:16] for origin in results.provenance.values() if origin.get("base")}
    matchers = [identity for name in results.matchers for identity in results.measured_by.get(f"matches_{name}", [])]
    return (
        f"{len(facts.get('scenes', []))} scenes, {len(seeds)} seeds a scene, `{settings.get('base')}` (weights "
        f"{', '.join(sorted(bases))}…), {train.get('steps')} steps of {train.get('batch')}, {sample.get('sampler')} "
        f"{sample.get('steps')} steps, device {facts.get('device')}, {versions}. Matchers: {'; '.join(matchers)}."
    )


def format_section(folder: Path) -> str:
    """The tables of a benchmark, their headings one level lower than in tables.md."""
    results = collect_results(Store(folder))
    text = markdown.render_tables(results).replace("\n### ", "\n#### ").replace("\n## ", "\n### ")
    return f"{BEGIN}\n{describe_provenance(results)}\n\n#{text}\n{END}"


def main() -> None:
    """Replaces the tables in the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path, help="a folder of realfill bench")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "benchmarks.md")
    args = parser.parse_args()
    before, _, rest = args.into.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    args.into.write_text(before + format_section(args.bench) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
