"""The instant draft over the canvas, and the order of the references."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from realfill.cli.draft_process import PROPOSALS
from tests.ui.browser import canvas
from tests.ui.browser.workbench.hands import Bench, drop, sent

WAIT = 120_000  # milliseconds: a draft is made by a process of its own, perhaps on a busy machine
BOX = (500, 300, 700, 450)


@pytest.fixture
def same(page: Page, photos: Path, tmp_path: Path) -> Page:
    """The page with a target whose marked part is grey, and one reference that shows what is there."""
    whole = Image.open(photos / "target.jpg")
    whole.save(tmp_path / "seen.png")
    holed = whole.copy()
    holed.paste((128, 128, 128), BOX)
    holed.save(tmp_path / "holed.png")
    canvas.bring(page, [tmp_path / "seen.png"], tmp_path / "holed.png")
    return page


def shown(page: Page) -> list[int]:
    """Red, green, blue of the canvas in the middle of the marked part, photo and draft without the marks."""
    x, y = canvas.at(page, (BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2)
    read = """([x, y]) => {
      const photo = document.querySelector('[data-part=photo]'), box = photo.getBoundingClientRect();
      const dots = photo.width / box.width;
      return [...photo.getContext('2d').getImageData((x - box.left) * dots, (y - box.top) * dots, 1, 1).data];
    }"""
    return [int(value) for value in page.evaluate(read, [x, y])[:3]]


def marks(page: Page) -> int:
    """How many pixels of the canvas are covered by marks."""
    return int(
        page.locator("[data-part=marks]").evaluate(
            """marks => marks.getContext('2d').getImageData(0, 0, marks.width, marks.height)
              .data.filter((value, at) => at % 4 === 3 && value).length"""
        )
    )


def test_a_draft_is_shown_trusted_and_downloaded(same: Page, tmp_path: Path) -> None:
    button = same.get_by_role("button", name="Instant draft")
    button.click()
    expect(same.locator("[data-part=message]")).to_contain_text("Nothing is marked yet")
    canvas.paint(same, BOX)
    assert marks(same)
    button.click()
    says = same.locator("[data-part=draft-says]")
    expect(says).to_have_text("Reference 1 shows all of it.", timeout=WAIT)
    same.wait_for_function("() => !document.querySelector('[data-part=trust]').disabled")
    canvas.painted(same)
    assert marks(same) == 0
    plain = shown(same)
    truth = np.asarray(Image.open(tmp_path / "seen.png"))[375, 600]
    assert np.abs(np.array(plain) - truth).max() < 40
    same.keyboard.press("c")
    expect(same.get_by_label("Confidence")).to_be_checked()
    canvas.painted(same)
    red, green, blue = shown(same)
    assert green > red and green > blue, "what references vouch for is green"
    keep = same.get_by_role("button", name="Download the draft")
    expect(keep).to_be_enabled(timeout=WAIT)
    with same.expect_download() as download:
        keep.click()
    assert download.value.suggested_filename == "holed-draft.png"
    download.value.save_as(tmp_path / "draft.png")
    result, target = (np.asarray(Image.open(tmp_path / name)) for name in ("draft.png", "holed.png"))
    outside = np.ones(target.shape[:2], np.bool_)
    outside[BOX[1] - 3 : BOX[3] + 3, BOX[0] - 3 : BOX[2] + 3] = False
    assert np.array_equal(result[outside], target[outside])
    assert np.abs(result[375, 600].astype(int) - truth).max() < 40
    others = same.get_by_role("group", name="Proposals, best first").get_by_role("button")
    expect(others).to_have_count(PROPOSALS)
    expect(others.first).to_have_attribute("aria-pressed", "true")
    others.nth(2).click()
    expect(others.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(others.first).to_have_attribute("aria-pressed", "false")
    with same.expect_download() as download:
        keep.click()
    assert download.value.suggested_filename == "holed-draft-3.png"
    same.keyboard.press("d")
    expect(button).to_have_attribute("aria-pressed", "false")
    canvas.painted(same)
    assert marks(same) and shown(same) == [128, 128, 128]


@pytest.mark.long
def test_a_draft_follows_what_is_painted(same: Page, bench: Bench) -> None:
    canvas.paint(same, BOX)
    same.keyboard.press("d")
    box, says = same.locator("[data-part=draft]"), same.locator("[data-part=draft-says]")
    expect(says).to_contain_text("Reference 1 shows", timeout=WAIT)
    canvas.paint(same, (100, 100, 180, 180))
    expect(box).to_have_attribute("data-kind", "busy")
    assert marks(same), "until the new draft is there, one sees what is marked"
    expect(says).to_contain_text("Reference 1 shows", timeout=WAIT)
    same.keyboard.press("Control+z")  # known already
    expect(says).to_contain_text("Reference 1 shows", timeout=WAIT)
    same.locator("[data-do=clear]").click()
    expect(says).to_contain_text("Nothing is marked yet")
    same.keyboard.press("d")
    expect(box).to_be_hidden()


def test_a_draft_says_why_it_holds_back(page: Page, photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (600, 400), "grey").save(tmp_path / "wall.png")
    canvas.bring(page, [tmp_path / "wall.png"], photos / "target.jpg")
    canvas.paint(page, BOX)
    page.keyboard.press("d")
    expect(page.locator("[data-part=draft][data-kind=held]")).to_contain_text("No reference lies over", timeout=WAIT)


def names(page: Page) -> list[str]:
    return [str(name) for name in page.locator(".thumb").evaluate_all("all => all.map(one => one.title)")]


def test_references_are_reordered_by_keys_and_by_dragging(ready: Page, bench: Bench, photos: Path) -> None:
    assert drop(ready, ready.locator(".side"), [photos / "ref" / "1.jpg", photos / "ref" / "2.jpg"])
    expect(ready.locator(".thumb[data-waiting=no]")).to_have_count(3)
    ready.get_by_role("button", name="Reference 3: 2.jpg").focus()
    ready.keyboard.press("ArrowLeft")
    assert names(ready) == ["0.jpg", "2.jpg", "1.jpg"]
    expect(ready.locator("[data-part=order]")).to_have_text("2.jpg is reference 2 of 3 now.")
    ready.keyboard.press("Home")  # the focus went with it
    assert names(ready) == ["2.jpg", "0.jpg", "1.jpg"]
    expect(ready.locator(".badge")).to_have_count(3, timeout=WAIT)
    first, last = (ready.locator(".thumb").nth(at).bounding_box() for at in (0, 2))
    assert first is not None and last is not None
    ready.mouse.move(first["x"] + 30, first["y"] + 40)
    ready.mouse.down()
    ready.mouse.move(last["x"] + 40, last["y"] + 40, steps=8)
    ready.mouse.up()
    assert names(ready) == ["0.jpg", "1.jpg", "2.jpg"]
    ready.keyboard.press("Control+z")
    assert names(ready) == ["2.jpg", "0.jpg", "1.jpg"]
    canvas.paint(ready, BOX)
    made = sent(ready, bench)
    for photo, name in zip(made.references, names(ready), strict=True):
        assert np.array_equal(photo, np.asarray(Image.open(photos / "ref" / name)))
    ready.get_by_role("button", name="Reference 1: 2.jpg").focus()
    ready.keyboard.press("Delete")
    assert names(ready) == ["0.jpg", "1.jpg"]
