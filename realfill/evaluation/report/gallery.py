"""The report's part with pictures: each scene's numbers, what was given, the truth, and what came of it."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isfinite
from pathlib import Path

from realfill.evaluation.dataset import Case
from realfill.evaluation.report import plots, thumbnails
from realfill.evaluation.report.markdown import QUARTER
from realfill.evaluation.report.markup import cell, figure, plain, rho, table, title
from realfill.evaluation.report.plots import Axes
from realfill.evaluation.report.thumbnails import cut_hole, draw_hole
from realfill.evaluation.results import Results, number
from realfill.evaluation.store import Store
from realfill.evaluation.tables import MATCHES, by_references
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

MOST_SEEDS = 4  # pictures of one method and scene that are shown: the best by matches, from draft and from noise


def gallery_html(store: Store, results: Results, cases: Sequence[Case]) -> Iterable[str]:
    """Per scene: its numbers, what was asked, the truth, and each method's best pictures by matches."""
    found = results.by_scene
    if found:
        yield "<h2 id=scenes>Scenes</h2><p>Known pixels are veiled; each method’s pictures begin with most matches.</p>"
    titles = {row.method: row.title for row in results.table_1}
    for case in cases:
        if case.name not in found:
            continue
        parts = {"": found, f", {QUARTER}": results.best_by_scene, ", seeds from noise": results.noise_by_scene}
        rows = [
            [f"<td>{escape(titles[method] + more)}</td>", *(cell(values[name], name) for name in results.measured)]
            for method in found[case.name]
            for more, part in parts.items()
            if (values := part.get(case.name, {}).get(method)) is not None
        ]
        yield f"<h3>{escape(case.name)}</h3><div class=row>{''.join(_figures(store, results, case, titles))}</div>"
        numbers = table(["method", *map(title, results.measured)], rows)
        yield f"<div class=side>{numbers}{_order(results, case, titles)}"
        yield f"<div class=plots>{_scattered(results, case, titles)}</div></div>"


def _figures(store: Store, results: Results, case: Case, titles: Mapping[str, str]) -> Iterable[str]:
    place, inputs = store.folder / "thumbs" / case.name, _Inputs(case)
    target, truth = inputs.file("target"), inputs.file("gt")
    thumbnails.make(target, place / "target.jpg", lambda photo: cut_hole(photo, inputs.scene.hole))
    yield figure(f"thumbs/{case.name}/target.jpg", "what was given")
    thumbnails.make(truth, place / "truth.jpg", lambda photo: draw_hole(photo, inputs.scene.hole))
    yield figure(f"thumbs/{case.name}/truth.jpg", "the truth")
    rows = results.data[results.data["scene"] == case.name]
    order = [MATCHES + results.matchers[0]] if results.matchers else []
    for method, some in rows[~rows["method"].map(by_references).astype(bool)].groupby("method", sort=False):
        ranked = some.sort_values([*order, "seed"], ascending=[*([False] * len(order)), True])
        shown = ranked.groupby("start", sort=False).head(MOST_SEEDS // ranked["start"].nunique())  # of both kinds
        for _, row in shown.iterrows():
            seed = int(row["seed"])
            made = store.picture(str(method), case.name, seed)
            thumbnails.make(made, place / f"{method}-{seed}.jpg", lambda photo: draw_hole(photo, inputs.scene.hole))
            said = [f"{title(name)} {_number(row[name], name)}" for name in results.measured[:1]]
            said += [f"{row[name]:.0f} matches" for name in order if isfinite(row[name])]
            began = " from the draft" if row["start"] == "draft" else ""
            caption = f"{titles[str(method)]}, seed {seed}{began}: {', '.join(said)}"
            yield figure(f"thumbs/{case.name}/{method}-{seed}.jpg", caption)


class _Inputs:
    """A scene's files; it is decoded only where a thumbnail is missing."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @functools.cached_property
    def scene(self) -> Scene:
        """The scene."""
        return self._case.scene()

    def file(self, stem: str) -> Path:
        """One of the target's pictures."""
        found = scenes.pictures(self._case.folder / "target")
        return next(path for path in found if path.stem.casefold() == stem)


def _order(results: Results, case: Case, titles: Mapping[str, str]) -> str:
    """How well matches order the seeds of this scene; empty where there is nothing to order."""
    rows = [
        plain(f"ρ, {titles[method]}, {name}", *(rho(ranks.scenes[case.name][column]) for column in results.measured))
        for method, by_matcher in results.ranks.items()
        for name, ranks in by_matcher.items()
        if case.name in ranks.scenes
    ]
    return table(["rank correlation with matches", *map(title, results.measured)], rows) if rows else ""


def _scattered(results: Results, case: Case, titles: Mapping[str, str]) -> str:
    """Matches against the first metric, seed by seed."""
    if not results.matchers or not results.measured:
        return ""
    column, metric = MATCHES + results.matchers[0], results.measured[0]
    rows = results.data[(results.data["scene"] == case.name) & results.data[column].notna()]
    series = {
        titles[method]: [(float(x), float(y)) for x, y in zip(some[column], some[metric], strict=True) if isfinite(y)]
        for method in results.table_2
        if len(some := rows[rows["method"] == method])
    }
    return plots.dots(series, Axes(f"{case.name}: {title(metric)} by matches", "matches", title(metric)))


def _number(value: float, column: str) -> str:
    return number(float(value) if isfinite(value) else None, column)
