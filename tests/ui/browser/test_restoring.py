"""A project brings its scene with it: by address, in a fresh tab, after a reload. The real page in a real Chromium."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from realfill import config
from realfill.events import StageStarted, TrainStep
from realfill.runs.listing import new_run_folder
from realfill.runs.run import Run
from realfill.scene import scene
from realfill.scene.scene import crop_to_fill
from tests.tiny import world
from tests.ui.browser import canvas
from tests.ui.conftest import Server

WAIT = 120_000  # milliseconds, for a busy machine


def project(server: Server, folder: Path, name: str, count: int) -> Run:
    """A stopped project with `count` references; its target is 160 x 120 with a hole of its own."""
    picture, hole = world(200, 260), np.zeros((120, 160), np.uint8)
    hole[40:80, 20 + 10 * count : 90] = 255
    for part in ("ref", "target"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(picture[8 * index :][:120, 12 * index :][:, :160]).save(folder / "ref" / f"{index}.png")
    Image.fromarray(picture[30:150, 40:200]).save(folder / "target" / "target.png")
    Image.fromarray(hole).save(folder / "target" / "mask.png")
    run = Run.create(new_run_folder(server.runs_dir), config.make("mini", {}), folder)
    run.labels.update(name=name)
    return run


@pytest.mark.long
def test_a_project_brings_its_scene_and_what_was_begun_stays(page: Page, server: Server, tmp_path: Path) -> None:
    first = project(server, tmp_path / "one", "Kitchen", 2)
    second = project(server, tmp_path / "two", "Garden", 3)
    thumbs, address = page.locator(".thumb"), f"{server.url}?tab=scene&project="
    page.goto(address + first.folder.name)
    expect(thumbs).to_have_count(2, timeout=WAIT)
    expect(page.locator("[data-part=marked]")).to_contain_text("% marked")
    expect(page.locator("#status")).to_contain_text("stopped", timeout=WAIT)
    canvas.settled(page)
    page.reload()
    expect(thumbs).to_have_count(2, timeout=WAIT)
    canvas.settled(page)
    canvas.paint(page, (100, 90, 150, 115))  # another mask than the project's
    changed = page.locator("[data-part=marked]").inner_text()
    canvas.settled(page)
    page.reload()
    expect(page.locator("[data-part=marked]")).to_have_text(changed, timeout=WAIT)
    canvas.settled(page)
    expect(page.locator(".wb")).to_have_attribute("data-offer", "left", timeout=WAIT)
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()
    expect(page.locator("[data-part=marked]")).to_have_text(changed, timeout=WAIT)
    page.goto(address + second.folder.name)
    expect(thumbs).to_have_count(3, timeout=WAIT)
    page.keyboard.press("Control+z")  # what was begun is one step away
    expect(thumbs).to_have_count(2, timeout=WAIT)
    expect(page.locator("[data-part=marked]")).to_have_text(changed, timeout=WAIT)
    canvas.settled(page)
    page.locator(f"#rail [data-id='{second.folder.name}'] [data-do=open]").click(position={"x": 12, "y": 12})
    expect(thumbs).to_have_count(3, timeout=WAIT)
    page.get_by_role("tab", name="1 Scene").click()  # it opens on the tab that fits it
    canvas.settled(page)


def test_a_fresh_tab_reopens_the_last_project_and_a_new_one_can_begin_from_it(
    page: Page, server: Server, tmp_path: Path
) -> None:
    last = project(server, tmp_path / "last", "Courtyard", 1)
    page.goto(server.url)
    expect(page.locator(".thumb")).to_have_count(1, timeout=WAIT)
    assert last.folder.name in page.url
    page.get_by_role("tab", name="1 Scene").click()  # a finished project opens where its pictures are
    canvas.settled(page)
    canvas.paint(page, (100, 90, 150, 115))
    canvas.settled(page)
    page.locator("#start").click()
    page.wait_for_function("name => !location.href.includes(name)", arg=last.folder.name)
    made = Run.open(server.runs_dir / page.url.partition("project=")[2].partition("&")[0])
    made.request_stop()
    assert made.labels.name == "Courtyard"
    before, after = scene.load(last.scene_folder).hole, scene.load(made.scene_folder).hole
    assert after.sum() > before.sum() and after[before].all()
    page.get_by_role("tab", name="1 Scene").click()
    page.get_by_role("button", name="New project", exact=True).click()
    expect(page.locator(".invite")).to_be_visible(timeout=WAIT)
    canvas.settled(page)


def test_a_new_project_that_is_asked_for_at_once_is_not_overtaken(page: Page, server: Server, tmp_path: Path) -> None:
    project(server, tmp_path / "before", "Shelf", 1)
    page.goto(server.url)
    canvas.ready(page)
    page.locator(".rf-rail-new").click()  # while the page still opens the last project
    page.evaluate("window.realfill.whenBegun")
    page.wait_for_function(
        "() => /tab=scene/.test(location.search) && !/project=/.test(location.search)"
        " && document.querySelector('#workbench .wb').dataset.empty === 'yes'"
    )


# Lets the page hear that its next stream has ended only when `letGo` is called.
HOLD_THE_END = """() => {
  const own = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await own(...asked);
    if (!(asked[0].url ?? String(asked[0])).includes('/queue/data')) return answer;
    const hold = async (chunk, out) => {
      const ends = !window.letGo && new TextDecoder().decode(chunk).includes('close_stream');
      if (ends) await new Promise((go) => { window.letGo = go; });
      out.enqueue(chunk);
    };
    return new Response(answer.body.pipeThrough(new TransformStream({transform: hold})), answer);
  };
}"""


def test_a_click_while_gradios_stream_ends_is_heard(page: Page, server: Server, tmp_path: Path) -> None:
    last = project(server, tmp_path / "before", "Shelf", 1)
    page.goto(f"{server.url}?tab=scene")
    expect(page.locator(".thumb")).to_have_count(1, timeout=WAIT)
    page.evaluate(HOLD_THE_END)
    page.locator(f"#rail [data-id='{last.folder.name}'] [data-do=open]").click(position={"x": 12, "y": 12})
    page.wait_for_function("() => window.letGo")
    with page.expect_request("**/queue/join*"):
        page.locator(".rf-rail-new").click()
    page.evaluate("fetch('/config').then((answer) => answer.text())")  # what was asked before has reached the server
    page.evaluate("window.letGo()")
    page.locator("#workbench .wb[data-empty=yes]").wait_for(state="attached")


def test_a_tab_that_is_chosen_at_once_stays(page: Page, server: Server, tmp_path: Path) -> None:
    project(server, tmp_path / "before", "Shelf", 1)
    page.goto(server.url)
    canvas.ready(page)
    # while the page still opens the last project, on the tab that fits it
    page.get_by_role("tab", name="3 Browse").click()
    page.evaluate("window.realfill.whenBegun")
    page.wait_for_function("() => /tab=browse/.test(location.search) && /project=/.test(location.search)")
    expect(page.get_by_role("tab", name="3 Browse")).to_have_attribute("aria-selected", "true")


def test_what_happens_to_a_project_reaches_the_open_page(page: Page, server: Server, tmp_path: Path) -> None:
    run = project(server, tmp_path / "live", "Workshop", 1)
    fit = crop_to_fill(scene.load(run.scene_folder), size=64, multiple=8, context=0.5)
    run.record(fit=fit.to_json())
    with run.lock():  # as the process that works on it
        run.enter("running")
        page.goto(f"{server.url}?project={run.folder.name}")
        status = page.locator("#status")
        expect(status).to_contain_text("running", timeout=WAIT)
        run.append(StageStarted("train", 10))
        for step in (1, 2):
            run.append(TrainStep(step, 10, 0.5, 1e-3, 1e-4, 2.0))
            expect(status).to_contain_text(f"step {step} of 10", timeout=WAIT)
        page.get_by_role("tab", name="3 Browse").click()
        for seed in (0, 1):
            run.write_seed(seed, np.full((fit.height, fit.width, 3), 90, np.uint8))
            expect(page.locator(".rf-cell")).to_have_count(seed + 1, timeout=WAIT)
            expect(page.locator(".rf-title")).to_contain_text("Seed 0")  # the first one stays until they are ranked
            expect(page.locator(".rf-cell[aria-selected=true]")).to_have_attribute("data-seed", "0")
        run.write("scores", {"seeds": [{"seed": 1, "matches": 9}, {"seed": 0, "matches": 4}]})
        run.enter("stopped")
        expect(status).to_contain_text("stopped", timeout=WAIT)
        expect(page.locator("#resume")).to_be_enabled(timeout=WAIT)
        expect(page.locator(".rf-title")).to_contain_text("Seed 1 · #1")
        expect(page.locator(".rf-cell[aria-selected=true]")).to_have_attribute("data-seed", "1")
