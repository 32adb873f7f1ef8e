"""A whole benchmark: scene by scene pictures and scores, and after each scene all tables anew."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realfill import files
from realfill.distributed import executors
from realfill.distributed.executors import Executor
from realfill.errors import OptionError
from realfill.evaluation import results, score
from realfill.evaluation.dataset import Case
from realfill.evaluation.generate import generate_missing
from realfill.evaluation.plan import BenchmarkPlan, Scoring, versions
from realfill.evaluation.report import markdown, page
from realfill.evaluation.results import Results
from realfill.evaluation.score import MATCHES, ScoringTools, load_tools, score_case
from realfill.evaluation.store import Store
from realfill.events import Notice, Report

KEPT = ("matchers", "files", "size", "confidence", "context")  # by a later re-scoring


@dataclass(frozen=True)
class CaseDone:
    """What came of one scene."""

    scene: str
    made: int  # new pictures
    scored: int  # pictures that were looked at
    troubles: tuple[str, ...]


def silent_report() -> Report:
    """A report that says nothing."""
    return lambda event: None


def run_benchmark(
    plan: BenchmarkPlan,
    root: Path,
    cases: Sequence[Case],
    *,
    executor: Executor | None = None,
    report: Report = lambda event: None,
    make_report: Callable[[], Report] = silent_report,
) -> Results:
    """Makes and scores everything that is missing and writes the tables and the report.

    `make_report` makes what a scene tells its progress to, in the process that works on it: it must be picklable.

    Raises:
        OptionError: there is no scene, or the folder holds a benchmark of other scenes or settings.
        Interrupted: stopped on purpose; the same call goes on.
    """
    store = Store(plan.out)
    _same_root(store, root)
    if not cases:
        raise OptionError(f"No scene in {root} has a ground truth (target/gt.png), so nothing can be measured.")
    before = store.facts()
    known = [name for name in before.get("scenes", []) if (root / name).is_dir()]
    facts = plan.facts(root, list(dict.fromkeys([*known, *(case.name for case in cases)])))
    facts["methods"] = list(dict.fromkeys([*before.get("methods", []), *facts["methods"]]))
    store.write_facts({**before, **facts})
    work = functools.partial(fill_and_score, plan, make_report)
    return _all(store, work, cases, plan.scoring, executor=executor, report=report)


def rescore(
    store: Store,
    cases: Sequence[Case],
    wanted: Scoring,
    *,
    executor: Executor | None = None,
    report: Report,
    make_report: Callable[[], Report] = silent_report,
) -> Results:
    """Scores the pictures of a store, all methods alike, and writes the tables and the report.

    Raises:
        SceneError: a scene or a picture cannot be used.
    """
    work = functools.partial(score_only, store.folder, wanted, make_report)
    return _all(store, work, cases, wanted, executor=executor, report=report)


def fill_and_score(plan: BenchmarkPlan, make_report: Callable[[], Report], folder: Path) -> CaseDone:
    """One scene of a benchmark; what an executor calls."""
    case, say = Case(folder.name, folder), make_report()
    filled = generate_missing(plan, case, say)
    scored = score_case(Store(plan.out), case, plan.scoring, say)
    troubles = tuple(f"{one.method}: {one.trouble}" for one in filled if one.trouble)
    return CaseDone(case.name, sum(one.made for one in filled), scored, troubles)


def score_only(out: Path, wanted: Scoring, make_report: Callable[[], Report], folder: Path) -> CaseDone:
    """One scene of a re-scoring; what an executor calls."""
    case = Case(folder.name, folder)
    return CaseDone(case.name, 0, score_case(Store(out), case, wanted, make_report()), ())


def publish(store: Store, cases: Sequence[Case]) -> Results:
    """Writes seeds.csv, results.json, tables.md and report.html from what is stored."""
    found = results.collect(store)
    results.write(store, found)
    files.write_bytes(store.folder / "tables.md", markdown.whole(found).encode())
    page.write(store, found, cases)
    return found


def _all(
    store: Store,
    work: Callable[[Path], CaseDone],
    cases: Sequence[Case],
    wanted: Scoring,
    *,
    executor: Executor | None,
    report: Report,
) -> Results:
    tools = load_tools(wanted)
    for name, why in {**tools.loaded.missing, **tools.missing}.items():
        report(Notice(f"Not measured: {name}, because {why}"))
    _write_scoring(store, tools, wanted)
    by_folder = {case.folder.resolve(): case for case in cases}
    done = (executor or executors.Serial()).map(work, list(by_folder))
    for count, one in enumerate(done, 1):
        report(Notice(f"{count} of {len(cases)}: {one.scene} done, {one.made} new pictures, {one.scored} scored."))
        if one.made or one.scored:
            publish(store, cases)
    return publish(store, cases)


def _write_scoring(store: Store, tools: ScoringTools, wanted: Scoring) -> None:
    known: dict[str, Any] = {
        "matchers": list(tools.matchers),
        "missing": {**tools.loaded.missing, **tools.missing},
        "weights": dict(tools.loaded.weights),
        "device": wanted.device,
        "settings": {name: getattr(wanted, name) for name in KEPT},
        "versions": versions(),
        "columns": [name.removeprefix(MATCHES) for name in tools.identities()],
    }
    store.write_facts({**store.facts(), "scoring": known})


def _same_root(store: Store, root: Path) -> None:
    """A copy of the same scenes elsewhere will do."""
    facts = store.facts()
    before = facts.get("root")
    if before is None or Path(before) == root.resolve() or not Path(before).is_dir():
        return
    pairs = [(Path(before) / name, root / name) for name in facts.get("scenes", [])]
    common = [score.key_of(old) == score.key_of(new) for old, new in pairs if old.is_dir() and new.is_dir()]
    if not common or not all(common):
        raise OptionError(f"{store.folder} holds a benchmark of {before}, not of {root}; give another folder with -o.")
