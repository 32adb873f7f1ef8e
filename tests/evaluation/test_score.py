"""Filling and scoring a scene: what is missing and nothing else, and nothing measured twice."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from realfill.config import change
from realfill.errors import OptionError
from realfill.evaluation.dataset import Case, read_truth
from realfill.evaluation.external import add_pictures
from realfill.evaluation.generate import generate_missing
from realfill.evaluation.plan import BenchmarkPlan, Scoring
from realfill.evaluation.score import load_tools, score_case
from realfill.evaluation.store import Store
from realfill.events import Event, Notice
from realfill.imaging.photo import read_photo, save_photo
from tests.tiny import make_wide_scene

pytest.importorskip("torchmetrics", reason="torchmetrics is in requirements-bench.txt")
SIFT = Scoring(matchers=("sift",))


def _silent(event: Event) -> None: ...


def _with(plan: BenchmarkPlan, *methods: str) -> BenchmarkPlan:
    return dataclasses.replace(plan, methods=methods)


def test_pictures_keep_the_targets_known_pixels(plan: BenchmarkPlan, case: Case) -> None:
    assert [one.pictures for one in generate_missing(_with(plan, "telea", "ns"), case, _silent)] == [1, 1]
    scene = case.scene()
    photo = read_photo(Store(plan.out).picture_path("telea", case.name, 0))
    from realfill.imaging.holes import distance_from_hole

    far = distance_from_hole(scene.hole) > plan.config.export.feather
    assert (photo[far] == scene.target[far]).all() and not (photo[scene.hole] == scene.target[scene.hole]).all()


def test_filling_again_makes_nothing_and_a_lost_picture_anew(plan: BenchmarkPlan, case: Case) -> None:
    store, plan = Store(plan.out), _with(plan, "untrained")
    assert generate_missing(plan, case, _silent)[0].pictures == 3
    assert len(store.read_record("untrained", case.name)["base"]["weights_hash"]) == 64
    kept = store.picture_path("untrained", case.name, 0).read_bytes()
    lost = store.picture_path("untrained", case.name, 2).read_bytes()
    store.picture_path("untrained", case.name, 2).unlink()
    assert generate_missing(plan, case, _silent)[0].pictures == 1
    assert store.picture_path("untrained", case.name, 2).read_bytes() == lost
    assert store.picture_path("untrained", case.name, 0).read_bytes() == kept
    assert generate_missing(plan, case, _silent)[0].pictures == 0
    more = dataclasses.replace(plan, config=change(plan.config, {"sample.seeds": "0-3"}))
    assert generate_missing(more, case, _silent)[0].pictures == 1


def test_other_settings_never_stand_in_one_table(plan: BenchmarkPlan, case: Case) -> None:
    plan = _with(plan, "untrained")
    generate_missing(plan, case, _silent)
    other = dataclasses.replace(plan, config=change(plan.config, {"sample.steps": 3}))
    with pytest.raises(OptionError, match=r"sample\.steps = 2, not 3"):
        generate_missing(other, case, _silent)
    longer = dataclasses.replace(plan, config=change(plan.config, {"train.steps": 9}))
    assert (
        generate_missing(longer, case, _silent)[0].pictures == 0
    )  # how training goes is nothing to the untrained base


def test_a_setting_that_is_newer_than_the_pictures_had_its_default(plan: BenchmarkPlan, case: Case) -> None:
    plan, store = _with(plan, "untrained"), Store(plan.out)
    generate_missing(plan, case, _silent)
    made = store.read_record("untrained", case.name)
    del made["settings"]["guide.detail"]
    store.write_record("untrained", case.name, made)
    assert generate_missing(plan, case, _silent)[0].pictures == 0
    assert (
        store.read_record("untrained", case.name)["settings"] == made["settings"]
    )  # nothing was made: nothing is noted
    other = dataclasses.replace(plan, config=change(plan.config, {"guide.detail": False}))
    with pytest.raises(OptionError, match=r"guide\.detail"):
        generate_missing(other, case, _silent)


def test_with_all_its_references_a_scene_is_not_trained_again(plan: BenchmarkPlan, case: Case) -> None:
    """The toy scene has two references."""
    store = Store(plan.out)
    plan = _with(plan, "untrained", "untrained@2refs", "untrained@1refs")
    assert [one.pictures for one in generate_missing(plan, case, _silent)] == [3, 3, 3]
    assert sorted(folder.name for folder in (plan.out / "runs").iterdir()) == [
        "scenes@1refs",
        "untrained",
        "untrained@1refs",
    ]
    for seed in range(3):
        names = ("untrained", "untrained@2refs")
        whole, same = (store.picture_path(name, case.name, seed).read_bytes() for name in names)
        assert whole == same


def test_which_seeds_began_from_the_draft_is_known(plan: BenchmarkPlan, tmp_path: Path) -> None:
    """Half of the seeds; the tables tell them apart."""
    from realfill.evaluation import results, tables
    from realfill.evaluation.report import markdown
    from realfill.evaluation.report.page import write_report

    case = Case("wide", make_wide_scene(tmp_path / "wide"))
    guided = change(plan.config, {"guide.draft": True, "guide.proposals": 0, "guide.warm": 0.5, "sample.seeds": "0-3"})
    plan, store = dataclasses.replace(_with(plan, "untrained", "telea"), config=guided), Store(plan.out)
    generate_missing(plan, case, _silent)
    score_case(store, case, SIFT, _silent)
    assert store.read_record("untrained", case.name)["from_draft"] == [1, 3]
    data = tables.score_frame(store)
    starts = {str(method): list(rows["start"]) for method, rows in data.groupby("method")}
    assert starts == {"untrained": ["noise", "draft", "noise", "draft"], "telea": [""]}  # Telea begins from neither
    found = results.collect_results(store)
    values = {seed: row["psnr"] for seed, row in store.scores("untrained", case.name)["seeds"].items()}
    assert found.from_noise["untrained"]["psnr"] == pytest.approx((values["0"] + values["2"]) / 2)
    assert list(found.from_noise) == ["untrained"] and set(found.noise_by_scene[case.name]) == {"untrained"}
    page = write_report(store, found, [case]).read_text()
    captions = [words for words in page.split("<figcaption>") if words.startswith("The base without training, seed")]
    assert len(captions) == 4 and sum("from the draft" in words.partition("<")[0] for words in captions) == 2
    text = markdown.render_tables(found)
    assert "seeds from noise" in text and "## Table 2" in text and "### CPU seconds a scene" in text
    assert "| untrained | untrained, best 25% by matches | untrained, from noise |" in text


def test_a_method_that_fails_is_written_down_and_the_others_go_on(plan: BenchmarkPlan, case: Case) -> None:
    told: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.sentence)

    found = generate_missing(_with(plan, "telea@3refs", "sd-inpaint", "telea"), case, report)
    assert [one.pictures for one in found] == [0, 0, 1]
    assert "has fewer than 3 references" in found[0].trouble and "prompt" in found[1].trouble
    store = Store(plan.out)
    assert "no_result" in store.read_record("telea@3refs", case.name) and "trouble" in store.read_record(
        "sd-inpaint", case.name
    )
    assert any("prompt" in sentence for sentence in told)
    told.clear()
    again = generate_missing(_with(plan, "telea@3refs", "sd-inpaint"), case, report)
    assert len([s for s in told if "pictures to make" in s]) == 1  # what has no result is not tried again
    assert again[0].trouble == found[0].trouble
    (case.folder / "prompt.txt").write_text("a wall\nof colours", encoding="utf-8")
    assert generate_missing(_with(plan, "sd-inpaint"), case, _silent)[0].pictures == 3
    assert "trouble" not in store.read_record("sd-inpaint", case.name)


def test_values_are_those_of_the_metrics_by_themselves(plan: BenchmarkPlan, case: Case) -> None:
    from realfill.evaluation.metrics.base import Picture
    from realfill.evaluation.metrics.pixels import Psnr

    generate_missing(plan, case, _silent)
    store, scene = Store(plan.out), case.scene()
    assert score_case(store, case, SIFT, _silent) == 1
    row = store.scores("telea", case.name)["seeds"]["0"]
    photo = read_photo(store.picture_path("telea", case.name, 0))
    wanted = Psnr().measure(Picture(read_truth(case, scene), "t"), scene.hole, [Picture(photo, "p")])[0]
    assert row["psnr"] == pytest.approx(wanted)
    assert isinstance(row["matches_sift"], int)


def test_the_truth_has_most_matches(plan: BenchmarkPlan, case: Case) -> None:
    """Matches are counted in the hole, against all references."""
    store, scene = Store(plan.out), case.scene()
    store.write_picture("truth", case.name, 0, read_truth(case, scene))
    store.write_picture("grey", case.name, 0, np.full_like(scene.target, 127))
    score_case(store, case, SIFT, _silent)
    counts = {name: store.scores(name, case.name)["seeds"]["0"]["matches_sift"] for name in ("truth", "grey")}
    assert counts["truth"] > 20 > counts["grey"] == 0


def test_scoring_again_looks_at_nothing(plan: BenchmarkPlan, case: Case) -> None:
    store = Store(plan.out)
    generate_missing(_with(plan, "telea", "ns"), case, _silent)
    assert score_case(store, case, SIFT, _silent) == 2
    before = store.scores("telea", case.name)
    assert score_case(store, case, SIFT, _silent) == 0
    save_photo(np.zeros_like(case.scene().target), store.picture_path("telea", case.name, 0))
    assert score_case(store, case, SIFT, _silent) == 1  # a changed picture is measured anew
    assert store.scores("telea", case.name)["seeds"]["0"]["psnr"] < before["seeds"]["0"]["psnr"]
    save_photo(np.zeros_like(case.scene().target), case.folder / "target" / "gt.png")
    assert score_case(store, case, SIFT, _silent) == 2  # and so is everything once the scene changes
    assert store.scores("telea", case.name)["seeds"]["0"]["psnr"] == 100


def test_another_protocol_is_measured_anew_and_values_from_elsewhere_stay(plan: BenchmarkPlan, case: Case) -> None:
    store = Store(plan.out)
    generate_missing(plan, case, _silent)
    score_case(store, case, SIFT, _silent)
    data = store.scores("telea", case.name)
    data["seeds"]["0"] |= {"lpips": 0.25, "matches_sift": 99}
    data["measured_by"]["lpips"] = "lpips 0.1.4 alex on another machine"
    store.write_scores("telea", case.name, data)
    assert score_case(store, case, SIFT, _silent) == 0
    assert score_case(store, case, dataclasses.replace(SIFT, size=256), _silent) == 1
    row = store.scores("telea", case.name)
    assert row["seeds"]["0"]["lpips"] == 0.25 and row["measured_by"]["lpips"].endswith("another machine")
    assert row["seeds"]["0"]["matches_sift"] != 99


def test_embeddings_are_measured_with_weights_from_a_folder(
    plan: BenchmarkPlan, case: Case, metric_weights: Path
) -> None:
    store = Store(plan.out)
    generate_missing(plan, case, _silent)
    score_case(store, case, SIFT, _silent)
    assert score_case(store, case, dataclasses.replace(SIFT, weights=metric_weights), _silent) == 1
    row = store.scores("telea", case.name)["seeds"]["0"]
    assert -1 <= row["dino"] <= 1 and -1 <= row["clip"] <= 1 and "psnr" in row
    assert store.cache_path(case.name).is_file()


def test_where_no_matcher_is_there_sift_ranks_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = load_tools(Scoring(matchers=("loftr",), size=128))
    assert list(found.matchers) == ["sift"] and "loftr" in found.missing


def test_other_peoples_pictures(plan: BenchmarkPlan, case: Case, tmp_path: Path) -> None:
    store, scene = Store(plan.out), case.scene()
    folder = tmp_path / "theirs" / case.name
    truth = read_truth(case, scene)
    folder.mkdir(parents=True)
    save_photo(truth, folder / "sample_17.png")
    save_photo(np.repeat(np.repeat(truth, 2, 0), 2, 1), folder / "sample_3.png")  # twice the size
    assert add_pictures(store, "theirs", folder.parent, [case]) == 2
    assert store.seeds("theirs", case.name) == [3, 17] and store.read_record("theirs", case.name)["resized"] is True
    score_case(store, case, SIFT, _silent)
    rows = store.scores("theirs", case.name)["seeds"]
    assert rows["17"]["psnr"] == 100 and rows["3"]["psnr"] > 40
    stamp = store.picture_path("theirs", case.name, 17).stat().st_mtime_ns
    (folder / "sample_3.png").unlink()
    assert add_pictures(store, "theirs", folder.parent, [case]) == 1
    assert store.seeds("theirs", case.name) == [17]
    assert store.picture_path("theirs", case.name, 17).stat().st_mtime_ns == stamp


def test_what_cannot_be_added(plan: BenchmarkPlan, case: Case, tmp_path: Path) -> None:
    store, folder = Store(plan.out), tmp_path / "theirs"
    (folder / case.name).mkdir(parents=True)
    with pytest.raises(OptionError, match="no picture of these scenes"):
        add_pictures(store, "theirs", folder, [case])
    save_photo(np.zeros((50, 200, 3), np.uint8), folder / case.name / "0.png")
    with pytest.raises(OptionError, match="another shape"):
        add_pictures(store, "theirs", folder, [case])
    for name in ("../up", "telea", "realfill@2refs", ""):
        with pytest.raises(OptionError):
            add_pictures(store, name, folder, [case])


def test_facts_are_json(plan: BenchmarkPlan, root: Path) -> None:
    facts = plan.facts(root, ["2"])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["seeds"] == [0, 1, 2] and "torch" in facts["versions"]
