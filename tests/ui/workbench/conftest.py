"""A page with nothing but the Scene tab, in a real Chromium."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.ui import canvas
from tests.ui.conftest import ROOT, end, free_port, needs_chromium, wait_for
from tests.ui.workbench.hands import HEIGHT, WIDTH, Bench


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests in this folder drive a browser."""
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)
            item.add_marker(needs_chromium)


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The page of `page.py`: its address and its folder."""
    folder, port = tmp_path_factory.mktemp("bench"), free_port()
    command = [sys.executable, "-m", "tests.ui.workbench.page", str(port), str(folder)]
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(url, process)
        yield Bench(url, folder)
    finally:
        end(process)


@pytest.fixture
def page(browser: Browser, bench: Bench) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(20_000)
    broken: list[str] = []
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.goto(bench.url)
    opened.locator(canvas.READY).wait_for()
    yield opened
    opened.close()
    assert not broken, broken


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
