"""Making the pictures of one scene: what is missing and nothing else, so that a benchmark resumes seed by seed."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from realfill.config import Config, flatten
from realfill.errors import Interrupted, OptionError, RealFillError, SceneError
from realfill.evaluation.dataset import Case, keep_references
from realfill.evaluation.methods.base import NoResult, Setup
from realfill.evaluation.methods.registry import Variant, find_method
from realfill.evaluation.plan import BenchmarkPlan
from realfill.evaluation.store import Store
from realfill.events import Notice, Report
from realfill.imaging import composite
from realfill.scene import scene_files


@dataclasses.dataclass(frozen=True)
class Generated:
    """What came of one method on one scene."""

    method: str
    scene: str
    pictures: int  # new ones
    trouble: str  # "" or the sentence why some are missing


def generate_missing(plan: BenchmarkPlan, case: Case, report: Report) -> list[Generated]:
    """Makes every missing picture of a scene; a method that fails is written down and does not stop the others.

    Raises:
        Interrupted: stopped on purpose; the same call goes on.
        OptionError: the folder holds pictures that were made with other settings.
    """
    return [_generate_method(plan, find_method(name), case, report) for name in plan.methods]


def _generate_method(plan: BenchmarkPlan, variant: Variant, case: Case, report: Report) -> Generated:
    store, name = Store(plan.out), variant.name
    setup = _make_setup(plan, variant, case, report)
    record = _check_settings(store, variant, case, setup)
    seeds = plan.config.sample.seeds if variant.entry.random else plan.config.sample.seeds[:1]
    existing = set(store.seeds(name, case.name))
    missing = [seed for seed in dict.fromkeys(seeds) if seed not in existing]
    if not missing or record.get("no_result"):
        return Generated(name, case.name, 0, str(record.get("no_result", "")))
    report(Notice(f"{case.name}: {variant.entry.title}, {len(missing)} of {len(seeds)} pictures to make."))
    count, trouble = 0, ""
    began, cpu_began = time.monotonic(), time.process_time()
    try:
        for _ in _write_pictures(plan, variant, case, setup, missing):
            count += 1
        record.pop("trouble", None)
    except Interrupted:
        raise
    except RealFillError as error:
        trouble = str(error)
        record["no_result" if isinstance(error, NoResult) else "trouble"] = trouble
        report(Notice(f"{case.name}: {variant.entry.title}: {trouble}"))
    finally:
        record |= setup.facts
        record["seconds"] = round(float(record.get("seconds", 0)) + time.monotonic() - began, 3)
        record["cpu_seconds"] = round(float(record.get("cpu_seconds", 0)) + time.process_time() - cpu_began, 3)
        store.write_record(name, case.name, record)
    return Generated(name, case.name, count, trouble)


def _write_pictures(
    plan: BenchmarkPlan, variant: Variant, case: Case, setup: Setup, missing: list[int]
) -> Iterator[int]:
    """Writes the pictures and yields their seeds; all keep the target's known pixels but for the feather."""
    if setup.folder != case.folder and variant.references is not None:
        try:
            case = keep_references(case, variant.references, setup.folder.parent)
        except SceneError as error:
            raise NoResult(str(error)) from error
    store, scene, feather = Store(plan.out), Case(case.name, setup.folder).scene(), plan.config.export.feather
    candidates = variant.entry.make(setup)(scene, missing)
    with contextlib.ExitStack() as stack:
        if isinstance(candidates, Generator):
            stack.enter_context(contextlib.closing(candidates))  # training ends with a checkpoint before an error
        for candidate in candidates:
            photo = composite.preview(scene.target, scene.hole, candidate.photo, feather=feather)
            store.write_picture(variant.name, case.name, candidate.seed, photo)
            yield candidate.seed


def _make_setup(plan: BenchmarkPlan, variant: Variant, case: Case, report: Report) -> Setup:
    """What the method is handed; one that sees fewer references than there are works on a scene of its own."""
    store, folder, suffix = Store(plan.out), case.folder, ""
    if variant.references not in (None, len(scene_files.pictures(folder / "ref"))):  # all of them: no second training
        folder = plan.out / "runs" / f"scenes@{variant.references}refs" / case.name
        suffix = f"@{variant.references}refs"
    return Setup(
        folder=folder,
        work=store.work_folder(f"{variant.entry.name}{suffix}", case.name),  # dreambooth's strengths share one training
        config=plan.config,
        device=plan.device,
        prompt=plan.prompts.get(case.name) or read_prompt(case.folder),
        text_base=plan.text_base,
        example_base=plan.example_base,
        report=report,
    )


def _check_settings(store: Store, variant: Variant, case: Case, setup: Setup) -> dict[str, Any]:
    """The record of a scene's pictures (made.json) with today's settings.

    Raises:
        OptionError: there are pictures of other settings; two settings must not stand in one table.
    """
    settings = json.loads(json.dumps(variant.entry.settings(setup), default=str))
    settings["feather"] = setup.config.export.feather
    record = store.read_record(variant.name, case.name)
    before: Mapping[str, Any] | None = record.get("settings")
    if before is not None and store.seeds(variant.name, case.name):
        defaults = json.loads(json.dumps(flatten(Config()), default=str))  # of settings newer than the pictures
        for name in settings:
            if settings.get(name) != before.get(name, defaults.get(name)):
                raise OptionError(
                    f"{store.folder} holds pictures of {variant.name} made with {name} = {before.get(name)}, not "
                    f"{settings.get(name)}; give another folder with -o, or leave that setting out."
                )
    if before != settings:
        record.pop("no_result", None)
    return {**record, "settings": settings, "title": variant.entry.title, "device": setup.device}


def read_prompt(folder: Path) -> str:
    """What a scene's own prompt.txt says, on one line; empty where there is none.

    Raises:
        OptionError: it is no UTF-8 text.
    """
    file = folder / "prompt.txt"
    try:
        return " ".join(file.read_text(encoding="utf-8").split()) if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{file} cannot be read; save it as UTF-8 text.") from error
