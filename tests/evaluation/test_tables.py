"""Tables against numbers by hand: Table 1, Table 2, rank correlations, references."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from realfill.evaluation import results, tables
from realfill.evaluation.metrics.registry import COLUMNS
from realfill.evaluation.report import markdown, markup
from realfill.evaluation.store import Store
from realfill.imaging.photo import save_photo
from tests.evaluation.conftest import photo


def _fill(store: Store, method: str, scene: str, psnr: Sequence[float], matches: Sequence[int], **more: object) -> None:
    rows = {
        str(seed): {"file": f"{seed}", "psnr": value, "dreamsim": -value / 100, "matches_sift": count}
        for seed, (value, count) in enumerate(zip(psnr, matches, strict=True))
    }
    store.write_record(method, scene, {"title": method.title(), "seconds": 4.0, "cpu_seconds": 3.0, **more})
    for seed in rows:
        save_photo(photo(1, 8, 8), store.picture_path(method, scene, int(seed)))
    store.write_scores(method, scene, {"scene": "s", "measured_by": {"psnr": "p"}, "seeds": rows})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    _fill(store, "realfill", "a", [10, 12, 14, 16], [1, 2, 3, 4])
    _fill(store, "realfill", "b", [20, 24, 22, 30], [40, 20, 30, 10])
    _fill(store, "telea", "a", [9], [0])
    store.write_record("telea", "b", {"title": "Telea", "no_result": "It gave up."})
    return store


def _row(store: Store, method: str) -> tables.Row:
    return next(row for row in tables.table_1(store, tables.score_frame(store)) if row.method == method)


def test_table_1_is_the_mean_over_seeds_and_then_over_scenes(store: Store) -> None:
    _fill(store, "realfill", "c", [5], [1])  # one seed weighs as much as four
    row = _row(store, "realfill")
    assert row.values["psnr"] == pytest.approx((13 + 24 + 5) / 3)
    assert row.values["dreamsim"] == pytest.approx(-(13 + 24 + 5) / 300)
    assert (row.scenes, row.pictures, row.no_result, row.seconds, row.cpu_seconds) == (3, 9, 0, 4.0, 3.0)


def test_what_was_not_measured_is_none_and_never_zero(store: Store) -> None:
    assert _row(store, "realfill").values["lpips"] is None
    data = tables.score_frame(store)
    assert tables.columns(data) == ["psnr", "dreamsim"]
    assert results.format_number(None, "lpips") == "–"


def test_a_scene_without_result_is_counted_and_not_averaged(store: Store) -> None:
    row = _row(store, "telea")
    assert (row.scenes, row.no_result, row.values["psnr"]) == (1, 1, 9)
    found = results.collect_results(store)
    assert found.troubles == [("telea", "b", "It gave up.")]
    assert found.common_scenes == ["a"] and found.table_1_common["realfill"]["psnr"] == 13


def test_table_2_drops_the_seeds_with_fewest_matches(store: Store) -> None:
    table = tables.table_2(tables.score_frame(store), "realfill", "sift", [0.0, 0.25, 0.5, 0.75, 0.9])
    psnr = {rate: row["psnr"] for rate, row in table.items()}
    assert psnr == pytest.approx({0.0: 18.5, 0.25: (14 + 22) / 2, 0.5: (15 + 21) / 2, 0.75: (16 + 20) / 2, 0.9: 18})


def test_rank_correlation_by_hand(store: Store) -> None:
    ranks = tables.rank_correlation(tables.score_frame(store), "realfill", "sift")
    # Scene a: the same order, 1. Scene b: ranks of PSNR 1 3 2 4 against 4 2 3 1: 1 - 6 (9 + 1 + 1 + 9) / 60 = -1.
    assert ranks.scenes["a"]["psnr"] == pytest.approx(1) and ranks.scenes["b"]["psnr"] == pytest.approx(-1)
    assert ranks.mean["psnr"] == pytest.approx(0) and ranks.pooled["psnr"] == pytest.approx(0)
    # DreamSim is better when lower, so the sign is turned: better is positive.
    assert ranks.scenes["a"]["dreamsim"] == pytest.approx(1)
    assert ranks.mean["lpips"] is None


def test_rank_correlation_with_ties(store: Store) -> None:
    """Ranks of 1 2 2 4 are 1, 2.5, 2.5, 4: ρ = cov / (σ σ) = 4.5 / √(4.5 · 5)."""
    _fill(store, "realfill", "a", [10, 12, 14, 16], [1, 2, 2, 4])
    ranks = tables.rank_correlation(tables.score_frame(store), "realfill", "sift")
    assert ranks.scenes["a"]["psnr"] == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    _fill(store, "realfill", "a", [10, 12, 14, 16], [3, 3, 3, 3])
    ranks = tables.rank_correlation(tables.score_frame(store), "realfill", "sift")
    assert ranks.scenes["a"]["psnr"] is None  # all equal: there is no order


def test_sharpness_ranks_by_how_near_the_truth_it_is(store: Store) -> None:
    """Shares 0.2, 0.9, 1.4 and 3 are 0.8, 0.1, 0.4 and 2 away: with 2, 4, 3 and 1 matches the orders agree."""
    _fill(store, "realfill", "a", [10, 12, 14, 16], [2, 4, 3, 1])
    data = tables.score_frame(store)
    data.loc[(data["method"] == "realfill") & (data["scene"] == "a"), "sharpness"] = [0.2, 0.9, 1.4, 3.0]
    assert tables.rank_correlation(data, "realfill", "sift").scenes["a"]["sharpness"] == pytest.approx(1)
    assert markup.best_value("sharpness", [0.2, None, 0.9, 1.4]) == 0.9


def test_references_are_compared_over_the_same_scenes(store: Store) -> None:
    for scene, counts in {"a": (1, 2, 3), "b": (1, 2)}.items():
        for count in counts:
            _fill(store, f"realfill@{count}refs", scene, [10.0 * count], [1])
    (found,) = tables.reference_tables(tables.score_frame(store))
    assert (found.method, found.scenes) == ("realfill", ("a",))
    assert {count: values["psnr"] for count, values in found.counts.items()} == {1: 10, 2: 20, 3: 30}


def test_an_empty_store_has_empty_tables(tmp_path: Path) -> None:
    found = results.collect_results(Store(tmp_path))
    assert found.table_1 == [] and found.measured == [] and found.table_2 == {}
    assert results.to_json(found)["ranked_by"] is None


def test_csv_and_json(store: Store) -> None:
    import csv
    import json

    found = results.collect_results(store)
    results.write_results(store, found)
    with (store.folder / "seeds.csv").open(newline="") as file:
        rows: list[Mapping[str, str]] = list(csv.DictReader(file))
    assert len(rows) == 9 and list(rows[0]) == [
        "method",
        "scene",
        "seed",
        "start",
        "file",
        "psnr",
        "dreamsim",
        "matches_sift",
    ]
    assert (rows[1]["method"], rows[1]["seed"], rows[1]["psnr"], rows[1]["matches_sift"]) == (
        "realfill",
        "1",
        "12.0",
        "2",
    )
    data = json.loads((store.folder / "results.json").read_text())
    assert data["table_1"][0]["values"]["lpips"] is None and data["by_scene"]["a"]["realfill"]["psnr"] == 13
    assert data["ranked_by"] == "sift" and data["without_picture"][0]["why"] == "It gave up."
    assert set(data["columns"]) == set(COLUMNS)


def test_markdown(store: Store) -> None:
    lines = markdown.table_1(results.collect_results(store)).splitlines()
    assert lines[0] == "| method | PSNR ↑ | DreamSim ↓ | scenes | pictures | s a scene | CPU s |"
    assert lines[2] == "| Realfill | 18.50 | -0.185 | 2 | 8 | 4.0 | 3.0 |"
    assert "(1 without result)" in lines[3]


def test_the_papers_numbers_stand_apart() -> None:
    from realfill.evaluation import published

    assert [row.method for row in published.TABLE_1 if row.values["psnr"] > 15] == ["GeoComplete"]
    assert published.TABLE_2[0.0].values == next(r for r in published.TABLE_1 if r.method == "RealFill").values
    gains = [published.TABLE_2[rate].values["dreamsim"] for rate in (0.0, 0.25, 0.5, 0.75)]
    assert gains == sorted(gains, reverse=True)
