"""One seed in full, as the viewer shows it: pictures, references with their counts, and the points of its matches."""

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from realfill import files
from realfill.errors import RealFillError
from realfill.imaging.crop import CropTransform
from realfill.runs.run import Run

from ..access import uploads
from ..language.catalogue import translate, translate_number
from . import pictures
from .cells import seed_name
from .pictures import Export, open_picture, read_ground
from .thumbnails import url

_UNCOUNTED: dict[str, Any] = {}
THUMB = 128  # pixels of a reference's longer side in the row below
MOST = 300  # points of a reference that go to the browser
NOVEL = 2.2  # log of grey levels: 9 of them between a patch and the nearest one of the scene are seen


def viewer_value(run: Run, seed: int | None, export: Export) -> dict[str, Any]:
    """The viewer's value; with no seed, or one that is not there, it shows nothing.

    Raises:
        OptionError: the run has not begun.
    """
    if seed is None or seed not in run.seeds_done():
        return {"run": run.folder.name, "seed": None}
    entries = run.read("scores").get("seeds", [])
    ranked = {one["seed"]: (rank, one) for rank, one in enumerate(entries, 1)}
    rank, entry = ranked.get(seed, (None, _UNCOUNTED))
    ground = read_ground(run)
    counts = entry.get("per_reference", [])
    with ThreadPoolExecutor(1) as pool:  # decoders and encoders let go of the interpreter
        references = pool.submit(_references, run, seed, counts)
        frames = open_picture(run, seed, export)
    return {
        "run": run.folder.name,
        "seed": seed,
        "matches": entry.get("matches"),
        "rank": rank,
        "ranked": len(entries),
        "star": seed in run.labels.starred,
        "hide": seed in run.labels.hidden,
        "export": dataclasses.asdict(export),
        "picks": run.labels.picks,
        "score": entry.get("score"),
        "frames": frames,
        "crop": {"url": url(uploads.thumbnail(run.seed_path(seed), uploads.PREVIEW)), **_shape(ground.fit)},
        "outline": pictures.outline(run),
        "refs": references.result(),
    }


def describe_seed(value: dict[str, Any]) -> dict[str, Any]:
    """What `viewer_value` returned, and its sentences in the visitor's language."""
    if value["seed"] is None:
        return value
    name = translate(seed_name(value["seed"]))
    place = translate("#{rank} of {count}", rank=value["rank"], count=value["ranked"])
    title = name if value["rank"] is None else f"{name} · {place}"
    return {**value, "name": name, "title": title, "note": "", "why": why_this_rank(value)}


def why_this_rank(entry: Mapping[str, Any]) -> str:
    """What a picture's place is made of besides its matches, as a sentence; empty where matches alone decide."""
    score = entry.get("score")
    if not score:
        return ""
    parts = [
        translate(
            "{agreement}% agreement with what references show in this place", agreement=_percent(score["agreement"])
        ),
        translate("{matches} matches by SIFT", matches=score["matches"]),
        translate("the border is not seen") if score["seam"] < 0.2 else translate("the border is seen"),
    ]
    if "consensus" in score:  # runs of before have none
        parts.insert(1, translate("{share}% like what other ways make of it", share=_percent(score["consensus"])))
        known = score["novelty"] < NOVEL
        parts.append(
            translate("texture of the scene") if known else translate("texture that the scene has nowhere else")
        )
    return translate("Score {total}: {parts}.", total=translate_number(f"{score['total']:.2f}"), parts=", ".join(parts))


def _percent(share: float) -> int:
    return round(100 * share)


def _shape(fit: CropTransform) -> dict[str, int]:
    return {"w": fit.width, "h": fit.height}


def _references(run: Run, seed: int, counts: Sequence[int]) -> list[dict[str, Any]]:
    """Each reference: its pictures, its count, and its lines as shares of both pictures' sides; None where not kept."""
    points = _points(run, seed, counts)
    references: list[dict[str, Any]] = []
    for index, path in enumerate(pictures.reference_paths(run)):
        large, thumb = (url(made) for made in uploads.thumbnails(path, uploads.PREVIEW, THUMB))
        width, height = _sides(run, index, points)
        references.append(
            {
                "url": large,
                "thumb": thumb,
                "w": width,
                "h": height,
                "count": counts[index] if index < len(counts) else None,
                "lines": None if points is None else _lines(points, index),
            }
        )
    return references


def _points(run: Run, seed: int, counts: Sequence[int]) -> dict[str, Any] | None:
    """What was kept of a seed's matches; None where nothing was, or of another count."""
    try:
        kept = files.read_json(run.matches_path(seed))
    except RealFillError:
        return None
    return kept if kept and counts and kept.get("counts") == list(counts) else None


def _sides(run: Run, index: int, points: dict[str, Any] | None) -> tuple[int, int]:
    if points is not None:
        width, height = points["references"][index]["size"]
        return width, height
    from PIL import Image

    with Image.open(uploads.thumbnail(pictures.reference_paths(run)[index], uploads.PREVIEW)) as image:
        return image.size


def _lines(points: dict[str, Any], index: int) -> list[list[float]]:
    part, (width, height) = points["references"][index], points["size"]
    across, down = part["size"]
    sides = (across, down, width, height)
    rows = (row[: len(sides)] for row in part["points"][:MOST])
    return [[round((xy + 0.5) / side, 4) for xy, side in zip(row, sides, strict=True)] for row in rows]
