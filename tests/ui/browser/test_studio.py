"""The page in a real Chromium: the whole way from photos to the exported file, with the mouse and without one."""

import io
import re
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from realfill import config
from realfill.arrays import Hole
from realfill.config import PROPOSALS, MatcherName
from realfill.events import TrainStep
from realfill.imaging import composite, decode
from realfill.runs.listing import new_run_folder
from realfill.runs.run import Run
from realfill.scene import scene
from tests.tiny import world
from tests.ui.browser import canvas
from tests.ui.conftest import ROOT, Server
from tests.waiting import wait_until

WAIT = 120_000  # milliseconds: the first step waits for torch
FEATHER = 8


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ref/0.png … ref/4.png and target.png (160 x 120) of one picture."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "ref").mkdir()
    picture = world(200, 260)
    for index in range(5):
        top, left = 8 * index, 12 * index
        Image.fromarray(picture[top : top + 128, left : left + 160]).save(folder / "ref" / f"{index}.png")
    Image.fromarray(picture[30:150, 40:200]).save(folder / "target.png")
    return folder


def fill(page: Page, setting: str, text: str) -> None:
    field = page.locator(f"#set-{setting} input, #set-{setting} textarea").first
    field.fill(text)
    field.press("Tab")


def open_settings(page: Page) -> None:
    """Shows tab 2 with everything that is under Advanced."""
    page.get_by_role("tab", name="2 Train").click()
    expect(page.locator("#way")).to_be_visible()
    if not page.locator("#set-train-steps").is_visible():
        page.locator("#all-settings > button").click()
    expect(page.locator("#set-train-steps")).to_be_visible()


def settings(page: Page, **texts: str) -> None:
    """Sets fields of tab 2, and SIFT for counting; `train_steps` stands for train.steps."""
    open_settings(page)
    for name, text in texts.items():
        fill(page, name.replace("_", "-"), text)
    page.locator("#set-select-matcher input").click()
    page.get_by_role("option", name="sift").click()


def current(page: Page, server: Server) -> Run:
    """The run that the page's address names."""
    return Run.open(server.runs_dir / parse_qs(urlsplit(page.url).query)["project"][0])


def started(page: Page, server: Server, before: set[Path]) -> Run:
    """The run that is new in the address."""
    page.wait_for_function(
        "old => { const id = new URL(location).searchParams.get('project'); return id && !old.includes(id); }",
        arg=[path.name for path in before],
    )
    return current(page, server)


def start(page: Page, server: Server) -> Run:
    """Presses Start and returns the new run."""
    before = set(server.runs_dir.iterdir())
    page.locator("#start").click()
    return started(page, server, before)


def steps(run: Run) -> int:
    return sum(isinstance(event, TrainStep) for event in run.events()[0])


def more_steps_than(run: Run, count: int) -> None:
    """Returns when training has gone beyond `count` steps."""
    wait_until(lambda: steps(run) > count, f"a step after {count}")


def plotted(page: Page) -> int:
    """The step that the loss plot has come to."""
    label = page.locator("#loss canvas").get_attribute("aria-label") or ""
    return int(re.findall(r"at step (\d+)", label)[0]) if "at step" in label else 0


def check_export(saved: Path, target: Path, hole: Hole) -> None:
    """The file equals the target outside the feather and not in the hole."""
    made, before = decode.read_original(saved).pixels, decode.read_original(target).pixels
    assert made.shape == before.shape
    far = composite.feather_alpha(hole, FEATHER) == 0
    assert far.any() and np.array_equal(made[far], before[far])
    assert not np.array_equal(made[hole], before[hole])


IN_TABS = {"2 Train": "#way", "3 Browse and export": "#export", "1 Scene": canvas.READY}


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    expect(page.locator(IN_TABS[name])).to_be_visible()
    canvas.painted(page)


def test_the_page_opens_in_light_and_dark_without_asking_other_machines(
    context: BrowserContext, server: Server
) -> None:
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.emulate_media(color_scheme="dark")
    page.goto(server.url)
    canvas.ready(page)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    check_that_tabs_fill_the_window(page)
    page.emulate_media(color_scheme="light")
    page.wait_for_function("old => getComputedStyle(document.body).backgroundColor !== old", arg=paper)
    check_that_tabs_fill_the_window(page)
    foreign = [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None, "")]
    assert asked and not foreign
    assert not errors
    page.close()


