"""The tables as markdown, for terminals and for documents: what tables.md holds."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from realfill.evaluation.metrics.registry import COLUMNS
from realfill.evaluation.results import RANKING_RATE, Results, format_number
from realfill.evaluation.tables import Ranks, Values, varies_references

QUARTER = f"best {1 - RANKING_RATE:.0%} by matches"


def render_tables(results: Results) -> str:
    """Every table, each under its heading."""
    parts = {
        "Table 1": table_1(results),
        "By scene": scene_tables(results),
        "Table 2: dropping the seeds with fewest matches": table_2(results),
        "Matches as a ranking signal": ranking_table(results),
        "Number of references": reference_table(results),
    }
    return "\n".join(f"## {title}\n\n{text}" for title, text in parts.items() if text)


def table_1(results: Results) -> str:
    """The mean of every method, and of its seeds that began from noise where others began from the draft."""
    rows = []
    for row in (row for row in results.table_1 if not varies_references(row.method)):
        lacking = {"without result": row.no_result, "not made": row.trouble}
        note = ", ".join(f"{count} {words}" for words, count in lacking.items() if count)
        scenes = f"{row.scenes} ({note})" if note else f"{row.scenes}"
        times = map(_seconds, (row.seconds, row.cpu_seconds))
        rows.append([row.title, *_values(results, row.values), scenes, str(row.pictures), *times])
        if row.method in results.from_noise:
            values = _values(results, results.from_noise[row.method])
            rows.append([f"{row.title}, seeds from noise", *values, f"{row.scenes}", "", "", ""])
    return _table(["method", *_heads(results), "scenes", "pictures", "s a scene", "CPU s"], rows)


def scene_tables(results: Results) -> str:
    """A table for each metric, and one of CPU seconds: a row a scene, a column a method; of those with several seeds
    also the best quarter, and the seeds that began from noise where others began from the draft.
    """
    parts = {"": results.by_scene, f", {QUARTER}": results.best_by_scene, ", from noise": results.noise_by_scene}
    columns = [
        (method + suffix, method, values_by_scene)
        for method in results.provenance
        for suffix, values_by_scene in parts.items()
        if any(method in methods for methods in values_by_scene.values())
    ]
    tables = {}
    for name in results.measured:
        values = {
            title: {scene: values_by_scene.get(scene, {}).get(method, {}).get(name) for scene in results.by_scene}
            for title, method, values_by_scene in columns
        }
        tables[COLUMNS[name].heading] = _scene_table(results, values, functools.partial(format_number, column=name))
    spent = {
        method: {scene: seconds.get(method) for scene, seconds in results.cpu_seconds.items()}
        for method in results.provenance
        if any(method in seconds for seconds in results.cpu_seconds.values())
    }
    tables["CPU seconds a scene"] = _scene_table(results, spent, _seconds) if spent else ""
    return "\n".join(f"### {title}\n\n{text}" for title, text in tables.items() if text)


def table_2(results: Results) -> str:
    """What is left when a share of each scene's seeds is dropped, by the first matcher."""
    methods = [method for method in results.table_2 if not varies_references(method)]
    rates = list(results.table_2[methods[0]]) if methods else []
    rows = [
        [f"{rate:.0%}", *(cell for method in methods for cell in _values(results, results.table_2[method][rate]))]
        for rate in rates
    ]
    return _table(["dropped", *(f"{method}: {head}" for method in methods for head in _heads(results))], rows)


def ranking_table(results: Results) -> str:
    """Spearman's rank correlation between matches and each metric within a scene, the mean over the scenes; that of the
    ranks of all scenes together; and the metrics of the best quarter. Then the same over the seeds from noise, and the
    correlation with the first metric scene by scene.
    """
    rows: list[list[str]] = []
    for suffix, by_method in (("", results.ranks), (", from noise", results.ranks_from_noise)):
        for method, by_matcher in by_method.items():
            for name, ranks in by_matcher.items():
                best = [] if suffix else _values(results, results.signals[method][name])
                rows.append([method + suffix, name, *_rhos(results, ranks), *(best or [""] * len(results.measured))])
    titles = [COLUMNS[name].title for name in results.measured]
    heads = [*(f"ρ {title}" for title in titles), *(f"ρ {title}, pooled" for title in titles)]
    means = _table(["pictures", "matcher", *heads, *(f"{QUARTER}: {head}" for head in _heads(results))], rows)
    single = {
        f"{method}, {name}": {scene: values[results.measured[0]] for scene, values in ranks.scenes.items()}
        for method, by_matcher in results.ranks.items()
        for name, ranks in by_matcher.items()
        if results.measured and not varies_references(method)
    }
    if not means or not single:
        return means
    return f"{means}\nρ {titles[0]} by scene:\n\n{_scene_table(results, single, _rho)}"


def reference_table(results: Results) -> str:
    """Quality by how many references a method saw, over the scenes that have them all."""
    rows = [
        [one.method, ", ".join(one.scenes), str(count), *_values(results, values)]
        for one in results.references
        for count, values in one.counts.items()
    ]
    return _table(["method", "scenes", "references", *_heads(results)], rows)


def _scene_table(
    results: Results, values: Mapping[str, Mapping[str, float | None]], write: Callable[[float | None], str]
) -> str:
    """A row a scene and a last one with the means; a mean over fewer scenes is in brackets."""
    scenes = sorted(results.by_scene)
    rows = [[scene, *(write(column.get(scene)) for column in values.values())] for scene in scenes]
    means = []
    for column in values.values():
        known = [value for scene in scenes if (value := column.get(scene)) is not None]
        mean = write(float(np.mean(known)) if known else None)
        means.append(mean if len(known) == len(scenes) else f"({mean})")
    return _table(["scene", *values], [*rows, ["mean", *means]])


def _heads(results: Results) -> list[str]:
    return [COLUMNS[name].heading for name in results.measured]


def _values(results: Results, values: Values) -> list[str]:
    return [format_number(values[name], name) for name in results.measured]


def _rhos(results: Results, ranks: Ranks) -> list[str]:
    values = [part[name] for part in (ranks.mean, ranks.pooled) for name in results.measured]
    return [_rho(value) for value in values]


def _rho(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Empty where there is no row."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, ""]) if lines else ""
