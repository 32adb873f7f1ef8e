"""Screenshots of every step on the page, light and dark: `python -m tools.screenshots --example desk`.

Starts the page over an empty folder of runs, opens a scene there, trains and browses as a person would, once more on a
phone, and writes <step>-<light|dark>.webp, each below 100 kB. Needs requirements-dev.txt and Debian's chromium.
"""

import argparse
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from realfill.bases import EMBEDDED
from realfill.scene import examples

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 100_000
PATIENCE = 3_600_000  # milliseconds that training and filling in may take
WINDOW = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


class Photographer:
    """Photographs a page in both themes."""

    def __init__(self, page: Page, out: Path) -> None:
        self._page, self._out = page, out

    def shoot(self, step: str) -> None:
        """Writes <step>-light.webp and <step>-dark.webp, with as much quality as the size allows."""
        for theme in ("light", "dark"):
            self._page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
            self._page.mouse.move(720, 895)
            self._page.wait_for_timeout(700)
            path = self._out / f"{step}-{theme}.webp"
            image = Image.open(io.BytesIO(self._page.screenshot()))
            for quality in (90, 82, 74, 66, 58):
                image.save(path, quality=quality, method=6)
                if path.stat().st_size < MOST_BYTES:
                    break
            print(f"{path}  {path.stat().st_size // 1000} kB", flush=True)


@contextmanager
def serve_page(runs_dir: Path, base: str) -> Iterator[str]:
    """The page over `runs_dir`, by its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--runs-dir", str(runs_dir), "--base", base]
    server = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(runs_dir.parent)})
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


def fill_setting(page: Page, setting: str, text: str) -> None:
    field = page.locator(f"#set-{setting} input, #set-{setting} textarea").first
    field.fill(text)
    field.press("Tab")


def upload_scene(page: Page, scene: Path, place: Path) -> None:
    """Opens a scene folder on the page, as a zip."""
    packed = place / f"{scene.name}.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(scene.rglob("*")):
            if path.is_file() and path.parent.name in ("ref", "target"):
                archive.write(path, path.relative_to(scene.parent))
    page.locator("[data-pick=zip]").set_input_files(str(packed))
    page.locator("#workbench .wb[data-empty=no]").wait_for(timeout=60_000)
    page.wait_for_timeout(6000)  # thumbnails, and how much the references share with the target


def shoot_steps(page: Page, photographer: Photographer, scene: Path, place: Path, args: argparse.Namespace) -> None:
    """The whole way; what is photographed is what a person sees."""
    page.locator("#workbench .wb[data-ready=yes]").wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    if (message := page.locator("[data-part=message]")).is_visible():  # that the scene before was emptied
        message.get_by_role("button").click()
    photographer.shoot("welcome")
    upload_scene(page, scene, place)
    photographer.shoot("scene")
    page.locator("[data-do=draft]").first.click()
    page.locator("[data-part=draft]:is([data-kind=whole], [data-kind=partly])").wait_for(timeout=PATIENCE)
    page.keyboard.press("c")
    page.wait_for_timeout(1000)
    photographer.shoot("draft")
    page.keyboard.press("2")
    page.locator("#all-settings > button").click()
    fill_setting(page, "train-steps", str(args.steps))
    fill_setting(page, "sample-seeds", f"0-{args.seeds - 1}")
    page.locator("#start").click()
    page.wait_for_function("() => document.querySelectorAll('#strip li').length >= 3", timeout=PATIENCE)
    photographer.shoot("train")


def shoot_results(page: Page, photographer: Photographer) -> None:
    """A finished example looked at in every way; nothing is computed for it but pictures."""
    page.locator(".rf-rail-examples [data-do=open]").first.click()
    page.locator(".rf-after").wait_for(timeout=60_000)
    page.wait_for_function("() => [...document.querySelectorAll('.rf-cell img')].every((one) => one.naturalWidth > 0)")
    page.wait_for_timeout(2000)
    photographer.shoot("browse")
    page.get_by_role("tab", name="Why this rank").click()
    photographer.shoot("matches")
    page.get_by_role("tab", name="Side by side").click()
    page.get_by_role("radio", name="4", exact=True).click()
    wait_for_pictures(page)
    page.locator(".rf-pane").first.hover()
    page.mouse.wheel(0, -300)
    photographer.shoot("side-by-side")
    page.keyboard.press("0")
    page.get_by_role("button", name="Which is truer?").click()
    wait_for_pictures(page)
    photographer.shoot("blind")
    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("button", name="Confidence").click()
    page.locator("[data-large]").click()
    photographer.shoot("large")


def wait_for_pictures(page: Page) -> None:
    """Until all pictures beside each other are there."""
    page.wait_for_function("() => document.querySelectorAll('.rf-pane[data-coming=no]').length > 1")
    page.wait_for_function("() => !document.querySelector('.rf-pane[data-coming=yes]')")


def shoot_phone(browser: Browser, url: str, out: Path) -> None:
    """A finished example on a phone: where it is looked at and where it is marked."""
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    page = context.new_page()
    photographer = Photographer(page, out)
    page.goto(url)
    page.locator(".rf-rail-fold").tap()
    page.locator(".rf-rail-examples [data-do=open]").first.tap()
    page.locator(".rf-after").wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    photographer.shoot("phone-browse")
    page.get_by_role("tab", name="1 Scene").tap()
    page.wait_for_timeout(3000)
    photographer.shoot("phone-scene")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--example", help="one of the example scenes (the first)")
    parser.add_argument("--scene", type=Path, help="a scene folder instead")
    parser.add_argument("--base", default=EMBEDDED)
    parser.add_argument("--steps", type=int, default=75)
    parser.add_argument("--seeds", type=int, default=16)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scene = args.scene or examples.find(args.example or examples.examples()[0].name).folder
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_page(Path(folder) / "runs", args.base) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]
        page.goto(f"{url}?__theme=light")
        photographer = Photographer(page, args.out)
        shoot_results(page, photographer)
        shoot_phone(browser, url, args.out)
        page.keyboard.press("Escape")
        page.locator(".rf-rail-new").click()
        shoot_steps(page, photographer, scene, Path(folder), args)
        browser.close()


if __name__ == "__main__":
    main()
