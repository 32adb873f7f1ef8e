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
from realfill.evaluation.metrics import base, weights
from realfill.evaluation.metrics.base import Picture
from realfill.evaluation.metrics.registry import Loaded, load_metrics
from realfill.evaluation.plan import Scoring
from realfill.evaluation.store import Store
from realfill.events import Notice, Report
from realfill.imaging.crop import crop_around
from realfill.matching.matcher import Matcher
from realfill.matching.registry import available_matcher, load_matcher
from realfill.matching.selection import score_candidates
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

CHUNK = 8  # pictures held at once
MATCHES = "matches_"  # begins the column of a matcher


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
    found: dict[str, tuple[Matcher, str]] = {}
    missing: dict[str, str] = {}
    for name in scoring.matchers:
        given = dict(scoring.files).get(name, "")
        wanted = config.change(
            config.Config(),
            {
                "select.matcher": name,
                "select.weights": given,
                "select.size": scoring.size,
                "select.confidence": scoring.confidence,
            },
        ).select
        try:
            if not scoring.fetch and available_matcher(wanted)[0] != name:
                raise WeightsError(f"{name}'s weights are not on this machine; give --matchers {name}=FILE or --fetch.")
            matcher = load_matcher(wanted, scoring.device)
        except WeightsError as error:
            missing[name] = str(error)
            continue
        file = f" {Path(given).name} {weights.sha256(Path(given))[:16]}" if given else ""
        how = f"{scoring.size} px, context {scoring.context:g}, confidence {scoring.confidence:g}"
        found[name] = (matcher, f"{name}{file} {how}")
    if not found and missing:  # something must rank
        return load_tools(replace(scoring, matchers=(*scoring.matchers, "sift")))
    return ScoringTools(load_metrics(scoring.weights, device=scoring.device, fetch=scoring.fetch), found, missing)


def score_case(store: Store, case: Case, scoring: Scoring, report: Report) -> int:
    """Measures what is not measured yet of all methods' pictures of a scene; returns how many were looked at.

    A picture that changed, a scene that changed, other weights or another protocol are measured anew.

    Raises:
        SceneError: the scene or a picture cannot be used.
    """
    measured_by = load_tools(scoring)
    todo = _Todo(store, case, measured_by)
    if not todo.missing:
        return 0
    report(Notice(f"{case.name}: scoring {len(todo.missing)} pictures."))
    scene, memory = case.scene(), measured_by.loaded.memory
    memory.open(store.cache(case.name))
    try:
        bench = _Bench(scene, Picture(read_truth(case, scene), todo.truth), measured_by, scoring)
        for group in _groups(todo.missing):
            pictures = [base.read(store.picture(one.method, case.name, one.seed)) for one in group]
            rows = bench.measure(pictures, group[0].names)
            for one, picture, row in zip(group, pictures, rows, strict=True):
                todo.note(one, {"file": picture.digest, **row})
            todo.write()
    finally:
        memory.close()
    return len(todo.missing)


def key_of(folder: Path) -> str:
    """What a scene's pictures are, as a hash; other pictures make another scene."""
    return base.digest(*scenes.pictures(folder / "ref"), *scenes.pictures(folder / "target"))


@dataclass(frozen=True)
class _Missing:
    """A picture and what is to be measured of it."""

    method: str
    seed: int
    names: frozenset[str]


def _groups(missing: Sequence[_Missing]) -> Iterator[list[_Missing]]:
    """Pictures of which the same is missing, a few at a time."""
    for names in dict.fromkeys(one.names for one in missing):
        same = [one for one in missing if one.names == names]
        for start in range(0, len(same), CHUNK):
            yield same[start : start + CHUNK]


