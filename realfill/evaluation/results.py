"""All tables of a benchmark as plain data: what results.json holds and the report shows."""

import csv
import dataclasses
import io
from dataclasses import dataclass
from typing import Any

import pandas as pd

from realfill import files
from realfill.evaluation import tables
from realfill.evaluation.metrics.base import MATCHES
from realfill.evaluation.metrics.registry import COLUMNS
from realfill.evaluation.store import Store
from realfill.evaluation.tables import ReferenceTable, Row, Values, varied_methods

RANKING_RATE = 0.75  # what the paper keeps is the best quarter


@dataclass(frozen=True, eq=False)
class Results:
    """All tables, and what they were measured with."""

    data: pd.DataFrame  # one row a picture
    facts: dict[str, Any]  # bench.json
    measured: list[str]  # columns with a value
    missing: dict[str, str]  # column or matcher → why it was not measured
    measured_by: dict[str, list[str]]  # column → protocols, libraries and weights; more than one cannot be compared
    table_1: list[Row]
    from_noise: dict[str, Values]  # method → values without the seeds that began from the draft, where some did
    by_scene: dict[str, dict[str, Values]]  # scene → method → means over its seeds
    best_by_scene: dict[str, dict[str, Values]]  # the same over the quarter with most matches, of `varied` methods
    noise_by_scene: dict[str, dict[str, Values]]  # the same over the seeds that began from noise, as in `from_noise`
    common_scenes: list[str]  # those of which every method has a picture
    table_1_common: dict[str, Values]  # method → values over these alone: what can be compared where some have none
    matchers: list[str]  # the first one ranks
    table_2: dict[str, dict[float, Values]]  # method → rate → values
    ranks: dict[str, dict[str, tables.Ranks]]  # method → matcher → correlations
    ranks_from_noise: dict[str, dict[str, tables.Ranks]]  # the same without the seeds that began from the draft
    signals: dict[str, dict[str, Values]]  # method → matcher → values of the best quarter by it
    references: list[ReferenceTable]
    cpu_seconds: dict[str, dict[str, float]]  # scene → method → what its pictures took
    troubles: list[tuple[str, str, str]]
    provenance: dict[str, dict[str, Any]]  # method → settings, base with weight hash, device


def collect_results(store: Store) -> Results:
    """Reads every score of a store."""
    data, facts = tables.score_frame(store), store.facts()
    scored = facts.get("scoring", {})
    names = tables.matchers(data, (scored.get("matchers") or [""])[0])
    main = data[~data["method"].map(tables.varies_references).astype(bool)]
    varied = varied_methods(main)
    rates = sorted({*tables.RATES, *tables.PAPER_RATES})
    noise, several = tables.noise_rows(main), main[main["method"].isin(varied)]
    return Results(
        data=data,
        facts=facts,
        measured=tables.columns(data),
        missing={name: str(why) for name, why in scored.get("missing", {}).items()},
        measured_by=_read_identities(store),
        table_1=tables.table_1(store, data),
        from_noise={str(method): tables.means(rows) for method, rows in noise.groupby("method", sort=False)},
        by_scene=tables.means_by_scene(main),
        best_by_scene=tables.best_means_by_scene(several, names[0], RANKING_RATE) if names else {},
        noise_by_scene=tables.means_by_scene(noise),
        common_scenes=(common := tables.common_scenes(main)),
        table_1_common={
            str(method): tables.means(rows)
            for method, rows in main[main["scene"].isin(common)].groupby("method", sort=False)
        },
        matchers=names,
        table_2={method: tables.table_2(data, method, names[0], rates) for method in varied if names},
        ranks={m: {name: tables.rank_correlation(data, m, name) for name in names} for m in varied},
        ranks_from_noise={
            str(m): {name: tables.rank_correlation(noise, str(m), name) for name in names}
            for m in noise["method"].unique()
        },
        signals={
            m: {name: tables.table_2(data, m, name, [RANKING_RATE])[RANKING_RATE] for name in names} for m in varied
        },
        references=tables.reference_tables(data),
        cpu_seconds=_cpu_seconds(store, {str(scene) for scene in main["scene"]}),
        troubles=tables.troubles(store),
        provenance={method: _read_provenance(store, method) for method in store.methods()},
    )


