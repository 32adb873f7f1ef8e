"""How fast the page is: `python -m benchmarks.speed.page [--json] [--starts 3] [--chromium PATH]`.

Starts `python app.py` and, in turns, an empty gradio page; drives Chromium over a project with 64 seeds and a
12-megapixel target; prints each figure beside its bound. Exit code 1 where one is over it. For a quiet machine;
takes about seven minutes on two cores, five of them for --loads.
"""

import contextlib
import io
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.options import base_parser
from realfill import config
from realfill.runs.listing import new_run_folder
from realfill.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]
SEEDS, TICKS = 64, 40
FIRST_LOADS = 20  # what these bring into memory stays: imports, threads, caches
EMPTY = (
    "import sys, gradio as gr\n"
    "with gr.Blocks(analytics_enabled=False) as page: gr.Markdown('empty')\n"
    "page.launch(server_port=int(sys.argv[1]), quiet=True, ssr_mode=False)"
)


@dataclass(frozen=True)
class Figure:
    """One measured number, its bound and its unit; `least`: the bound is from below."""

    name: str
    value: float
    bound: float
    unit: str
    least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the number is within its bound."""
        return self.value >= self.bound if self.least else self.value <= self.bound


def main() -> int:
    """Measures everything and says it."""
    parser = base_parser(__doc__ or "")
    parser.add_argument("--starts", type=int, default=3, help="cold starts of each page (3)")
    parser.add_argument(
        "--loads", type=int, default=200, help="times that a browser opens the page, for its memory (200)"
    )
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_project(Path(folder) / "runs")
        figures = [measure_cold_start(Path(folder), args.starts)]
        with serve(app_command(Path(folder)), Path(folder)) as (_, url, server), sync_playwright() as playwright:
            figures.append(measure_tick(url, run.folder.name, server))
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
            for measure in (measure_opening, measure_canvas, measure_grid):
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                figures += measure(page, f"{url}?project={run.folder.name}" if measure is measure_grid else url)
                page.close()
            browser.close()
        with serve(app_command(Path(folder)), Path(folder)) as (_, url, server), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
            figures.append(measure_memory(browser, url, server, args.loads))
            browser.close()
    print_figures(figures, as_json=args.json)
    return 0 if all(figure.holds for figure in figures) else 1


def print_figures(figures: list[Figure], *, as_json: bool) -> None:
    """Writes the figures to stdout."""
    if as_json:
        sys.stdout.write(json.dumps({one.name: {**vars(one), "holds": one.holds} for one in figures}) + "\n")
        return
    for one in figures:
        sign = "≥" if one.least else "≤"
        mark = "ok  " if one.holds else "OVER"
        sys.stdout.write(f"{mark} {one.name}: {one.value:.4g} {one.unit} ({sign} {one.bound:g})\n")


# ── servers ──


def app_command(folder: Path) -> list[str]:
    """The studio over `folder`/runs; the port comes last."""
    return [sys.executable, str(ROOT / "app.py"), "--runs-dir", str(folder / "runs"), "--base", "mini", "--port"]


@contextlib.contextmanager
def serve(command: list[str], folder: Path) -> Iterator[tuple[float, str, psutil.Process]]:
    """Runs a server; gives the seconds until it answered, its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    began = time.monotonic()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([*command, str(port)], cwd=ROOT, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended; see {folder / 'log'}: {(folder / 'log').read_text()[-2000:]}")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=20).close()
                break
            time.sleep(0.02)
        yield time.monotonic() - began, url, psutil.Process(process.pid)
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def measure_cold_start(folder: Path, times: int) -> Figure:
    """Seconds from start to the first answer, as a multiple of an empty gradio page's; started in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(times):
        for command, seconds in (([sys.executable, "-c", EMPTY], theirs), (app_command(folder), ours)):
            with serve(command, folder) as (took, _, _):
                seconds.append(took)
    return Figure("cold start", statistics.median(ours) / statistics.median(theirs), 1.25, "× an empty page")


def measure_memory(browser: Browser, url: str, server: psutil.Process, loads: int) -> Figure:
    """The page process' memory after so many loads of the page by a browser, by that after the first ones."""
    context, sizes = browser.new_context(), []
    for _ in range(max(loads, FIRST_LOADS)):
        page = context.new_page()
        page.goto(url)
        page.get_by_role("tab", name="Scene").wait_for()
        page.wait_for_timeout(300)  # its first handlers answer
        page.close()
        sizes.append(server.memory_info().rss)
    return Figure(
        f"memory after {len(sizes)} loads by that after {FIRST_LOADS}",
        sizes[-1] / sizes[FIRST_LOADS - 1],
        1.15,
        "times",
    )


def measure_tick(url: str, run_id: str, server: psutil.Process) -> Figure:
    """Milliseconds that the server computes for one tick of the page and one of the rail, when nothing is new."""
    with urllib.request.urlopen(f"{url}config", timeout=30) as answer:
        settings = json.load(answer)
    timers = {one["id"] for one in settings["components"] if one["type"] == "timer"}
    ticks = {
        one["id"]: [run_id, *[None] * (len(one["inputs"]) - 1)]  # what it saw last is kept on the server
        for one in settings["dependencies"]
        if one["targets"] and one["targets"][0][0] in timers
    }
    busy = 1.0
    while busy > 0.1:  # the first looks have thumbnails made
        before = sum(server.cpu_times()[:2])
        call_handlers(url, ticks)
        time.sleep(2)
        busy = sum(server.cpu_times()[:2]) - before
    before = sum(server.cpu_times()[:2])
    for _ in range(TICKS):
        call_handlers(url, ticks)
    return Figure("tick", (sum(server.cpu_times()[:2]) - before) / TICKS * 1000, 20, "ms")


def call_handlers(url: str, ticks: dict[int, list[Any]]) -> None:
    """Calls handlers by number with their data, as the browser does it."""
    for number, data in ticks.items():
        body = json.dumps({"fn_index": number, "data": data, "session_hash": "bench"}).encode()
        request = urllib.request.Request(f"{url}gradio_api/run/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


# ── in Chromium ──


def measure_opening(page: Page, url: str) -> list[Figure]:
    """First paint, and when canvas and buttons answer."""
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#workbench [data-part=stage]", state="visible")
    page.wait_for_selector("#start:not([disabled])", state="visible")
    interactive = page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
    )
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return [Figure("first paint", paint / 1000, 1.5, "s"), Figure("interactive", interactive / 1000, 2.5, "s")]


DROP = """async ([data, where]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], 'target.jpg', {type: 'image/jpeg'}));
  const stage = document.querySelector(where), root = stage.closest('[data-empty]');
  const began = performance.now();
  for (const kind of ['dragenter', 'dragover', 'drop'])
    stage.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: transfer}));
  while (root.dataset.empty !== 'no') {
    if (performance.now() - began > 60_000) throw new Error('the dropped photo does not arrive');
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""

LATENCY = """() => { window.late = [];
  document.querySelector('#workbench [data-part=stage]').addEventListener('pointermove', event => {
    const painted = () => window.late.push(performance.now() - event.timeStamp);
    if (event.buttons) requestAnimationFrame(() => setTimeout(painted));
  }); }"""


def measure_canvas(page: Page, url: str) -> list[Figure]:
    """From the drop of 12 megapixels until one can paint, and from the pointer to the paint."""
    page.goto(url)
    stage = page.locator("#workbench [data-part=stage]")
    page.get_by_role("button", name="New project", exact=True).click()
    page.wait_for_selector("#workbench [data-opened][data-empty=yes]")
    stage.wait_for()
    ready = page.evaluate(DROP, [b64encode(make_photo(4000, 3000)).decode(), "#workbench [data-part=stage]"])
    page.evaluate(LATENCY)
    box = stage.bounding_box()
    if box is None:
        raise RuntimeError("the canvas is not on the page")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(x + 2 * step, y + step % 9)
        page.wait_for_timeout(16)
    page.mouse.up()
    late = page.evaluate("window.late")
    return [Figure("12 MP paintable", ready / 1000, 1.5, "s"), Figure("pointer to paint", p95(late), 20, "ms")]


SCROLL = """() => new Promise(done => {
  const box = document.querySelector('#seeds .rf-cells'), frames = [];
  let last = performance.now(), down = 1;
  const step = now => {
    frames.push(now - last); last = now;
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) down = -1;
    if (box.scrollTop <= 0) down = 1;
    box.scrollTop += 14 * down;
    if (frames.length < 240) requestAnimationFrame(step);
    else done([frames.slice(5), box.scrollHeight - box.clientHeight]);
  };
  requestAnimationFrame(step);
})"""


def measure_grid(page: Page, url: str) -> list[Figure]:
    """Share of frames under 33 ms while 64 seeds are scrolled up and down."""
    page.goto(url)
    page.get_by_role("tab", name="Browse").click()
    page.wait_for_function(f"document.querySelectorAll('#seeds .rf-cell img[src]').length === {SEEDS}", timeout=60_000)
    page.wait_for_timeout(1000)
    page.set_viewport_size({"width": 1440, "height": 560})  # so that there is something to scroll
    frames, height = page.evaluate(SCROLL)
    if height <= 0:
        raise RuntimeError("the grid does not scroll")
    share = 100 * sum(frame < 33 for frame in frames) / len(frames)
    return [Figure("frames under 33 ms", share, 95, "%", least=True)]


# ── what is shown ──


def make_project(runs_dir: Path) -> Run:
    """A finished project with 64 seeds and their counts."""
    rng = np.random.default_rng(1)
    run_folder = new_run_folder(runs_dir)
    scene_folder = run_folder / "scene"
    for name in ("ref/00.jpg", "target/target.jpg"):
        (scene_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (scene_folder / name).write_bytes(make_photo(1600, 1200))
    hole = np.zeros((1200, 1600), np.uint8)
    hole[400:800, 600:1000] = 255
    Image.fromarray(hole).save(scene_folder / "target" / "mask.png")
    run = Run.create(run_folder, config.make("mini", {"sample.seeds": f"0-{SEEDS - 1}"}))
    box = {"box": [200, 0, 1400, 1200], "width": 256, "height": 256, "photo_width": 1600, "photo_height": 1200}
    run.record(fit=box)
    for seed in range(SEEDS):
        run.write_seed(seed, rng.integers(0, 255, (256, 256, 3), np.uint8))
    counts: list[dict[str, Any]] = [
        {"seed": seed, "matches": 500 - seed, "per_reference": [500 - seed]} for seed in range(SEEDS)
    ]
    run.write("scores", {"matcher": "sift", "ranked": True, "seeds": counts})
    run.enter("done")
    return run


def make_photo(width: int, height: int) -> bytes:
    """A JPEG with as much detail as a camera's."""
    rng = np.random.default_rng(7)
    coarse = Image.fromarray(rng.integers(0, 255, (height // 16, width // 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + rng.integers(-12, 12, smooth.shape, np.int16), 0, 255).astype(np.uint8)
    into = io.BytesIO()
    Image.fromarray(noisy).save(into, "JPEG", quality=90)
    return into.getvalue()


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    sys.exit(main())
