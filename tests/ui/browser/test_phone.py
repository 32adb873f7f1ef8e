"""The page in a phone's window, by touch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.browser import canvas
from tests.ui.browser.conftest import PATIENCE
from tests.ui.conftest import Server

WIDTH, HEIGHT = 390, 844


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A tab of a phone."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, has_touch=True, is_mobile=True, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def fits(page: Page) -> None:
    """Nothing sticks out beside the window."""
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTH


def low_buttons(page: Page) -> list[str]:
    """The buttons that are seen and that a finger would miss: lower than 40 pixels."""
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('button:not(.visually-hidden button)')]"
        ".filter((one) => one.checkVisibility({opacityProperty: true, visibilityProperty: true}))"
        ".filter((one) => one.getBoundingClientRect().height < 39.5).map((one) => one.outerHTML.slice(0, 120))"
    )
    return found


def spread_fingers(page: Page, where: str) -> None:
    """Two fingers on an element, drawn apart."""
    box = page.locator(where).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 90), ("touchEnd", 0)):
        points = [{"x": x + side * apart, "y": y, "id": number} for number, side in enumerate((-1, 1)) if apart]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        canvas.painted(page)


def test_photos_are_brought_marked_looked_at_and_exported_by_touch(
    phone: Page, server: Server, toy_scene: Path
) -> None:
    phone.goto(server.url)
    canvas.ready(phone)
    phone.locator(".rf-rail-fold").tap()
    drawer = phone.locator("#rail").bounding_box()
    assert drawer is not None and drawer["x"] == 0 and drawer["height"] == HEIGHT  # over the page, not in it
    phone.locator(".rf-rail-new").tap()
    phone.locator("#workbench .wb[data-opened][data-empty=yes]").wait_for()
    fits(phone)
    assert phone.locator("[data-pick=target]").get_attribute("accept") == "image/*"  # the camera is offered
    canvas.bring(phone, sorted((toy_scene / "ref").iterdir())[:1], toy_scene / "target" / "target.png")
    phone.locator("[data-part=stage]").tap()
    expect(phone.locator("[data-part=marked]")).to_contain_text("% marked")
    expect(phone.locator("#try-draft")).to_have_attribute("aria-disabled", "false")
    assert low_buttons(phone) == []
    phone.get_by_role("tab", name="2 Train").tap()
    expect(phone.locator("#way")).to_be_visible()
    assert low_buttons(phone) == []
    expect(phone.locator("#start")).to_have_attribute("aria-disabled", "false")  # training begins by a tap, too
    fits(phone)
    phone.locator(".rf-rail-fold").tap()
    phone.locator(".rf-rail-examples [data-do=open]").first.tap()
    expect(phone.locator(".rf-after")).to_be_visible()
    fits(phone)
    assert low_buttons(phone) == []
    frame = phone.locator(".rf-frame")
    width = float(frame.evaluate("one => one.offsetWidth"))
    spread_fingers(phone, ".rf-stage")
    phone.wait_for_function("old => document.querySelector('.rf-frame').offsetWidth > 1.5 * old", arg=width)
    fits(phone)
    phone.get_by_role("tab", name="Side by side").tap()
    expect(phone.locator(".rf-pane")).to_have_count(2)
    phone.get_by_role("button", name="Which is truer?").tap()
    expect(phone.locator(".rf-letter")).to_have_text(["A", "B"])
    phone.get_by_role("button", name="A is truer").tap()
    expect(phone.locator(".rf-note")).to_contain_text("You found")
    fits(phone)
    phone.get_by_role("button", name="End", exact=True).tap()
    phone.get_by_role("button", name="Show large").tap()
    expect(phone.locator("#tabs > .tab-wrapper")).to_be_hidden()
    with phone.expect_download():
        phone.locator("#export").tap()


@pytest.mark.long
@pytest.mark.parametrize("way", ["draft", "training"])
def test_a_result_is_made_and_exported_by_touch(way: str, phone: Page, server: Server, toy_scene: Path) -> None:
    phone.goto(server.url)
    canvas.ready(phone)
    phone.locator(".rf-rail-fold").tap()
    phone.locator(".rf-rail-new").tap()
    phone.locator("#workbench .wb[data-opened][data-empty=yes]").wait_for()
    canvas.bring(phone, sorted((toy_scene / "ref").iterdir())[:1], toy_scene / "target" / "target.png")
    phone.locator("[data-part=stage]").tap()
    expect(phone.locator("#try-draft")).to_have_attribute("aria-disabled", "false")
    if way == "draft":
        phone.locator("#try-draft").tap()
    else:
        phone.get_by_role("tab", name="2 Train").tap()
        phone.locator("#all-settings > button").tap()
        for setting, text in (
            ("train-steps", "5"),
            ("train-batch", "1"),
            ("sample-seeds", "0-1"),
            ("sample-steps", "2"),
        ):
            field = phone.locator(f"#set-{setting}").locator("input, textarea").first
            field.tap()
            field.fill(text)
            field.press("Tab")
        expect(phone.locator("#start")).to_have_attribute("aria-disabled", "false")
        phone.locator("#start").tap()
    expect(phone.locator("#status")).to_contain_text("done", timeout=5 * PATIENCE)  # the worker begins
    expect(phone.locator(".rf-after")).to_be_visible()
    with phone.expect_download():
        phone.locator("#export").tap()


def test_at_200_percent_nothing_sticks_out_and_all_is_reached(browser: Browser, server: Server) -> None:
    context = browser.new_context(
        viewport={"width": 720, "height": 450}, device_scale_factor=2, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(server.url)
    canvas.ready(page)
    page.locator(".rf-rail-fold").click()
    page.locator(".rf-rail-new").click()
    page.locator("#workbench .wb[data-opened][data-empty=yes]").wait_for()
    for name, place in (("2 Train", "#way"), ("1 Scene", "[data-part=stage]")):
        page.get_by_role("tab", name=name).click()
        expect(page.locator(place)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 720
    stage = page.locator("[data-part=stage]").bounding_box()
    assert stage is not None and stage["height"] > 150  # and no stamp
    page.locator(".rf-rail-fold").click()
    page.locator(".rf-rail-examples [data-do=open]").first.click()
    expect(page.locator(".rf-after")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 720
    with page.expect_download():
        page.locator("#export").click()
    context.close()
