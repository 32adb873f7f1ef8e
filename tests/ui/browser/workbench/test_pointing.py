"""Marking by pointing, the soft edge, and what the model will see."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.ui.browser import canvas
from tests.ui.browser.workbench.hands import HEIGHT, WIDTH, Bench, alike, rectangle, sent

SIGN = (500, 300, 700, 450)
FIT = {"context": 0.5, "size": 256, "multiple": 32, "feather": 8}


@pytest.fixture
def sign(page: Page, photos: Path, tmp_path: Path) -> Page:
    """The page with a red sign before a grey wall."""
    wall = Image.new("RGB", (WIDTH, HEIGHT), (120, 130, 120))
    wall.paste((200, 20, 30), SIGN)
    wall.save(tmp_path / "wall.png")
    canvas.bring(page, [photos / "ref" / "0.jpg"], tmp_path / "wall.png")
    return page


def test_a_thing_is_pointed_at_and_marked_and_unmarked(sign: Page, bench: Bench) -> None:
    sign.keyboard.press("o")
    sign.mouse.click(*canvas.at(sign, 600, 380))
    expect(sign.locator("[data-part=marked]")).to_contain_text("% marked")
    expect(sign.locator("[data-part=message]")).to_contain_text("a little larger than it is")
    hole = sent(sign, bench).hole
    assert alike(hole, rectangle(*SIGN), near=12) and hole[rectangle(*SIGN)].all()
    assert hole.sum() > rectangle(*SIGN).sum()
    sign.mouse.click(*canvas.at(sign, 600, 380), button="right")
    expect(sign.locator("[data-part=marked]")).to_have_text("nothing marked yet")


def test_rough_marks_are_fitted_to_edges_and_the_seam_is_seen(sign: Page, bench: Bench) -> None:
    canvas.paint(sign, (460, 270, 730, 480))
    sign.keyboard.press("g")
    expect(sign.locator("[data-part=message]")).to_contain_text("Fitted to the edges")
    fitted = sent(sign, bench).hole
    assert alike(fitted, rectangle(*SIGN), near=12)
    sign.keyboard.press("Control+z")
    assert alike(sent(sign, bench).hole, rectangle(460, 270, 730, 480))

    def halo() -> int:
        """Pixels of the canvas that are marked in part."""
        return int(
            sign.locator("[data-part=marks]").evaluate(
                """marks => marks.getContext('2d').getImageData(0, 0, marks.width, marks.height)
                  .data.filter((value, at) => at % 4 === 3 && value > 8 && value < 200).length"""
            )
        )

    canvas.painted(sign)
    hard = halo()
    sign.keyboard.press("s")
    expect(sign.get_by_role("button", name="Soft edge")).to_have_attribute("aria-pressed", "true")
    canvas.painted(sign)
    assert halo() > hard + 500
    sign.keyboard.press("s")
    canvas.painted(sign)
    assert halo() == hard


def test_what_the_model_sees_is_drawn_and_dragged(sign: Page) -> None:
    canvas.paint(sign, SIGN)
    sign.evaluate("fit => window.dispatchEvent(new CustomEvent('realfill-fit', {detail: fit}))", FIT)
    sign.get_by_role("button", name="What the model sees").click()
    says, box = sign.locator("[data-part=context-says]"), sign.locator("[data-part=context]")
    expect(says).to_contain_text("enlarged")
    left, top, right, bottom = SIGN
    seen = box.bounding_box()
    assert seen is not None
    x0, y0 = canvas.at(sign, left - 0.5 * (right - left), top - 0.5 * (bottom - top))
    assert seen["x"] <= x0 + 1 and seen["y"] <= y0 + 1  # the mask and half of its sides at least
    corner = sign.get_by_role("slider", name="Context, lower right corner")
    before = says.inner_text()
    corner.focus()
    sign.keyboard.press("ArrowDown")
    expect(corner).to_have_attribute("aria-valuenow", "0.55")
    expect(says).not_to_have_text(before)
    place = corner.bounding_box()
    assert place is not None
    sign.mouse.move(place["x"] + 15, place["y"] + 15)
    sign.mouse.down()
    sign.mouse.move(*canvas.at(sign, right + 1.5 * (right - left), bottom + 20), steps=6)
    sign.mouse.up()
    expect(corner).to_have_attribute("aria-valuenow", "1.5")
    sign.wait_for_function(  # the server says how large the box is
        "old => document.querySelector('[data-part=context]').getBoundingClientRect().width > 1.5 * old",
        arg=seen["width"],
    )
    sign.keyboard.press("x")
    expect(box).to_be_hidden()
