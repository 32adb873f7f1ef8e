"""The list of projects in a real Chromium."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from realfill.config import Config
from realfill.jobs import queue
from realfill.runs.listing import list_runs, new_run_folder
from realfill.runs.run import Run
from tests.ui.conftest import Server
from tests.ui.small_page import SECONDS
from tests.waiting import wait_until


@pytest.fixture
def three(small: Server, toy_scene: Path, quick: Config) -> Iterator[list[Run]]:
    """Three projects on the small server, newest first, and no others."""
    for old in list_runs(small.runs_dir):
        old.delete()
    made = [Run.create(new_run_folder(small.runs_dir), quick, toy_scene) for _ in range(3)][::-1]
    for run, name in zip(made, ("Barn", "Kitchen", "Pier"), strict=True):
        run.labels.update(name=name)
    yield made


@pytest.fixture
def view(page: Page, small: Server, three: list[Run]) -> Page:
    page.goto(small.url)
    expect(rows(page)).to_have_count(3)
    return page


def rows(view: Page) -> Locator:
    return view.locator(".rf-rail-list li")


def names(view: Page) -> list[str]:
    return view.locator(".rf-rail-list b").all_inner_texts()


def project(view: Page) -> str:
    return parse_qs(urlsplit(view.url).query).get("project", [""])[0]


def test_the_list_shows_name_state_date_and_picture(view: Page, three: list[Run]) -> None:
    assert sorted(names(view)) == ["Barn", "Kitchen", "Pier"]
    expect(rows(view).first).to_contain_text(re.compile(r"stopped · \d\d:\d\d"))
    expect(view.locator(".rf-rail-list img[src]")).to_have_count(3)
    assert view.evaluate("[...document.querySelectorAll('.rf-rail-list img')].every(image => image.alt === '')")


def test_a_press_opens_and_the_address_says_which(view: Page, small: Server, three: list[Run]) -> None:
    view.get_by_role("button", name="Kitchen", exact=False).first.click()
    expect(view.locator("#shown")).to_contain_text("project Kitchen")
    expect(view.locator("[aria-current=true]")).to_contain_text("Kitchen")
    assert project(view) == three[1].folder.name
    view.goto(f"{small.url}?project={three[2].folder.name}")
    expect(view.locator("#shown")).to_contain_text("project Pier")
    view.reload()
    expect(view.locator("#shown")).to_contain_text("project Pier")


def test_everything_by_keyboard(view: Page, three: list[Run]) -> None:
    view.locator(".rf-rail-list .rf-rail-open[tabindex='0']").focus()
    view.keyboard.press("Home")
    order = names(view)
    view.keyboard.press("ArrowDown")
    expect(view.locator(":focus")).to_contain_text(order[1])
    view.keyboard.press("Enter")
    expect(view.locator("#shown")).to_contain_text(f"project {order[1]}")
    view.keyboard.press("F2")
    view.keyboard.type("Harbour")
    view.keyboard.press("Enter")
    expect(rows(view).nth(1)).to_contain_text("Harbour")
    expect(view.locator(":focus")).to_contain_text("Harbour")
    wait_until(lambda: "Harbour" in [run.labels.name for run in three], "the name in its run's folder")
    view.keyboard.press("F2")
    view.keyboard.type("Nothing")
    view.keyboard.press("Escape")
    expect(rows(view).nth(1)).to_contain_text("Harbour")
    view.keyboard.press("Tab")
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.dataset.do") == "duplicate"
    view.keyboard.press("Enter")
    expect(rows(view)).to_have_count(4)
    assert "Harbour copy" in names(view)
    view.locator(".rf-rail-open", has_text="Harbour copy").focus()
    view.keyboard.press("Delete")
    expect(rows(view)).to_have_count(3)
    expect(view.locator(".rf-rail-undo")).to_contain_text("Deleted “Harbour copy”")
    assert view.evaluate("document.activeElement.className") == "rf-rail-open"


def test_delete_with_undo(view: Page, three: list[Run]) -> None:
    row = rows(view).filter(has_text="Pier")
    row.hover()
    row.get_by_role("button", name="Delete Pier").click()
    expect(rows(view)).to_have_count(2)
    assert not three[2].folder.exists()
    view.get_by_role("button", name="Undo").click()
    expect(rows(view)).to_have_count(3)
    assert three[2].folder.exists()
    expect(view.locator(".rf-rail-undo")).to_be_hidden()


def test_rows_stay_the_same_elements_while_states_change(view: Page, three: list[Run]) -> None:
    view.evaluate("document.querySelectorAll('.rf-rail-list li').forEach((row, index) => { row.mark = index; })")
    three[1].enter("failed", "for a test")
    view.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # another tab is looked at, and this again
    expect(rows(view).filter(has_text="Kitchen")).to_contain_text("failed")
    assert view.evaluate("[...document.querySelectorAll('.rf-rail-list li')].map(row => row.mark)") == [0, 1, 2]


def test_a_name_is_text_and_never_markup(view: Page, three: list[Run]) -> None:
    three[0].labels.update(name="<img src=x onerror=window.bad=1>")
    view.reload()
    expect(rows(view).filter(has_text="<img src=x")).to_have_count(1)
    assert view.evaluate("window.bad") is None


def test_a_quiet_page_asks_for_nothing(view: Page, three: list[Run]) -> None:
    expect(view.locator(".rf-rail-list img[src]")).to_have_count(3)
    period = SECONDS * 1000
    view.wait_for_timeout(2 * period)  # what does not happen is no event
    asked: list[str] = []
    view.on("request", lambda request: asked.append(request.url))
    view.wait_for_timeout(4 * period)
    assert [url for url in asked if "heartbeat" not in url] == []


def test_the_rail_folds_away_and_stays_so(view: Page, three: list[Run]) -> None:
    view.get_by_role("button", name="Hide the projects").click()
    expect(view.locator(".rf-rail-list")).to_be_hidden()
    view.reload()
    expect(view.get_by_role("button", name="Show the projects")).to_be_visible()
    expect(view.locator(".rf-rail-list")).to_be_hidden()


def test_a_page_that_opens_nothing_lists_projects_and_examples(
    page: Page, small: Server, three: list[Run], toy_scene: Path, quick: Config
) -> None:
    place = small.runs_dir.parent / "examples" / "example-mill"
    if not place.exists():
        Run.create(place, quick, toy_scene).labels.update(name="Mill", example=True)
    page.goto(f"{small.url}?project=gone")
    expect(page.locator(".rf-rail-list li")).to_have_count(3)
    mill = page.locator(".rf-rail-examples li")
    expect(mill).to_have_count(1)
    own = page.get_by_role("button", name="Make Mill your own")
    expect(own).to_be_hidden()
    mill.locator(".rf-rail-open").click()
    expect(page.locator("#shown")).to_contain_text("project Mill")
    expect(page.locator("[data-id=example-mill] [data-do=delete]")).to_have_count(0)
    own.click()
    expect(page.locator(".rf-rail-list li")).to_have_count(4)
    expect(page.locator(".rf-rail-list [aria-current=true]")).to_contain_text("Mill")
    expect(own).to_be_hidden()
    shutil.rmtree(place)


@pytest.fixture
def line(small: Server, three: list[Run]) -> Iterator[list[Run]]:
    """The three projects, waiting in the order of their names while the queue is paused."""
    queue.pause(small.runs_dir)
    for run in three:
        queue.submit(run)
    yield three
    for run in list_runs(small.runs_dir):
        run.request_stop()
    queue.unpause(small.runs_dir)


def waiting(small: Server) -> list[str]:
    return [run.labels.name for run in queue.waiting_runs(small.runs_dir)]


def test_the_queue_is_ordered_by_hand_and_by_keys(page: Page, small: Server, line: list[Run]) -> None:
    page.goto(small.url)
    expect(page.locator(".rf-rail-queue h2")).to_have_text("Paused · 3 waiting")
    assert names(page) == ["Barn", "Kitchen", "Pier"]
    expect(rows(page).first).to_contain_text("waiting · no. 1")
    grip, first = (rows(page).nth(2).locator(".rf-rail-grip").bounding_box(), rows(page).first.bounding_box())
    assert grip is not None and first is not None
    page.mouse.move(grip["x"] + 5, grip["y"] + 10)
    page.mouse.down()
    page.mouse.move(first["x"] + 5, first["y"] + 4, steps=8)
    page.mouse.up()
    wait_until(lambda: waiting(small) == ["Pier", "Barn", "Kitchen"], "the order in the queue")
    expect(rows(page).first).to_contain_text("Pier")
    expect(rows(page).first).to_contain_text("no. 1")
    rows(page).first.locator(".rf-rail-open").focus()
    page.keyboard.press("Alt+ArrowDown")
    wait_until(lambda: waiting(small) == ["Barn", "Pier", "Kitchen"], "the order by keys")
    expect(page.locator(":focus")).to_contain_text("Pier")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".rf-rail-queue [data-do=pause]")).to_have_text("Pause")
    assert not queue.is_paused(small.runs_dir)


def test_a_folder_of_scenes_becomes_a_queue(
    page: Page, small: Server, line: list[Run], toy_scene: Path, tmp_path: Path
) -> None:
    for name in ("shed", "mill"):
        shutil.copytree(toy_scene, tmp_path / "scenes" / name)
    (tmp_path / "scenes" / "empty" / "target").mkdir(parents=True)
    shutil.copy(toy_scene / "target" / "mask.png", tmp_path / "scenes" / "empty" / "target" / "other.png")
    page.goto(small.url)
    expect(rows(page)).to_have_count(3)
    page.locator("#rail input[type=file]").set_input_files(tmp_path / "scenes")
    expect(page.locator(".rf-rail-said")).to_contain_text("2 scenes brought. empty: There is no scene in there")
    expect(rows(page)).to_have_count(5)
    assert waiting(small) == ["Barn", "Kitchen", "Pier", "mill", "shed"]
    made = queue.waiting_runs(small.runs_dir)[-1]
    assert (made.scene_folder / "target" / "mask.png").is_file() and len(
        list((made.scene_folder / "ref").iterdir())
    ) == 2


def test_who_asked_is_told_when_a_project_is_done(page: Page, small: Server, line: list[Run]) -> None:
    page.context.grant_permissions(["notifications"], origin=small.url)
    page.add_init_script(
        "window.notes = []; window.Notification = class { static permission = 'granted';"
        "static async requestPermission() { return 'granted'; } constructor(title) { window.notes.push(title); } };"
        "Object.defineProperty(document, 'hidden', {get: () => true});"
    )
    page.goto(small.url)
    expect(rows(page)).to_have_count(3)
    line[0].enter("failed", "for a test")
    expect(rows(page).filter(has_text="Barn")).to_contain_text("failed")
    assert page.evaluate("window.notes") == []  # nobody asked
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("button", name="Notify me")).to_have_attribute("aria-pressed", "true")
    line[1].enter("done")
    expect(rows(page).filter(has_text="Kitchen")).to_contain_text("done")
    assert page.evaluate("window.notes") == ["Kitchen"]