def check_that_tabs_fill_the_window(page: Page) -> None:
    """No tab scrolls as a whole or leaves a gap, on a large screen and on a small laptop's."""
    for width, height in ((1440, 900), (1280, 720)):
        page.set_viewport_size({"width": width, "height": height})

        def fits(width: int = width, height: int = height) -> bool:
            bar, start_button = page.locator("#bar").bounding_box(), page.locator("#start").bounding_box()
            assert bar and start_button
            return (
                bool(page.evaluate("document.documentElement.scrollHeight <= window.innerHeight"))
                and abs(bar["y"] + bar["height"] - height) < 2
                and start_button["x"] + start_button["width"] <= width
            )

        for name in IN_TABS:
            open_tab(page, name)
            canvas.wait_until(page, fits, f"tab {name} fills {width} x {height} and does not scroll")


def test_every_button_and_field_has_a_name(page: Page, server: Server) -> None:
    page.goto(server.url)
    canvas.ready(page)
    for name in IN_TABS:
        open_tab(page, name)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, textarea, [tabindex="0"]')]
              .filter((one) => one.checkVisibility() && one.type !== 'file' && !one.closest('[aria-hidden=true]'))
              .filter((one) => !(one.getAttribute('aria-label') || one.title || one.innerText?.trim() ||
                                 one.labels?.length || one.getAttribute('aria-labelledby')))
              .map((one) => one.outerHTML.slice(0, 160))"""
        )
        assert not nameless, (name, nameless)


@pytest.mark.long
def test_a_stray_drop_does_not_leave_the_page(page: Page, server: Server) -> None:
    page.goto(server.url)
    canvas.ready(page)
    kept = page.evaluate(
        "() => !document.querySelector('#brand').dispatchEvent("
        "new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()}))"
    )
    assert kept, "nobody prevented the browser from opening what was dropped"


def way(page: Page, name: str) -> None:
    expect(page.locator("#way input:checked")).to_have_value(name)


def test_the_choice_how_to_fill_and_the_settings_agree(page: Page, server: Server) -> None:
    page.goto(server.url)
    canvas.ready(page)
    open_settings(page)
    only, draft = page.locator("#set-guide-only input"), page.locator("#set-guide-draft input")
    warm = page.locator("#set-guide-warm input")
    expect(page.locator("#way label")).to_have_count(3)

    page.locator("#way label").filter(has_text="Draft only").click()
    expect(only).to_be_checked()
    expect(page.locator("#cost")).to_contain_text("nothing is trained")
    expect(page.locator("#set-train-steps input")).to_be_disabled()
    page.locator("#way label").filter(has_text="Guided").click()
    expect(only).not_to_be_checked()
    expect(draft).to_be_checked()
    expect(warm).to_have_value("1")
    expect(page.locator("#set-train-steps input")).to_be_enabled()
    page.locator("#way label").filter(has_text="Paper").click()
    expect(draft).not_to_be_checked()
    expect(warm).to_have_value("0")

    only.check()
    way(page, "draft")
    expect(draft).to_be_checked()
    draft.uncheck()
    way(page, "paper")
    expect(only).not_to_be_checked()
    draft.check()
    way(page, "guided")
    page.locator("#preset input").click()
    page.get_by_role("option", name="paper, in full").click()
    way(page, "paper")


@pytest.mark.long
def test_how_much_the_model_sees_is_drawn_and_goes_into_the_form(page: Page, server: Server, photos: Path) -> None:
    canvas.begin(page, server.url)
    canvas.bring(page, [photos / "ref" / "0.png"], photos / "target.png")
    canvas.paint(page, (60, 40, 90, 70))
    page.keyboard.press("x")
    says = page.locator("[data-part=context-says]")
    expect(says).to_contain_text("The model sees")
    corner = page.get_by_role("slider", name="Context, upper left corner")
    corner.focus()
    page.keyboard.press("Shift+ArrowLeft")
    expect(corner).to_have_attribute("aria-valuenow", "0.75")
    open_settings(page)
    expect(page.locator("#set-fit-context input")).to_have_value("0.75")
    fill(page, "fit-context", "2")
    page.get_by_role("tab", name="1 Scene").click()
    expect(corner).to_have_attribute("aria-valuenow", "2")


def test_models_and_machine_are_told_and_room_is_freed(page: Page, server: Server, toy_scene: Path) -> None:
    run = Run.create(new_run_folder(server.runs_dir), config.make("mini", {}), toy_scene)
    run.labels.update(name="Much room")
    page.on("dialog", lambda dialog: dialog.accept())
    canvas.begin(page, server.url)
    page.get_by_role("button", name="Models and machine").click()
    dialog = page.get_by_role("dialog", name="Models and machine")
    expect(dialog.get_by_role("progressbar", name="Memory")).to_be_visible()
    expect(dialog).to_contain_text(re.compile(r"GB free of"))
    expect(dialog.locator(".rf-machine-models")).to_contain_text("comes with the project")
    dialog.get_by_role("button", name="Fetch sd2").click()
    expect(dialog.locator(".rf-machine-models em")).to_contain_text("could not be downloaded", timeout=WAIT)
    dialog.get_by_role("button", name="Delete Much room").click()
    expect(dialog.get_by_role("button", name="Empty the bin")).to_be_visible()
    assert not run.folder.exists()
    dialog.get_by_role("button", name="Empty the bin").click()
    expect(dialog.get_by_role("button", name="Empty the bin")).to_be_hidden()
    assert not list((server.runs_dir / ".trash").iterdir())
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


@pytest.mark.long
def test_the_draft_alone_is_a_project_too(page: Page, server: Server, photos: Path, tmp_path: Path) -> None:
    canvas.begin(page, server.url)
    canvas.bring(page, sorted((photos / "ref").iterdir())[:2], photos / "target.png")
    canvas.paint(page, (60, 40, 110, 90))
    canvas.settled(page)
    settings(page)
    page.locator("#way label").filter(has_text="Draft only").click()
    expect(page.locator("#cost")).to_contain_text("nothing is trained")
    run = start(page, server)
    assert run.config.guide.only
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)
    page.keyboard.press("3")
    expect(page.locator(".rf-cell")).to_have_count(PROPOSALS)
    best = run.read("scores")["seeds"][0]["seed"]  # which proposal is only known when all are there
    expect(page.locator(".rf-cell[aria-selected=true]")).to_have_attribute("data-seed", str(best))
    expect(page.locator(".rf-title")).to_contain_text("#1 of")
    expect(page.locator("[data-more]").first).to_be_disabled()
    with page.expect_download() as download:
        page.locator("#export").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    check_export(saved, photos / "target.png", scene.load(run.scene_folder).hole)


def test_starting_too_early_says_what_is_missing_and_blocks_nothing(page: Page, server: Server, photos: Path) -> None:
    canvas.begin(page, server.url)
    page.locator("#start").click(force=True)  # it is dimmed, and says why
    expect(page.locator("[data-part=message]")).to_contain_text("Add one to five photos")
    expect(page.locator("#status")).to_contain_text("Add one to five photos")
    canvas.bring(page, [photos / "ref" / "0.png"], photos / "target.png")
    expect(page.locator("[data-part=message]")).to_be_hidden()
    page.locator("#try-draft").click(force=True)
    expect(page.locator("[data-part=message]")).to_contain_text("Mark what is missing")
    expect(page.locator("#status")).to_contain_text("Mark what is missing")
    canvas.paint(page, (60, 40, 110, 90), tool="lasso")  # nothing lies over the tools
    expect(page.locator("#status")).to_contain_text("Ready")
    expect(page.locator("#start")).to_have_attribute("aria-disabled", "false")
    states = page.locator("#workbench [data-step]").evaluate_all("all => all.map(one => one.dataset.state)")
    assert states == ["done", "done", "done"]


def test_keys_go_to_the_tabs_but_not_while_writing(page: Page, server: Server) -> None:
    page.goto(server.url)
    canvas.ready(page)
    page.keyboard.press("2")
    expect(page.get_by_role("tab", name="2 Train")).to_have_attribute("aria-selected", "true")
    open_settings(page)
    field = page.locator("#set-train-steps input")
    field.fill("")
    field.press("3")
    expect(field).to_have_value("3")
    expect(page.get_by_role("tab", name="2 Train")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Tab")
    page.locator("#start").focus()
    page.keyboard.press("3")
    expect(page.get_by_role("tab", name="3 Browse and export")).to_have_attribute("aria-selected", "true")


def test_training_is_seen_survives_a_reload_stops_and_goes_on(page: Page, server: Server, photos: Path) -> None:
    canvas.begin(page, server.url)
    canvas.bring(page, sorted((photos / "ref").iterdir()), photos / "target.png")
    expect(page.locator("[data-part=count]")).to_have_text("5 of 5", timeout=WAIT)
    canvas.paint(page, (60, 40, 110, 90))
    canvas.settled(page)
    settings(page, train_steps="5000", train_batch="1", sample_seeds="0-3", sample_steps="2")
    run = start(page, server)

    page.wait_for_function("() => document.querySelector('#loss canvas')?.ariaLabel?.includes('at step')", timeout=WAIT)
    first = plotted(page)
    more_steps_than(run, first)
    page.wait_for_function(
        "step => Number(document.querySelector('#loss canvas').ariaLabel.match(/at step ([0-9]+)/)[1]) > step",
        arg=first,
        timeout=WAIT,
    )
    expect(page.locator("#status")).to_contain_text("left")

    page.reload()
    expect(page.locator("#status")).to_contain_text("running", timeout=WAIT)
    assert current(page, server).folder == run.folder
    expect(page.locator("[data-part=count]")).to_have_text("5 of 5")  # the scene is still there too
    page.keyboard.press("2")
    expect(page.locator("#loss canvas")).to_be_visible(timeout=WAIT)
    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("stopped", timeout=WAIT)
    assert run.status().state == "stopped"
    before = steps(run)
    page.locator("#resume").click()
    expect(page.locator("#status")).to_contain_text("running", timeout=WAIT)
    more_steps_than(run, before)
    page.locator("#stop").click()
    expect(page.locator("#status")).to_contain_text("stopped", timeout=WAIT)
    hole = scene.load(run.scene_folder).hole
    assert hole[45:85, 65:105].all() and 0 < hole.mean() < 0.25


@pytest.fixture(scope="module")
def done(context: BrowserContext, server: Server, photos: Path) -> Run:
    """A finished run with six seeds and previews, started on the page."""
    page = context.new_page()
    canvas.begin(page, server.url)
    canvas.bring(page, sorted((photos / "ref").iterdir()), photos / "target.png")
    canvas.paint(page, (60, 40, 110, 90))
    canvas.settled(page)
    settings(page, train_steps="30", train_batch="1", sample_seeds="0-5", sample_steps="2")
    page.locator("#previews input").click()
    page.get_by_role("option", name="every 10", exact=True).click()
    run = start(page, server)
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)
    expect(page.locator("#strip li")).to_have_count(3)
    expect(page.locator("#facts")).to_contain_text("30 of 30")
    page.close()
    return Run.open(run.folder)


def browse(page: Page, server: Server, run: Run) -> None:
    page.goto(f"{server.url}?project={run.folder.name}")
    canvas.ready(page)
    page.keyboard.press("3")
    expect(page.locator(".rf-cell").first).to_be_visible()


def shown(page: Page) -> list[int]:
    """The seeds in the grid, in its order."""
    return [int(seed) for seed in page.locator(".rf-cell").evaluate_all("all => all.map(one => one.dataset.seed)")]


def test_seeds_are_in_the_order_of_their_matches_and_the_best_may_be_kept(
    page: Page, server: Server, done: Run
) -> None:
    browse(page, server, done)
    ranked = [entry["seed"] for entry in done.read("scores")["seeds"]]
    assert shown(page) == ranked
    for share, kept in (("25 %", 2), ("50 %", 3), ("75 %", 5), ("All", 6)):
        page.get_by_role("radio", name=share).click()
        assert shown(page) == ranked[:kept]
    expect(page.locator(".rf-cell img").nth(2)).to_have_js_property("complete", True)
    assert page.locator(".rf-cell img").nth(2).evaluate("one => one.naturalWidth") > 0


def test_a_seed_is_starred_hidden_and_found_again_after_a_reload(page: Page, server: Server, done: Run) -> None:
    browse(page, server, done)
    ranked = shown(page)
    page.locator(".rf-cell").nth(1).click()
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("h")
    expect(page.locator(".rf-cell")).to_have_count(5)
    page.wait_for_function("() => document.activeElement.classList.contains('rf-cell')")
    wait_until(lambda: (done.labels.starred, done.labels.hidden) == ([ranked[1]], [ranked[2]]), "both are kept")
    browse(page, server, done)
    assert shown(page) == [seed for seed in ranked if seed != ranked[2]]
    page.get_by_role("button", name="★ 1").click()
    assert shown(page) == [ranked[1]]
    page.get_by_role("button", name="★ 1").click()
    page.get_by_role("button", name="Hidden 1").click()
    assert shown(page) == ranked
    page.locator(f".rf-cell[data-seed='{ranked[2]}']").hover()
    page.locator(f".rf-cell[data-seed='{ranked[2]}'] [data-mark=hidden]").click()
    expect(page.get_by_role("button", name="Hidden")).to_have_count(0)


def test_a_seed_is_compared_explained_and_exported(
    page: Page, server: Server, done: Run, photos: Path, tmp_path: Path
) -> None:
    browse(page, server, done)
    ranked = shown(page)
    page.locator(".rf-cell").nth(2).click()
    expect(page.locator(".rf-title")).to_have_text(f"Seed {ranked[2]} · #3 of 6")
    expect(page.locator(".rf-after")).to_be_visible()
    wipe = page.get_by_label("Before on the left, after on the right")
    wipe.focus()
    page.keyboard.press("End")
    assert page.locator(".rf-frame").evaluate("one => one.style.getPropertyValue('--wipe')") == "100%"
    page.get_by_role("radio", name="Whole photo").click()
    width, height = page.locator(".rf-frame").evaluate("one => [one.clientWidth, one.clientHeight]")
    assert abs(width / height - 160 / 120) < 0.02

    page.get_by_role("tab", name="Why this rank").click()
    counts = done.read("scores")["seeds"][2]["per_reference"]
    most = int(np.argmax(counts))
    page.locator(".rf-refs button").nth(most).click()
    assert page.locator(".rf-match").count() == min(counts[most], 160)
    expect(page.locator(".rf-note")).to_contain_text(re.compile("lands? in the filled part"))
    page.get_by_role("tab", name="Reference").click()
    expect(page.locator(".rf-match")).to_have_count(0)
    expect(page.locator(".rf-paper img")).to_have_count(2)

    before = page.locator("#seam img").get_attribute("src")
    slider = page.locator("#feather input[type=range]")
    for _ in range(8):
        slider.press("ArrowLeft")
    page.wait_for_function("old => document.querySelector('#seam img').src !== old", arg=before)
    for _ in range(FEATHER):
        slider.press("ArrowRight")
    expect(page.locator("#feather input[type=number]")).to_have_value(str(FEATHER))
    with page.expect_download() as download:
        page.locator("#export").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == f"target-seed{ranked[2]}.png"
    check_export(saved, photos / "target.png", scene.load(done.scene_folder).hole)


def test_a_finished_example_is_looked_at_closely_and_taken_along(page: Page, server: Server, tmp_path: Path) -> None:
    canvas.begin(page, server.url)
    page.locator(".rf-rail-examples [data-do=open]").first.click()
    frame = page.locator(".rf-frame")
    expect(page.locator(".rf-after")).to_be_visible()
    canvas.painted(page)
    width = float(frame.evaluate("one => one.getBoundingClientRect().width"))
    frame.hover()
    page.mouse.wheel(0, -600)
    page.wait_for_function(
        "old => document.querySelector('.rf-frame').getBoundingClientRect().width > 2 * old", arg=width
    )
    shown = frame.evaluate("one => one.style.transform + one.style.width")
    page.locator(".rf-cell").nth(2).click()  # the same place of another seed
    expect(page.locator(".rf-title")).to_contain_text("#3")
    assert frame.evaluate("one => one.style.transform + one.style.width") == shown
    page.keyboard.press("0")
    expect(page.locator(".rf-stage")).to_have_attribute("data-zoomed", "no")
    assert abs(float(frame.evaluate("one => one.getBoundingClientRect().width")) - width) < 1
    with page.expect_download() as download:
        page.get_by_role("button", name="Before/after").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    with Image.open(saved) as picture:  # two of 4:3 or so beside each other
        assert picture.format == "JPEG" and picture.width > 1.5 * picture.height
    drag = page.locator("[data-drag]")
    with page.expect_response(lambda answer: "component_server" in answer.url) as asked:
        drag.hover()
    assert asked.value.json()["name"].endswith(".png")
    carried = drag.evaluate(
        "one => { const carries = new DataTransfer(); one.dispatchEvent(new DragEvent('dragstart', "
        "{bubbles: true, dataTransfer: carries})); return carries.getData('DownloadURL'); }"
    )
    kind, name, url = carried.split(":", 2)
    assert (kind, name) == ("image/png", asked.value.json()["name"])
    photo = decode.read_original(ROOT / "assets" / "projects" / "example-desk" / "scene" / "target" / "target.jpg")
    with Image.open(io.BytesIO(page.request.get(url).body())) as picture:  # whole, at the photo's own size
        assert picture.format == "PNG" and (picture.height, picture.width) == photo.pixels.shape[:2]


def positions(page: Page) -> list[list[float]]:
    """Where in its room each picture beside the others begins, and how large it is."""
    return list(
        page.locator(".rf-paper").evaluate_all(
            "all => all.map(one => { const at = one.getBoundingClientRect(), room = one.parentElement"
            ".getBoundingClientRect(); return [at.x - room.x, at.y - room.y, at.width].map(Math.round); })"
        )
    )


def test_seeds_stand_side_by_side_and_move_together(page: Page, server: Server, done: Run) -> None:
    done.labels.update(starred=[], hidden=[])  # the tests before marked some
    browse(page, server, done)
    ranked = shown(page)
    page.locator(".rf-cell").first.click()
    page.get_by_role("tab", name="Side by side").click()
    page.get_by_role("radio", name="4", exact=True).click()
    names = page.locator(".rf-name")
    expect(names).to_have_text([f"Seed {seed} · #{rank}" for rank, seed in enumerate(ranked[:4], 1)])
    expect(page.locator(".rf-pane[data-coming=yes]")).to_have_count(0)
    pictures = page.locator(".rf-paper img").evaluate_all("all => all.map(one => one.src)")
    assert len(set(pictures)) == 4
    still = positions(page)
    page.locator(".rf-pane").nth(1).hover()
    page.mouse.wheel(0, -500)
    page.wait_for_function("old => document.querySelector('.rf-paper').offsetWidth > 1.5 * old", arg=still[0][2])
    moved = positions(page)
    assert moved[0] != still[0] and all(one == moved[0] for one in moved)
    page.keyboard.press("0")
    page.locator(".rf-caption [data-pin-one]").nth(1).click()  # it stays while the others are stepped through
    page.get_by_role("radio", name="2", exact=True).click()
    page.get_by_role("button", name="Next seed").click()
    page.get_by_role("button", name="Next seed").click()
    expect(names).to_have_text([f"Seed {ranked[1]} · #2", f"Seed {ranked[2]} · #3"])
    page.locator(".rf-caption [data-star-one]").first.click()
    wait_until(lambda: done.labels.starred == [ranked[1]], "the star is kept")
    names.first.click()  # that one is exported
    wait_until(lambda: done.labels.seed == ranked[1], "the one that was clicked is taken")
    page.locator(f".rf-cell[data-seed='{ranked[1]}']").press("s")
    wait_until(lambda: done.labels.starred == [], "the star is taken back")


def test_the_truer_of_two_is_picked_without_their_names(page: Page, server: Server, done: Run) -> None:
    done.labels.update(starred=[], hidden=[])  # the tests before marked some
    browse(page, server, done)
    page.get_by_role("button", name="Which is truer?").click()
    letters = page.locator(".rf-letter")
    expect(letters).to_have_text(["A", "B", "Reference 1"])
    expect(page.locator(".rf-title")).to_have_text("")
    page.keyboard.press("b")
    expect(letters.nth(1)).to_contain_text("Seed")
    wait_until(lambda: len(done.labels.picks) == 1, "the pick is kept")
    ((winner, loser),) = done.labels.picks
    expect(letters.nth(1)).to_contain_text(f"Seed {winner} ")
    expect(letters.first).to_contain_text(f"Seed {loser} ")
    expect(page.locator(".rf-note")).to_contain_text(f"Most often truer: Seed {winner}, 1 of 1")
    expect(page.locator(f".rf-cell[data-seed='{winner}']")).to_have_class(re.compile("rf-star"))
    assert done.labels.starred == [winner]
    page.get_by_role("button", name="Next two").click()
    expect(letters).to_have_text(["A", "B", "Reference 1"])
    page.get_by_role("button", name="Both alike").click()
    expect(page.locator(".rf-note")).to_contain_text("Both alike")
    assert len(done.labels.picks) == 1
    page.get_by_role("button", name="End", exact=True).click()
    expect(page.locator(".rf-frame")).to_be_visible()
    page.locator(f".rf-cell[data-seed='{winner}']").press("s")
    wait_until(lambda: done.labels.starred == [], "the star is taken back")


@pytest.mark.long
def test_training_continues_and_an_earlier_checkpoint_fills_in(page: Page, server: Server, done: Run) -> None:
    browse(page, server, done)
    page.keyboard.press("2")
    page.locator("#more-steps input").fill("10")
    page.locator("#more-steps input").press("Tab")
    page.locator("#go-further").click()
    expect(page.locator("#facts")).to_contain_text("40 of 40", timeout=WAIT)
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)
    assert Run.open(done.folder).checkpoint_steps() == [30, 40]
    page.reload()
    canvas.ready(page)
    page.keyboard.press("3")
    page.get_by_text("Redo with other settings").click()
    page.locator("#checkpoint input").click()
    page.get_by_role("option", name="step 30").click()
    page.locator("#make-again").click()
    expect(page.locator("#status")).to_contain_text(re.compile("waiting|running"))
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)
    fresh = Run.open(done.folder)
    assert fresh.config.sample.checkpoint == 30
    assert fresh.read("seeds/made")["adapter_steps"] == 30
    assert len(list((fresh.folder / "earlier").iterdir())) == 2


@pytest.mark.long
def test_a_picked_seed_stays_while_better_ones_arrive(page: Page, server: Server, done: Run) -> None:
    """More seeds are made while one is open; the grid sorts them in and the one that is open stays."""
    browse(page, server, done)
    picked = shown(page)[-1]
    page.locator(".rf-cell").last.click()
    expect(page.locator(".rf-title")).to_contain_text(f"Seed {picked} ")
    page.get_by_role("button", name="8 more seeds").click()
    expect(page.locator(".rf-cell")).to_have_count(14, timeout=WAIT)
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)
    expect(page.locator(".rf-foot b", has_text="not counted")).to_have_count(0)
    assert shown(page) == [entry["seed"] for entry in done.read("scores")["seeds"]]
    expect(page.locator(".rf-cell[aria-selected=true]")).to_have_attribute("data-seed", str(picked))
    expect(page.locator(".rf-title")).to_contain_text(f"Seed {picked} ")


@pytest.mark.long
def test_another_project_is_opened_from_the_rail(page: Page, server: Server, done: Run) -> None:
    page.goto(server.url)
    canvas.ready(page)
    page.get_by_role("button", name="New project", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Add one to five photos")
    page.locator(f"[data-id='{done.folder.name}'] [data-do=open]").click()
    page.wait_for_url(f"**project={done.folder.name}*")
    expect(page.locator("[data-part=count]")).to_have_text("5 of 5", timeout=WAIT)
    page.keyboard.press("3")
    expect(page.locator(".rf-cell").first).to_be_visible()


def test_back_and_forward_walk_tabs_and_projects(page: Page, server: Server) -> None:
    canvas.begin(page, server.url)
    page.wait_for_url("**tab=scene*")
    page.keyboard.press("2")
    page.wait_for_url("**tab=train*")
    page.locator(".rf-rail-examples [data-do=open]").first.click()
    page.wait_for_url(re.compile(r"tab=browse&project=example-"))
    expect(page.locator(".rf-after")).to_be_visible()
    page.go_back()
    expect(page.locator("#way")).to_be_visible()
    expect(page.locator("#status [data-state]")).to_have_count(0)
    page.go_back()
    expect(page.locator(".invite")).to_be_visible()
    page.go_forward()
    page.wait_for_url("**tab=train*")
    page.go_forward()
    expect(page.locator(".rf-after")).to_be_visible()
    expect(page.locator("#status [data-state=done]")).to_be_visible()


def tab_to(page: Page, selector: str, most: int = 90) -> None:
    """Presses Tab until an element that fits has the focus."""
    for _ in range(most):
        if page.evaluate("one => !!document.activeElement?.matches(one)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not come to {selector}")


def choose_file(page: Page, selector: str, *paths: Path) -> None:
    """Presses Enter on a button that asks for files."""
    tab_to(page, selector)
    canvas.painted(page)
    assert page.evaluate("one => !!document.activeElement?.matches(one)", selector), f"{selector} lost the focus"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([str(path) for path in paths])


def test_the_whole_way_by_keyboard(page: Page, server: Server, photos: Path, tmp_path: Path) -> None:
    canvas.begin(page, server.url)
    choose_file(page, ".wb .add button", *sorted((photos / "ref").iterdir())[:2])
    canvas.settled(page)
    choose_file(page, "[data-do=choose-target]", photos / "target.png")
    page.locator("#workbench .wb[data-empty=no]").wait_for()
    canvas.settled(page)
    tab_to(page, "[data-part=stage]")
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=marked]")).to_contain_text("% marked")
    canvas.settled(page)

    page.keyboard.press("2")
    expect(page.locator("#way")).to_be_visible()
    tab_to(page, "#all-settings button")
    page.keyboard.press("Enter")
    expect(page.locator("#set-train-steps input")).to_be_visible()
    for setting, text in (("train-steps", "3"), ("train-batch", "1"), ("sample-seeds", "0-1"), ("sample-steps", "1")):
        tab_to(page, f"#set-{setting} :is(input, textarea)")
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
    tab_to(page, "#set-select-matcher input")
    page.locator("[role=option]").first.wait_for()
    for key in (*["ArrowDown"] * get_args(MatcherName).index("sift"), "Enter"):
        page.keyboard.press(key)
        canvas.painted(page)
    expect(page.locator("#set-select-matcher input")).to_have_value("sift")
    tab_to(page, "#start")
    before = set(server.runs_dir.iterdir())
    page.keyboard.press("Control+Enter")
    run = started(page, server, before)
    assert run.config.sample.seeds == (0, 1)
    assert run.config.select.matcher == "sift"
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)

    expect(page.locator(".rf-cell").first).to_be_visible()  # done leads to the pictures
    assert page.title().startswith("✓ ")
    expect(page.locator(".rf-cell")).to_have_count(2)
    tab_to(page, ".rf-cell")
    page.keyboard.press("End")
    second = run.read("scores")["seeds"][1]["seed"]
    expect(page.locator(".rf-title")).to_contain_text(f"Seed {second} ")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus cannot be seen"
    page.keyboard.press("Enter")
    expect(page.locator("#browse-left")).to_be_hidden()  # shown large
    expect(page.locator("#export")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#browse-left")).to_be_visible()
    tab_to(page, "[data-mode=compare]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Why this rank")).to_have_attribute("aria-selected", "true")
    tab_to(page, "#export")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == f"target-seed{second}.png"
    check_export(saved, photos / "target.png", scene.load(run.scene_folder).hole)


@pytest.mark.long
def test_an_example_is_one_click(page: Page, server: Server) -> None:
    examples = pytest.importorskip("realfill.scene.examples").examples()
    if not examples:
        pytest.skip("the example scenes are not beside this checkout")
    canvas.begin(page, server.url)
    page.locator("#workbench").get_by_role("button", name=re.compile(re.escape(examples[0].title))).first.click()
    count = len(scene.load(examples[0].folder).references)
    expect(page.locator("[data-part=count]")).to_have_text(f"{count} of 5", timeout=WAIT)
    canvas.settled(page)
    settings(page, train_steps="0", train_batch="1", sample_seeds="0", sample_steps="1", fit_size="64")
    run = start(page, server)
    assert np.array_equal(scene.load(run.scene_folder).hole, scene.load(examples[0].folder).hole)
    expect(page.locator("#status")).to_contain_text("done", timeout=WAIT)
