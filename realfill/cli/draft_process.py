"""`python -m realfill.cli.draft_process SCENE OUT`: one draft for the page, in a process of its own that may be killed.

OUT is a file for the best proposal as a whole picture at the target's own size; the others lie beside it, and all come
last. Before them come, for each proposal as soon as it is made, the filled hole, transparent elsewhere, and its
confidence, then words.json, which names both, best first, and says what there is to say.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from realfill import files
from realfill.config import SelectConfig
from realfill.errors import RealFillError, exit_code
from realfill.garbage import collect_rarely
from realfill.geometry.draft import Draft, confidence_overlay, covered_share, render_draft
from realfill.geometry.make_draft import make_draft
from realfill.geometry.propose import FROM_TEXTURE, ScoredProposal, best_first, propose
from realfill.geometry.write_draft import encode_draft
from realfill.imaging import holes
from realfill.imaging.crop import crop_longest
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

SHOWN = 2048  # longest side in pixels of what is seen on the canvas
COARSE = 1024  # and of the confidence, which is smooth
EDGE = 2  # shown pixels of the known photo round the hole: a browser mixes the edge with what lies under it
PROPOSALS = 6  # that are made for the canvas: the first at once, the others beside it while one looks
WORDS = "words.json"


def main(arguments: Sequence[str]) -> int:
    """Drafts and returns an exit code; what is wrong with the scene stands in words.json as "error"."""
    collect_rarely()
    folder, out = map(Path, arguments)
    try:
        scene = scenes.load(folder)
        geometry = make_draft(scene, load_matcher(SelectConfig(matcher="sift")))
        made, canvas = list[ScoredProposal](), _Canvas(scene)
        for proposal in propose(scene, geometry, PROPOSALS):
            made.append(proposal)
            canvas.write(proposal.draft, out.parent, len(made))
            _write_words(out, made, geometry, scene)
        for rank, proposal in enumerate(best_first(made, scene.hole)):
            files.write_bytes(whole_path(out, rank), encode_draft(proposal.draft, scene, "png"))
    except RealFillError as error:
        files.write_json(out.with_name(WORDS), {"error": str(error)})
        return exit_code(error)
    return 0


def whole_path(out: Path, rank: int) -> Path:
    """Where the whole picture of the proposal of a rank is written; the best has 0."""
    return out if rank == 0 else out.with_name(f"{out.stem}-{rank + 1}{out.suffix}")


class _Canvas:
    """What all proposals are shown on."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._crop = scene, crop_longest(*scene.hole.shape, longest=SHOWN)
        self._hole, self._target = self._crop.crop_hole(scene.hole), self._crop.crop_photo(scene.target)

    def write(self, draft: Draft, out: Path, number: int) -> None:
        """Writes what the canvas shows of a proposal; `number` counts them as they are made."""
        photo = np.where(self._hole[:, :, None], render_draft(draft, self._crop)[0], self._target)
        alpha = np.where(holes.distance_from_hole(self._hole) <= EDGE, 255, 0)[:, :, None]
        picture = np.concatenate([photo, alpha], 2).astype(np.uint8)
        Image.fromarray(picture).save(out / f"shown-{number}.webp", "WEBP", quality=92, method=2)
        overlay = confidence_overlay(draft, self._scene.hole, longest=COARSE)
        files.write_bytes(out / f"confidence-{number}.png", overlay)


def _write_words(out: Path, made: Sequence[ScoredProposal], geometry: Draft, scene: Scene) -> None:
    proposals: list[dict[str, Any]] = []
    recipes = [one.recipe for one in made]
    for rank, proposal in enumerate(best_first(made, scene.hole)):
        number = recipes.index(proposal.recipe) + 1
        proposals.append(
            {
                "shown": f"shown-{number}.webp",
                "confidence": f"confidence-{number}.png",
                "whole": whole_path(out, rank).name,
                "vouched": covered_share(proposal.draft, scene.hole),
                "textured": proposal.draft.textured,
            }
        )
    words: dict[str, Any] = {
        "proposals": proposals,
        "count": PROPOSALS,
        "references": [one.reference for one in geometry.warped],
        "reason": geometry.reason and FROM_TEXTURE,
        "seconds": geometry.seconds,
    }
    files.write_json(out.with_name(WORDS), words)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)  # the page and what trains go first
    sys.exit(main(sys.argv[1:]))
