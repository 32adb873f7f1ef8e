"""How long a person takes on the page: `python -m benchmarks.speed.journeys [--train] [--megapixels 8] [--json]`.

Starts `python app.py` over an empty folder of runs and drives Chromium as a person would who does not hesitate:
an example to its export; photos of one's own to the draft and its export; with --train also one of the example scenes
through training with the embedded base. Clicks are counted in the browser, strokes of the brush among them; choosing
files in the system's dialog is one more each. The machine's load stands beside the seconds. About a minute on two quiet
cores, with --train two more.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.options import base_parser
from benchmarks.speed.page import app_command, serve
from realfill.imaging import holes
from realfill.imaging.photo import read_photo
from realfill.scene import examples
from realfill.scene.scene_files import pictures

PATIENCE = 3_600_000  # milliseconds that training may take on a busy machine
COUNT = "window.clicks = 0; addEventListener('pointerdown', () => { window.clicks += 1; }, true);"
SETTLED = "() => !document.querySelector('.thumb[data-waiting=yes]')"


@dataclass
class Journey:
    """One way through the page: seconds from its beginning to each of its marks, and clicks in all."""

    name: str
    marks: dict[str, float] = field(default_factory=dict)
    clicks: int = 0
    began: float = field(default_factory=time.monotonic)

    def mark(self, what: str) -> None:
        """Notes that something has been reached."""
        self.marks[what] = round(time.monotonic() - self.began, 2)


def main() -> int:
    """Goes every way once and prints what it took."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("--train", action="store_true", help="also an example scene through training")
    parser.add_argument("--megapixels", type=float, default=8.0, help="of photos of one's own (8)")
    parser.add_argument("--example", default="desk", help="the example scene (desk)")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    args = parser.parse_args()
    ways: list[tuple[str, Callable[[Page, Journey], None]]] = [("example", go_by_example)]
    busy: list[float] = []
    done: list[Journey] = []
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(args.example, args.megapixels, Path(folder) / "photos")
        ways.append((f"own photos of {args.megapixels:g} megapixels", lambda page, way: go_by_draft(page, way, photos)))
        if args.train:
            ways.append(("example scene, trained", lambda page, way: go_by_training(page, way, args.example)))
        with serve(app_command(Path(folder)), Path(folder)) as (_, url, _), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
            for name, go in ways:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(PATIENCE)
                page.add_init_script(COUNT)
                way = Journey(name)
                page.goto(url)
                page.locator("#workbench .wb[data-ready=yes]").wait_for(state="attached")
                page.locator(".rf-rail-examples [data-do=open]").first.wait_for()
                way.mark("page")
                go(page, way)
                way.clicks += int(page.evaluate("window.clicks"))
                done.append(way)
                busy.append(psutil.getloadavg()[0])
                sys.stderr.write(f"{way.name}: {way.marks}, {way.clicks} clicks\n")
                page.close()
            browser.close()
    print_journeys(done, busy, as_json=args.json)
    return 0


def go_by_example(page: Page, way: Journey) -> None:
    """Opens a finished example and exports its best picture."""
    page.locator(".rf-rail-examples [data-do=open]").first.click()
    finish(page, way)


def go_by_draft(page: Page, way: Journey, photos: Path) -> None:
    """Brings photos, marks what is missing, has the draft made and exports it."""
    page.locator("[data-pick=references]").set_input_files([str(path) for path in pictures(photos / "ref")])
    page.locator("[data-pick=target]").set_input_files(str(next((photos / "target").glob("target.*"))))
    way.clicks += 4  # two buttons that were pressed by us, and two dialogs
    page.locator("#workbench .wb[data-empty=no]").wait_for()
    page.wait_for_function(SETTLED)
    way.mark("photos")
    box = page.locator("[data-part=frame]").bounding_box()
    if box is None:
        raise RuntimeError("the canvas is not on the page")
    left, top, right, bottom = (float(one) for one in (photos / "box").read_text().split())
    page.locator("[data-tool=rectangle]").click()
    page.mouse.move(box["x"] + left * box["width"], box["y"] + top * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + right * box["width"], box["y"] + bottom * box["height"], steps=8)
    page.mouse.up()
    page.locator("#try-draft[aria-disabled=false]").wait_for()
    way.mark("marked")
    page.locator("#try-draft").click()
    wait_for_result(page)
    way.mark("first picture")
    page.locator("#status [data-state=done]").wait_for()
    finish(page, way)


def go_by_training(page: Page, way: Journey, example: str) -> None:
    """Opens an example scene, trains with what the page offers, and exports the best picture."""
    page.locator(".rf-rail-new").click()
    page.locator(f"#workbench [data-example='{example}']").click()
    page.locator("#start[aria-disabled=false]").wait_for()
    way.mark("photos")
    page.locator("#start").click()
    page.locator("#status [data-state=done]").wait_for()
    finish(page, way)


def finish(page: Page, way: Journey) -> None:
    """Waits until a result is shown, presses Export and waits for the file."""
    wait_for_result(page)
    way.mark("result")
    with page.expect_download() as download:
        page.locator("#export").click()
    download.value.path()
    way.mark("file")


def wait_for_result(page: Page) -> None:
    """Until a picture is shown and loaded."""
    page.wait_for_function(
        "() => { const picture = document.querySelector('.rf-after');"
        " return picture?.checkVisibility() && picture.complete && picture.naturalWidth > 0; }"
    )


def write_photos(example: str, megapixels: float, folder: Path) -> Path:
    """An example scene's photos enlarged to a camera's size as JPEG, and the box round its hole as shares."""
    source = examples.find(example).folder
    hole = read_photo(source / "target" / "mask.png")[:, :, 0] > 0
    height, width = hole.shape
    left, top, right, bottom = holes.bounding_box(hole)
    factor = (megapixels * 1e6 / (width * height)) ** 0.5
    named = [*pictures(source / "ref"), next((source / "target").glob("target.*"))]
    for path in named:
        place = folder / path.parent.name / f"{path.stem}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        photo = Image.fromarray(read_photo(path))
        photo.resize((round(photo.width * factor), round(photo.height * factor)), Image.Resampling.BICUBIC).save(
            place, quality=92
        )
    (folder / "box").write_text(f"{left / width} {top / height} {right / width} {bottom / height}")
    return folder


def print_journeys(journeys: list[Journey], busy: list[float], *, as_json: bool) -> None:
    """Writes what was measured to stdout; `busy` is the machine's load (of one minute) at each end."""
    if as_json:
        rows = [
            {"name": one.name, "seconds": one.marks, "clicks": one.clicks, "load": round(load, 1)}
            for one, load in zip(journeys, busy, strict=True)
        ]
        sys.stdout.write(json.dumps({"journeys": rows, "cores": psutil.cpu_count()}) + "\n")
        return
    for one, load in zip(journeys, busy, strict=True):
        marks = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in one.marks.items())
        sys.stdout.write(f"{one.name}: {marks}; {one.clicks} clicks; load {load:.1f}\n")


if __name__ == "__main__":
    sys.exit(main())
