"""A ZeroGPU Space in a real Chromium, on a pretended GPU: before, between and after the turns of a training."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from realfill.events import TrainStep
from tests.ui.browser import canvas
from tests.ui.browser.test_studio import WAIT, current, settings, steps
from tests.ui.conftest import ROOT, Server, end, free_port, wait_for
from tests.waiting import wait_until

STEPS = 14  # about five in a turn


@pytest.fixture
def space(tmp_path: Path, tiny_base: Path) -> Iterator[Server]:
    """The studio with a Space's variables."""
    runs_dir, port = tmp_path / "runs", free_port()
    variables = {"SPACE_ID": "me/realfill", "SPACE_HOST": "localhost", "SPACES_ZERO_GPU": "1", "SYSTEM": "spaces"}
    environment = {**os.environ, **variables, "TMPDIR": str(tmp_path), "REALFILL_LOCKS": str(tmp_path)}
    command = [sys.executable, "-m", "tests.ui.zero_gpu_page", "--port", str(port), "--runs-dir", str(runs_dir)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--base", str(tiny_base)], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        url = f"http://localhost:{port}/"  # where browsers keep cookies that are for https alone
        wait_for(url, process)
        yield Server(process, url, port, runs_dir)
    finally:
        end(process)


@pytest.mark.long
def test_a_training_in_turns_goes_on_after_a_spent_quota_and_a_closed_tab(
    space: Server, page: Page, _toy_scene: Path
) -> None:
    status = page.locator("#status")
    canvas.begin(page, space.url)
    canvas.bring_scene(page, _toy_scene)
    settings(page, train_steps=str(STEPS), train_batch="1", train_rank="2", sample_seeds="0", sample_steps="2")
    expect(page.locator("#cost")).to_contain_text("in shares of 15 s of the GPU")
    (space.runs_dir / "quota").write_text("3")
    page.locator("#start").click()
    expect(status).to_contain_text("You have exceeded your free ZeroGPU quota", timeout=WAIT)
    (space.runs_dir / "quota").unlink()
    page.locator("#resume").click()
    run = current(page, space)
    wait_until(lambda: steps(run) > 0, "the first step")
    address = page.url
    page.goto("about:blank")
    wait_until(lambda: run.status().state == "queued", "the end of the turn that nobody listens to")
    before = steps(run)
    assert before < STEPS
    page.goto(address)
    expect(status).to_contain_text("Done.", timeout=WAIT)
    told = [event.step for event in run.events()[0] if isinstance(event, TrainStep)]
    assert told == list(range(1, STEPS + 1)) and run.result.is_file()
