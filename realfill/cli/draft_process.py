"""`python -m realfill.cli.draft_process SCENE OUT`: one draft for the page, in a process of its own that may be killed.

OUT is a file for the best proposal as a whole picture at the target's own size; the others lie beside it, and all come
last. Before them come, for each proposal as soon as it is made, the filled hole, transparent elsewhere, and its
confidence, then words.json, which names both, best first, and says what there is to say.

`python -m realfill.cli.draft_process --wait` loads its libraries and then waits for SCENE and OUT, two strings in JSON
on standard input: a draft that is asked for later starts at once. What it prints goes to log.txt beside OUT.
"""

import json
import os
import queue
import sys
import threading
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
from realfill.matching.registry import load_draft_matcher, load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

SHOWN = 2048  # longest side in pixels of what is seen on the canvas
COARSE = 1024  # and of the confidence, which is smooth
EDGE = 2  # shown pixels of the known photo round the hole: a browser mixes the edge with what lies under it
PROPOSALS = 6  # that are made for the canvas: the first at once, the others beside it while one looks
WORDS = "words.json"
LOG = "log.txt"
WAIT = "--wait"
LONGEST_WAIT = 900.0  # seconds after which a process that is not needed gives its memory back


def main(arguments: Sequence[str]) -> int:
    """Drafts and returns an exit code; what is wrong with the scene stands in words.json as "error"."""
    collect_rarely()
    if arguments[0] == WAIT:
        warm_up()
        arguments = await_scene()
        if not arguments:
            return 0
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


def warm_up() -> None:
    """Loads what a draft may need and takes seconds: torch, and the draft's own matcher."""
    matcher = load_draft_matcher()
    if matcher is not None:
        features = matcher.extract(np.zeros((64, 64, 3), np.uint8))  # what torch prepares at first use
        matcher.pair([features], features)


def await_scene() -> list[str]:
    """SCENE and OUT from standard input; none where it ends before they come, or they do not come in time."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(_read_line(sys.stdin.fileno())), daemon=True).start()
    try:
        given = lines.get(timeout=LONGEST_WAIT)
    except queue.Empty:
        return []
    if not given:
        return []
    scene, out = json.loads(given)
    log = os.open(Path(out).with_name(LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    return [scene, out]


def _read_line(stream: int) -> bytes:
    """A line of a file descriptor; empty where it ends before. Unbuffered: no lock is held when the process ends."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(stream, 1)
        if not read:
            return b""
        line += read
    return line


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
