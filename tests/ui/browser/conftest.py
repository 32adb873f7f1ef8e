"""One Chromium with one tab for all tests of this folder: a test finds it as if it were new.

A page that is opened again costs a fifth of what a new tab of a new window costs: scripts are cached and compiled.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.ui.conftest import CHROMIUM, needs_chromium

SIZE = {"width": 1440, "height": 900}
PATIENCE = 60_000  # milliseconds that anything may take on a busy machine
expect.set_options(timeout=PATIENCE)  # Playwright's own five seconds are what an idle machine needs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests in this folder drive a browser."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)
            item.add_marker(needs_chromium)


# Playwright keeps an event loop running in this thread until it is stopped, so no longer than these tests: others
# start loops of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A real Chromium without a window."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> BrowserContext:
    """The window whose cache all tabs share."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    return context


@pytest.fixture(scope="package")
def _tab(context: BrowserContext) -> Page:
    tab = context.new_page()
    # Playwright takes over file choosers while somebody listens, and does not wait until the browser knows: of a
    # page with two buttons and no code of ours, 6 of 40 choosers were missed, the clicks were not; with a listener
    # that stays, none of 60.
    tab.on("filechooser", lambda _: None)
    return tab


@pytest.fixture
def page(_tab: Page) -> Iterator[Page]:
    """The tab, as if it were new; an error of a page's script fails the test."""
    errors: list[str] = []

    def note(error: Exception) -> None:
        errors.append(str(error))

    _tab.on("pageerror", note)
    yield _tab
    _tab.remove_listener("pageerror", note)
    renew(_tab)
    assert not errors, errors


def renew(tab: Page) -> None:
    """Lets go of keys and buttons, and empties what the page's server may keep in the tab and the browser."""
    tab.mouse.up()
    for key in ("Shift", "Alt", "Control", " "):
        tab.keyboard.up(key)
    tab.mouse.move(0, 0)
    tab.set_viewport_size(SIZE)  # type: ignore[arg-type]
    tab.emulate_media(color_scheme="light")
    origin = tab.evaluate("location.origin")
    if origin != "null":  # as of about:blank
        tab.goto(f"{origin}/nothing-here")  # no script of the page writes anything while it is emptied
        tab.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        tab.goto("about:blank")
    tab.context.clear_cookies()
