"""Scoring one scene's pictures in one pass: each is read once for all metrics and all matchers."""

import functools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from realfill import config
from realfill.arrays import Photo
from realfill.errors import OptionError, WeightsError
from realfill.evaluation.dataset import Case, read_truth
from realfill.evaluation.metrics import weights
from realfill.evaluation.metrics.base import MATCHES, Picture, digest, read_picture
from realfill.evaluation.metrics.registry import Loaded, load_metrics
from realfill.evaluation.plan import Scoring
from realfill.evaluation.store import Store
from realfill.events import Notice, Report
from realfill.imaging.crop import crop_around
from realfill.matching.matcher import Matcher
from realfill.matching.registry import FALLBACK, MATCHERS, available_matcher, load_matcher
from realfill.matching.selection import score_candidates
from realfill.scene import scene_files
from realfill.scene.scene import Scene

CHUNK = 8  # pictures held at once


@dataclass(frozen=True, eq=False)
class ScoringTools:
    """What pictures are measured with."""

    loaded: Loaded
    matchers: Mapping[str, tuple[Matcher, str]]  # by name, with its identity
    missing: Mapping[str, str]  # matcher → why it is not there

    def identities(self) -> dict[str, str]:
        """By column, what measures it: protocol, library, weights."""
        by_metric = {metric.name: metric.identity for metric in self.loaded.metrics}
        return {**by_metric, **{MATCHES + name: identity for name, (_, identity) in self.matchers.items()}}


@functools.lru_cache(maxsize=1)
def load_tools(scoring: Scoring) -> ScoringTools:
    """Metrics and matchers, loaded once a process.

    Raises:
        OptionError: a matcher of that name does not exist.
    """
    matchers: dict[str, tuple[Matcher, str]] = {}
    missing: dict[str, str] = {}
    for name in scoring.matchers:
        try:
            matchers[name] = _load_matcher(name, scoring)
        except WeightsError as error:
            missing[name] = str(error)
    if not matchers and missing:  # something must rank
        return load_tools(replace(scoring, matchers=(*scoring.matchers, FALLBACK)))
    return ScoringTools(load_metrics(scoring.weights, device=scoring.device, fetch=scoring.fetch), matchers, missing)


def _load_matcher(name: str, scoring: Scoring) -> tuple[Matcher, str]:
    """A matcher with its identity: name, file of weights, protocol.

    Raises:
        OptionError: there is no matcher of that name.
        WeightsError: its weights are not on this machine.
    """
    file = dict(scoring.files).get(name, "")
    changes = {
        "select.matcher": name,
        "select.weights": file,
        "select.size": scoring.size,
        "select.confidence": scoring.confidence,
    }
    select = config.change(config.Config(), changes).select
    if not scoring.fetch and available_matcher(select)[0] != name:
        raise WeightsError(f"{name}'s weights are not on this machine; give --matchers {name}=FILE or --fetch.")
    matcher = load_matcher(select, scoring.device)
    weights_of = f" {Path(file).name} {weights.sha256(Path(file))[:16]}" if file else ""
    protocol = f"{scoring.size} px, context {scoring.context:g}, confidence {scoring.confidence:g}"
    return matcher, f"{name}{weights_of} {protocol}"


def score_case(store: Store, case: Case, scoring: Scoring, report: Report) -> int:
    """Measures what is not measured yet of all methods' pictures of a scene; returns how many were looked at.

    A picture that changed, a scene that changed, other weights or another protocol are measured anew.

    Raises:
        SceneError: the scene or a picture cannot be used.
    """
    tools = load_tools(scoring)
    scores = _SceneScores(store, case, tools)
    if not scores.missing:
        return 0
    report(Notice(f"{case.name}: scoring {len(scores.missing)} pictures."))
    scene, cache = case.scene(), tools.loaded.cache
    cache.open(store.cache_path(case.name))
    try:
        scorer = _SceneScorer(scene, Picture(read_truth(case, scene), scores.truth), tools, scoring)
        for group in _groups(scores.missing):
            pictures = [read_picture(store.picture_path(item.method, case.name, item.seed)) for item in group]
            rows = scorer.measure(pictures, group[0].columns)
            for item, picture, row in zip(group, pictures, rows, strict=True):
                scores.add(item, {"file": picture.digest, **row})
            scores.write()
    finally:
        cache.close()
    return len(scores.missing)


def scene_key(folder: Path) -> str:
    """What a scene's pictures are, as a hash; other pictures make another scene."""
    return digest(*scene_files.pictures(folder / "ref"), *scene_files.pictures(folder / "target"))


@dataclass(frozen=True)
class _UnscoredPicture:
    """A picture and what is to be measured of it."""

    method: str
    seed: int
    columns: frozenset[str]


