"""scores.json: which seeds are counted, counting the others, and the order (§3.4).

Beside it `matches/<seed>.json` keeps the points that a count is made of, so that the page can draw them.
"""

import itertools
import json
from typing import TYPE_CHECKING, Any

from realfill import files
from realfill.arrays import Photo
from realfill.config import GuideConfig, SampleConfig
from realfill.events import SeedScored
from realfill.files import speak_refusals
from realfill.pipeline.session import Session, closed
from realfill.runs.run import Run

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
    if old.get("settings") != _settings(run) or _better_matcher(run, old):
        old = {}
    seeds = run.seeds_wanted()
    entries = old.get("seeds", [])
    scores = [
        Score(one["seed"], one["matches"], tuple(one["per_reference"])) for one in entries if one["seed"] in seeds
    ]
    if len(scores) < len(entries):
        write_scores(run, old["matcher"], scores)
    return scores, [seed for seed in seeds if seed not in {score.seed for score in scores}]


def score_missing(work: Session, scores: "list[Score]", missing: list[int]) -> None:
    """Counts matches for the missing seeds; scores.json is written after each, so that a kill costs one."""
    from realfill.matching.selection import ranking_doubt, score_candidates

    run, total = work.run, len(scores) + len(missing)
    matcher, notice = work.matcher
    if notice:
        work.say(notice)
    if scores and matcher.name != run.read("scores")["matcher"]:  # counts of two matchers cannot be compared
        missing, scores = [*(one.seed for one in scores), *missing], []
    hole = work.fit.fillable_hole(work.scene.hole)
    candidates = ((seed, run.read_seed(seed)) for seed in missing)
    with work.stage("select", total, len(scores)):
        found = score_candidates(matcher, work.scene.references, candidates, hole)
        with closed(found):
            for one in found:
                scores = [*scores, one]
                _keep_points(run, one, work.scene.references, (work.fit.width, work.fit.height))
                write_scores(run, matcher.name, scores)
                work.report(SeedScored(one.seed, one.matches, len(scores), total))
                work.check()
    if sentence := ranking_doubt(scores):
        work.say(sentence)


def write_scores(run: Run, matcher: str, scores: "list[Score]") -> None:
    """Writes scores.json, best first, with the settings that it holds for."""
    from realfill.matching import selection
    from realfill.matching.selection import rank_scores

    data: dict[str, Any] = {"matcher": matcher, "ranked": selection.is_ranked(scores), "settings": _settings(run)}
    run.write("scores", {**data, "seeds": [_entry(one) for one in rank_scores(scores)]})


def set_aside_others(run: Run) -> None:
    """Moves pictures that other settings made, with their scores, to `earlier/<number>/`; nothing is thrown away.

    Settings that did not exist when they were made count with their default.
    """
    sample = run.config.sample
    made = {
        **sample.model_dump(mode="json", exclude={"seeds", "batch"}),
        "prompt": run.config.train.prompt,
        "guide": _guide(run.config.guide),
        "adapter_steps": sample.checkpoint or run.adapter_steps,
    }
    before, defaults = run.read("seeds/made"), SampleConfig().model_dump(mode="json")
    defaults["guide"] = _guide(GuideConfig())
    missing = {name: defaults.get(name, made[name]) for name in made.keys() - before.keys()}
    if before and {**missing, **before} == made:
        return
    if run.seeds_done():
        _set_aside(run)
    run.forget("scores.json", "result.json")
    run.write("seeds/made", made)


def _guide(config: GuideConfig) -> dict[str, Any]:
    """What of the guidance decides a seed's picture; without a draft nothing does."""
    return (config if config.draft else GuideConfig()).model_dump(mode="json", exclude={"only", "draft", "detail"})


def _set_aside(run: Run) -> None:
    """The pictures move last: a kill leaves pictures without scores, never scores beside other pictures."""
    places = (run.folder / "earlier" / str(number) for number in itertools.count(1))
    place = next(place for place in places if not place.exists())
    with speak_refusals(place):
        place.mkdir(parents=True)
        for name in ("scores.json", "matches", "seeds"):
            if (run.folder / name).exists():
                files.replace(run.folder / name, place / name)
        files.sync_folder(run.folder)


def _entry(score: "Score") -> dict[str, Any]:
    return {"seed": score.seed, "matches": score.matches, "per_reference": list(score.per_reference)}


def _keep_points(run: Run, score: "Score", references: "tuple[Photo, ...]", size: tuple[int, int]) -> None:
    """Writes a seed's points before its count, so that a count that is there has its points."""
    pairs = zip(references, score.found, strict=True)
    parts = [{"size": [photo.shape[1], photo.shape[0]], "points": _points(found)} for photo, found in pairs]
    data = {"size": list(size), "counts": list(score.per_reference), "references": parts}
    files.write_bytes(run.matches_path(score.seed), json.dumps(data, separators=(",", ":")).encode())


def _points(found: "Matches") -> list[list[float]]:
    """[x, y in the reference, x, y in the seed's picture, confidence], surest first."""
    order = (-found.confidence).argsort(kind="stable")[:MOST_POINTS]
    rows = zip(found.reference_xy[order], found.target_xy[order], found.confidence[order], strict=True)
    return [[*(round(float(v), 1) for v in (*one, *other)), round(float(sure), 3)] for one, other, sure in rows]


def _settings(run: Run) -> dict[str, Any]:
    return run.config.select.model_dump(mode="json")


def _better_matcher(run: Run, scores: dict[str, Any]) -> bool:
    """Whether the matcher asked for was replaced by SIFT and could be had now."""
    wanted = run.config.select
    if scores.get("matcher") in (None, wanted.matcher):
        return False
    from realfill.matching.registry import available_matcher

    return available_matcher(wanted)[0] == wanted.matcher
