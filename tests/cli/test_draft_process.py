"""The page's draft process, run as the page runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.cli import draft_process
from realfill.config import SelectConfig
from realfill.geometry.draft import covered_share
from realfill.geometry.make_draft import make_draft
from realfill.imaging import holes
from realfill.imaging.photo import read_photo
from realfill.matching.registry import load_matcher
from realfill.scene import scene as scenes
from tests.geometry.worlds import box, painted, seen, shift, tilted

ROOT = Path(__file__).resolve().parents[2]
HOLE = box(90, 200, 140, 270)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene folder: a plane, photographed again from the side."""
    place, world = tmp_path_factory.mktemp("drafted") / "scene", painted(1)
    for name, photo in {
        "ref/0.png": seen(world, tilted(95, 50)),
        "target/target.png": seen(world, shift(80, 60)),
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(place / name)
    Image.fromarray(HOLE).save(place / "target" / "mask.png")
    return place


def test_it_leaves_what_the_page_shows_and_what_is_downloaded(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom realfill.cli import draft_process\n"
        "assert draft_process.main(sys.argv[1:]) == 0\n"
        "print(sorted({'diffusers', 'gradio'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, draft_process.WAIT]  # as the page does once there are photos
    told = json.dumps([str(folder), str(tmp_path / "a-draft.png")]) + "\n"
    done = subprocess.run(command, cwd=ROOT, input=told, capture_output=True, text=True, check=True)
    assert (tmp_path / draft_process.LOG).read_text().strip() == "[]" and not done.stdout
    words = json.loads((tmp_path / "words.json").read_text())
    scene = scenes.load(folder)
    made = make_draft(scene, load_matcher(SelectConfig(matcher="sift")))
    proposals = words["proposals"]
    assert words["count"] == len(proposals) == draft_process.PROPOSALS
    best = proposals[0]
    assert best["vouched"] > 0.5 and covered_share(made, scene.hole) in [one["vouched"] for one in proposals]
    assert (words["references"], words["reason"], best["whole"]) == ([0], "", "a-draft.png")
    assert all((tmp_path / one["whole"]).exists() for one in proposals)
    whole = read_photo(tmp_path / "a-draft.png")
    assert np.array_equal(whole[~HOLE], scene.target[~HOLE])
    with Image.open(tmp_path / best["shown"]) as picture, Image.open(tmp_path / best["confidence"]) as overlay:
        shown = np.asarray(picture)
        assert shown.shape == (*HOLE.shape, 4) and overlay.size == HOLE.shape[::-1]
    assert shown[HOLE, 3].min() == 255
    assert shown[holes.distance_from_hole(HOLE) > 4, 3].max() == 0
    assert np.abs(shown[HOLE, :3].astype(int) - whole[HOLE]).mean() < 6  # the same picture, but for its lossy file


@pytest.mark.parametrize("given", ["", "half a li"])
def test_a_process_that_waits_ends_with_the_page(given: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom realfill.cli import draft_process\n"
        "draft_process.warm_up = lambda: None\n"
        "sys.exit(draft_process.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, draft_process.WAIT]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=True)
    assert not done.stderr


def test_a_process_that_is_not_needed_gives_its_memory_back() -> None:
    code = (
        "import sys\nfrom realfill.cli import draft_process\n"
        "draft_process.warm_up, draft_process.LONGEST_WAIT = lambda: None, 0.01\n"
        "sys.exit(draft_process.main(sys.argv[1:]))"
    )
    with subprocess.Popen([sys.executable, "-c", code, draft_process.WAIT], cwd=ROOT, stdin=subprocess.PIPE) as waits:
        assert waits.wait() == 0  # though its input is open


def test_a_scene_that_cannot_be_used_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    assert draft_process.main([str(tmp_path / "nothing"), str(tmp_path / "out.png")]) == 2
    assert json.loads((tmp_path / "words.json").read_text())["error"].endswith(".")
    assert not (tmp_path / "out.png").exists()
