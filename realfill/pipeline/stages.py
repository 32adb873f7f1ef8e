"""The whole method on one page: scene → crop → backbone → train → sample → select → export.

Each stage does what is missing in the run folder and nothing else, so resuming means calling again:

    from realfill.pipeline import complete
    outcome = complete("runs/berries", scene="scenes/berry_bowl")
    outcome.result, outcome.seed, outcome.matches
"""

import contextlib
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realfill import config as settings
from realfill import files
from realfill.bases import default_preset, licence_notice
from realfill.config import Config
from realfill.device import devices
from realfill.device.devices import choose_device, used_memory
from realfill.device.process_group import ProcessGroup
from realfill.events import STAGES, DenoisingStep, Event, ProposalReady, Report, SeedReady, Stage, TrainStep
from realfill.geometry.draft import Draft, confidence_overlay, covered_share, render_draft, save_draft
from realfill.geometry.propose import (
    FROM_TEXTURE,
    are_saved,
    count_saved,
    load_proposal,
    load_ranking,
    propose,
    save_proposal,
    save_ranking,
)
from realfill.humanize import duration
from realfill.jobs.queue import wait_for_turn
from realfill.pipeline import scores
from realfill.pipeline.previews import PreviewMaker
from realfill.pipeline.resources import Resources
from realfill.pipeline.scores import read_scores, score_missing
from realfill.pipeline.session import Session
from realfill.pipeline.turn import Turn
from realfill.pipeline.validation import HeldOutLoss
from realfill.runs.export import chosen_seed, render_export
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.seeds import DRAFT, proposal_seed
from realfill.sentences import Sentence

if TYPE_CHECKING:
    from realfill.sampling.sample import Candidate

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
    turn: Turn | None = None,
) -> Outcome:
    """Fills the hole of a scene: everything that is missing in the run folder up to the stage `until`.

    A new folder needs `scene`, a folder ref/* + target/{target,mask}.*; later both `scene` and `config` may
    be left out. SIGINT, SIGTERM and `Run.request_stop` end it after the current step or seed. With a `turn` the run
    waits for the next one where this one ends, or where `until` is not the last stage.

    Raises:
        InputError: scene, options or weights cannot be used; nothing was begun.
        RunError: the folder belongs to another scene or training, or another process works on it.
        Interrupted, StageError: it ended early; the same call goes on.
        TurnOver: the turn is over.
    """
    alone = isinstance(run, Run) and run.config.guide.only  # it computes on the processor, and needs no torch for that
    device = "cpu" if alone else choose_device(device)
    processes = ProcessGroup(device, alone=alone)
    if not isinstance(run, Run):
        run = _open_run(Path(run), scene, config, processes, device)
    session = Session(run, report, device=device, processes=processes, turn=turn)
    resources = Resources(session)
    with session.open():
        for stage in STAGES[: STAGES.index(until) + 1]:
            if stage not in ("prepare", "train"):
                processes.leave()  # only training is shared
                if not processes.is_main:
                    break
            session.check()
            _STAGES[stage](session, resources)
        if processes.is_main:
            if turn is not None and until != "export":
                wait_for_turn(run)
                return _outcome(session)
            last = "" if until == "export" else f"Done up to the stage '{until}', as asked."
            run.enter("stopped" if last else "done", last)
    return _outcome(session)


def prepare(session: Session, resources: Resources) -> None:
    """Reads the scene and says what will be done, before anything takes long."""
    from realfill.matching.registry import available_matcher

    run, scene = session.run, resources.scene
    if not run.config.guide.only:
        available_matcher(run.config.select)  # refuses a weights file that is not there
    for notice in run.scene_notices or scene.notices:
        session.say(notice)
    if sentence := _say_whose_adapter(run):
        session.say(sentence)
    if run.config.guide.only:
        session.say(Sentence("The draft alone fills the hole: nothing is trained and no seeds are made."))
    elif run.fact("fit") is None:
        if sentence := licence_notice(run.config.base):
            session.say(sentence)
        with session.stage("prepare", 1):
            if session.processes.is_main:
                resources.fetch_bases()
            session.processes.barrier()
            crop = resources.crop
        height, width = scene.target.shape[:2]
        session.say(
            Sentence(
                "The model works at {crop} pixels on the hole and what surrounds it; the result has {result}.",
                crop=f"{crop.width} × {crop.height}",
                result=f"{width} × {height}",
            )
        )
        if warning := scenes.enlargement_notice(crop):
            session.say(warning, important=True)
    if run.config.guide.draft:
        if session.processes.is_main:
            if not (run.draft_folder / "draft.json").exists():
                _make_draft(session, resources)
            if not are_saved(run.proposals_folder, run.config.guide.proposals):
                _make_proposals(session, resources)
        session.processes.barrier()


