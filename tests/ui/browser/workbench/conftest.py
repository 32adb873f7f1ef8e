"""A page with nothing but the Scene tab, in a real Chromium."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.ui.browser import canvas
from tests.ui.browser.workbench.hands import HEIGHT, WIDTH, Bench
from tests.ui.conftest import ROOT, end, free_port, wait_for


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The page of `page.py`: its address and its folder."""
    folder, port = tmp_path_factory.mktemp("bench"), free_port()
    command = [sys.executable, "-m", "tests.ui.browser.workbench.page", str(port), str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(url, process)
        yield Bench(url, folder)
    finally:
        end(process)


@pytest.fixture
def page(page: Page, bench: Bench) -> Page:
    """The Scene tab, opened."""
    page.goto(bench.url)
    canvas.ready(page)
    return page


@pytest.fixture(scope="package")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """target.jpg, ref/0.jpg … ref/5.jpg: noise that is large enough to be looked at."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "ref").mkdir()
    rng = np.random.default_rng(1)
    for index in range(7):
        small = Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8))
        path = folder / "target.jpg" if index == 6 else folder / "ref" / f"{index}.jpg"
        small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=80)
    return folder


@pytest.fixture
def ready(page: Page, photos: Path) -> Page:
    """The page with one reference and the target."""
    canvas.bring(page, [photos / "ref" / "0.jpg"], photos / "target.jpg")
    return page
