"""The page's own scripts run, and nobody else's."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.ui.browser import canvas
from tests.ui.conftest import Server, serving

REPORT = """() => {
  window.reports = [];
  document.addEventListener('securitypolicyviolation', (event) => window.reports.push(event.violatedDirective));
}"""
INJECTIONS = (
    "document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.ran = 1\">')",
    "document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))",
    "document.head.append(Object.assign(document.createElement('script'), {src: 'http://localhost:9/a.js'}))",
    "document.head.append(Object.assign(document.createElement('script'), {src: 'data:text/javascript,window.ran=1'}))",
    "document.body.insertAdjacentHTML('beforeend', '<object data=\"data:text/html,x\"></object>')",
)

FRAME = '<iframe srcdoc="<script>parent.ran = 1</script><p>loaded</p>"></iframe>'


@pytest.fixture
def opened(context: BrowserContext, server: Server) -> Iterator[Page]:
    """A tab of its own, which counts from the beginning what the policy forbids."""
    page = context.new_page()
    page.add_init_script(f"({REPORT})()")
    page.goto(server.url)
    canvas.ready(page)
    yield page
    page.close()


def test_the_page_works_under_its_policy_and_injected_scripts_do_not_run(opened: Page) -> None:
    for key, tab in (("2", "2 Train"), ("3", "3 Browse and export"), ("1", "1 Scene")):
        opened.keyboard.press(key)  # by the script of the page's head
        expect(opened.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    assert opened.evaluate("window.reports") == []

    for number, injection in enumerate(INJECTIONS, 1):
        opened.evaluate(injection)
        opened.wait_for_function("count => window.reports.length >= count", arg=number)
    opened.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", FRAME)
    opened.wait_for_function("() => frames[0].document.body?.textContent.includes('loaded')")  # it reports for itself
    kinds = {re.sub("-(elem|attr)$", "", report) for report in opened.evaluate("window.reports")}
    assert kinds == {"script-src", "object-src"}
    assert opened.evaluate("window.ran") is None


def test_who_signs_in_gets_the_page(context: BrowserContext, tmp_path: Path, tiny_base: Path) -> None:
    """Gradio's own form, which needs the routes that are open before."""
    with serving(tmp_path, tiny_base, "ann:secretsecret") as guarded:
        page = context.new_page()
        page.add_init_script(f"({REPORT})()")
        page.goto(guarded.url)
        page.get_by_label("username").fill("ann")
        page.get_by_label("password").fill("secretsecret")
        page.get_by_role("button", name="Login").click()
        expect(page.locator("#shown")).to_contain_text("nothing")
        assert page.evaluate("window.reports") == []
        page.close()
