"""RUNS/batch.html: the scenes of a batch as a table that sorts, with thumbnails of before and after."""

import base64
import contextlib
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from realfill import files
from realfill.arrays import Photo
from realfill.batch.table import SceneRow, summarize
from realfill.errors import RealFillError
from realfill.evaluation.report.thumbnails import cut_hole, make_thumbnail
from realfill.events import STAGES
from realfill.humanize import duration
from realfill.imaging.decode import read_original
from realfill.scene.masks import read_hole
from realfill.scene.scene_files import find_inputs

THUMBS = "batch-thumbs"  # beside batch.html

_STYLE = """
:root{color-scheme:light dark;--line:#8883;font:15px/1.5 system-ui,sans-serif}
body{margin:2rem auto;max-width:1180px;padding:0 1rem}table{border-collapse:collapse;width:100%}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th button{all:unset;cursor:pointer;font-weight:600}th button:focus-visible{outline:2px solid}
th[aria-sort=ascending] button::after{content:" ↑"}th[aria-sort=descending] button::after{content:" ↓"}
img{max-width:150px;max-height:110px;display:block}.number{text-align:right;font-variant-numeric:tabular-nums}
td.error{max-width:22rem;overflow-wrap:anywhere}
"""
# Cells carry what they sort by in data-key; the script reads that and nothing else.
_SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), column = head.cellIndex, body = document.querySelector("tbody");
  const falling = head.getAttribute("aria-sort") === "ascending";
  const key = row => row.cells[column].dataset.key, number = row => key(row) === "" ? -1 : Number(key(row));
  const numeric = [...body.rows].every(row => !Number.isNaN(number(row)));
  const order = (a, b) => numeric ? number(a) - number(b) : key(a).localeCompare(key(b), undefined, {numeric: true});
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  body.append(...[...body.rows].sort((a, b) => falling ? order(b, a) : order(a, b)));
});
"""
_HEADS = ("scene", "state", "before", "after", "time", "matches", "seed", "tries", "where", "note")
_NUMBERS = ("time", "matches", "seed", "tries")


def write_report(runs: Path, rows: Sequence[SceneRow]) -> Path:
    """Writes batch.html and the thumbnails that are missing; returns the page's path."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    kinds = {head: " class=number" if head in _NUMBERS else "" for head in _HEADS}
    heads = "".join(f"<th scope=col{kind}><button>{head}</button></th>" for head, kind in kinds.items())
    body = "\n".join(_row(runs, row) for row in rows)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Batch</title><style>{_STYLE}</style></head><body><h1>{len(rows)} scenes</h1>"
        f"<p>{escape(summarize(rows))}</p><table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )
    path = runs / "batch.html"
    files.write_bytes(path, page.encode())
    return path


def make_thumbnails(runs: Path, name: str) -> None:
    """The small pictures of a scene, before and after, where its run has come so far and they are not there yet."""
    with contextlib.suppress(RealFillError, OSError):  # a picture that cannot be shown is told by its own run
        inputs = find_inputs(runs / name / "scene")

        def cut(photo: Photo) -> Photo:
            if not isinstance(inputs.mask, Path):
                return photo
            return cut_hole(photo, read_hole(inputs.mask, read_original(inputs.target))[0])

        make_thumbnail(inputs.target, _thumb(runs, name, "before"), cut)
        if (result := runs / name / "result.png").is_file():
            make_thumbnail(result, _thumb(runs, name, "after"), lambda photo: photo)


def _row(runs: Path, row: SceneRow) -> str:
    total = row.seconds
    stages = ", ".join(f"{stage} {duration(getattr(row, stage))}" for stage in STAGES if getattr(row, stage))
    name = escape(row.scene)
    cells = [
        f'<td data-key="{name}"><a href="{_link(row.scene)}">{name}</a></td>',
        _text(row.state),
        _picture(runs, row.scene, "before", f"{row.scene}/scene/target"),
        _picture(runs, row.scene, "after", f"{row.scene}/result.png"),
        f'<td class=number data-key="{total:.1f}" title="{escape(stages)}">{duration(total) if total else ""}</td>',
        *(_number(value) for value in (row.matches, row.seed, row.tries)),
        _text(row.where),
        f'<td class=error data-key="{escape(row.error)}">{escape(row.error)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _picture(runs: Path, scene: str, which: str, target: str) -> str:
    thumb = _thumb(runs, scene, which)
    if not thumb.is_file():
        return '<td data-key="0"></td>'
    source = _link(f"{THUMBS}/{thumb.name}")
    image = f'<img src="{source}" alt="{escape(scene)} {which}" loading="lazy">'
    return f'<td data-key="1"><a href="{_link(target)}">{image}</a></td>'


def _thumb(runs: Path, scene: str, which: str) -> Path:
    return runs / THUMBS / f"{scene}-{which}.jpg"


def _link(path: str) -> str:
    return escape(quote(f"./{path}"))


def _text(text: str) -> str:
    return f'<td data-key="{escape(text)}">{escape(text)}</td>'


def _number(value: int | None) -> str:
    shown = "" if value is None else str(value)
    return f'<td class=number data-key="{shown}">{shown}</td>'
