"""What is painted is what arrives."""

from typing import Any

import numpy as np
from playwright.sync_api import Page, expect

from realfill.imaging.holes import bounding_box
from tests.ui.browser import canvas
from tests.ui.browser.workbench.hands import WIDTH, Bench, alike, rectangle, sent


def width(page: Page) -> float:
    """How wide the target is in the window."""
    return canvas.at(page, WIDTH, 0)[0] - canvas.at(page, 0, 0)[0]


def test_brush_eraser_and_right_button(ready: Page, bench: Bench) -> None:
    canvas.size(ready, 100)
    ready.keyboard.press("b")
    canvas.drag(ready, [(300, 400), (900, 400)])
    ready.keyboard.press("e")
    canvas.drag(ready, [(500, 400), (500, 401)])
    ready.keyboard.press("b")
    canvas.drag(ready, [(700, 400), (700, 401)], button="right")
    hole = sent(ready, bench).hole
    assert hole[400, 400]
    assert hole[400, 600]
    assert hole[400, 800]
    assert not hole[400, 500]
    assert not hole[400, 700]
    left, top, right, bottom = bounding_box(hole)
    assert np.allclose((left, right), (250, 950), atol=6)
    assert np.allclose((top, bottom), (350, 450), atol=6)


def test_lasso_and_shift_click(ready: Page, bench: Bench) -> None:
    canvas.paint(ready, (300, 200, 600, 500), tool="lasso")
    canvas.size(ready, 40)
    ready.keyboard.press("b")
    canvas.drag(ready, [(800, 200), (800, 201)])
    ready.keyboard.down("Shift")
    canvas.drag(ready, [(800, 600), (800, 601)])
    ready.keyboard.up("Shift")
    hole = sent(ready, bench).hole
    assert alike(hole[:, :700], rectangle(300, 200, 600, 500)[:, :700])
    assert hole[400, 800]


def test_undo_redo_invert_and_clear(ready: Page, bench: Bench) -> None:
    first, second = rectangle(100, 100, 300, 300), rectangle(600, 400, 900, 700)
    canvas.paint(ready, (100, 100, 300, 300))
    canvas.paint(ready, (600, 400, 900, 700))
    assert alike(sent(ready, bench).hole, first | second)
    ready.keyboard.press("Control+z")
    assert alike(sent(ready, bench).hole, first)
    ready.keyboard.press("Control+Shift+Z")
    assert alike(sent(ready, bench).hole, first | second)
    ready.keyboard.press("i")
    assert alike(sent(ready, bench).hole, ~(first | second))
    ready.locator("[data-do=undo]").click()
    ready.locator("[data-do=undo]").click()
    assert alike(sent(ready, bench).hole, first)
    ready.locator("[data-do=clear]").click()
    expect(ready.locator("[data-part=marked]")).to_have_text("nothing marked yet")
    ready.keyboard.press("Control+z")
    assert alike(sent(ready, bench).hole, first)


def test_escape_gives_up_what_is_being_drawn(ready: Page) -> None:
    ready.keyboard.press("b")
    x, y = canvas.at(ready, 300, 300)
    ready.mouse.move(x, y)
    ready.mouse.down()
    ready.mouse.move(x + 50, y + 50, steps=4)
    ready.keyboard.press("Escape")
    ready.mouse.up()
    expect(ready.locator("[data-part=marked]")).to_have_text("nothing marked yet")
    expect(ready.locator("[data-do=redo]")).to_be_disabled()