def _say_whose_adapter(run: Run) -> str:
    """What an adapter that was taken from another run knows of this scene; empty where it is the run's own."""
    origin = run.fact("adapter")
    if not origin:
        return ""
    known = {photo["sha256"] for photo in origin["photos"]}
    here = [photo for photo in run.scene_photos() if photo["file"].startswith("ref/")]
    shared = sum(photo["sha256"] in known for photo in here)
    places = {"run": origin["run"], "photos": len(known), "shared": shared, "count": len(here)}
    if shared:
        return Sentence(
            "The adapter was taken from the run {run} and knows {photos} photos; {shared} of this scene's {count} "
            "references are among them.",
            **places,
        )
    return Sentence(
        "The adapter was taken from the run {run} and knows {photos} photos; {shared} of this scene's {count} "
        "references are among them. It may be of another place: look at the match counts.",
        **places,
    )


def _make_draft(session: Session, resources: Resources) -> None:
    """Fills the hole by geometry (docs/geometry.md) and says how far the references vouch for it."""
    from realfill.geometry.make_draft import make_draft

    run, hole = session.run, resources.scene.hole
    with session.stage("prepare", 1):
        matcher, notice = resources.matcher
        if notice:
            session.say(notice)
        draft = make_draft(resources.scene, matcher)
        _write_confidence(session, resources, draft)
        if run.config.guide.proposals and not draft.reason:  # to be seen until the first proposal is made of it
            scores.set_aside_others(run)
            run.write_seed(DRAFT, render_draft(draft, resources.crop)[0])
        save_draft(run.draft_folder, draft)  # last: what is there is not made again
    if draft.reason and run.config.guide.proposals:
        session.say(FROM_TEXTURE, important=True)
    elif draft.reason:
        sentence = (
            draft.reason
            if run.config.guide.only
            else Sentence("{reason} The fill goes on without geometry.", reason=draft.reason)
        )
        session.say(sentence, important=True)
    else:
        share = f"{covered_share(draft, hole):.0%}"
        session.say(Sentence("The references show {share} of the hole by geometry alone.", share=share))


def _make_proposals(session: Session, resources: Resources) -> None:
    """Completes the draft with patches of the scene, in several ways, each to be seen as soon as it is made."""
    from realfill.geometry.patch_fill import WITHOUT_PATCHES, is_available

    run, draft = session.run, resources.draft
    folder, count = run.proposals_folder, run.config.guide.proposals
    if draft is None:
        return
    if not is_available():
        session.say(WITHOUT_PATCHES)
    there = count_saved(folder)
    if not there:
        scores.set_aside_others(run)  # before there are new pictures among those of other settings
    with session.stage("prepare", count, there):
        proposals, began = propose(resources.scene, draft, count, first=there), time.monotonic()
        with contextlib.closing(proposals):
            for number, proposal in enumerate(proposals, there + 1):
                save_proposal(folder, number, proposal)
                run.write_seed(proposal_seed(number), render_draft(proposal.draft, resources.crop)[0])
                now = time.monotonic()
                session.report(ProposalReady(number, count, round(now - began, 3)))
                began = now
                session.check()
        save_ranking(folder, count, resources.scene.hole)
    for number in load_ranking(folder)[:1]:
        if (best := load_proposal(folder, number)) is not None:
            _write_confidence(session, resources, best)


def _write_confidence(session: Session, resources: Resources, draft: Draft) -> None:
    overlay = confidence_overlay(draft, resources.scene.hole, longest=1024)
    files.write_bytes(session.run.folder / "confidence.png", overlay)


def train(session: Session, resources: Resources) -> None:
    """Fine-tunes LoRA weights on references and target (§3.4), from the newest checkpoint on."""
    run, config = session.run, session.run.config.train
    if run.is_trained or run.config.guide.only:
        return
    from realfill.models import lora
    from realfill.models.fast.compiled import run_eagerly
    from realfill.training import train as training
    from realfill.training.draft_views import draft_views

    previews, held_out = PreviewMaker(session, resources), HeldOutLoss(session, resources)
    seconds: list[float] = []
    with session.stage("train", config.steps, max(run.checkpoint_steps(), default=0)):
        scene, crop = resources.scene, resources.crop
        steps = training.train(
            resources.backbone,
            scene,
            crop,
            config,
            seed=run.config.seed,
            folder=run.checkpoints,
            draft_views=draft_views(resources.draft, scene, crop) if config.guided else (),
            budget=resources.budget,
        )
        with (
            run_eagerly(),
            contextlib.closing(steps),
        ):  # training ends with a checkpoint before an error goes on its way
            for step in steps:
                session.report(dataclasses.replace(step, memory=used_memory(session.device)))
                previews.make_if_due(step.step)
                held_out.measure_if_due(step.step)
                seconds.append(step.seconds)
                if len(seconds) == _TIMED:
                    _say_time_left(session, step, statistics.median(seconds))
                session.check()
        if session.processes.is_main:
            with files.new_folder(run.lora) as folder:
                lora.save_lora(resources.backbone, folder)
            run.record(adapter_steps=config.steps, adapter=None)  # None: the run's own
        resources.note_adapter()


