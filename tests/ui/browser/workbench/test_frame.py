"""Masks as files, outpainting, and how the workbench stands in its window."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from realfill.imaging import decode
from tests.ui.browser import canvas
from tests.ui.browser.workbench.hands import HEIGHT, WIDTH, Bench, alike, drop, rectangle, sent


def test_outpainting_extends_and_strokes_stay(ready: Page, bench: Bench, photos: Path) -> None:
    canvas.paint(ready, (400, 300, 600, 500))
    ready.locator("[data-side='0']").fill("120")
    ready.locator("[data-side='0']").press("Tab")
    ready.locator("[data-part=unit]").select_option("%")
    ready.locator("[data-side='1']").fill("10")
    ready.locator("[data-side='1']").press("Tab")
    made = sent(ready, bench)
    assert made.hole.shape == (HEIGHT + 80, WIDTH + 120)
    inner = made.hole[80:, 120:]
    assert alike(inner, rectangle(400, 300, 600, 500))
    assert made.hole[:80].all()
    assert made.hole[:, :120].all()
    known = decode.read_original(photos / "target.jpg").pixels
    assert np.array_equal(made.original.pixels[80:, 120:], known)
    canvas.paint(ready, (50, 600, 150, 700))  # painting goes on in the photo's own place
    assert alike(sent(ready, bench).hole[80:, 120:], rectangle(400, 300, 600, 500) | rectangle(50, 600, 150, 700))
    ready.locator("[data-do=extend-none]").click()
    assert sent(ready, bench).hole.shape == (HEIGHT, WIDTH)
    ready.locator("[data-ratio='16:9']").click()
    assert sent(ready, bench).hole.shape == (HEIGHT, round(HEIGHT * 16 / 9))


def test_the_border_is_dragged(ready: Page, bench: Bench) -> None:
    canvas.painted(ready)
    handle = ready.locator("[data-handle='2']").bounding_box()
    assert handle is not None
    right, left = canvas.at(ready, WIDTH, 0)[0], canvas.at(ready, 0, 0)[0]
    scale = (right - left) / WIDTH
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    ready.mouse.move(x, y)
    ready.mouse.down()
    ready.mouse.move(x + 60, y, steps=5)
    ready.mouse.up()
    made = sent(ready, bench)
    assert made.hole.shape[0] == HEIGHT
    assert abs(made.hole.shape[1] - WIDTH - 60 / scale) < 3
    assert made.hole[:, WIDTH:].all()
    ready.locator("[data-handle='1']").focus()
    ready.keyboard.press("ArrowUp")
    assert sent(ready, bench).hole.shape[0] == HEIGHT + 8


def test_a_mask_is_saved_and_loaded(ready: Page, bench: Bench, tmp_path: Path) -> None:
    canvas.paint(ready, (200, 150, 500, 450))
    before = sent(ready, bench).hole
    with ready.expect_download() as download:
        ready.locator("[data-do=save-mask]").click()
    download.value.save_as(tmp_path / "mask.png")
    assert download.value.suggested_filename == "target-mask.png"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "mask.png")) > 0, before)
    ready.locator("[data-do=clear]").click()
    canvas.load_mask(ready, tmp_path / "mask.png")
    assert np.array_equal(sent(ready, bench).hole, before)
    canvas.paint(ready, (700, 500, 800, 600))  # goes on from the loaded mask
    assert alike(sent(ready, bench).hole, before | rectangle(700, 500, 800, 600))


@pytest.mark.long
def test_a_mask_is_dropped_on_the_right_half(ready: Page, bench: Bench, tmp_path: Path) -> None:
    Image.fromarray(rectangle(10, 20, 300, 400)).save(tmp_path / "m.png")
    assert drop(ready, ready.locator("[data-part=stage]"), [tmp_path / "m.png"], right_half=True)
    expect(ready.locator("[data-part=marked]")).to_contain_text("% marked")
    assert np.array_equal(sent(ready, bench).hole, rectangle(10, 20, 300, 400))


@pytest.mark.long
def test_everything_is_scene_variants(ready: Page, bench: Bench) -> None:
    ready.get_by_label("Everything").check(force=True)
    expect(ready.locator("[data-part=marked]")).to_have_text("everything is filled in")
    canvas.paint(ready, (200, 150, 500, 450))
    expect(ready.locator("[data-part=message]")).to_contain_text("nothing to mark")
    assert sent(ready, bench, variants=True).hole.all()


def test_the_window_is_filled_and_does_not_scroll(ready: Page) -> None:
    for width, height in ((1440, 900), (1280, 720)):
        ready.set_viewport_size({"width": width, "height": height})

        def filled(height: int = height) -> bool:
            box = ready.locator("#workbench .wb").bounding_box()
            return box is not None and height - 60 < box["y"] + box["height"] <= height

        canvas.wait_until(ready, filled, f"the workbench fills {width} x {height}")
        assert ready.evaluate("document.documentElement.scrollHeight <= window.innerHeight"), "the page scrolls"
        tall = [ready.locator(place).bounding_box() for place in (".side > footer", ".tools", "[data-part=stage]")]
        assert all(place is not None and place["y"] + place["height"] <= height for place in tall)


def test_every_control_has_a_name(ready: Page) -> None:
    ready.locator("[data-do=help]").click()
    nameless = ready.locator("#workbench").evaluate(
        """root => [...root.querySelectorAll('button, input, select, [role]')].filter(node =>
          !(node.ariaLabel || node.innerText?.trim() || node.closest('label')?.innerText.trim() || node.title
            || node.getAttribute('role') === 'status')).map(node => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    expect(ready.get_by_role("dialog", name="Keys and gestures")).to_be_visible()
    ready.keyboard.press("Escape")
    expect(ready.get_by_role("dialog", name="Keys and gestures")).to_be_hidden()