def _groups(missing: Sequence[_UnscoredPicture]) -> Iterator[list[_UnscoredPicture]]:
    """Pictures of which the same is missing, a few at a time."""
    for columns in dict.fromkeys(item.columns for item in missing):
        same = [item for item in missing if item.columns == columns]
        for start in range(0, len(same), CHUNK):
            yield same[start : start + CHUNK]


class _SceneScores:
    """The scores of a scene's pictures, and what of them is missing or stale.

    Values whose metric cannot be measured here stay, with the identity of what measured them.
    """

    def __init__(self, store: Store, case: Case, tools: ScoringTools) -> None:
        self._store, self._case = store, case.name
        self._key = scene_key(case.folder)
        targets = scene_files.pictures(case.folder / "target")
        self.truth = digest(*(path for path in targets if path.stem.casefold() == "gt"))
        self._identities = tools.identities()
        self._data: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self.missing: list[_UnscoredPicture] = []
        for method in store.methods():
            self._read_method(method)

    def _read_method(self, method: str) -> None:
        """Takes over a method's scores that still hold, and notes what is missing."""
        before = self._store.scores(method, self._case)
        known = before if before.get("scene") == self._key else {}
        old: Mapping[str, str] = known.get("measured_by", {})
        stale = {name for name, identity in self._identities.items() if old.get(name, identity) != identity}
        rows: dict[str, Any] = {}
        for seed in self._store.seeds(method, self._case):
            row = dict(known.get("seeds", {}).get(str(seed), {}))
            if row.get("file") != digest(self._store.picture_path(method, self._case, seed)):
                row = {}
            row = {name: value for name, value in row.items() if name not in stale}
            rows[str(seed)] = row
            if columns := frozenset(self._identities.keys() - row.keys()):
                self.missing.append(_UnscoredPicture(method, seed, columns))
        measured_by = {**old, **self._identities} if rows else {}
        self._data[method] = {"scene": self._key, "measured_by": measured_by, "seeds": rows}
        if before.get("seeds", {}).keys() - rows.keys():
            self._changed.add(method)
            self.write()

    def add(self, item: _UnscoredPicture, row: Mapping[str, Any]) -> None:
        """Adds what was measured of one picture."""
        self._data[item.method]["seeds"][str(item.seed)] |= row
        self._changed.add(item.method)

    def write(self) -> None:
        """Stores what changed; pictures of which nothing is known yet are left out."""
        for method in self._changed:
            data = self._data[method]
            seeds = {seed: row for seed, row in data["seeds"].items() if row}
            self._store.write_scores(method, self._case, {**data, "seeds": seeds})
        self._changed.clear()


class _SceneScorer:
    """One scene, ready to measure pictures by the chunk; references and truth are looked at once."""

    def __init__(self, scene: Scene, truth: Picture, tools: ScoringTools, scoring: Scoring) -> None:
        self._hole, self._truth, self._metrics = scene.hole, truth, tools.loaded.metrics
        self._counters = {name: _MatchCounter(matcher, scene, scoring) for name, (matcher, _) in tools.matchers.items()}

    def measure(self, pictures: Sequence[Picture], columns: frozenset[str]) -> list[dict[str, Any]]:
        """Those of the columns that metrics and matchers fill, of each picture."""
        rows: list[dict[str, Any]] = [{} for _ in pictures]
        for metric in self._metrics:
            if metric.name in columns:
                values = metric.measure(self._truth, self._hole, pictures)
                for row, value in zip(rows, values, strict=True):
                    row[metric.name] = value
        for name, counter in self._counters.items():
            if MATCHES + name in columns:
                for row, picture in zip(rows, pictures, strict=True):
                    row[MATCHES + name] = counter.count(picture.photo)
        return rows


class _MatchCounter:
    """Matches with the references that land in the hole (§3.4), picture by picture.

    What is matched is the hole with context around it, as RealFill ranks its own candidates.
    """

    def __init__(self, matcher: Matcher, scene: Scene, scoring: Scoring) -> None:
        self._fit = crop_around(scene.hole, size=scoring.size, multiple=8, context=scoring.context)
        self._waiting: deque[tuple[int, Photo]] = deque()
        hole = self._fit.fillable_hole(scene.hole)
        self._scores = score_candidates(matcher, scene.references, self._take_pictures(), hole)

    def _take_pictures(self) -> Iterator[tuple[int, Photo]]:
        while self._waiting:
            yield self._waiting.popleft()

    def count(self, photo: Photo) -> int:
        """The matches of one picture (H, W, 3)."""
        self._waiting.append((0, self._fit.crop_photo(photo)))
        return next(self._scores).matches


def check_matchers(names: Sequence[str]) -> None:
    """Makes sure that matchers exist.

    Raises:
        OptionError: one does not.
    """
    for name in names:
        try:
            config.change(config.Config(), {"select.matcher": name})
        except OptionError as error:
            *others, last = MATCHERS
            known = f"{', '.join(others)} and {last}"
            raise OptionError(f"There is no matcher '{name}'; the matchers are {known}.") from error
