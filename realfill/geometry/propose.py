"""Complete proposals of a scene from its draft, each with its score; and where they lie in a run folder.

proposals/1/, 2/, …        each as a draft (draft.py), in the order they were made; draft.json also has recipe and score
proposals/ranking.json     their numbers, best first, the folder of each, and how many are worth working over: all are
                           there
"""

import contextlib
import dataclasses
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from realfill import files
from realfill.arrays import Hole, Photo
from realfill.geometry.draft import Draft, Fine, crop_in_frame, load_draft, save_draft, to_grey
from realfill.geometry.patch_fill import is_available
from realfill.geometry.proposal_scores import (
    MatchCounter,
    ProposalScore,
    gather_evidence,
    measure_consensus,
    score_photo,
    shrink_hole,
)
from realfill.geometry.proposals import Proposal, Recipe, gather_sources, list_recipes, make_proposals
from realfill.geometry.structure import shrink
from realfill.imaging.crop import CropTransform
from realfill.imaging.holes import bounding_box
from realfill.scene.scene import Scene
from realfill.sentences import Sentence

RANKING = "ranking.json"
WORSE = 0.05  # of the best total: what has less is another picture than the likely one, and no seed is spent on it
FROM_TEXTURE = Sentence(
    "No reference lies over the target in one consistent way, so the draft is made of the scene's own texture."
)


@dataclass(frozen=True, eq=False)
class ScoredProposal:
    """A proposal as a draft of its own, and what speaks for it."""

    recipe: Recipe
    draft: Draft
    score: ProposalScore


def propose(scene: Scene, draft: Draft, count: int, *, first: int = 0) -> Generator[ScoredProposal]:
    """`count` proposals at most, one by one as they are made, without the `first` of them."""
    sources, first_scored = gather_sources(scene, draft), Event()
    with ThreadPoolExecutor(2) as pool, contextlib.ExitStack() as stack:
        stack.callback(first_scored.set)  # whatever ends this
        gathering = pool.submit(gather_evidence, sources)  # while the first proposal is made
        extracting = pool.submit(MatchCounter, [one.photo for one in sources.plain])
        for proposal in make_proposals(sources, list_recipes(sources, count)[first:], first_scored):
            matches = extracting.result().count(proposal.photo, sources.hole)
            score = score_photo(gathering.result(), proposal.photo, matches)  # the consensus comes with the others
            first_scored.set()
            yield ScoredProposal(proposal.recipe, as_draft(proposal, draft, scene.hole), score)


def best_first(proposals: Sequence[ScoredProposal], hole: Hole) -> list[ScoredProposal]:
    """Proposals for a target's hole (H, W) in the order of scores that know of all; of equals, those made earlier."""
    return sorted(add_consensus(proposals, hole), key=lambda one: -one.score.total)


def add_consensus(proposals: Sequence[ScoredProposal], hole: Hole) -> list[ScoredProposal]:
    """Proposals for a target's hole (H, W), each with its likeness to those of other families."""
    if not proposals:
        return []
    inside = shrink_hole(proposals[0].draft.frame.crop_hole(hole))  # all have one frame
    small = [shrink(one.draft.photo) for one in proposals]
    told = []
    for photo, one in zip(small, proposals, strict=True):
        others = group_by_family(zip(proposals, small, strict=True), but=one.recipe.family)
        consensus = measure_consensus(photo, others, inside)
        told.append(dataclasses.replace(one, score=dataclasses.replace(one.score, consensus=consensus)))
    return told


def group_by_family(pictures: Iterable[tuple[ScoredProposal, Photo]], *, but: str = "") -> dict[str, list[Photo]]:
    """Proposals' pictures by their recipes' family, without one of the families."""
    groups: dict[str, list[Photo]] = {}
    for proposal, photo in pictures:
        if proposal.recipe.family != but:
            groups.setdefault(proposal.recipe.family, []).append(photo)
    return groups


