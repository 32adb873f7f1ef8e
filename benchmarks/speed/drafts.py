"""When each proposal is there to see: `python -m benchmarks.speed.drafts [SCENE …] [--megapixels 8] [--warm] [--json]`.

Starts the process that drafts for the canvas (`realfill.cli.draft_process`) as the page does, on scene folders or else
on an example's photos enlarged to a camera's size with its references, and notes when it names one proposal more and
when it ends. Seconds by the clock since the process was started, or with --warm since one that had loaded its libraries
was told of the scene, as it is once the page has photos; its processor seconds and the machine's load stand beside
them. A scene takes about half a minute.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.options import base_parser
from benchmarks.speed.journeys import write_photos
from realfill import files
from realfill.cli import draft_process
from realfill.imaging.photo import save_photo
from realfill.scene import examples
from realfill.scene.scene_files import pictures

BETWEEN = 0.02  # seconds between two looks
QUIET = 1.0  # seconds without a processor's time after which a process counts as waiting
MOST_REFERENCES = 4


def main() -> int:
    """Drafts every scene once and prints when what was there."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("scenes", nargs="*", type=Path, help="scene folders (the example at --megapixels)")
    parser.add_argument("--megapixels", type=float, default=8.0, help="of the example's photos (8)")
    parser.add_argument("--example", default="market", help="the example scene (market)")
    parser.add_argument("--warm", action="store_true", help="with libraries loaded before the clock starts")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        places = args.scenes or [write_scene(args.example, args.megapixels, Path(folder) / "scene")]
        for number, scene in enumerate(places):
            rows.append(time_draft(scene, Path(folder) / f"out-{number}", warm=args.warm))
            sys.stderr.write(describe(rows[-1]) + "\n")
    text = json.dumps({"drafts": rows, "cores": psutil.cpu_count()}) if args.json else "\n".join(map(describe, rows))
    sys.stdout.write(text + "\n")
    return 0


def write_scene(example: str, megapixels: float, folder: Path) -> Path:
    """An example scene with its photos enlarged to a camera's size and four references at most."""
    photos = write_photos(example, megapixels, folder)
    for surplus in pictures(photos / "ref")[MOST_REFERENCES:]:
        surplus.unlink()
    mask = examples.find(example).folder / "target" / "mask.png"
    with Image.open(next((photos / "target").glob("target.*"))) as target:
        size = target.size
    save_photo(
        np.asarray(Image.open(mask).convert("RGB").resize(size, Image.Resampling.NEAREST)),
        photos / "target" / "mask.png",
    )
    return photos


def time_draft(scene: Path, out: Path, *, warm: bool) -> dict[str, Any]:
    """Seconds from the start of the process, or from its being told, to each of its proposals and to its end."""
    out.mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen: list[float] = []
    command, given = [sys.executable, "-m", draft_process.__name__], [str(scene.resolve()), str(out / "draft.png")]
    load, began = psutil.getloadavg()[0], time.monotonic()
    if warm:
        process = subprocess.Popen([*command, draft_process.WAIT], stdin=subprocess.PIPE)
        await_quiet(psutil.Process(process.pid))
        began = time.monotonic()
        assert process.stdin is not None
        with process.stdin as line:
            line.write(json.dumps(given).encode() + b"\n")
    else:
        process = subprocess.Popen([*command, *given])
    while process.poll() is None:
        said = files.read_json(out / draft_process.WORDS) or {}
        seen += [time.monotonic() - began] * (len(said.get("proposals", ())) - len(seen))
        time.sleep(BETWEEN)
    whole, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "scene": scene.name,
        "seconds": [round(one, 2) for one in seen],
        "end": round(whole, 2),
        "processor": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "load": round(load, 1),
    }


def await_quiet(process: psutil.Process) -> None:
    """Returns once a process has taken no processor's time for QUIET seconds, having taken some."""
    taken = 0.0
    while True:
        time.sleep(QUIET)
        now = sum(process.cpu_times()[:2])
        if now == taken and now > 0:
            return
        taken = now


def describe(row: dict[str, Any]) -> str:
    """One scene's times in a line."""
    times = ", ".join(f"{one:.1f}" for one in row["seconds"])
    return (
        f"{row['scene']}: proposals after {times} s, all written after {row['end']:.1f} s "
        f"({row['processor']:.0f} processor seconds, load {row['load']:.1f} before)"
    )


if __name__ == "__main__":
    sys.exit(main())
