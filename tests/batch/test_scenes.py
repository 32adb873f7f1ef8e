"""Which scenes a batch has, whose they are and in what order."""

from pathlib import Path

import pytest

from realfill.batch.scenes import check_places, find_scenes, parse_shard
from realfill.errors import OptionError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(10):
        target = tmp_path / "scenes" / str(number) / "target"
        target.mkdir(parents=True)
        (target / "target.png").write_bytes(b"x" * (10 + number % 7))
    (tmp_path / "scenes" / "without-target" / "ref").mkdir(parents=True)
    (tmp_path / "scenes" / "notes").mkdir()
    return tmp_path / "scenes"


def test_biggest_first_and_what_is_no_scene_left_out(root: Path) -> None:
    names = [case.name for case in find_scenes(root)]
    assert names == ["6", "5", "4", "3", "2", "9", "1", "8", "0", "7", "without-target"]
    assert [case.name for case in find_scenes(root, "2-4")] == ["4", "3", "2"]


@pytest.mark.parametrize("count", [1, 3, 11, 40])
def test_shards_have_no_scene_in_common_and_all_together(root: Path, count: int) -> None:
    shards = [[case.name for case in find_scenes(root, "", f"{number}/{count}")] for number in range(1, count + 1)]
    names = [name for shard in shards for name in shard]
    assert len(names) == len(set(names)) == 11
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="as 2/20"):
        parse_shard(text)


def test_runs_do_not_lie_among_the_scenes(root: Path, tmp_path: Path) -> None:
    cases = find_scenes(root)
    with pytest.raises(OptionError, match="outside"):
        check_places(root, root, cases)
    with pytest.raises(OptionError, match="is a file"):
        check_places(root, root / "1" / "target" / "target.png", cases)
    check_places(root, tmp_path / "runs", cases)
