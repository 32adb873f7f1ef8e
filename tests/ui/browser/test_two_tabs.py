"""A run that two tabs look at."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.ui.conftest import Server
from tests.ui.live_runs import STEPS, start, steps, workers

WAIT = 300_000  # milliseconds: a worker begins by importing torch


@pytest.mark.long
def test_two_tabs_and_a_reload_see_the_same_run(context: BrowserContext, small: Server, toy_scene: Path) -> None:
    run = start(small, toy_scene)
    tabs = [context.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(f"{small.url}?project={run.folder.name}")
    rows = [tab.locator(f"[data-id='{run.folder.name}'] .rf-rail-note") for tab in tabs]
    for row in rows:
        expect(row).to_contain_text("running", timeout=WAIT)
    tabs[0].reload()
    expect(tabs[0].locator("#shown")).to_contain_text("project Barn")
    assert len(workers(small.runs_dir)) == 1
    for row in rows:
        expect(row).to_contain_text("done", timeout=WAIT)
    assert steps(run) == list(range(1, STEPS + 1))
    for tab in tabs:
        tab.close()
