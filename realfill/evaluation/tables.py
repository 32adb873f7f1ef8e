"""From scores to tables: means a scene and overall (Table 1), filtering by matches (Table 2), ranks, references.

Means are over a scene's seeds first and over scenes then, as in the paper (§4.2). What was not measured is None.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from realfill.evaluation.metrics.base import MATCHES
from realfill.evaluation.metrics.registry import COLUMNS
from realfill.evaluation.store import Store
from realfill.matching import selection
from realfill.matching.selection import Score

RATES = tuple(round(0.1 * step, 2) for step in range(10))  # 0-90 %
PAPER_RATES = (0.0, 0.25, 0.5, 0.75)
LEAST_SEEDS = 3  # fewer have no rank correlation worth the name
_VARIED = re.compile(r"(.+)@([1-5])refs?")

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """One line of Table 1."""

    method: str
    title: str
    values: Values  # by column
    scenes: int  # with a picture
    no_result: int  # scenes that the method could not complete, by its own nature
    trouble: int  # scenes that something else kept from it
    pictures: int
    seconds: float | None  # a scene, everything of the method included, waiting for the device too
    cpu_seconds: float | None  # of this process, a scene; on a busy machine what a quiet one would take, on one thread


def score_frame(store: Store) -> pd.DataFrame:
    """One row a picture: method, scene, seed, what it began from ("draft", "noise" or ""), and what was measured of
    it; NaN where nothing was.
    """
    rows = []
    for method in store.methods():
        for scene in store.scenes(method):
            drafted = store.read_record(method, scene).get("from_draft")
            for seed, row in store.scores(method, scene).get("seeds", {}).items():
                start = "" if drafted is None else "draft" if int(seed) in drafted else "noise"
                rows.append({"method": method, "scene": scene, "seed": int(seed), "start": start, **row})
    names = ["method", "scene", "seed", "start", "file", *COLUMNS]
    counts = sorted({name for row in rows for name in row} - set(names))
    data: pd.DataFrame = pd.DataFrame(rows, columns=[*names, *counts]).astype(dict.fromkeys(COLUMNS, float))
    return data


def columns(data: pd.DataFrame) -> list[str]:
    """The metrics that were measured of anything."""
    return [name for name in COLUMNS if data[name].notna().any()]


def matchers(data: pd.DataFrame, first: str = "") -> list[str]:
    """The matchers that counted anything; `first` ahead of the others."""
    names = [
        name.removeprefix(MATCHES) for name in data.columns if name.startswith(MATCHES) and data[name].notna().any()
    ]
    return sorted(names, key=lambda name: (name != first, name))


def table_1(store: Store, data: pd.DataFrame) -> list[Row]:
    """The mean of every metric by method, in the store's order."""
    return [_row(store, data[data["method"] == method], method) for method in store.methods()]


def _row(store: Store, data: pd.DataFrame, method: str) -> Row:
    records = [store.read_record(method, scene) for scene in store.scenes(method)]
    titles = [str(record["title"]) for record in records if "title" in record]
    timed = [record for record in records if record.get("seconds") and not {"no_result", "trouble"} & record.keys()]
    return Row(
        method=method,
        title=titles[0] if titles else method,
        values=means(data),
        scenes=int(data["scene"].nunique()),
        no_result=sum("no_result" in record for record in records),
        trouble=sum("trouble" in record for record in records),
        pictures=len(data),
        seconds=_mean(record["seconds"] for record in timed),
        cpu_seconds=_mean(record.get("cpu_seconds") for record in timed),
    )


def varies_references(method: str) -> bool:
    """Whether a method's name says how many references it saw; such have a table of their own."""
    return _VARIED.fullmatch(method) is not None


def common_scenes(data: pd.DataFrame) -> list[str]:
    """The scenes that every method with any picture has a picture of."""
    sets = [set(rows["scene"]) for _, rows in data.groupby("method")]
    return sorted(set.intersection(*sets)) if sets else []


def means(data: pd.DataFrame) -> dict[str, float | None]:
    """Every metric of some pictures: the mean over each scene's seeds, then over the scenes."""
    by_scene = data.groupby("scene")[list(COLUMNS)].mean(numeric_only=True) if len(data) else pd.DataFrame()
    return {name: _number(by_scene[name].mean()) if name in by_scene else None for name in COLUMNS}


def noise_rows(data: pd.DataFrame) -> pd.DataFrame:
    """The pictures that began from noise, of methods some of whose pictures began from the draft by geometry.

    The draft's own are worth more and have many more matches, so that together they hide what training gives.
    """
    drafted = data.loc[data["start"] == "draft", "method"].unique()
    return data[data["method"].isin(drafted) & (data["start"] == "noise")]


def means_by_scene(data: pd.DataFrame) -> dict[str, dict[str, Values]]:
    """scene → method → means over its seeds."""
    return {
        str(scene): {str(method): means(group) for method, group in rows.groupby("method", sort=False)}
        for scene, rows in data.groupby("scene", sort=False)
    }