def _say_time_left(session: Session, step: TrainStep, seconds: float) -> None:
    left = step.total - step.step
    if left > _TIMED:
        session.say(
            Sentence(
                "Training takes about {time} more: {left} steps at {each} s each.",
                time=duration(left * seconds),
                left=left,
                each=f"{seconds:.2g}",
            )
        )


def sample(session: Session, resources: Resources) -> None:
    """Fills the hole once for each seed that has no picture yet (§3.4)."""
    run, config = session.run, session.run.config
    scores.set_aside_others(run)  # pictures of other settings would be ranked among the new ones
    seeds = list(dict.fromkeys(config.seeds))
    there = set(run.seeds_done())
    if config.guide.draft and not there.issuperset(run.ranked_proposals()):
        for seed, draft in zip(run.ranked_proposals(), resources.proposals, strict=False):
            if seed not in there:
                run.write_seed(seed, render_draft(draft, resources.crop)[0])
    missing = [seed for seed in seeds if seed not in there]
    if not missing:
        return
    from realfill.sampling import sample as sampling
    from realfill.sampling.draft_prior import make_draft_prior

    starting = resources.proposals[: len(run.starting_proposals())]
    priors = [make_draft_prior(draft, resources.scene, resources.crop, config.guide) for draft in starting]
    done = len(seeds) - len(missing)
    with session.stage("sample", len(seeds), done):
        numbers = itertools.count(done + 1)

        def tell(seed: int, seconds: float) -> None:
            session.report(SeedReady(seed, next(numbers), len(seeds), round(seconds, 3)))

        for part in _split_by_turn(session, missing):
            candidates = sampling.sample(
                resources.load_adapter(),
                resources.scene,
                resources.crop,
                config.sample,
                prompt=config.train.prompt,
                seeds=part,
                priors=priors,
                budget=resources.budget,
                watch=partial(_watch_denoising, session),
            )
            with contextlib.closing(candidates):
                _write_seeds(run, candidates, tell)


def _split_by_turn(session: Session, seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    """All at once; in a turn one, and then as many as fit into the rest of it: a group that is cut off is lost."""
    if session.turn is None:
        yield seeds
        return
    count, first = 1, 0
    while first < len(seeds):
        session.check()
        began = time.monotonic()
        yield seeds[first : first + count]
        first, count = first + count, session.turn.count_fitting((time.monotonic() - began) / count)


def _write_seeds(run: Run, candidates: Iterator["Candidate"], tell: Callable[[int, float], None]) -> None:
    """Writes every candidate in a thread while the next one is made, and tells of seed and seconds once it is there.

    However making them ends, what was made is written and told of.
    """

    def write(candidate: "Candidate") -> tuple[int, float]:
        began = time.monotonic()
        run.write_seed(candidate.seed, candidate.photo)
        return candidate.seed, candidate.seconds + time.monotonic() - began

    last: Future[tuple[int, float]] | None = None
    with ThreadPoolExecutor(1, "writer") as thread:
        try:
            for candidate in candidates:
                before, last = last, thread.submit(write, candidate)
                if before is not None:
                    tell(*before.result())
        finally:
            if last is not None:
                tell(*last.result())


def _watch_denoising(session: Session, event: Event) -> None:
    """Reports a step; a stop drops the group, unless it is as good as done: then all of its pictures are written."""
    session.report(event)
    if isinstance(event, DenoisingStep) and event.total - event.step > 1:
        session.check()


def select(session: Session, resources: Resources) -> None:
    """Ranks the seeds by the matches between the references and their filled regions (§3.4)."""
    counted, missing = read_scores(session.run)
    if missing:
        score_missing(session, resources, counted, missing)


def export(session: Session, resources: Resources) -> None:
    """Blends the chosen seed, or the one with most matches, into the target at its own size (§3.4)."""
    run = session.run
    seed, _ = chosen_seed(run)
    record = {"seed": seed, "export": run.config.export.model_dump(mode="json")}
    if run.result.exists() and run.read("result") == record:
        return
    with session.stage("export", 1):
        run.forget("result.json")  # between the two writes the picture must not pass for another's
        files.write_bytes(run.result, render_export(run, resources.scene, seed, "png"))
        run.write("result", record)


_STAGES: dict[Stage, Callable[[Session, Resources], None]] = {
    "prepare": prepare,
    "train": train,
    "sample": sample,
    "select": select,
    "export": export,
}


def _open_run(
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


def _outcome(session: Session) -> Outcome:
    run, result, seed, matches = session.run, None, None, None
    if run.result.exists() and run.read("result"):
        result = run.result
        seed, matches = chosen_seed(run)
    matcher = run.read("scores").get("matcher")
    return Outcome(run.folder, result, seed, matches, matcher, session.seconds, tuple(session.notices))