def test_zoomed_in_and_moved_the_paint_lands_under_the_pointer(ready: Page, bench: Bench) -> None:
    (left, top), (right, _) = canvas.at(ready, 0, 0), canvas.at(ready, WIDTH, 0)
    x, y = (round(place) for place in canvas.at(ready, 700, 300))  # pointers are at whole pixels
    spot = ((x - left) * WIDTH / (right - left), (y - top) * WIDTH / (right - left))
    ready.mouse.move(x, y)
    for _ in range(4):
        ready.mouse.wheel(0, -400)
    canvas.wait_until(ready, lambda: width(ready) > 8 * (right - left), "four turns of the wheel are seen")
    assert np.allclose(canvas.at(ready, *spot), (x, y), atol=1.5), "zooming moved the photo under the pointer"
    ready.keyboard.down(" ")
    ready.mouse.down()
    ready.mouse.move(x - 120, y + 60, steps=4)
    ready.mouse.up()
    ready.keyboard.up(" ")
    canvas.painted(ready)
    assert np.allclose(canvas.at(ready, *spot), (x - 120, y + 60), atol=1.5)
    canvas.paint(ready, (690, 290, 720, 315))
    assert alike(sent(ready, bench).hole, rectangle(690, 290, 720, 315), near=1)
    ready.keyboard.press("f")
    canvas.painted(ready)
    stage = ready.locator("[data-part=stage]").bounding_box()
    assert stage is not None
    assert stage["x"] < canvas.at(ready, 0, 0)[0] < canvas.at(ready, WIDTH, 0)[0] < stage["x"] + stage["width"]


def test_alt_and_wheel_and_brackets_change_the_size(ready: Page) -> None:
    shown = ready.locator("[data-part=size-text]")
    before = int(shown.inner_text().split()[0])
    ready.keyboard.press("]")
    larger = int(shown.inner_text().split()[0])
    ready.keyboard.press("[")
    ready.keyboard.press("[")
    smaller = int(shown.inner_text().split()[0])
    assert smaller < before < larger
    ready.mouse.move(*canvas.at(ready, 300, 300))
    ready.keyboard.down("Alt")
    ready.mouse.wheel(0, -100)
    ready.keyboard.up("Alt")
    expect(shown).not_to_have_text(f"{smaller} px")


def test_marked_by_keys_alone(ready: Page, bench: Bench) -> None:
    ready.locator("[data-tool=rectangle]").focus()
    ready.keyboard.press("Enter")
    ready.locator("[data-part=stage]").focus()
    ready.keyboard.press("ArrowLeft")
    ready.keyboard.press("Enter")
    for key in ("Shift+ArrowLeft", "Shift+ArrowUp"):
        ready.keyboard.press(key)
    ready.keyboard.press("Enter")
    hole = sent(ready, bench).hole
    left, top, right, bottom = bounding_box(hole)
    assert hole.sum() == (right - left) * (bottom - top)
    assert abs((right - left) - (bottom - top)) <= 2


def test_fingers_pinch_and_one_finger_paints(ready: Page, bench: Bench) -> None:
    send = """([kind, id, x, y]) => document.querySelector('[data-part=stage]').dispatchEvent(new PointerEvent(kind,
      {pointerId: id, pointerType: 'touch', isPrimary: id === 1, button: kind === 'pointermove' ? -1 : 0,
       buttons: 1, clientX: x, clientY: y, bubbles: true, cancelable: true}))"""
    ready.evaluate("() => { Element.prototype.setPointerCapture = () => null; }")  # no real pointers here
    x, y = canvas.at(ready, 600, 400)
    before = width(ready)
    touches: list[tuple[Any, ...]] = [
        ("pointerdown", 1, x - 50, y), ("pointerdown", 2, x + 50, y), ("pointermove", 1, x - 100, y),
        ("pointermove", 2, x + 100, y), ("pointerup", 1, x - 100, y), ("pointerup", 2, x + 100, y),
    ]  # fmt: skip
    for touch in touches:
        ready.evaluate(send, list(touch))
    canvas.painted(ready)
    expect(ready.locator("[data-part=marked]")).to_have_text("nothing marked yet")
    assert np.isclose(width(ready) / before, 2, atol=0.02)
    assert np.allclose(canvas.at(ready, 600, 400), (x, y), atol=2)
    for touch in (("pointerdown", 3, x, y), ("pointermove", 3, x + 30, y), ("pointerup", 3, x + 30, y)):
        ready.evaluate(send, list(touch))
    assert sent(ready, bench).hole[400, 600]
