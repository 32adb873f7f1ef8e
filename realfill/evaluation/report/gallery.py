"""The report's part with pictures: each scene's numbers, what was given, the truth, and what came of it."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isfinite
from pathlib import Path

from realfill.evaluation.dataset import Case
from realfill.evaluation.metrics.base import MATCHES
from realfill.evaluation.report import plots, thumbnails
from realfill.evaluation.report.markdown import QUARTER
from realfill.evaluation.report.markup import cell, figure, rho, table, text_cells, title
from realfill.evaluation.report.plots import Axes
from realfill.evaluation.report.thumbnails import cut_hole, draw_hole
from realfill.evaluation.results import Results, format_number
from realfill.evaluation.store import Store
from realfill.evaluation.tables import varies_references
from realfill.scene import scene_files
from realfill.scene.scene import Scene

MOST_SEEDS = 4  # pictures of one method and scene that are shown: the best by matches, from draft and from noise


def gallery_html(store: Store, results: Results, cases: Sequence[Case]) -> Iterable[str]:
    """Per scene: its numbers, what was asked, the truth, and each method's best pictures by matches."""
    if results.by_scene:
        yield "<h2 id=scenes>Scenes</h2><p>Known pixels are veiled; each method’s pictures begin with most matches.</p>"
    titles = {row.method: row.title for row in results.table_1}
    for case in cases:
        if case.name not in results.by_scene:
            continue
        parts = {
            "": results.by_scene,
            f", {QUARTER}": results.best_by_scene,
            ", seeds from noise": results.noise_by_scene,
        }
        rows = [
            [f"<td>{escape(titles[method] + suffix)}</td>", *(cell(values[name], name) for name in results.measured)]
            for method in results.by_scene[case.name]
            for suffix, part in parts.items()
            if (values := part.get(case.name, {}).get(method)) is not None
        ]
        yield f"<h3>{escape(case.name)}</h3><div class=row>{''.join(_figures(store, results, case, titles))}</div>"
        numbers = table(["method", *map(title, results.measured)], rows)
        yield f"<div class=side>{numbers}{_rank_correlations(results, case, titles)}"
        yield f"<div class=plots>{_scatter_plot(results, case, titles)}</div></div>"


def _figures(store: Store, results: Results, case: Case, titles: Mapping[str, str]) -> Iterable[str]:
    thumbs, inputs = store.folder / "thumbs" / case.name, _SceneFiles(case)
    target, truth = inputs.file("target"), inputs.file("gt")
    thumbnails.make_thumbnail(target, thumbs / "target.jpg", lambda photo: cut_hole(photo, inputs.scene.hole))
    yield figure(f"thumbs/{case.name}/target.jpg", "what was given")
    thumbnails.make_thumbnail(truth, thumbs / "truth.jpg", lambda photo: draw_hole(photo, inputs.scene.hole))
    yield figure(f"thumbs/{case.name}/truth.jpg", "the truth")
    rows = results.data[results.data["scene"] == case.name]
    order = [MATCHES + results.matchers[0]] if results.matchers else []
    for method, group in rows[~rows["method"].map(varies_references).astype(bool)].groupby("method", sort=False):
        ranked = group.sort_values([*order, "seed"], ascending=[*([False] * len(order)), True])
        best = ranked.groupby("start", sort=False).head(MOST_SEEDS // ranked["start"].nunique())  # of both kinds
        for _, row in best.iterrows():
            seed = int(row["seed"])
            picture = store.picture_path(str(method), case.name, seed)
            thumbnails.make_thumbnail(
                picture, thumbs / f"{method}-{seed}.jpg", lambda photo: draw_hole(photo, inputs.scene.hole)
            )
            values = [f"{title(name)} {_format(row[name], name)}" for name in results.measured[:1]]
            values += [f"{row[name]:.0f} matches" for name in order if isfinite(row[name])]
            began = " from the draft" if row["start"] == "draft" else ""
            caption = f"{titles[str(method)]}, seed {seed}{began}: {', '.join(values)}"
            yield figure(f"thumbs/{case.name}/{method}-{seed}.jpg", caption)


class _SceneFiles:
    """A scene's files; it is decoded only where a thumbnail is missing."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @functools.cached_property
    def scene(self) -> Scene:
        """The scene."""
        return self._case.scene()

    def file(self, stem: str) -> Path:
        """One of the target's pictures."""
        paths = scene_files.pictures(self._case.folder / "target")
        return next(path for path in paths if path.stem.casefold() == stem)


def _rank_correlations(results: Results, case: Case, titles: Mapping[str, str]) -> str:
    """How well matches order the seeds of this scene; empty where there is nothing to order."""
    rows = [
        text_cells(
            f"ρ, {titles[method]}, {name}", *(rho(ranks.scenes[case.name][column]) for column in results.measured)
        )
        for method, by_matcher in results.ranks.items()
        for name, ranks in by_matcher.items()
        if case.name in ranks.scenes
    ]
    return table(["rank correlation with matches", *map(title, results.measured)], rows) if rows else ""


def _scatter_plot(results: Results, case: Case, titles: Mapping[str, str]) -> str:
    """Matches against the first metric, seed by seed."""
    if not results.matchers or not results.measured:
        return ""
    column, metric = MATCHES + results.matchers[0], results.measured[0]
    rows = results.data[(results.data["scene"] == case.name) & results.data[column].notna()]
    series = {
        titles[method]: [(float(x), float(y)) for x, y in zip(group[column], group[metric], strict=True) if isfinite(y)]
        for method in results.table_2
        if len(group := rows[rows["method"] == method])
    }
    return plots.dots(series, Axes(f"{case.name}: {title(metric)} by matches", "matches", title(metric)))


def _format(value: float, column: str) -> str:
    return format_number(float(value) if isfinite(value) else None, column)
