"""The finished example projects of the page: `python -m tools.projects desk workshop`.

Each is a real run of the preset `mini` on one of the example scenes, its photos at most 576 pixels, of which only
what the page shows is kept: photos, settings, events, pictures, counts, matches and proposals. No adapter and no
checkpoints, so a copy of it that is to make other seeds learns the scene first.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFilter

from realfill import config, files
from realfill.geometry.draft import save_draft
from realfill.geometry.propose import RANKING, count_starting, load_proposal, load_ranking, proposal_path
from realfill.runs.run import Run
from realfill.scene import examples, scene, scene_files
from realfill.scene.examples import Example
from ui import errors

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "assets" / "projects"
LONGEST = 576  # pixels of a photo
RING = 9  # pixels, odd: so far a shrunk JPEG carries the hole's paint into what is known, half of it on each side
POINTS = 80  # of a seed and a reference that are kept
PROPOSALS = 3  # for as many there is room; seeds 0, 1 and 2 begin from them in turn
MARGIN = 12  # pixels of the draft that are kept around the hole
MOST_BYTES = 1_300_000
SENTENCE = "A finished example: browse its seeds, see why they rank where they do, compare and export."


def shrink_scene(example: Example, folder: Path) -> Path:
    """A copy of an example scene without its truth, photos shrunk and stored as JPEG where they are too large."""
    for path in [*scene_files.pictures(example.folder / "ref"), *scene_files.pictures(example.folder / "target")]:
        if path.stem == "gt":
            continue
        place = folder / path.relative_to(example.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            if path.suffix == ".jpg" and max(image.size) <= LONGEST:
                shutil.copyfile(path, place)
                continue
            share = min(1.0, LONGEST / max(image.size))
            size = (round(image.width * share), round(image.height * share))
            if path.stem == "mask":
                large = image.convert("L").resize(size, Image.Resampling.BOX).point(lambda level: 255 * (level > 0))
                large.filter(ImageFilter.MaxFilter(RING)).save(place, optimize=True)
            else:
                image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(
                    place.with_suffix(".jpg"), quality=90, subsampling=0
                )
    return folder


def complete_run(source: Path, run: Path, seeds: str) -> None:
    """Has the command line do the whole run."""
    command = [sys.executable, "-m", "realfill", "complete", str(source), "--run", str(run)]
    settings = ["--base", "mini", "--seeds", seeds, "--set", f"guide.proposals={PROPOSALS}", "--device", "cpu"]
    subprocess.run([*command, *settings], cwd=ROOT, check=True)


def pack(run: Run, place: Path, name: str) -> int:
    """Writes what the page needs of a finished run to a new folder; returns its size in bytes.

    Raises:
        ValueError: the run is not done, the result is too large, or it names a folder of this machine.
    """
    if run.status().state != "done":
        raise ValueError(f"{run.folder} is not done")
    files.remove_folder(place)
    for kind in ("ref", "target"):
        shutil.copytree(run.scene_folder / kind, place / "scene" / kind, ignore=shutil.ignore_patterns("gt.*"))
    for item in ("run.json", "scores.json", "confidence.png", "seeds/made.json"):
        (place / item).parent.mkdir(exist_ok=True)
        shutil.copyfile(run.folder / item, place / item)
    for seed in run.seeds_wanted():
        _copy_optimized(run.seed_path(seed), place / "seeds" / run.seed_path(seed).name)
        _copy_matches(run.matches_path(seed), place / "matches" / run.matches_path(seed).name)
    _copy_proposals(run, place / "proposals")
    _copy_events(run, place / "events.jsonl")
    _write_json(place / "labels.json", {"name": name, "example": True})
    _write_json(place / "state.json", {"state": "done", "sentence": SENTENCE, "since": run.status().since})
    _check(place)
    return size(place)


def size(place: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _copy_optimized(path: Path, place: Path) -> None:
    with Image.open(path) as image:
        image.save(place, optimize=True)


def _copy_matches(path: Path, place: Path) -> None:
    data = json.loads(path.read_bytes())
    for part in data["references"]:
        part["points"] = part["points"][:POINTS]
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(data, separators=(",", ":")))


def _copy_proposals(run: Run, place: Path) -> None:
    """The proposals and their order, plain where no export looks at them."""
    order = load_ranking(run.proposals_folder)
    # A copy that is worked on makes them all anew.
    ranking = {
        "order": order,
        "folders": [*range(1, len(order) + 1)],
        "starting": count_starting(run.proposals_folder),
    }
    files.write_json(place / RANKING, ranking)
    hole = scene.load(run.scene_folder, variants=run.config.variants).hole
    for number in order:
        full = load_proposal(run.proposals_folder, number)
        assert full is not None
        inside = full.frame.crop_hole(hole).astype(np.uint8)
        near_hole = cv2.dilate(inside, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)) > 0
        photo = np.where(near_hole[:, :, None], full.photo, 128).astype(np.uint8)
        kept = proposal_path(place, number)
        save_draft(kept, replace(full, photo=photo, warped=(), matches=()))
        for path in kept.glob("*.png"):
            _copy_optimized(path, path)


def _copy_events(run: Run, path: Path) -> None:
    """What happened; sentences lose this machine's folders, as the page shows them."""
    lines = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    for line in lines:
        if "sentence" in line:
            line["sentence"] = errors.strip_folders(line["sentence"])
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


def _check(place: Path) -> None:
    if size(place) > MOST_BYTES:
        raise ValueError(f"{place} has {size(place)} bytes; at most {MOST_BYTES}")
    for path in [*place.rglob("*.json"), *place.rglob("*.jsonl")]:
        text = path.read_text()
        named = [word for word in (str(ROOT), str(Path.home()), tempfile.gettempdir(), '"pid"') if word in text]
        if named:
            raise ValueError(f"{path} names {', '.join(named)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="example scenes")
    # Where references show the whole hole, seed 0 is the best proposal again.
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--runs", type=Path, help="where the whole runs are kept, and taken up again")
    args = parser.parse_args()
    config.parse_seeds(args.seeds)
    with tempfile.TemporaryDirectory() as folder:
        runs = args.runs or Path(folder)
        for name in args.names:
            example, run = examples.find(name), runs / name
            complete_run(shrink_scene(example, Path(folder) / "scenes" / name), run, args.seeds)
            print(f"{name}: {pack(Run.open(run), OUT / f'example-{name}', example.title)} bytes")


if __name__ == "__main__":
    main()
