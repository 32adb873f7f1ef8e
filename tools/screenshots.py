"""Screenshots of the page for the README: `python -m tools.screenshots --out docs/images`.

Makes a scene of procedural pictures (three views of one plane), completes it with mini, opens the page over that
run in Chromium and photographs every tab, light and dark. Needs requirements-dev.txt and Debian's chromium.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import torch
from playwright.sync_api import sync_playwright

from realfill import config, images
from realfill.pipeline import complete
from tools.mini.procedural import dead_leaves

ROOT = Path(__file__).resolve().parents[1]


def make_scene(folder: Path, *, seed: int) -> Path:
    """Three references that see a plane from different places, and a target that misses a part of it."""
    picture = dead_leaves(1, 768, torch.Generator().manual_seed(seed), leaves=60)[0]
    plane = ((picture.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
    corners = np.float32([[0, 0], [512, 0], [512, 384], [0, 384]])  # type: ignore[arg-type]
    (folder / "ref").mkdir(parents=True)
    (folder / "target").mkdir()
    rng = np.random.default_rng(seed)
    for index in range(4):
        seen = corners + (80 + rng.uniform(-60, 60, 2) + rng.uniform(-25, 25, (4, 2)) + [48, 80]).astype(np.float32)
        view = cv2.warpPerspective(plane, cv2.getPerspectiveTransform(seen, corners), (512, 384), flags=cv2.INTER_AREA)
        if index < 3:
            images.save_photo(view, folder / "ref" / f"{index}.png")
    hole = np.zeros((384, 512), np.uint8)
    hole[110:280, 180:360] = 255
    images.save_photo(np.where(hole[..., None] > 0, np.uint8(255), view), folder / "target" / "target.png")
    images.save_photo(np.repeat(hole[..., None], 3, 2), folder / "target" / "mask.png")
    return folder


def photograph(runs_dir: Path, out: Path) -> None:
    """Start the page over `runs_dir` and write <tab>-<light|dark>.png at 1440 x 900."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--runs-dir", str(runs_dir)]
    server = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(runs_dir.parent)})
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url, timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for theme in ("light", "dark"):
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(f"{url}?__theme={theme}")
                for number, tab in enumerate(("Scene", "Train", "Browse and export"), 1):
                    page.get_by_role("tab", name=f"{number} {tab}").click()
                    page.wait_for_timeout(4000)
                    page.screenshot(path=out / f"{tab.split()[0].lower()}-{theme}.png")
                page.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = make_scene(Path(place) / "leaves", seed=11)
        settings = config.make("mini", {"train.steps": args.steps})
        complete(Path(place) / "runs" / "leaves", scene=folder, config=settings)
        photograph(Path(place) / "runs", args.out)


if __name__ == "__main__":
    main()