def _cpu_seconds(store: Store, scenes: set[str]) -> dict[str, dict[str, float]]:
    records = {(scene, method): store.read_record(method, scene) for method in store.methods() for scene in scenes}
    seconds: dict[str, dict[str, float]] = {}
    for (scene, method), record in records.items():
        if "cpu_seconds" in record and store.seeds(method, scene) and not tables.varies_references(method):
            seconds.setdefault(scene, {})[method] = float(record["cpu_seconds"])
    return seconds


def _read_provenance(store: Store, method: str) -> dict[str, Any]:
    """What made a method's pictures; the settings are the same for all its scenes, but for a scene's prompt."""
    records = [store.read_record(method, scene) for scene in store.scenes(method)]
    names = ("settings", "base", "device")
    parts: list[dict[str, Any]] = [{name: record[name] for name in names if name in record} for record in records]
    return max(parts, key=len, default={})


def _read_identities(store: Store) -> dict[str, list[str]]:
    identities: dict[str, dict[str, None]] = {}
    for method in store.methods():
        for scene in store.scenes(method):
            for name, identity in store.scores(method, scene).get("measured_by", {}).items():
                identities.setdefault(name, {})[str(identity)] = None
    return {name: list(values) for name, values in sorted(identities.items())}


def write_results(store: Store, results: Results) -> None:
    """Writes seeds.csv and results.json.

    Raises:
        DiskFull, RunError: they cannot be written.
    """
    files.write_bytes(store.folder / "seeds.csv", seeds_csv(results).encode())
    files.write_json(store.folder / "results.json", to_json(results))


def seeds_csv(results: Results) -> str:
    """One line a picture; empty cells were not measured."""
    counts = [MATCHES + name for name in results.matchers]
    names = ["method", "scene", "seed", "start", "file", *results.measured, *counts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in results.data[names].itertuples(index=False, name=None):
        writer.writerow(["" if pd.isna(value) else _cell(name, value) for name, value in zip(names, row, strict=True)])
    return text.getvalue()


def _cell(name: str, value: Any) -> Any:
    return int(value) if name.startswith(MATCHES) else round(float(value), 6) if name in COLUMNS else value


def to_json(results: Results) -> dict[str, Any]:
    """All but the single pictures, as JSON data; null was not measured."""
    return {
        "schema": 1,
        "asked": results.facts,
        "columns": {name: dataclasses.asdict(column) for name, column in COLUMNS.items()},
        "measured_by": results.measured_by,
        "not_measured": results.missing,
        "table_1": [dataclasses.asdict(row) for row in results.table_1],
        "by_scene": results.by_scene,
        "best_quarter_by_scene": results.best_by_scene,
        "cpu_seconds": results.cpu_seconds,
        "from_noise": {"all": results.from_noise, "by_scene": results.noise_by_scene},
        "ranked_by": results.matchers[0] if results.matchers else None,
        "table_2": {
            method: {f"{rate:g}": row for rate, row in rows.items()} for method, rows in results.table_2.items()
        },
        "rank_correlation": _ranks_json(results.ranks),
        "rank_correlation_from_noise": _ranks_json(results.ranks_from_noise),
        "best_quarter_by_matcher": results.signals,
        "references": [
            {"method": one.method, "scenes": list(one.scenes), "counts": {str(n): v for n, v in one.counts.items()}}
            for one in results.references
        ],
        "made_with": results.provenance,
        "without_picture": [{"method": method, "scene": scene, "why": why} for method, scene, why in results.troubles],
    }


def _ranks_json(ranks_by_method: dict[str, dict[str, tables.Ranks]]) -> dict[str, Any]:
    return {
        method: {name: dataclasses.asdict(ranks) for name, ranks in by_matcher.items()}
        for method, by_matcher in ranks_by_method.items()
    }


def format_number(value: float | None, column: str) -> str:
    """A metric's value with its digits; a dash where it was not measured."""
    return "–" if value is None else f"{value:.{COLUMNS[column].digits}f}"
