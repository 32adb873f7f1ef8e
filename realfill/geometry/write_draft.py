"""The draft of a scene folder as a picture file, with the map of how far to trust it."""

import time
from pathlib import Path
from typing import Any

from realfill import files
from realfill.config import PROPOSALS, SelectConfig
from realfill.errors import OptionError
from realfill.geometry.draft import Draft, covered_share, full_size_draft, to_grey
from realfill.geometry.make_draft import make_draft
from realfill.geometry.propose import FROM_TEXTURE, best_first, propose
from realfill.imaging import composite, encode
from realfill.imaging.photo import save_photo
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene


def encode_draft(draft: Draft, scene: Scene, file_format: encode.Format) -> bytes:
    """The target at its own size and in its own values with the draft in the hole, encoded; known pixels are kept."""
    picture = composite.composite(scene.original, scene.hole, full_size_draft(draft), feather=0)
    return encode.encode(picture, file_format, quality=95, record={"draft": draft.reason or "geometry"})


def write_draft(
    folder: Path, out: Path, select: SelectConfig, *, confidence: Path | None = None, proposals: int = PROPOSALS
) -> dict[str, Any]:
    """Drafts the scene in a folder into a picture file and, where asked for, its confidence map into a PNG.

    The best of so many `proposals` is written; with 0 what geometry shows, and plain inpainting where it shows nothing.

    Returns:
        What there is to say, as JSON data: vouched (share of the hole with a confidence over one half), references
        (indices, best first), reason, seconds, notices (about the scene's files).

    Raises:
        OptionError: a name ends in another format's ending, or is refused by `scene.check_outputs`.
        SceneError, WeightsError: the scene or the matcher's weights cannot be used.
        DiskFull, RunError: a file cannot be written.
    """
    file_format = encode.find_format(out)
    if confidence is not None and confidence.suffix.lower() != ".png":
        raise OptionError(
            "'{name}' is to be the confidence map, which is a PNG; end its name in .png.", name=confidence.name
        )
    scenes.check_outputs(folder, [out] if confidence is None else [out, confidence])
    began = time.monotonic()
    scene = scenes.load(folder)
    geometry = make_draft(scene, load_matcher(select))
    best = best_first([*propose(scene, geometry, proposals)], scene.hole)[:1]
    draft = best[0].draft if best else geometry
    files.write_bytes(out, encode_draft(draft, scene, file_format))
    if confidence is not None:
        save_photo(draft.frame.uncrop_photo(to_grey(draft.confidence)), confidence)
    return {
        "vouched": covered_share(draft, scene.hole),
        "references": [one.reference for one in geometry.warped],
        "reason": FROM_TEXTURE if draft.textured and geometry.reason else geometry.reason,
        "seconds": time.monotonic() - began,
        "notices": list(scene.notices),
    }
