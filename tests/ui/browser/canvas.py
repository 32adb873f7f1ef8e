"""Driving the workbench in a browser: photos in, marks on the target. Coordinates are the target's own pixels."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Page, expect

READY = "#workbench .wb[data-ready=yes]"


def ready(page: Page) -> None:
    """Until the Scene tab's script is there; the tab that is shown is the one that fits the open project."""
    page.locator(READY).wait_for(state="attached")


def begin(page: Page, url: str) -> None:
    """Opens the page with nothing on it: it brings the last project by itself."""
    page.goto(url)
    ready(page)
    page.locator("html:is(.rf-rail-out, .rf-rail-away)").wait_for(state="attached")  # the rail's script is there, too
    page.get_by_role("button", name="New project", exact=True).click()
    page.locator("#workbench .wb[data-opened][data-empty=yes]").wait_for()


def bring(page: Page, references: Sequence[Path], target: Path | None) -> None:
    """Gives the open page its photos and waits until the server has them."""
    page.locator(READY).wait_for()
    if references:
        page.locator("[data-pick=references]").set_input_files([str(path) for path in references])
    if target is not None:
        page.locator("[data-pick=target]").set_input_files(str(target))
        page.locator("#workbench .wb[data-empty=no]").wait_for()
    settled(page)


def bring_scene(page: Page, folder: Path) -> None:
    """References, target and mask file of a scene folder."""
    bring(page, sorted((folder / "ref").iterdir()), next((folder / "target").glob("target.*")))
    load_mask(page, folder / "target" / "mask.png")


def load_mask(page: Page, path: Path) -> None:
    """A mask file, as through “Load mask…”."""
    page.locator("[data-pick=mask]").set_input_files(str(path))
    expect(page.locator("[data-part=marked]")).to_contain_text("% marked")
    settled(page)


def paint(page: Page, box: tuple[int, int, int, int], *, tool: str = "rectangle", button: str = "left") -> None:
    """Marks left, top, right, bottom (exclusive) of the target; lasso and brush go round its border."""
    page.locator(f"[data-tool={tool}]").click()
    left, top, right, bottom = box
    way = [(left, top), (right, bottom)]
    if tool != "rectangle":
        way = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    drag(page, way, button=button)


def drag(page: Page, way: Sequence[tuple[float, float]], *, button: str = "left") -> None:
    """One stroke of the pointer along points of the target."""
    first, *others = [at(page, *point) for point in way]
    page.mouse.move(*first)
    page.mouse.down(button="right" if button == "right" else "left")
    for point in others:
        page.mouse.move(*point, steps=6)
    page.mouse.up(button="right" if button == "right" else "left")


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the target is in the window; (0, 0) is its upper left corner, extended or not."""
    frame = page.locator("[data-part=frame]").bounding_box()
    sides = page.locator("[data-handle]").evaluate_all("all => all.map(one => Number(one.ariaValueNow))")
    assert frame is not None
    width = int(page.locator("[data-part=target]").inner_text().split("·")[1].split("×")[0])
    scale = frame["width"] / (width + sides[0] + sides[2])
    return frame["x"] + (x + sides[0]) * scale, frame["y"] + (y + sides[1]) * scale


def size(page: Page, pixels: int) -> None:
    """Brush and eraser about as large as asked, by the slider's keys."""
    slider = page.get_by_label("Size of brush and eraser")
    for _ in range(100):
        now = int(page.locator("[data-part=size-text]").inner_text().split()[0])
        if now <= pixels:
            break
        slider.press("ArrowLeft")
    while int(page.locator("[data-part=size-text]").inner_text().split()[0]) < pixels:
        slider.press("ArrowRight")


def settled(page: Page) -> None:
    """Until the server keeps the scene as it is seen."""
    page.wait_for_function("() => !document.querySelector('.thumb[data-waiting=yes]')")
    painted(page)
    page.locator("#workbench .wb[data-saved=yes]").wait_for()


def painted(page: Page) -> None:
    """Until the browser has drawn what was asked for before: two frames, the first may have been under way."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def wait_until(page: Page, true: Callable[[], bool], what: str) -> None:
    """Looks once a frame whether something has become true on the page."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        painted(page)
