"""Photos and scenes come in, stay and go out."""

import base64
import zipfile
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.ui.browser import canvas
from tests.ui.browser.workbench.hands import HEIGHT, WIDTH, Bench, alike, drop, rectangle, sent


def test_the_sixth_reference_is_refused_and_one_is_removed(page: Page, photos: Path) -> None:
    canvas.bring(page, sorted((photos / "ref").iterdir()), None)
    expect(page.locator("[data-part=message]")).to_contain_text("at most 5 references; 5.jpg was left out")
    expect(page.locator(".thumb")).to_have_count(5)
    expect(page.get_by_label("Add references")).to_have_count(1)  # the picker; the tile is gone
    page.get_by_role("button", name="Remove reference 2").click()
    expect(page.locator(".thumb")).to_have_count(4)
    expect(page.locator("[data-part=count]")).to_have_text("4 of 5")
    page.keyboard.press("Control+z")
    expect(page.locator(".thumb")).to_have_count(5)


def paste(page: Page, path: Path) -> None:
    """Pastes a photo as the clipboard gives it, with a name of no meaning."""
    data = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """data => {
          const files = new DataTransfer();
          const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
          files.items.add(new File([bytes], 'image.jpg', {type: 'image/jpeg'}));
          document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true}));
        }""",
        data,
    )


def test_a_pasted_photo_is_a_reference_and_on_the_empty_canvas_the_target(page: Page, photos: Path) -> None:
    paste(page, photos / "ref" / "3.jpg")
    expect(page.locator(".thumb[data-waiting=no]")).to_have_count(1)
    page.locator("[data-part=stage]").hover()
    paste(page, photos / "target.jpg")
    expect(page.locator("[data-part=target]")).to_contain_text("image.jpg")
    expect(page.locator(".thumb")).to_have_count(1)


def test_reference_and_target_change_places(ready: Page) -> None:
    ready.get_by_role("button", name="Reference 1: 0.jpg").focus()
    ready.keyboard.press("t")
    expect(ready.locator("[data-part=target]")).to_contain_text("0.jpg")
    expect(ready.locator(".thumb")).to_have_attribute("title", "target.jpg")
    ready.locator("[data-do=make-reference]").click()
    expect(ready.locator(".thumb")).to_have_count(2)
    expect(ready.locator(".invite")).to_be_visible()
    ready.keyboard.press("Control+z")
    expect(ready.locator("[data-part=target]")).to_contain_text("0.jpg")


def test_of_several_photos_on_the_canvas_one_is_the_target(page: Page, photos: Path) -> None:
    assert drop(page, page.locator("[data-part=stage]"), [photos / "ref" / "0.jpg", photos / "target.jpg"])
    page.locator("[data-part=which]").get_by_role("button", name="target.jpg").click()
    expect(page.locator("[data-part=target]")).to_contain_text("target.jpg")
    expect(page.locator(".thumb")).to_have_attribute("title", "0.jpg")


def test_a_stray_drop_keeps_the_page(ready: Page, photos: Path) -> None:
    for where in ("body", "[role=tablist]", ".thumb", ".tools", ".foot"):
        assert drop(ready, ready.locator(where).first, []), f"a drop on {where} would leave the page"
    ready.get_by_role("tab", name="Other").click()
    assert drop(ready, ready.locator("#open"), [photos / "ref" / "1.jpg"])
    ready.get_by_role("tab", name="Scene").click()
    expect(ready.locator(".thumb")).to_have_count(1)


def test_what_is_no_photo_is_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    page.locator("[data-pick=references]").set_input_files(str(tmp_path / "notes.pdf"))
    expect(page.locator("[data-part=message]")).to_contain_text("notes.pdf is not a photo")
    page.locator("[data-pick=references]").set_input_files(str(tmp_path / "broken.png"))
    expect(page.locator("[data-part=message]")).to_contain_text("broken.png is not a picture")
    expect(page.locator(".thumb")).to_have_count(0)
    page.locator("[data-pick=target]").set_input_files(str(tmp_path / "broken.png"))
    expect(page.locator("[data-part=message]")).to_contain_text("broken.png is not a picture")
    expect(page.locator(".invite")).to_be_visible()


def test_a_reload_brings_the_scene_back(ready: Page, bench: Bench) -> None:
    canvas.paint(ready, (200, 150, 500, 450))
    ready.locator("[data-ratio='1:1']").click()
    before = sent(ready, bench).hole
    canvas.settled(ready)
    ready.reload()
    canvas.ready(ready)
    expect(ready.locator(".thumb")).to_have_count(1)
    expect(ready.locator("[data-part=about]")).to_contain_text(f"{WIDTH} × {WIDTH}")
    canvas.settled(ready)
    after = sent(ready, bench)
    assert np.array_equal(after.hole, before)
    assert len(after.references) == 1
    canvas.paint(ready, (700, 500, 800, 600))
    assert sent(ready, bench).hole.sum() > before.sum()


def test_another_tab_begins_empty(ready: Page, browser: Browser, bench: Bench) -> None:
    other = browser.new_page()
    other.goto(bench.url)
    canvas.ready(other)
    expect(other.locator(".invite")).to_be_visible()
    expect(ready.locator(".thumb")).to_have_count(1)
    other.close()


