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
    phone.get_by_role("tab", name="2 Train").tap()
    expect(phone.locator("#way")).to_be_visible()
    fits(phone)
    phone.locator(".rf-rail-fold").tap()
    phone.locator(".rf-rail-examples [data-do=open]").first.tap()
    expect(phone.locator(".rf-after")).to_be_visible()
    fits(phone)
    with phone.expect_download():
        phone.locator("#export").tap()