class _Todo:
    """The scores of a scene's pictures, and what of them is missing or stale.

    Values whose metric cannot be measured here stay, with the identity of what measured them.
    """

    def __init__(self, store: Store, case: Case, tools: ScoringTools) -> None:
        self._store, self._case = store, case.name
        self._key = key_of(case.folder)
        targets = scenes.pictures(case.folder / "target")
        self.truth = base.digest(*(path for path in targets if path.stem.casefold() == "gt"))
        self._identities = tools.identities()
        self._data: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self.missing: list[_Missing] = []
        for method in store.methods():
            self._look(method)

    def _look(self, method: str) -> None:
        before = self._store.scores(method, self._case)
        known = before if before.get("scene") == self._key else {}
        old: Mapping[str, str] = known.get("measured_by", {})
        stale = {name for name, identity in self._identities.items() if old.get(name, identity) != identity}
        rows: dict[str, Any] = {}
        for seed in self._store.seeds(method, self._case):
            row = dict(known.get("seeds", {}).get(str(seed), {}))
            if row.get("file") != base.digest(self._store.picture(method, self._case, seed)):
                row = {}
            row = {name: value for name, value in row.items() if name not in stale}
            rows[str(seed)] = row
            if names := frozenset(self._identities.keys() - row.keys()):
                self.missing.append(_Missing(method, seed, names))
        measured_by = {**old, **self._identities} if rows else {}
        self._data[method] = {"scene": self._key, "measured_by": measured_by, "seeds": rows}
        if before.get("seeds", {}).keys() - rows.keys():
            self._changed.add(method)
            self.write()

    def note(self, one: _Missing, row: Mapping[str, Any]) -> None:
        """Adds what was measured of one picture."""
        self._data[one.method]["seeds"][str(one.seed)] |= row
        self._changed.add(one.method)

    def write(self) -> None:
        """Stores what changed; pictures of which nothing is known yet are left out."""
        for method in self._changed:
            data = self._data[method]
            seeds = {seed: row for seed, row in data["seeds"].items() if row}
            self._store.write_scores(method, self._case, {**data, "seeds": seeds})
        self._changed.clear()


class _Bench:
    """One scene, ready to measure pictures by the chunk; references and truth are looked at once."""

    def __init__(self, scene: Scene, truth: Picture, tools: ScoringTools, scoring: Scoring) -> None:
        self._hole, self._truth, self._metrics = scene.hole, truth, tools.loaded.metrics
        self._counters = {name: _Counter(matcher, scene, scoring) for name, (matcher, _) in tools.matchers.items()}

    def measure(self, pictures: Sequence[Picture], names: frozenset[str]) -> list[dict[str, Any]]:
        """The named metrics, and counts of matches, of each picture."""
        rows: list[dict[str, Any]] = [{} for _ in pictures]
        for metric in self._metrics:
            if metric.name in names:
                values = metric.measure(self._truth, self._hole, pictures)
                for row, value in zip(rows, values, strict=True):
                    row[metric.name] = value
        for name, counter in self._counters.items():
            if MATCHES + name in names:
                for row, picture in zip(rows, pictures, strict=True):
                    row[MATCHES + name] = counter.count(picture.photo)
        return rows


class _Counter:
    """Matches with the references that land in the hole (§3.4), picture by picture.

    What is matched is the hole with context around it, as RealFill ranks its own candidates.
    """

    def __init__(self, matcher: Matcher, scene: Scene, scoring: Scoring) -> None:
        self._fit = crop_around(scene.hole, size=scoring.size, multiple=8, context=scoring.context)
        self._waiting: deque[tuple[int, Photo]] = deque()
        hole = self._fit.fillable_hole(scene.hole)
        self._scores = score_candidates(matcher, scene.references, self._feed(), hole)

    def _feed(self) -> Iterator[tuple[int, Photo]]:
        while self._waiting:
            yield self._waiting.popleft()

    def count(self, photo: Photo) -> int:
        """The matches of one picture (H, W, 3)."""
        self._waiting.append((0, self._fit.crop_photo(photo)))
        return next(self._scores).matches


def check(names: Sequence[str]) -> None:
    """Refuses matchers that do not exist.

    Raises:
        OptionError: so.
    """
    for name in names:
        try:
            config.change(config.Config(), {"select.matcher": name})
        except OptionError as error:
            raise OptionError(f"There is no matcher '{name}'; the matchers are loftr, aliked and sift.") from error
