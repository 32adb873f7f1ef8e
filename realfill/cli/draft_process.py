"""`python -m realfill.cli.draft_process SCENE OUT`: one draft for the page, in a process of its own that may be killed.

OUT is a file for the whole picture at the target's own size, which comes last. Beside it go the filled hole,
transparent elsewhere, and its confidence, then words.json, which names both and says what there is to say.
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
from realfill.geometry.draft import Draft, confidence_overlay, covered_share, render_draft
from realfill.geometry.make_draft import encode_draft, make_draft
from realfill.imaging import holes
from realfill.imaging.crop import crop_longest
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene

SHOWN = 2048  # longest side in pixels of what is seen on the canvas
COARSE = 1024  # and of the confidence, which is smooth
EDGE = 2  # shown pixels of the known photo round the hole: a browser mixes the edge with what lies under it
WORDS = "words.json"
FILES = {"shown": "shown.webp", "confidence": "confidence.png"}


def main(arguments: Sequence[str]) -> int:
    """Drafts and returns an exit code; what is wrong with the scene stands in words.json as "error"."""
    folder, out = map(Path, arguments)
    if hasattr(os, "nice"):
        os.nice(5)  # the page and what trains go first
    try:
        scene = scenes.load(folder)
        draft = make_draft(scene, load_matcher(SelectConfig(matcher="sift")))
        _write_preview(draft, scene, out.parent)
        files.write_bytes(out, encode_draft(draft, scene, "png"))
    except RealFillError as error:
        files.write_json(out.with_name(WORDS), {"error": str(error)})
        return exit_code(error)
    return 0


def _write_preview(draft: Draft, scene: Scene, out: Path) -> None:
    crop = crop_longest(*scene.hole.shape, longest=SHOWN)
    hole = crop.crop_hole(scene.hole)
    photo = np.where(hole[:, :, None], render_draft(draft, crop)[0], crop.crop_photo(scene.target))
    alpha = np.where(holes.distance_from_hole(hole) <= EDGE, 255, 0)[:, :, None]
    picture = np.concatenate([photo, alpha], 2).astype(np.uint8)
    Image.fromarray(picture).save(out / FILES["shown"], "WEBP", quality=92, method=2)
    files.write_bytes(out / FILES["confidence"], confidence_overlay(draft, scene.hole, longest=COARSE))
    words: dict[str, Any] = {
        **FILES,
        "vouched": covered_share(draft, scene.hole),
        "references": [one.reference for one in draft.warped],
        "reason": draft.reason,
        "seconds": draft.seconds,
    }
    files.write_json(out / WORDS, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
