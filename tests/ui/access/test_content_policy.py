"""Scripts: the page's own run, in a real Chromium too, and nobody else's."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui import canvas
from tests.ui.conftest import Server, needs_chromium
from ui.access.content_policy import file_policy, hash_scripts, mark_scripts, page_policy

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


def test_the_page_may_run_what_bears_the_nonce_and_no_other_inline_script() -> None:
    rules = dict(rule.split(" ", 1) for rule in page_policy("abc", "'sha256-x'", space=False).split("; "))
    assert rules["script-src"] == "'self' 'nonce-abc' 'sha256-x' 'unsafe-eval'"
    assert (rules["object-src"], rules["base-uri"], rules["frame-ancestors"]) == ("'none'", "'self'", "'self'")
    assert "http" not in page_policy("abc", "", space=False)
    assert "frame-ancestors 'self' https://huggingface.co" in page_policy("abc", "", space=True)


def test_of_other_answers_nothing_runs() -> None:
    assert file_policy(space=False).startswith("default-src 'none'")
    assert "script" not in file_policy(space=False)


def test_scripts_are_marked_and_hashed() -> None:
    assert mark_scripts(b'<script>a</script><script type="module" src="b">', "n") == (
        b'<script nonce="n">a</script><script nonce="n" type="module" src="b">'
    )
    # as in https://www.w3.org/TR/CSP3/#csp-header, computed by openssl dgst -sha256 -binary | base64
    assert hash_scripts("<script>alert(1)</script>") == "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    page.add_init_script(f"({REPORT})()")
    page.goto(server.url)
    page.locator(canvas.READY).wait_for()
    yield page
    page.close()


@pytest.mark.browser
@needs_chromium
def test_the_page_works_under_its_policy_and_injected_scripts_do_not_run(opened: Page) -> None:
    for key, tab in (("2", "2 Train"), ("3", "3 Browse and export"), ("1", "1 Scene")):
        opened.keyboard.press(key)  # by the script of the page's head
        expect(opened.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    assert opened.evaluate("window.reports") == []

    for number, injection in enumerate(INJECTIONS, 1):
        opened.evaluate(injection)
        opened.wait_for_function("count => window.reports.length >= count", arg=number)
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', arguments[0])".replace("arguments[0]", repr(FRAME)))
    opened.wait_for_function("() => frames[0].document.body?.textContent.includes('loaded')")  # it reports for itself
    kinds = {re.sub("-(elem|attr)$", "", report) for report in opened.evaluate("window.reports")}
    assert kinds == {"script-src", "object-src"}
    assert opened.evaluate("window.ran") is None
