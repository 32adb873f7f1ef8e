"""The report: one HTML page with its style and plots inside, and thumbnails beside it. No script, no network."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from realfill import files
from realfill.evaluation import published
from realfill.evaluation.dataset import Case
from realfill.evaluation.metrics.registry import COLUMNS
from realfill.evaluation.report import plots
from realfill.evaluation.report.gallery import gallery_html
from realfill.evaluation.report.markup import best_value, cell, rho, table, text_cells, title
from realfill.evaluation.report.plots import Axes
from realfill.evaluation.results import RANKING_RATE, Results
from realfill.evaluation.store import Store
from realfill.evaluation.tables import varies_references

PLOTTED = ("psnr", "ssim", "lpips", "dreamsim")  # of Table 2; the others are in its numbers

_STYLE = """
:root{color-scheme:light dark;--line:#8883;--soft:#8881;font:15px/1.5 system-ui,sans-serif}
body{max-width:1180px;margin:2rem auto;padding:0 1rem}h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.6rem 0}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}.best{font-weight:700}.wide{overflow-x:auto}
th{white-space:nowrap}td.text,th.text{text-align:left;font-size:13px;white-space:nowrap}h4{margin:.6rem 0 0}
nav a{margin-right:1rem}
.plots,.row,.side{display:flex;flex-wrap:wrap;gap:.8rem}.side{gap:0 2.5rem}
.plots svg{width:400px;max-width:100%;border:1px solid var(--line)}
figure{margin:0;width:180px}figure img{outline:1px solid var(--line);width:100%;display:block;background:var(--soft)}
figcaption{font-size:12px;overflow-wrap:anywhere}small,.note{opacity:.75}
.others{border-left:4px solid #d97706;padding-left:1rem}
"""


def write_report(store: Store, results: Results, cases: Sequence[Case]) -> Path:
    """Writes report.html and its thumbnails; returns the page's path.

    Raises:
        DiskFull, RunError: they cannot be written.
    """
    parts = [
        _head(results),
        _table_1(results),
        _published_table(),
        _table_2(results),
        _signals(results),
        _reference_tables(results),
        _troubles_list(results),
        *gallery_html(store, results, cases),
        _provenance(results),
    ]
    parts.insert(1, _contents(parts))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'\">"
        f"<title>Benchmark</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    path = store.folder / "report.html"
    files.write_bytes(path, page.encode())
    return path


def _head(results: Results) -> str:
    data = results.data
    counts = ((data["scene"].nunique(), "scene"), (data["method"].nunique(), "method"), (len(data), "picture"))
    holds = ", ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts)
    summary = f"{holds}. Every number under “Measured” was measured here; means are over seeds first, then over scenes."
    return f"<h1>Benchmark</h1><p>{summary}</p>"


def _contents(parts: Sequence[str]) -> str:
    """Links to the sections that are there."""
    headings = re.findall(r"<h2 id=([a-z0-9-]+)>([^<]+)</h2>", "".join(parts))
    links = (f'<a href="#{name}">{words}</a>' for name, words in headings)
    return f"<nav>{''.join(links)}</nav>"


def _table_1(results: Results) -> str:
    columns = results.measured
    main_rows = [row for row in results.table_1 if not varies_references(row.method)]
    tops = {name: best_value(name, [row.values[name] for row in main_rows if not row.no_result]) for name in columns}
    rows = []
    for row in main_rows:
        scenes = str(row.scenes) + (f" + {row.no_result} without result" if row.no_result else "")
        scenes += f" + {row.trouble} not made" if row.trouble else ""
        cells = [cell(row.values[name], name, tops[name]) for name in columns]
        times = ("–" if value is None else f"{value:.1f}" for value in (row.seconds, row.cpu_seconds))
        rows.append([*text_cells(row.title), *cells, *text_cells(scenes, str(row.pictures), *times)])
    head = ["method", *map(title, columns), "scenes", "pictures", "seconds a scene", "CPU seconds"]
    parts = ["<h2 id=table-1>Measured: Table 1</h2>", table(head, rows), _protocols(results), _noise_table(results)]
    if any(row.scenes > len(results.common_scenes) for row in main_rows):
        titles = {row.method: row.title for row in main_rows}
        lines = [
            [*text_cells(titles[method]), *(cell(values[name], name) for name in columns)]
            for method, values in results.table_1_common.items()
        ]
        parts.append(
            f"<h3>The same over the {len(results.common_scenes)} scenes that every method completed</h3>"
            "<p class=note>A method that refuses the hard scenes looks better in the table above than it is.</p>"
        )
        parts.append(table(["method", *map(title, columns)], lines))
    return "".join(parts)


def _noise_table(results: Results) -> str:
    if not results.from_noise:
        return ""
    titles = {row.method: row.title for row in results.table_1}
    rows = [
        [*text_cells(titles[method]), *(cell(values[name], name) for name in results.measured)]
        for method, values in results.from_noise.items()
    ]
    return (
        "<h3>The seeds that began from noise alone</h3><p class=note>A share of the seeds above began from the draft "
        "by geometry (guide.warm). These are the others: the paper’s way.</p>"
    ) + table(["method", *map(title, results.measured)], rows)


def _protocols(results: Results) -> str:
    """How each column was measured, and why the others were not."""
    lines = []
    for name in results.measured:
        protocol = f"{COLUMNS[name].title}: {COLUMNS[name].protocol}."
        identities = results.measured_by.get(name, [])
        warning = " <b>Measured in several ways: not comparable.</b>" if len(identities) > 1 else ""
        lines.append(f"<li>{escape(protocol)} <small>{escape('; '.join(identities))}</small>{warning}</li>")
    for name, why in results.missing.items():
        if name not in results.measured and name not in results.matchers:
            what = COLUMNS[name].title if name in COLUMNS else f"matches by {name}"
            lines.append(f"<li>{escape(what)}: <b>not measured</b>, because {escape(why)}</li>")
    return f"<ul class=note>{''.join(lines)}</ul>"


def _published_table() -> str:
    names = [name for name in COLUMNS if name in published.TABLE_1[0].values]
    rows = [
        [
            *text_cells(row.method),
            *(cell(row.values[name], name) for name in names),
            f"<td class=text>{escape(row.source)}</td>",
        ]
        for row in (*published.TABLE_1, *(published.TABLE_2[rate] for rate in (0.25, 0.5, 0.75)))
    ]
    return (
        "<section class=others><h2 id=published>Published by others for RealBench, not measured here</h2>"
        "<p class=note>33 scenes, "
        f"64 samples each. Comparable with a run over all of RealBench only. RealBench: {published.REALBENCH_PAGE}</p>"
        + table(["method", *map(title, names), "source"], rows)
        + "</section>"
    )


def _table_2(results: Results) -> str:
    if not results.table_2:
        return ""
    parts = [
        f"<h2 id=table-2>Measured: Table 2, filtering by {escape(results.matchers[0])} matches</h2>"
        "<p>Of each scene the seeds with fewest matches in the hole are dropped.</p><div class=side>"
    ]
    titles = {row.method: row.title for row in results.table_1}
    for method, rates in results.table_2.items():
        rows = [
            [f"<td>{rate:.0%}</td>", *(cell(values[name], name) for name in results.measured)]
            for rate, values in rates.items()
        ]
        parts.append(_headed_table(titles[method], table(["dropped", *map(title, results.measured)], rows)))
    parts.append("</div>")
    drawings = []
    for name in (name for name in PLOTTED if name in results.measured):
        series = {
            titles[method]: [(rate * 100, value) for rate, row in rates.items() if (value := row[name]) is not None]
            for method, rates in results.table_2.items()
        }
        drawings.append(
            plots.lines(series, Axes(f"{COLUMNS[name].title} by what is dropped", "dropped, %", title(name)))
        )
    return "".join([*parts, f"<div class=plots>{''.join(drawings)}</div>"])


def _signals(results: Results) -> str:
    if not results.ranks:
        return ""
    parts = [
        "<h2 id=ranking>Measured: matches as a ranking signal</h2><p>Spearman’s rank correlation ρ between matches and "
        "each metric within a scene; positive: more matches, better picture. Last the metrics of the "
        f"{1 - RANKING_RATE:.0%} with most matches.</p>"
    ]
    titles = {row.method: row.title for row in results.table_1}
    head = ["matcher", *(COLUMNS[name].title for name in results.measured)]
    for method, by_matcher in results.ranks.items():
        noise = results.ranks_from_noise.get(method, {})
        correlations = {
            "ρ, mean over scenes": {name: ranks.mean for name, ranks in by_matcher.items()},
            "ρ of the ranks of all scenes": {name: ranks.pooled for name, ranks in by_matcher.items()},
            "ρ, mean over scenes, seeds from noise": {name: ranks.mean for name, ranks in noise.items()},
        }
        tables = [
            _headed_table(
                words,
                table(
                    head,
                    [
                        [*text_cells(name, *(rho(by[c]) for c in results.measured))]
                        for name, by in column_by_matcher.items()
                    ],
                ),
            )
            for words, column_by_matcher in correlations.items()
            if column_by_matcher
        ]
        best = [
            [*text_cells(name), *(cell(by[c], c) for c in results.measured)]
            for name, by in results.signals[method].items()
        ]
        tables.append(
            _headed_table("the best quarter by matches", table(["matcher", *map(title, results.measured)], best))
        )
        parts.append(f"<h3>{escape(titles[method])}</h3><div class=side>{''.join(tables)}</div>")
    return "".join(parts)


def _headed_table(words: str, markup: str) -> str:
    """A table under a few words, one of several side by side."""
    return f"<div><h4>{escape(words)}</h4>{markup}</div>"


def _reference_tables(results: Results) -> str:
    parts = []
    for one in results.references:
        rows = [
            [f"<td>{count}</td>", *(cell(values[name], name) for name in results.measured)]
            for count, values in one.counts.items()
        ]
        heading = f"{escape(one.method)}, over the {len(one.scenes)} scenes that have them all"
        parts += [f"<h3>{heading}</h3>", table(["references", *map(title, results.measured)], rows)]
        drawings = []
        for name in (name for name in PLOTTED if name in results.measured):
            points = [(float(count), value) for count, row in one.counts.items() if (value := row[name]) is not None]
            drawings.append(plots.lines({one.method: points}, Axes(title(name), "references", title(name))))
        parts.append(f"<div class=plots>{''.join(drawings)}</div>")
    return f"<h2 id=references>Measured: number of references</h2>{''.join(parts)}" if parts else ""


def _troubles_list(results: Results) -> str:
    lines = [
        f"<li>{escape(method)}, {escape(scene)}: {escape(sentence)}</li>"
        for method, scene, sentence in results.troubles
    ]
    return f"<h2 id=without>Without a picture</h2><ul>{''.join(lines)}</ul>" if lines else ""


def _provenance(results: Results) -> str:
    facts = results.facts
    seeds = facts.get("seeds", [])
    items = {
        "device": facts.get("device", ""),
        "seeds": f"{len(seeds)} ({seeds[0]} to {seeds[-1]})" if seeds else "",
        "versions": ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items()),
        "base": str(facts.get("config", {}).get("base", "")),
        "weights of the bases": ", ".join(
            f"{method} {origin['base']['name']} {str(origin['base']['weights_hash'])[:16]}"
            for method, origin in results.provenance.items()
            if origin.get("base")
        ),
        "weights of the metrics": ", ".join(
            f"{name} {str(value)[:16]}" for name, value in facts.get("scoring", {}).get("weights", {}).items()
        ),
    }
    lines = [f"<li>{escape(name)}: {escape(str(value))}</li>" for name, value in items.items() if value]
    return f"<h2 id=made-with>Made with</h2><ul class=note>{''.join(lines)}</ul>"
