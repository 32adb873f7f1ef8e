"""The whole method on one page: scene → fit → backbone → train → sample → select → export.

Each stage does what is missing in the run folder and nothing else, so resuming means calling again:

    from realfill.pipeline import complete
    outcome = complete("runs/berries", scene="scenes/berry_bowl")
    outcome.result, outcome.seed, outcome.matches
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realfill import config as settings
from realfill import files
from realfill.bases import default_preset
from realfill.config import Config
from realfill.device import devices
from realfill.device.devices import choose_device, used_memory
from realfill.device.process_group import ProcessGroup
from realfill.events import STAGES, Report, SeedReady, Stage
from realfill.geometry.draft import confidence_overlay, covered_share, render_draft, save_draft
from realfill.humanize import duration
from realfill.pipeline import scores
from realfill.pipeline.previews import PreviewMaker
from realfill.pipeline.scores import read_scores, score_missing
from realfill.pipeline.session import Session, closed
from realfill.pipeline.validation import HeldOutLoss
from realfill.runs.export import chosen_seed, render_export
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.seeds import DRAFT

_TIMED = 5  # steps after which the time of all is estimated


@dataclass(frozen=True)
class Outcome:
    """What a call of `complete` leaves: the picture, its seed and matches, and the seconds of each stage that ran."""

    run: Path
    result: Path | None  # None where an earlier stage was the last asked for
    seed: int | None
    matches: int | None
    matcher: str | None
    seconds: dict[Stage, float]
    notices: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {**dataclasses.asdict(self), "run": str(self.run), "result": self.result and str(self.result)}


def complete(
    run: Run | Path | str,
    *,
    scene: Path | str | None = None,
    config: Config | None = None,
    report: Report = lambda event: None,
    device: str = "auto",
    until: Stage = "export",
) -> Outcome:
    """Fills the hole of a scene: everything that is missing in the run folder up to the stage `until`.

    A new folder needs `scene`, a folder ref/* + target/{target,mask}.*; later both `scene` and `config` may
    be left out. SIGINT, SIGTERM and `Run.request_stop` end it after the current step or seed.

    Raises:
        InputError: scene, options or weights cannot be used; nothing was begun.
        RunError: the folder belongs to another scene or training, or another process works on it.
        Interrupted, StageError: it ended early; the same call goes on.
    """
    device = choose_device(device)
    processes = ProcessGroup(device)
    opened = run if isinstance(run, Run) else _opened(Path(run), scene, config, processes, device)
    work = Session(opened, report, device=device, processes=processes)
    with work.open():
        for stage in STAGES[: STAGES.index(until) + 1]:
            if stage not in ("prepare", "train"):
                processes.leave()  # only training is shared
                if not processes.is_main:
                    break
            work.check()
            _DO[stage](work)
        if processes.is_main:
            last = "" if until == "export" else f"Done up to the stage '{until}', as asked."
            opened.enter("stopped" if last else "done", last)
    return _outcome(work)


def prepare(work: Session) -> None:
    """Reads the scene and says what will be done, before anything takes long."""
    from realfill.matching.registry import available_matcher

    available_matcher(work.run.config.select)  # refuses a weights file that is not there
    for notice in work.scene.notices:
        work.say(notice)
    if work.run.config.guide.only:
        work.say("The draft alone fills the hole: nothing is trained and no seeds are made.")
    elif work.run.fact("fit") is None:
        with work.stage("prepare", 1):
            fit, target = work.fit, work.scene.target
        work.say(
            f"The model works at {fit.width} × {fit.height} pixels on the hole and what surrounds it; "
            f"the result has the target's own {target.shape[1]} × {target.shape[0]}."
        )
        if warning := scenes.enlargement_notice(fit):
            work.say(warning)
    if work.run.config.guide.draft:
        if work.processes.is_main and not (work.run.draft_folder / "draft.json").exists():
            _draft(work)
        work.processes.barrier()


def _draft(work: Session) -> None:
    """Fills the hole by geometry (docs/geometry.md) and says how far the references vouch for it."""
    from realfill.geometry.make_draft import make_draft

    run, scene = work.run, work.scene
    with work.stage("prepare", 1):
        made = make_draft(scene, work.matcher[0])
        files.write_bytes(run.folder / "confidence.png", confidence_overlay(made, scene.hole, longest=1024))
        save_draft(run.draft_folder, made)  # last: what is there is not made again
    if made.reason:
        work.say(made.reason if run.config.guide.only else f"{made.reason} The fill goes on without geometry.")
    else:
        work.say(f"The references show {covered_share(made, scene.hole):.0%} of the hole by geometry alone.")


def train(work: Session) -> None:
    """Fine-tunes LoRA weights on references and target (§3.4), from the newest checkpoint on."""
    from realfill.models import lora
    from realfill.training import train as training
    from realfill.training.draft_views import draft_views

    run, wanted = work.run, work.run.config.train
    if run.is_trained or run.config.guide.only:
        return
    preview, patches = PreviewMaker(work), HeldOutLoss(work)
    seconds: list[float] = []
    with work.stage("train", wanted.steps, max(run.checkpoint_steps(), default=0)):
        steps = training.train(
            work.backbone,
            work.scene,
            work.fit,
            wanted,
            seed=run.config.seed,
            folder=run.checkpoints,
            guides=draft_views(work.draft, work.scene, work.fit) if wanted.guided else (),
            within=work.economy,
        )
        with closed(steps):
            for step in steps:
                work.report(dataclasses.replace(step, memory=used_memory(work.device)))
                preview.after(step.step)
                patches.after(step.step)
                seconds.append(step.seconds)
                if len(seconds) == _TIMED and (left := step.total - step.step) > _TIMED:
                    each = statistics.median(seconds)
                    work.say(f"Training takes about {duration(left * each)} more: {left} steps at {each:.2g} s each.")
                work.check()
        if work.processes.is_main:
            with files.new_folder(run.lora) as folder:
                lora.save_lora(work.backbone, folder)
            run.record(adapter_steps=wanted.steps)
        work.trained()


def sample(work: Session) -> None:
    """Fills the hole once for each seed that has no picture yet (§3.4)."""
    run, wanted = work.run, work.run.config.sample
    scores.set_aside_others(run)  # pictures of other settings would be ranked among the new ones
    seeds = list(dict.fromkeys(run.config.seeds))
    there = set(run.seeds_done())
    if run.config.guide.only and DRAFT not in there and work.draft is not None:
        run.write_seed(DRAFT, render_draft(work.draft, work.fit)[0])
    missing = [seed for seed in seeds if seed not in there]
    if not missing:
        return
    from realfill.sampling import sample as sampling
    from realfill.sampling.draft_prior import make_draft_prior

    given = make_draft_prior(work.draft, work.scene, work.fit, run.config.guide)
    if given is not None and DRAFT not in there:
        run.write_seed(DRAFT, given.photo)
    done = len(seeds) - len(missing)
    with work.stage("sample", len(seeds), done):
        candidates = sampling.sample(
            work.adapted(),
            work.scene,
            work.fit,
            wanted,
            prompt=run.config.train.prompt,
            seeds=missing,
            given=given,
            within=work.economy,
        )
        with closed(candidates):
            last = time.monotonic()
            for number, candidate in enumerate(candidates, done + 1):
                run.write_seed(candidate.seed, candidate.photo)
                now = time.monotonic()
                work.report(SeedReady(candidate.seed, number, len(seeds), round(now - last, 3)))
                last = now
                work.check()


def select(work: Session) -> None:
    """Ranks the seeds by the matches between the references and their filled regions (§3.4)."""
    known, missing = read_scores(work.run)
    if missing:
        score_missing(work, known, missing)


def export(work: Session) -> None:
    """Blends the chosen seed, or the one with most matches, into the target at its own size (§3.4)."""
    run = work.run
    seed, _ = chosen_seed(run)
    made = {"seed": seed, "export": run.config.export.model_dump(mode="json")}
    if run.result.exists() and run.read("result") == made:
        return
    with work.stage("export", 1):
        run.forget("result.json")  # between the two writes the picture must not pass for another's
        files.write_bytes(run.result, render_export(run, work.scene, seed, "png"))
        run.write("result", made)


_DO: dict[Stage, Callable[[Session], None]] = {
    "prepare": prepare,
    "train": train,
    "sample": sample,
    "select": select,
    "export": export,
}


def _opened(
    folder: Path, source: Path | str | None, config: Config | None, processes: ProcessGroup, device: str
) -> Run:
    """The run in a folder, made where it is new; of several processes only the main one makes it."""
    if processes.is_main:
        if config is None and not (folder / "run.json").exists():
            base = devices.default_base(device)
            config = settings.make(default_preset(base), {"base": base})
        Run.ensure(folder, config, Path(source) if source else None)
    processes.barrier()
    return Run.open(folder)


def _outcome(work: Session) -> Outcome:
    run, result, seed, matches = work.run, None, None, None
    if run.result.exists() and run.read("result"):
        result = run.result
        seed, matches = chosen_seed(run)
    matcher = run.read("scores").get("matcher")
    return Outcome(run.folder, result, seed, matches, matcher, work.seconds, tuple(work.notices))
