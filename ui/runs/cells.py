"""What the grid shows of each seed: rank, counts, marks and a small picture."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realfill import seeds
from realfill.runs.export import chosen_seed
from realfill.runs.run import Run
from realfill.sentences import Sentence

from ..language.catalogue import translate
from .thumbnails import Thumbnails

_KINDS: Mapping[str, Sentence] = {"draft": Sentence("draft"), "guided": Sentence("guided")}
"""How `Run.kind` says a seed was made, in the page's words."""


@dataclass(frozen=True)
class SeedCell:
    """One made seed. `matches` and `rank` None: not counted yet; `url` empty: its picture comes soon."""

    seed: int
    name: str  # "Seed 17"
    matches: int | None
    rank: int | None
    refs: tuple[int, ...] = ()  # matches by reference
    kind: str = ""  # how it was made where that is not the usual way: "draft", "guided", "from draft 3"
    star: bool = False
    hide: bool = False
    url: str = ""


def list_cells(run: Run, thumbnails: Thumbnails) -> tuple[SeedCell, ...]:
    """The seeds that are made: counted ones in their stored order, then proposals as made, then the others."""
    made = list(dict.fromkeys([*run.proposal_seeds(), *run.seeds_done()]))
    existing, starred, hidden = set(made), set(run.labels.starred), set(run.labels.hidden)

    def cell(seed: int, matches: int | None, rank: int | None, refs: tuple[int, ...] = ()) -> SeedCell:
        picture, kind = thumbnails.url(run.seed_path(seed)), how_made(run, seed)
        return SeedCell(seed, seed_name(seed), matches, rank, refs, kind, seed in starred, seed in hidden, picture)

    counted = [entry for entry in run.read("scores").get("seeds", []) if entry["seed"] in existing]
    ranked = [
        cell(entry["seed"], entry["matches"], rank, tuple(entry.get("per_reference", ())))
        for rank, entry in enumerate(counted, 1)
    ]
    known = {one.seed for one in ranked}
    return (*ranked, *(cell(seed, None, None) for seed in made if seed not in known))


def grid_value(run: Run, cells: tuple[SeedCell, ...], *, live: bool) -> dict[str, Any]:
    """The grid's value. More seeds can be asked for once there are some and nobody works on the run."""
    state = translate("They appear here one by one.") if live else translate("There are no seeds yet.")
    return {
        "run": run.folder.name,
        "cells": [_tell(cell) for cell in cells],
        "planned": len(run.config.seeds),
        "live": live,
        "why": (why := why_no_more(run, live=live or not cells)),
        "more": not why,
        "fixed": run.labels.is_example,
        "chosen": current_seed(run),
        "empty": state,
    }


def why_no_more(run: Run, *, live: bool) -> str:
    """Why nobody can ask for more or other seeds now, as a sentence; empty where one can."""
    if run.labels.is_example:
        return translate("This is a finished example; make it your own to have other seeds.")
    if not run.config.seeds:
        return translate("This project is filled by its draft alone; start a new one for seeds.")
    return translate("More seeds can be asked for when the work here has ended.") if live else ""


def _tell(cell: SeedCell) -> dict[str, Any]:
    """A cell in the visitor's language; cells are remembered for all visitors."""
    return {**dataclasses.asdict(cell), "name": translate(cell.name), "kind": translate(cell.kind)}


def seed_name(seed: int) -> Sentence:
    """What a person calls it."""
    if not seeds.is_proposal(seed):
        return Sentence("Seed {seed}", seed=seed)
    number = seeds.proposal_number(seed)
    return Sentence("Draft") if number == 1 else Sentence("Draft {rank}", rank=number)


def how_made(run: Run, seed: int) -> str:
    """How a seed was made where that is not the usual way: "draft", "guided", "from draft 3"."""
    begun = run.started_from(seed)
    if begun is None or len(run.proposal_seeds()) == 1:
        return _KINDS.get(kind := run.kind(seed), kind)
    number = seeds.proposal_number(begun)
    return Sentence("from draft") if number == 1 else Sentence("from draft {rank}", rank=number)


def current_seed(run: Run) -> int | None:
    """The seed that would be exported and is shown in full; None where there is none yet."""
    return chosen_seed(run)[0] if run.seeds_done() else None
