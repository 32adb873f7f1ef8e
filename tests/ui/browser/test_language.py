"""The page in other languages: as the browser asks, as somebody chooses, and nothing is left in English."""

from playwright.sync_api import Browser, Page, expect

from tests.ui.browser.conftest import PATIENCE, SIZE
from tests.ui.conftest import Server

LEFT_IN_ENGLISH = """() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), left = [];
    while (texts.nextNode()) {
        const text = texts.currentNode.data.replace(/\\s+/g, ' ').trim(), told = realfillWords.sentences[text];
        if (told && told !== text && !texts.currentNode.parentElement.closest('script, option')) left.push(text);
    }
    return left;
}"""


def tab_names(page: Page) -> list[str]:
    """What the three tabs are called."""
    return page.locator("#tabs > .tab-wrapper .tab-container:not(.visually-hidden) button[role=tab]").all_inner_texts()


def test_the_page_speaks_as_the_browser_asks_or_as_is_chosen(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport=SIZE, locale="ko-KR", reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.locator("#workbench [data-ready=yes]")).to_be_attached()
        expect(page.locator(".rf-line")).to_have_text("한 장소의 사진 1~5장과, 완성할 그곳의 사진을 추가하세요.")
        assert tab_names(page) == ["1 장면", "2 학습", "3 보기와 내보내기"]
        page.locator("[data-example=desk]").first.click()
        expect(page.locator("[data-part=message-text]")).to_have_text("열었습니다.")
        page.locator("[data-do=clear]").click()
        page.locator("[data-do=save-mask]").click()  # the server's answer
        expect(page.locator("[data-part=message-text]")).to_contain_text("아직 표시한 곳이 없습니다")
        assert page.evaluate(LEFT_IN_ENGLISH) == []

        page.locator(".rf-rail-language").select_option("de")
        expect(page.locator("html")).to_have_attribute("lang", "de")
        later = context.new_page()  # it is remembered
        later.goto(server.url)
        expect(later.locator("#workbench [data-ready=yes]")).to_be_attached()
        assert tab_names(later) == ["1 Szene", "2 Training", "3 Ansehen und exportieren"]
        assert later.locator("html").get_attribute("lang") == "de"  # also once gradio has named the browser's own
        expect(later.locator("#try-draft")).to_contain_text("Jetzt testen")
        assert later.evaluate(LEFT_IN_ENGLISH) == []
    finally:
        context.close()
