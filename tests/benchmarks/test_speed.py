"""The speed benchmarks: the whole script runs at a tiny scale, and its checks can fail."""

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.speed import cpu, gpu, random_sd2, stock_loop
from benchmarks.speed.step_variants import VARIANTS, VariantStep
from benchmarks.speed.timing import DeviceTimer, SpeedReport, relative
from benchmarks.speed.training import Workload, check_training, drawn_numbers, initial_adapter
from tests.tiny import whole_pictures

LAST = -1


def test_the_gpu_script_runs_at_a_tiny_scale_and_tells_everything_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = [name for name in gpu.SHARES if name != "ways"]
    code = gpu.main(["--scale", "tiny", "--device", "cpu", "--json", "--only", ",".join(sections)])
    whole = json.loads(capsys.readouterr().out.splitlines()[LAST])
    assert code == 0, [row for row in whole["rows"] if row.get("ok") is False or "failed" in row]
    assert whole["ok"]
    assert whole["ratio_to_stock_loop"] > 0
    assert {row["section"] for row in whole["rows"]} == {*sections, "sums"}
    checked = [row["name"] for row in whole["rows"] if "limit" in row]
    assert any(name.startswith("losses") for name in checked)
    assert any(name.startswith("gradient") for name in checked)
    assert any(name.startswith("pictures") for name in checked)
    assert any(name.startswith("matches") for name in checked)
    timed = {row["name"] for row in whole["rows"] if row.get("ms", 0) > 0}
    assert {"stock loop, fp32", "ours, preset", "ours, pool", "stock fill, fp32", "one pair at a time"} <= timed


@pytest.mark.long
def test_the_cpu_script_runs_on_any_base(tiny_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cpu.main(["--base", str(tiny_base), "--json", "--steps", "1", "--only", "train,vae"])
    whole = json.loads(capsys.readouterr().out.splitlines()[LAST])
    assert code == 0, [row for row in whole["rows"] if row.get("ok") is False or "failed" in row]
    assert whole["ratio_to_stock_loop"] > 0
    assert {row["section"] for row in whole["rows"]} == {"train", "vae"}


@pytest.mark.gpu
def test_the_gpu_script_runs_on_a_gpu_in_bf16(capsys: pytest.CaptureFixture[str]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    code = gpu.main(["--scale", "tiny", "--device", "cuda", "--minutes", "2", "--json"])
    whole = json.loads(capsys.readouterr().out.splitlines()[LAST])
    assert code == 0, [row for row in whole["rows"] if row.get("ok") is False or "failed" in row]
    assert not [row for row in whole["rows"] if "broken" in row]
    assert all("peak_gb" in row for row in whole["rows"] if "calls" in row)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return gpu.make_workload("tiny", "cpu", tmp_path_factory.mktemp("speed") / "scene", 790.0)


@pytest.mark.parametrize("kind", ["uncast", "low", "formed", "own", "joined"])
def test_every_way_to_run_a_step_computes_the_same_gradient(case: Workload, kind: str) -> None:
    first = initial_adapter(case, case.preset.train)
    first = {name: torch.full_like(value, 0.01) if "lora_B" in name else value for name, value in first.items()}
    found = []
    for variant in (VARIANTS[0], next(variant for variant in VARIANTS if variant.adapters == kind)):
        unet = case.pipeline(torch.bfloat16).unet
        found.append(VariantStep(case, variant, 2, unet=unet, first=first).gradient())
    assert float(found[0].norm()) > 0
    assert relative(found[1], found[0]) < 0.03


def test_a_baseline_that_begins_elsewhere_is_noticed(case: Workload) -> None:
    first = initial_adapter(case, case.preset.train)
    moved = {name: value + 0.05 if "lora_B" in name else value for name, value in first.items()}
    report = SpeedReport()
    check_training(case, report, moved)
    assert report.rows and not any(row["ok"] for row in report.rows)


def test_random_weights_are_the_same_every_time_and_their_outputs_vary() -> None:
    first, second = (random_sd2.pipeline(random_sd2.TINY, device="cpu", dtype=torch.float32) for _ in range(2))
    for name in ("unet", "vae", "text_encoder"):
        states = [getattr(one, name).state_dict() for one in (first, second)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    seen = whole_pictures(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    pictures = stock_loop.fill(first, seen, random_sd2.PROMPT, seeds=[1, 2], steps=2)
    assert float(pictures.std()) > 0.1
    assert relative(pictures[0], pictures[1]) > 0.1


def test_full_size_is_the_published_models() -> None:
    parts = random_sd2.networks(random_sd2.FULL, device="meta")
    millions = [round(sum(p.numel() for p in part.parameters()) / 1e6) for part in parts]
    assert millions == [866, 84, 340]


def test_a_check_that_is_missed_or_not_a_number_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    for value, code in ((0.1, 0), (0.3, 1), (math.nan, 1)):
        report = SpeedReport()
        report.check("distance", value, 0.2)
        assert report.finish(as_json=False) == code
    assert "failed: distance" in capsys.readouterr().out


def test_a_section_that_breaks_off_leaves_the_others_and_fails_the_run() -> None:
    def breaks() -> None:
        raise torch.OutOfMemoryError("no room\nat all")

    report = SpeedReport()
    report.run("first", breaks, budget=1)
    report.run("second", lambda: report.check("fine", 0.0, 1.0), budget=1)
    assert report.find("broke off") == {"section": "first", "name": "broke off", "failed": "OutOfMemoryError: no room"}
    assert report.find("fine") is not None
    assert report.finish(as_json=False) == 1


def test_a_spent_budget_leaves_rows_out_and_says_so() -> None:
    report = SpeedReport()
    report.run("slow", lambda: None, budget=0)
    assert report.skip_if_late("more")
    row = report.find("more")
    assert row is not None
    assert "0 s were spent" in row["skipped"]
    calls: list[int] = []
    assert (
        DeviceTimer("cpu").time(lambda: calls.append(1), warm_up=1, calls=100, until=0.0).calls == len(calls) - 1 < 100
    )


def test_unknown_sections_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--only", "train,nothing", "--scale", "tiny"])
    assert "there is no section nothing" in capsys.readouterr().err


def test_only_items_of_the_pool_that_are_drawn_count_as_encoded(case: Workload) -> None:
    steps = case.preset.train.steps
    config = case.preset.train.model_copy(update={"batch": 4, "pool": 10 * 4 * steps})
    numbers = drawn_numbers(case, config)
    assert 0.9 * 4 * steps < len(numbers) <= 4 * steps  # so large a pool repeats little
    assert drawn_numbers(case, config.model_copy(update={"pool": 3})) == [0, 1, 2]
