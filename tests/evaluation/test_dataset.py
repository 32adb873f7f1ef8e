"""Which scenes a benchmark has, in which order, and what is said about the rest."""

import shutil
from pathlib import Path

import pytest

from realfill.errors import OptionError, SceneError
from realfill.evaluation.dataset import find_cases, keep_references, read_truth


def test_scenes_with_truth_in_natural_order(root: Path) -> None:
    found, without = find_cases(root)
    assert [case.name for case in found] == ["2", "10"]
    assert without == ["1"]


def test_finds_realbench_inside_the_release(root: Path, tmp_path: Path) -> None:
    release = tmp_path / "all" / "realfill_data_release_full"
    shutil.copytree(root, release / "RealBench")
    for place in (release, release.parent):
        assert [case.name for case in find_cases(place)[0]] == ["2", "10"]
    assert [case.name for case in find_cases(root / "10")[0]] == ["10"]


def test_only_some(root: Path) -> None:
    assert [case.name for case in find_cases(root, "10")[0]] == ["10"]
    assert find_cases(root, "1-2") == ([find_cases(root)[0][0]], ["1"])
    with pytest.raises(OptionError, match="'3'"):
        find_cases(root, "2-3")


def test_says_what_is_wrong_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no folder"):
        find_cases(tmp_path / "none")
    with pytest.raises(OptionError, match="holds no scene"):
        find_cases(tmp_path)


def test_fewer_references(root: Path, tmp_path: Path) -> None:
    case = find_cases(root)[0][0]
    one = keep_references(case, 1, tmp_path / "less")
    scene, full = one.scene(), case.scene()
    assert len(scene.references) == 1 and len(full.references) == 2
    assert (scene.references[0] == full.references[0]).all()
    assert (scene.hole == full.hole).all() and (read_truth(one, scene) == read_truth(case, full)).all()
    with pytest.raises(SceneError, match="fewer than 3 references"):
        keep_references(case, 3, tmp_path / "more")


def test_a_truth_of_another_size_is_none(root: Path) -> None:
    case = find_cases(root)[0][0]
    shutil.copyfile(case.folder / "ref" / "0.png", case.folder / "target" / "gt.png")
    with pytest.raises(SceneError, match="ground truth"):
        read_truth(case, case.scene())
