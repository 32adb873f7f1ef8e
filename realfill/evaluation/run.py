"""A whole benchmark: scene by scene pictures and scores, and after each scene all tables anew."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realfill import files
from realfill.distributed import executors
from realfill.distributed.executors import Executor
from realfill.distributed.results import ItemResult
from realfill.distributed.worker_process import Task
from realfill.errors import OptionError, RealFillError, StageError
from realfill.evaluation import score
from realfill.evaluation.dataset import Case
from realfill.evaluation.generate import generate_missing
from realfill.evaluation.metrics.base import MATCHES
from realfill.evaluation.plan import BenchmarkPlan, Scoring, versions
from realfill.evaluation.report import markdown, page
from realfill.evaluation.results import Results, collect_results, write_results
from realfill.evaluation.score import ScoringTools, load_tools, score_case
from realfill.evaluation.store import Store
from realfill.events import Notice, Report

RESULT_FILES = ("seeds.csv", "results.json", "tables.md", "report.html", "thumbs")  # made anew by every call
RESCORE_SETTINGS = ("matchers", "files", "size", "confidence", "context")  # that a later re-scoring takes over


@dataclass(frozen=True)
class CaseResult:
    """What came of one scene."""

    scene: str
    generated: int  # new pictures
    scored: int  # pictures that were looked at
    troubles: tuple[str, ...]


def silent_report() -> Report:
    """A report that says nothing."""
    return lambda event: None


def check_folder(store: Store) -> None:
    """Refuses a folder whose files are somebody else's and would be written over.

    Raises:
        OptionError: it is no folder, or holds such files and no benchmark.
    """
    if store.folder.exists() and not store.folder.is_dir():
        raise OptionError(f"{store.folder} is a file; give a folder for the benchmark.")
    foreign = [name for name in RESULT_FILES if (store.folder / name).exists()]
    if foreign and not store.facts():
        raise OptionError(f"{store.folder} holds {foreign[0]} and no benchmark; give another folder.")


def run_benchmark(
    plan: BenchmarkPlan,
    root: Path,
    cases: Sequence[Case],
    *,
    executor: Executor | None = None,
    timeout: float = float("inf"),
    report: Report = lambda event: None,
    make_report: Callable[[], Report] = silent_report,
) -> Results:
    """Makes and scores everything that is missing and writes the tables and the report.

    `make_report` makes what a scene tells its progress to, in the process that works on it: it must be picklable.
    `timeout` are the seconds for one try of a scene.

    Raises:
        OptionError: there is no scene, or the folder holds a benchmark of other scenes or settings.
        Interrupted: stopped on purpose; the same call goes on.
        StageError: scenes could not be done; the tables hold the others, and the same call tries them again.
    """
    store = Store(plan.out)
    check_folder(store)
    _check_root(store, root)
    if not cases:
        raise OptionError(f"No scene in {root} has a ground truth (target/gt.png), so nothing can be measured.")
    before = store.facts()
    known = [name for name in before.get("scenes", []) if (root / name).is_dir()]
    facts = plan.facts(root, list(dict.fromkeys([*known, *(case.name for case in cases)])))
    facts["methods"] = list(dict.fromkeys([*before.get("methods", []), *facts["methods"]]))
    store.write_facts({**before, **facts})
    work = functools.partial(generate_and_score, plan, make_report)
    return _run_cases(store, work, cases, plan.scoring, executor=executor, timeout=timeout, report=report)


def rescore(
    store: Store,
    cases: Sequence[Case],
    scoring: Scoring,
    *,
    executor: Executor | None = None,
    timeout: float = float("inf"),
    report: Report,
    make_report: Callable[[], Report] = silent_report,
) -> Results:
    """Scores the pictures of a store, all methods alike, and writes the tables and the report.

    Raises:
        SceneError: a scene or a picture cannot be used.
    """
    work = functools.partial(rescore_case, store.folder, scoring, make_report)
    return _run_cases(store, work, cases, scoring, executor=executor, timeout=timeout, report=report)


def generate_and_score(plan: BenchmarkPlan, make_report: Callable[[], Report], folder: Path) -> CaseResult:
    """One scene of a benchmark; what an executor calls."""
    case, report = Case(folder.name, folder), make_report()
    generated = generate_missing(plan, case, report)
    scored = score_case(Store(plan.out), case, plan.scoring, report)
    troubles = tuple(f"{result.method}: {result.trouble}" for result in generated if result.trouble)
    return CaseResult(case.name, sum(result.pictures for result in generated), scored, troubles)


def rescore_case(out: Path, scoring: Scoring, make_report: Callable[[], Report], folder: Path) -> CaseResult:
    """One scene of a re-scoring; what an executor calls."""
    case = Case(folder.name, folder)
    return CaseResult(case.name, 0, score_case(Store(out), case, scoring, make_report()), ())


def publish(store: Store, cases: Sequence[Case]) -> Results:
    """Writes seeds.csv, results.json, tables.md and report.html from what is stored."""
    results = collect_results(store)
    write_results(store, results)
    files.write_bytes(store.folder / "tables.md", markdown.render_tables(results).encode())
    page.write_report(store, results, cases)
    return results


def _run_cases(
    store: Store,
    work: Callable[[Path], CaseResult],
    cases: Sequence[Case],
    scoring: Scoring,
    *,
    executor: Executor | None,
    timeout: float,
    report: Report,
) -> Results:
    tools = load_tools(scoring)
    for name, why in {**tools.loaded.missing, **tools.missing}.items():
        report(Notice(f"Not measured: {name}, because {why}"))
    _write_scoring(store, tools, scoring)
    folders = list(dict.fromkeys(case.folder.resolve() for case in cases))
    troubles: list[ItemResult[CaseResult]] = []
    with contextlib.closing((executor or executors.Serial()).map(Task(work, timeout=timeout), folders)) as finished:
        for count, result in enumerate(finished, 1):
            case = result.value
            if case is None:
                troubles.append(result)
            sentence = (
                f"{result.item.name} is left out ({result.sentence})"
                if case is None
                else f"{case.scene} done, {case.generated} new pictures, {case.scored} scored."
            )
            report(Notice(f"{count} of {len(cases)}: {sentence}"))
            if case is not None and (case.generated or case.scored):
                publish(store, cases)
    if troubles and len(troubles) == len(folders):
        raise _error(troubles[0])
    results = publish(store, cases)
    if troubles:
        names = ", ".join(result.item.name for result in troubles)
        raise StageError(
            f"{len(troubles)} of {len(folders)} scenes could not be done ({names}), {troubles[0].item.name} because: "
            f"{troubles[0].sentence} The tables hold the others; the same command tries these again."
        )
    return results


def _error(result: ItemResult[CaseResult]) -> RealFillError:
    """What stopped a scene, where nothing else was done either: as it was, or as one that another try may mend."""
    return OptionError(result.sentence) if result.ending == "bad" else StageError(result.sentence)


def _write_scoring(store: Store, tools: ScoringTools, scoring: Scoring) -> None:
    facts: dict[str, Any] = {
        "matchers": list(tools.matchers),
        "missing": {**tools.loaded.missing, **tools.missing},
        "weights": dict(tools.loaded.weights),
        "device": scoring.device,
        "settings": {name: getattr(scoring, name) for name in RESCORE_SETTINGS},
        "versions": versions(),
        "columns": [name.removeprefix(MATCHES) for name in tools.identities()],
    }
    store.write_facts({**store.facts(), "scoring": facts})


def _check_root(store: Store, root: Path) -> None:
    """A copy of the same scenes elsewhere will do."""
    facts = store.facts()
    before = facts.get("root")
    if before is None or Path(before) == root.resolve() or not Path(before).is_dir():
        return
    pairs = [(Path(before) / name, root / name) for name in facts.get("scenes", [])]
    same = [score.scene_key(old) == score.scene_key(new) for old, new in pairs if old.is_dir() and new.is_dir()]
    if not same or not all(same):
        raise OptionError(f"{store.folder} holds a benchmark of {before}, not of {root}; give another folder with -o.")
