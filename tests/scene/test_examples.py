"""The example scenes: all there, all whole, small enough, and rich enough to be matched."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from realfill.config import SelectConfig
from realfill.errors import OptionError
from realfill.matching.registry import load_matcher
from realfill.scene import examples, scene
from realfill.scene.examples import Example
from realfill.scene.scene import Scene

ALL = examples.examples()
MOST_BYTES = 12_000_000
LEAST_MATCHES = 100


@cache
def load(folder: Path) -> Scene:
    return scene.load(folder)


def names(found: Sequence[Example]) -> list[str]:
    return [example.name for example in found]


def test_there_are_eight_and_the_desk_is_first() -> None:
    assert len(ALL) >= 8
    assert ALL[0].name == "desk"
    assert examples.find("desk") == ALL[0]


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in examples.FOLDER.rglob("*") if path.is_file()) <= MOST_BYTES


def test_between_them_they_ask_everything() -> None:
    words = " ".join(example.tests for example in ALL)
    asked = (
        "viewpoint",
        "lighting",
        "aperture",
        "style",
        "moved objects",
        "one reference",
        "five references",
        "outpainting",
    )
    assert [word for word in asked if word not in words] == []
    assert {1, 5} <= {example.references for example in ALL}
    assert max(example.width * example.height for example in ALL) == 12_000_000


@pytest.mark.parametrize("example", ALL, ids=names(ALL))
def test_an_example_is_what_its_words_say(example: Example) -> None:
    of = load(example.folder)
    assert of.truth is not None
    assert of.truth.shape == of.target.shape == (example.height, example.width, 3)
    assert len(of.references) == example.references
    assert float(of.hole.mean()) == pytest.approx(example.hole, abs=1e-3)
    assert example.title and example.tests and example.licence == "CC0-1.0"
    made = json.loads((example.folder / "scene.json").read_text(encoding="utf-8"))["made"]
    assert example.name in made["script"] and {"seed", "renderer", "samples"} <= made.keys()


@pytest.mark.parametrize("example", ALL, ids=names(ALL))
def test_target_and_truth_agree_where_the_target_is_known(example: Example) -> None:
    of = load(example.folder)
    assert of.truth is not None
    step = 1 if of.original.bit_exact else 16  # a JPEG block at the hole's edge holds the paint too
    away = np.pad(of.hole, step)
    touched = np.zeros_like(of.hole)
    for y in (0, step, 2 * step):
        for x in (0, step, 2 * step):
            touched |= away[y : y + of.hole.shape[0], x : x + of.hole.shape[1]]
    apart = np.abs(of.target[~touched].astype(np.int16) - of.truth[~touched])
    assert apart.max() == 0 if of.original.bit_exact else apart.mean() < 1.0


@pytest.mark.parametrize("example", ALL, ids=names(ALL))
def test_the_known_part_matches_a_reference(example: Example) -> None:
    of = load(example.folder)
    counts = []
    for found in load_matcher(SelectConfig(matcher="sift")).match(of.references, [of.target])[0]:
        x, y = np.round(found.target_xy).astype(int).T
        counts.append(int((~of.hole[y, x]).sum()))
    assert max(counts) >= LEAST_MATCHES


def test_no_folder_no_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "FOLDER", tmp_path / "scenes")
    assert examples.examples() == []
    with pytest.raises(OptionError, match=r"none, since .* is missing; install the project again"):
        examples.find("bowl")


def test_own_folders_come_last_and_unfinished_ones_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "FOLDER", tmp_path)
    for name in ("bowl", "attic", ".half.part", "desk"):
        (tmp_path / name / "target").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "desk" / "scene.json").write_bytes((ALL[0].folder / "scene.json").read_bytes())
    assert names(examples.examples()) == ["desk", "attic", "bowl"]
    assert examples.find("attic").title == "attic"
    with pytest.raises(OptionError, match=r"'\.\./bowl'; the examples are: desk, attic, bowl"):
        examples.find("../bowl")


def test_torn_words_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "FOLDER", tmp_path)
    (tmp_path / "bowl" / "target").mkdir(parents=True)
    (tmp_path / "bowl" / "scene.json").write_text('{"title": "A bo')
    with pytest.raises(OptionError, match=r"scene\.json cannot be read"):
        examples.examples()
