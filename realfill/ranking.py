"""scores.json: which seeds are counted, counting the others, and the order (§3.4)."""

import dataclasses
from typing import TYPE_CHECKING, Any

from realfill.events import SeedScored
from realfill.runs import Run
from realfill.session import Session, closed

if TYPE_CHECKING:
    from realfill.selection import Score


def known(run: Run) -> "tuple[list[Score], list[int]]":
    """Scores that hold for what the run asks now, and the seeds that still have none.

    Scores of other settings do not count, nor those of SIFT where it stood in for a matcher that can be had
    now. Where the run asks for fewer seeds than are scored, the others leave scores.json.
    """
    from realfill.selection import Score

    old = run.read("scores")
    if old.get("settings") != _settings(run) or _better_matcher(run, old):
        old = {}
    seeds = dict.fromkeys(run.config.sample.seeds)
    entries = old.get("seeds", [])
    scores = [
        Score(one["seed"], one["matches"], tuple(one["per_reference"])) for one in entries if one["seed"] in seeds
    ]
    if len(scores) < len(entries):
        write(run, old["matcher"], scores)
    return scores, [seed for seed in seeds if seed not in {score.seed for score in scores}]


def score(work: Session, scores: "list[Score]", missing: list[int]) -> None:
    """Counts matches for the missing seeds; scores.json is written after each, so that a kill costs one."""
    from realfill import matching, selection

    run, total = work.run, len(scores) + len(missing)
    work.take_device()
    matcher, notice = matching.load_or_sift(run.config.select, work.processes.device(work.device))
    if notice:
        work.say(notice)
    if scores and matcher.name != run.read("scores")["matcher"]:  # counts of two matchers cannot be compared
        missing, scores = [*(one.seed for one in scores), *missing], []
    hole = work.fit.hole_in(work.scene.hole)
    candidates = ((seed, run.read_seed(seed)) for seed in missing)
    with work.stage("select", total, len(scores)):
        found = selection.score(matcher, work.scene.references, candidates, hole)
        with closed(found):
            for one in found:
                scores = [*scores, one]
                write(run, matcher.name, scores)
                work.report(SeedScored(one.seed, one.matches, len(scores), total))
                work.check()
    if sentence := selection.doubt(scores):
        work.say(sentence)


def write(run: Run, matcher: str, scores: "list[Score]") -> None:
    """Writes scores.json, best first, with the settings that it holds for."""
    from realfill import selection

    data: dict[str, Any] = {"matcher": matcher, "ranked": selection.is_ranked(scores), "settings": _settings(run)}
    run.write("scores", {**data, "seeds": [dataclasses.asdict(one) for one in selection.rank(scores)]})


def _settings(run: Run) -> dict[str, Any]:
    return run.config.select.model_dump(mode="json")


def _better_matcher(run: Run, scores: dict[str, Any]) -> bool:
    """Whether the matcher asked for was replaced by SIFT and could be had now."""
    wanted = run.config.select
    if scores.get("matcher") in (None, wanted.matcher):
        return False
    from realfill import matching

    return matching.available(wanted)[0] == wanted.matcher
