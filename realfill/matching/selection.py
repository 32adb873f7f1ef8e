"""Ranking candidates by matches between the references and the filled region (§3.4)."""

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.matching.matcher import Matcher, Matches
from realfill.sentences import Sentence

FEW = 10  # fewer in the best candidate say little; the paper's worst example that still shows the scene has 9


@dataclass(frozen=True)
class Score:
    """How many matches with each reference land in the hole of one candidate.

    Counts compare candidates of one scene and one matcher, nothing else.
    """

    seed: int
    matches: int  # the sum of per_reference
    per_reference: tuple[int, ...]
    in_hole: tuple[Matches, ...] = field(default=(), compare=False, repr=False)  # the matches; () where not kept


def score_candidates(
    matcher: Matcher, references: Sequence[Photo], candidates: Iterable[tuple[int, Photo]], hole: Hole
) -> Generator[Score, None, None]:
    """Scores candidates (seed, photo) one by one, in the order given; the references are looked at once.

    Photos have the hole's size (H, W). A candidate with no match, even one without any texture, scores 0.

    Raises:
        ValueError: a candidate has another size than the hole.
    """
    seeds: deque[int] = deque()

    def photos() -> Iterator[Photo]:
        for seed, photo in candidates:
            if photo.shape[:2] != hole.shape:
                raise ValueError(f"seed {seed} is {photo.shape[:2]}, the hole {hole.shape}")
            seeds.append(seed)
            yield photo

    for by_reference in matcher.stream(references, photos()):
        in_hole = tuple(_filter(matches, is_in_hole(matches.target_xy, hole)) for matches in by_reference)
        counts = tuple(len(matches) for matches in in_hole)
        yield Score(seeds.popleft(), sum(counts), counts, in_hole)


def _filter(matches: Matches, keep: npt.NDArray[np.bool_]) -> Matches:
    return Matches(matches.reference_xy[keep], matches.target_xy[keep], matches.confidence[keep])


def is_in_hole(xy: npt.NDArray[np.floating], hole: Hole) -> npt.NDArray[np.bool_]:
    """Which of the points (K, 2), pixel centres at whole numbers, have a hole pixel as their nearest; (K,).

    Points beyond the photo are in no hole.
    """
    column, row = np.floor(np.asarray(xy, np.float64).reshape(-1, 2) + 0.5).astype(np.int64).T
    height, width = hole.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    result: npt.NDArray[np.bool_] = inside & hole[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return result


def rank_scores(scores: Iterable[Score]) -> list[Score]:
    """Most matches first; equal ones by seed, so the order never depends on the order of computation."""
    return sorted(scores, key=lambda one: (-one.matches, one.seed))


def best_share(scores: Iterable[Score], share: float) -> list[Score]:
    """The best `share` of the candidates, best first, rounded up; the paper keeps 0.25 (Tab. 2).

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share lies in (0, 1], not {share}")
    ranked = rank_scores(scores)
    return ranked[: math.ceil(len(ranked) * share - 1e-9)]  # 100 × 0.07 is 7, not 7.000000000000001


def is_ranked(scores: Iterable[Score]) -> bool:
    """Whether any candidate has a match; if none has, the order is by seed and means nothing."""
    return any(one.matches for one in scores)


def ranking_doubt(scores: Sequence[Score]) -> str | None:
    """A sentence where too few matches are found to trust the order; other scenes' references are welcome (Fig. 10)."""
    best = max((one.matches for one in scores), default=0)
    if not scores or best >= FEW:
        return None
    if best == 0:
        return Sentence("No candidate matches the references, so they are unranked, in the order of their seeds.")
    if best == 1:
        return Sentence("The best candidate has only 1 match with the references, so the order says little.")
    return Sentence(
        "The best candidate has only {count} matches with the references, so the order says little.", count=best
    )