def test_a_heic_target_is_painted_on(page: Page, bench: Bench, photos: Path, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener(thumbnails=False)
    quick = {"preset": "ultrafast"}
    Image.open(photos / "target.jpg").save(tmp_path / "IMG_1.heic", quality=60, enc_params=quick)
    Image.open(photos / "ref" / "0.jpg").save(tmp_path / "IMG_2.heic", quality=60, enc_params=quick)
    canvas.bring(page, [tmp_path / "IMG_2.heic"], tmp_path / "IMG_1.heic")
    assert page.locator(".thumb img").evaluate("async image => { await image.decode(); return image.naturalWidth; }")
    canvas.paint(page, (200, 150, 500, 450))
    assert alike(sent(page, bench).hole, rectangle(200, 150, 500, 450))
    assert (bench.folder / "sent" / "target" / "target.heic").read_bytes() == (tmp_path / "IMG_1.heic").read_bytes()


@pytest.mark.long
def test_a_photo_that_lies_on_its_side_is_painted_upright(
    page: Page, bench: Bench, photos: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photos / "target.jpg").save(tmp_path / "a.jpg", exif=exif)
    canvas.bring(page, [photos / "ref" / "0.jpg"], tmp_path / "a.jpg")
    canvas.paint(page, (100, 150, 500, 1000))
    assert alike(sent(page, bench).hole, rectangle(100, 150, 500, 1000, size=(WIDTH, HEIGHT)))


def test_a_scene_is_saved_as_a_zip_and_opened(ready: Page, bench: Bench, tmp_path: Path) -> None:
    canvas.paint(ready, (200, 150, 500, 450))
    before = sent(ready, bench)
    with ready.expect_download() as download:
        ready.locator("[data-do=save-scene]").click()
    download.value.save_as(tmp_path / "scene.zip")
    ready.locator("[data-do=clear]").click()
    ready.get_by_role("button", name="Remove reference 1").click()
    ready.locator("[data-pick=zip]").set_input_files(str(tmp_path / "scene.zip"))
    expect(ready.locator("[data-part=message]")).to_contain_text("Opened")
    canvas.settled(ready)
    assert np.array_equal(sent(ready, bench).hole, before.hole)
    ready.keyboard.press("Control+z")
    expect(ready.locator(".thumb")).to_have_count(0)
    with zipfile.ZipFile(tmp_path / "scene.zip") as archive:
        archive.extractall(tmp_path)
    ready.locator("[data-pick=folder]").set_input_files(str(tmp_path / "target"))
    canvas.settled(ready)
    expect(ready.locator(".thumb")).to_have_count(1)
    assert np.array_equal(sent(ready, bench).hole, before.hole)


def test_the_server_opens_a_scene_as_often_as_it_is_asked(ready: Page, bench: Bench) -> None:
    canvas.paint(ready, (200, 150, 500, 450))
    before = sent(ready, bench).hole
    for _ in range(2):
        ready.locator("[data-do=clear]").click()
        expect(ready.locator("[data-part=marked]")).to_have_text("nothing marked yet")
        ready.get_by_role("tab", name="Other").click()
        ready.locator("#open").click()
        ready.get_by_role("tab", name="Scene").click()
        expect(ready.locator("[data-part=marked]")).to_contain_text("% marked")
        canvas.settled(ready)
        assert np.array_equal(sent(ready, bench).hole, before)


def test_the_photos_are_compared_quietly(page: Page, photos: Path, tmp_path: Path) -> None:
    Image.open(photos / "target.jpg").rotate(5).save(tmp_path / "same.jpg")
    Image.new("RGB", (600, 400), "grey").save(tmp_path / "wall.jpg")
    canvas.bring(page, [tmp_path / "same.jpg", tmp_path / "wall.jpg"], photos / "target.jpg")
    expect(page.locator(".badge")).to_have_count(2)
    expect(page.locator(".badge[data-little=no]")).to_have_count(1)
    expect(page.locator("[data-part=overlap]")).to_contain_text("Reference 2 shares little with the target")


def test_another_target_begins_anew_and_undo_brings_the_old_one_back(ready: Page, bench: Bench, photos: Path) -> None:
    canvas.paint(ready, (100, 100, 300, 300))
    before = sent(ready, bench)
    ready.locator("[data-pick=target]").set_input_files(str(photos / "ref" / "4.jpg"))
    expect(ready.locator("[data-part=marked]")).to_have_text("nothing marked yet")
    canvas.settled(ready)
    ready.keyboard.press("Control+z")
    expect(ready.locator("[data-part=marked]")).to_contain_text("% marked")
    after = sent(ready, bench)
    assert np.array_equal(after.hole, before.hole)
    assert after.target.tobytes() == before.target.tobytes()


def test_the_target_is_dropped_and_what_is_painted_arrives(page: Page, bench: Bench, photos: Path) -> None:
    assert drop(page, page.locator("[data-part=stage]"), [photos / "target.jpg"])
    assert drop(page, page.locator(".side"), [photos / "ref" / "0.jpg", photos / "ref" / "1.jpg"])
    page.locator("#workbench .wb[data-empty=no]").wait_for()
    canvas.settled(page)
    expect(page.locator(".thumb")).to_have_count(2)
    canvas.paint(page, (200, 150, 500, 450))
    made = sent(page, bench)
    assert alike(made.hole, rectangle(200, 150, 500, 450))
    assert (bench.folder / "sent" / "target" / "target.jpg").read_bytes() == (photos / "target.jpg").read_bytes()
    assert len(made.references) == 2