def best_means_by_scene(data: pd.DataFrame, matcher: str, rate: float) -> dict[str, dict[str, Values]]:
    """As `means_by_scene`, without the share `rate` of each method's seeds that has the fewest matches."""
    counted = data[data[MATCHES + matcher].notna()]
    best = [keep_best(rows, matcher, rate) for _, rows in counted.groupby(["scene", "method"], sort=False)]
    return means_by_scene(pd.concat(best)) if best else {}


def table_2(data: pd.DataFrame, method: str, matcher: str, rates: Sequence[float] = RATES) -> dict[float, Values]:
    """Means over what is left of each scene when the seeds with fewest matches are dropped, by the share dropped."""
    mine = data[(data["method"] == method) & data[MATCHES + matcher].notna()]
    table: dict[float, Values] = {}
    for rate in rates:
        best = [keep_best(rows, matcher, rate) for _, rows in mine.groupby("scene")]
        table[rate] = means(pd.concat(best)) if best else dict.fromkeys(COLUMNS)
    return table


def keep_best(rows: pd.DataFrame, matcher: str, rate: float) -> pd.DataFrame:
    """One scene's seeds without the share `rate` that has the fewest matches; at least one stays."""
    scores = [
        Score(int(seed), int(matches), ()) for seed, matches in zip(rows["seed"], rows[MATCHES + matcher], strict=True)
    ]
    best = {one.seed for one in selection.best_share(scores, 1 - rate)}
    return rows[rows["seed"].isin(best)]


def varied_methods(data: pd.DataFrame) -> list[str]:
    """Methods with several pictures in some scene, so that there is something to choose among."""
    counts = data.groupby(["method", "scene"]).size()
    return [str(method) for method in data["method"].unique() if counts[method].max() > 1]


@dataclass(frozen=True)
class Ranks:
    """How well matches order the seeds of a scene. Positive: more matches, better picture."""

    scenes: Mapping[str, Values]  # Spearman's ρ by scene and metric
    mean: Values  # over the scenes that have one
    pooled: Values  # of the ranks within scenes, all scenes together


def rank_correlation(data: pd.DataFrame, method: str, matcher: str) -> Ranks:
    """Spearman's rank correlation between matches and each metric, its sign such that better is positive.

    Counts of different scenes cannot be compared, so the pooled one is between ranks within each scene.
    """
    mine = data[(data["method"] == method) & data[MATCHES + matcher].notna()]
    scenes: dict[str, Values] = {}
    ranked: list[pd.DataFrame] = []
    names = [MATCHES + matcher, *COLUMNS]
    for scene, rows in mine.groupby("scene"):
        if len(rows) >= LEAST_SEEDS:
            merits = rows[names].assign(**{name: rows[name].map(column.merit) for name, column in COLUMNS.items()})
            scenes[str(scene)] = {name: _pearson(*_ranks(merits, names[0], name)) for name in COLUMNS}
            ranked.append(merits.rank(pct=True))
    together = pd.concat(ranked) if ranked else pd.DataFrame(columns=names)
    mean = {name: _mean(values[name] for values in scenes.values()) for name in COLUMNS}
    pooled = {name: _pearson(together[names[0]], together[name]) for name in COLUMNS}
    return Ranks(scenes, mean, pooled)


def _ranks(data: pd.DataFrame, first: str, second: str) -> tuple[Any, Any]:
    known = data[[first, second]].dropna()
    return known[first].rank(), known[second].rank()


def _pearson(first: Any, second: Any) -> float | None:
    """None where either is constant or unknown: then there is no order to compare."""
    x, y = first.to_numpy(np.float64), second.to_numpy(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < LEAST_SEEDS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


@dataclass(frozen=True)
class ReferenceTable:
    """Quality by the number of references (v2, Fig. 8), over the scenes that have all the counts."""

    method: str
    scenes: tuple[str, ...]
    counts: Mapping[int, Values]


def reference_tables(data: pd.DataFrame) -> list[ReferenceTable]:
    """For each method that ran with several counts of references."""
    by_method: dict[str, dict[int, pd.DataFrame]] = {}
    for name in data["method"].unique():
        match = _VARIED.fullmatch(str(name))
        if match:
            by_method.setdefault(match[1], {})[int(match[2])] = data[data["method"] == name]
    tables = []
    for method, counts in by_method.items():
        common = set.intersection(*(set(rows["scene"]) for rows in counts.values()))
        same = {count: means(counts[count][counts[count]["scene"].isin(common)]) for count in sorted(counts)}
        tables.append(ReferenceTable(method, tuple(sorted(common)), same))
    return tables


def troubles(store: Store) -> list[tuple[str, str, str]]:
    """(method, scene, sentence) of everything that has no picture."""
    rows = []
    for method in store.methods():
        for scene in store.scenes(method):
            record = store.read_record(method, scene)
            sentence = record.get("no_result") or record.get("trouble")
            if sentence:
                rows.append((method, scene, str(sentence)))
    return rows


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
