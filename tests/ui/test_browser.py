"""The page in a real Chromium: one journey from photos to the exported file, and what the page asks of the network."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from realfill import compositing, images, scene
from realfill.events import TrainStep
from realfill.runs import Run
from tests.ui.conftest import Server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 120_000  # milliseconds: the first step waits for torch
FEATHER = 8

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (on Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(30_000)
    yield opened
    opened.close()


def upload(page: Page, where: str, *paths: Path) -> None:
    page.locator(f"{where} input[type=file]").first.set_input_files([str(path) for path in paths])


def fill(page: Page, setting: str, text: str) -> None:
    field = page.locator(f"#set-{setting} input, #set-{setting} textarea").first
    field.fill(text)
    field.press("Tab")


def current(page: Page, server: Server) -> Run:
    """The run that the page's address names."""
    return Run.open(server.runs_dir / parse_qs(urlsplit(page.url).query)["run"][0])


def start(page: Page, server: Server) -> Run:
    """Presses Start and returns the new run."""
    before = set(server.runs_dir.iterdir())
    page.locator("#start").click()
    page.wait_for_function(
        "old => { const id = new URL(location).searchParams.get('run'); return id && !old.includes(id); }",
        arg=[path.name for path in before],
    )
    return current(page, server)


def test_the_page_opens_in_light_and_dark_without_asking_other_machines(browser: Browser, server: Server) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
        asked: list[str] = []
        errors: list[str] = []

        def note(message: ConsoleMessage, into: list[str] = errors) -> None:
            if message.type == "error":
                into.append(message.text)

        def list_request(request: Request, into: list[str] = asked) -> None:
            into.append(request.url)

        page.on("request", list_request)
        page.on("console", note)
        page.goto(server.url)
        for tab in ("2 Train", "3 Browse and export", "1 Scene"):
            page.get_by_role("tab", name=tab).click()
        expect(page.locator("#references")).to_be_visible()
        page.wait_for_timeout(1000)
        foreign = [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None, "")]
        assert not foreign
        assert not errors
        assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight"), "the page scrolls"
        page.close()


def test_a_stray_drop_does_not_leave_the_page(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.locator("#references")).to_be_visible()
    kept = page.evaluate(
        "() => !document.querySelector('#brand').dispatchEvent("
        "new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()}))"
    )
    assert kept, "nobody prevented the browser from opening what was dropped"


def test_starting_without_photos_says_what_is_missing(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.locator("#start").click()
    expect(page.get_by_text("There is no reference yet")).to_be_visible()


def test_painting_marks_the_hole(page: Page, server: Server, toy_scene: Path) -> None:
    page.goto(server.url)
    upload(page, "#references", *sorted((toy_scene / "ref").iterdir()))
    upload(page, "#target", toy_scene / "target" / "target.png")
    canvas = page.locator("#canvas canvas").first
    expect(canvas).to_be_visible()
    page.wait_for_timeout(1500)
    page.locator("#canvas button[aria-label=Brush]").click()
    box = canvas.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10, steps=5)
    page.mouse.up()
    page.get_by_role("tab", name="2 Train").click()
    for setting, text in (("train-steps", "0"), ("train-batch", "1"), ("sample-seeds", "0"), ("sample-steps", "1")):
        fill(page, setting, text)
    run = start(page, server)
    run.request_stop()
    hole = scene.load(run.scene_folder).hole
    assert 0 < hole.mean() < 0.5
    assert hole[40:50, 55:65].any()


def bring_scene(page: Page, server: Server, folder: Path) -> None:
    """Open the page and give it a scene folder's references, target and mask file."""
    page.goto(server.url)
    upload(page, "#references", *sorted((folder / "ref").iterdir()))
    upload(page, "#target", folder / "target" / "target.png")
    page.locator("#mask-from").get_by_label("From a file").check()
    upload(page, "#mask-file", folder / "target" / "mask.png")
    expect(page.locator("#mask-file")).to_contain_text("mask")


def test_from_photos_to_the_exported_picture(page: Page, server: Server, toy_scene: Path, tmp_path: Path) -> None:
    bring_scene(page, server, toy_scene)
    expect(page.locator("#references img")).to_have_count(2)

    page.get_by_role("tab", name="2 Train").click()
    for setting, text in (("train-steps", "30"), ("train-batch", "2"), ("sample-seeds", "0-2"), ("sample-steps", "2")):
        fill(page, setting, text)
    page.locator("#set-select-matcher input").click()
    page.get_by_role("option", name="sift").click()
    run = start(page, server)

    expect(page.locator("#loss canvas, #loss svg").first).to_be_visible(timeout=WAIT)  # the plot has points
    page.reload()
    expect(page.locator("#status")).to_contain_text(re.compile("running|done"), timeout=WAIT)
    assert current(page, server).folder == run.folder
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)

    page.get_by_role("tab", name="3 Browse and export").click()
    shown = page.locator("#seeds .caption-label")
    expect(shown).to_have_count(3)
    ranked = [entry["seed"] for entry in run.read("scores")["seeds"]]
    assert [int(re.findall(r"seed (\d+)", text)[0]) for text in shown.all_inner_texts()] == ranked

    page.locator("#seeds .thumbnail-lg").nth(2).click()
    expect(page.locator("#chosen")).to_contain_text(f"Seed {ranked[2]}")
    expect(page.locator("#compare img").first).to_be_visible()
    with page.expect_download() as download:
        page.locator("#export").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == f"target-seed{ranked[2]}.png"

    loaded = scene.load(toy_scene)
    made, target = images.read_original(saved).pixels, images.read_original(toy_scene / "target" / "target.png").pixels
    assert made.shape == target.shape
    far = compositing.feather_alpha(loaded.hole, FEATHER) == 0
    assert np.array_equal(made[far], target[far])
    assert not np.array_equal(made[loaded.hole], target[loaded.hole])


def _steps(run: Run) -> int:
    return sum(isinstance(event, TrainStep) for event in run.events()[0])


def test_stop_and_resume(page: Page, server: Server, toy_scene: Path) -> None:
    bring_scene(page, server, toy_scene)
    page.get_by_role("tab", name="2 Train").click()
    for setting, text in (("train-steps", "5000"), ("train-batch", "1"), ("sample-seeds", "0")):
        fill(page, setting, text)
    run = start(page, server)
    expect(page.locator("#status")).to_contain_text("step", timeout=WAIT)
    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("stopped", timeout=WAIT)
    assert run.status().state == "stopped"
    steps = _steps(run)
    expect(page.locator("#resume")).to_be_enabled()
    page.locator("#resume").click()
    expect(page.locator("#status")).to_contain_text("running", timeout=WAIT)
    expect(page.locator("#status")).to_contain_text("step", timeout=WAIT)
    deadline = time.monotonic() + WAIT / 1000
    while _steps(run) <= steps and time.monotonic() < deadline:  # the status may still tell the last step from before
        time.sleep(0.2)
    assert _steps(run) > steps
    run.request_stop()
