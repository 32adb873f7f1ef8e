"""scores.json: which seeds are counted, counting the others, and the order (§3.4).

Beside it `matches/<seed>.json` keeps the points that a count is made of, so that the page can draw them.
"""

import contextlib
import functools
import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from realfill import files
from realfill.arrays import Photo
from realfill.config import GuideConfig, SampleConfig
from realfill.events import SeedScored
from realfill.files import speak_refusals
from realfill.geometry.proposal_scores import (
    Evidence,
    MatchCounter,
    ProposalScore,
    gather_evidence,
    measure_consensus,
    score_photo,
)
from realfill.geometry.proposals import gather_sources
from realfill.geometry.propose import group_by_family, load_scored
from realfill.geometry.structure import shrink
from realfill.pipeline.resources import Resources
from realfill.pipeline.session import Session
from realfill.runs.run import Run
from realfill.seeds import proposal_seed

if TYPE_CHECKING:
    from realfill.matching.matcher import Matches
    from realfill.matching.selection import Score

MOST_POINTS = 1000  # of a seed and a reference that are kept, the surest ones


def read_scores(run: Run) -> "tuple[list[Score], list[int]]":
    """Scores that hold for what the run asks now, and the seeds that still have none.

    Scores of other settings do not count, nor those of SIFT where it stood in for a matcher that can be had
    now. Where the run asks for fewer seeds than are scored, the others leave scores.json.
    """
    from realfill.matching.selection import Score

    old = run.read("scores")
    if old.get("settings") != _select_settings(run) or _has_better_matcher(run, old):
        old = {}
    seeds = run.seeds_wanted()
    entries = old.get("seeds", [])
    scores = [
        Score(entry["seed"], entry["matches"], tuple(entry["per_reference"]))
        for entry in entries
        if entry["seed"] in seeds
    ]
    if len(scores) < len(entries):
        write_scores(run, old["matcher"], scores, _read_judged(run))
    return scores, [seed for seed in seeds if seed not in {score.seed for score in scores}]


def score_missing(session: Session, resources: Resources, scores: "list[Score]", missing: list[int]) -> None:
    """Counts matches for the missing seeds; scores.json is written after each, so that a kill costs one."""
    from realfill.matching.selection import ranking_doubt, score_candidates

    run, scene, total = session.run, resources.scene, len(scores) + len(missing)
    matcher, notice = resources.matcher
    if notice:
        session.say(notice)
    if scores and matcher.name != run.read("scores")["matcher"]:  # counts of two matchers cannot be compared
        missing, scores = [*(score.seed for score in scores), *missing], []
    judge, judged = _make_judge(resources, run), _read_judged(run)
    if judge is not None:  # counted before a picture's score was what it is now, or while there were no proposals
        judged |= {score.seed: judge(score.seed) for score in scores if score.seed not in judged}
    size, hole = (resources.crop.width, resources.crop.height), resources.crop.fillable_hole(scene.hole)
    candidates = ((seed, run.read_seed(seed)) for seed in missing)
    with session.stage("select", total, len(scores)):
        new_scores = score_candidates(matcher, scene.references, candidates, hole)
        began = time.monotonic()
        with contextlib.closing(new_scores):
            for score in new_scores:
                scores = [*scores, score]
                _keep_points(run, score, scene.references, size)
                if judge is not None:
                    judged[score.seed] = judge(score.seed)
                write_scores(run, matcher.name, scores, judged)
                session.report(SeedScored(score.seed, score.matches, len(scores), total, time.monotonic() - began))
                began = time.monotonic()
                session.check()
    if sentence := ranking_doubt(scores):
        session.say(sentence)


def write_scores(run: Run, matcher: str, scores: "list[Score]", judged: Mapping[int, ProposalScore]) -> None:
    """Writes scores.json, best first, with the settings that it holds for.

    Matches alone decide (§3.4); in a run with proposals the total of what speaks for each picture (`judged`).
    """
    from realfill.matching import selection
    from realfill.matching.selection import rank_scores

    ranked = rank_scores(scores)
    if all(score.seed in judged for score in scores):
        ranked.sort(key=lambda score: -judged[score.seed].total)

    data: dict[str, Any] = {
        "matcher": matcher,
        "ranked": selection.is_ranked(scores),
        "settings": _select_settings(run),
    }
    run.write("scores", {**data, "seeds": [_entry(score, judged.get(score.seed)) for score in ranked]})


def _read_judged(run: Run) -> dict[int, ProposalScore]:
    """What scores.json says of each picture beside its matches."""
    entries: list[dict[str, Any]] = run.read("scores").get("seeds", [])
    return {
        one["seed"]: ProposalScore.from_json(one["score"]) for one in entries if "consensus" in one.get("score", {})
    }