def as_draft(proposal: Proposal, draft: Draft, hole: Hole) -> Draft:
    """A proposal as a draft in the same frame. Where the draft knows more finely what both show, that is kept."""
    fine, photo = None, proposal.sharpened()
    if draft.fine is not None and proposal.recipe.kind == "draft":
        left, top, right, bottom = bounding_box(hole)
        width, height = right - left, bottom - top
        box = CropTransform((left, top, width, height), width, height, hole.shape[1], hole.shape[0])
        enlarge = crop_in_frame(draft.frame, box).crop_photo
        shown = enlarge(to_grey(draft.confidence > 0)) / np.float32(255)
        filled = shown * draft.fine.photo + (1 - shown) * enlarge(photo)
        fine = Fine(left, top, np.rint(filled).astype(np.uint8))
    return dataclasses.replace(
        draft,
        photo=photo,
        confidence=proposal.confidence,
        warped=(),
        reason="",
        fine=fine,
        textured=is_available(),
        matches=(),
    )


def proposal_path(folder: Path, number: int) -> Path:
    """Where a proposal lies in the folder of all."""
    return folder / str(number)


def save_proposal(folder: Path, number: int, proposal: ScoredProposal) -> None:
    """Stores one proposal; it appears as a whole."""
    more = {"recipe": dataclasses.asdict(proposal.recipe), "score": proposal.score.to_json()}
    save_draft(proposal_path(folder, number), proposal.draft, **more)


def count_saved(folder: Path) -> int:
    """How many proposals are there, in the order they are made."""
    number = 0
    while (proposal_path(folder, number + 1) / "draft.json").exists():
        number += 1
    return number


def save_ranking(folder: Path, count: int, hole: Hole) -> None:
    """Notes that all of `count` proposals are there, as far as there are so many, and their numbers, best first.

    `hole` (H, W) is the target's.
    """
    _, known = _read_ranking(folder)
    folders = [*known, *range(len(known) + 1, count_saved(folder) + 1)]
    scored = _load_scored(folder, folders, hole)
    order = sorted(scored, key=lambda number: (-scored[number].score.total, number))
    totals = [scored[number].score.total for number in order]
    starting = sum(total > totals[0] - WORSE for total in totals)
    files.write_json(folder / RANKING, {"order": order, "count": count, "folders": folders, "starting": starting})


def load_ranking(folder: Path) -> list[int]:
    """The numbers of the proposals, best first; none where they are not all there."""
    return _read_ranking(folder)[0]


def count_starting(folder: Path) -> int:
    """From how many proposals, the best first, seeds begin: from those that are nearly as likely as the best.

    In runs that do not say it from all.
    """
    return int((files.read_json(folder / RANKING) or {}).get("starting", len(load_ranking(folder))))


def _read_ranking(folder: Path) -> tuple[list[int], list[int]]:
    """The proposals' numbers, best first, and the folder of each by its number; empty before they were ranked.

    In runs that do not say the folders proposals were numbered by their rank.
    """
    data = files.read_json(folder / RANKING) or {}
    order = [int(number) for number in data.get("order", [])]
    return (order, data["folders"]) if "folders" in data else ([*range(1, len(order) + 1)], order)


def load_scored(folder: Path, hole: Hole) -> dict[int, ScoredProposal]:
    """All proposals for a target's hole (H, W) by number, without their finer parts; none where not all are there."""
    return _load_scored(folder, _read_ranking(folder)[1], hole)


def _load_scored(folder: Path, folders: Sequence[int], hole: Hole) -> dict[int, ScoredProposal]:
    found = {}
    for number, place in enumerate(folders, 1):
        path = proposal_path(folder, place)
        draft, data = load_draft(path, warped=False, fine=False), files.read_json(path / "draft.json")
        if draft is not None and data is not None:
            found[number] = ScoredProposal(Recipe(**data["recipe"]), draft, ProposalScore.from_json(data["score"]))
    return dict(zip(found, add_consensus([*found.values()], hole), strict=True))


def are_saved(folder: Path, count: int) -> bool:
    """Whether so many proposals were made and ranked."""
    return int((files.read_json(folder / RANKING) or {}).get("count", 0)) >= count


def load_proposals(folder: Path) -> list[Draft]:
    """All proposals, best first; none where they are not all there."""
    drafts = (load_proposal(folder, number) for number in load_ranking(folder))
    return [draft for draft in drafts if draft is not None]


def load_proposal(folder: Path, number: int) -> Draft | None:
    """A proposal as a draft; None where there is none of that number."""
    _, folders = _read_ranking(folder)
    place = folders[number - 1] if number <= len(folders) else number  # what is not ranked yet lies under its number
    return load_draft(proposal_path(folder, place), warped=False)