def _make_judge(resources: Resources, run: Run) -> Callable[[int], ProposalScore] | None:
    """What scores a picture of the run; None in a run without proposals.

    Proposals have their score since they were made; the others are scored alike, with matches by SIFT.
    """
    draft = resources.draft
    if draft is None or not run.config.guide.proposals:
        return None
    scene, crop, frame = resources.scene, resources.crop, draft.frame
    known = {proposal_seed(number): one for number, one in load_scored(run.proposals_folder, scene.hole).items()}
    small = [(one, shrink(one.draft.photo)) for one in known.values()]

    @functools.cache
    def gather() -> tuple[Evidence, MatchCounter]:
        sources = gather_sources(scene, draft)
        return gather_evidence(sources), MatchCounter([one.photo for one in sources.plain])

    def judge(seed: int) -> ProposalScore:
        if seed in known:
            return known[seed].score
        evidence, counter = gather()
        whole = np.where(scene.hole[..., None], crop.uncrop_photo(run.read_seed(seed)), scene.target)
        photo = frame.crop_photo(whole)
        matches, begun = counter.count(photo, frame.crop_hole(scene.hole)), known.get(run.started_from(seed) or 0)
        others = group_by_family(small, but="" if begun is None else begun.recipe.family)
        return score_photo(evidence, photo, matches, measure_consensus(shrink(photo), others, evidence.hole))

    return judge


def set_aside_others(run: Run) -> None:
    """Moves pictures that other settings made, with their scores, to `earlier/<number>/`; nothing is thrown away.

    Settings that did not exist when they were made count with their default.
    """
    sample = run.config.sample
    made = {
        **sample.model_dump(mode="json", exclude={"seeds", "batch"}),
        "prompt": run.config.train.prompt,
        "guide": _guide_settings(run.config.guide),
        "adapter_steps": sample.checkpoint or run.adapter_steps,
    }
    recorded, defaults = run.read("seeds/made"), SampleConfig().model_dump(mode="json")
    defaults["guide"] = _guide_settings(GuideConfig())
    missing = {name: defaults.get(name, made[name]) for name in made.keys() - recorded.keys()}
    guide = {**defaults["guide"], **recorded.get("guide", {})}
    if recorded and {**missing, **recorded, "guide": guide} == made:
        return
    if run.seeds_done():
        _set_aside(run)
    run.forget("scores.json", "result.json")
    run.write("seeds/made", made)


def _guide_settings(config: GuideConfig) -> dict[str, Any]:
    """What of the draft's settings decides a seed's picture; without a draft nothing does."""
    return (config if config.draft else GuideConfig()).model_dump(mode="json", exclude={"only", "draft", "detail"})


def _set_aside(run: Run) -> None:
    """The pictures move last: a kill leaves pictures without scores, never scores beside other pictures."""
    numbered = (run.folder / "earlier" / str(number) for number in itertools.count(1))
    place = next(folder for folder in numbered if not folder.exists())
    with speak_refusals(place):
        place.mkdir(parents=True)
        for name in ("scores.json", "matches", "seeds"):
            if (run.folder / name).exists():
                files.replace(run.folder / name, place / name)
        files.sync_folder(run.folder)


def _entry(score: "Score", judged: ProposalScore | None) -> dict[str, Any]:
    more = {} if judged is None else {"score": judged.to_json()}
    return {"seed": score.seed, "matches": score.matches, "per_reference": list(score.per_reference), **more}


def _keep_points(run: Run, score: "Score", references: "tuple[Photo, ...]", size: tuple[int, int]) -> None:
    """Writes a seed's points before its count, so that a count that is there has its points."""
    pairs = zip(references, score.in_hole, strict=True)
    parts = [{"size": [photo.shape[1], photo.shape[0]], "points": _points(matches)} for photo, matches in pairs]
    data = {"size": list(size), "counts": list(score.per_reference), "references": parts}
    files.write_bytes(run.matches_path(score.seed), json.dumps(data, separators=(",", ":")).encode())


def _points(matches: "Matches") -> list[list[float]]:
    """[x, y in the reference, x, y in the seed's picture, confidence], surest first."""
    order = (-matches.confidence).argsort(kind="stable")[:MOST_POINTS]
    rows = zip(matches.reference_xy[order], matches.target_xy[order], matches.confidence[order], strict=True)
    return [[*(round(float(v), 1) for v in (*one, *other)), round(float(sure), 3)] for one, other, sure in rows]


def _select_settings(run: Run) -> dict[str, Any]:
    return run.config.select.model_dump(mode="json")


def _has_better_matcher(run: Run, scores: dict[str, Any]) -> bool:
    """Whether the matcher asked for was replaced by SIFT and could be had now."""
    select = run.config.select
    if scores.get("matcher") in (None, select.matcher):
        return False
    from realfill.matching.registry import available_matcher

    return available_matcher(select)[0] == select.matcher
