"""The report opens by itself, shows what was measured, and escapes what others named."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from realfill.evaluation import results
from realfill.evaluation.dataset import Case, find_cases
from realfill.evaluation.report import plots, thumbnails
from realfill.evaluation.report.page import write_report
from realfill.evaluation.report.plots import Axes
from realfill.evaluation.report.thumbnails import draw_hole
from realfill.evaluation.store import Store
from realfill.imaging.photo import read_photo


class _Sources(HTMLParser):
    """The pictures that a page shows, its tags, and whether they are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.sources.append(dict(attrs)["src"] or "")
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...


def _scored(store: Store, root: Path) -> list[Case]:
    cases, _ = find_cases(root)
    for case in cases:
        scene = case.scene()
        rows = {}
        for seed in range(5):
            store.write_picture("theirs", case.name, seed, scene.target)
            rows[str(seed)] = {"file": "f", "psnr": 10.0 + seed, "matches_sift": 7 * seed}
        store.write_record("theirs", case.name, {"title": "Theirs <script>"})
        store.write_scores("theirs", case.name, {"measured_by": {"psnr": "t & m"}, "seeds": rows})
    store.write_record("other", cases[0].name, {"title": "Other", "no_result": "It <gave> up."})
    store.write_facts({"scoring": {"matchers": ["sift"], "missing": {"lpips": "no <weights>"}}, "seeds": [0, 4]})
    return cases


def test_the_page_is_whole_and_its_pictures_are_there(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "bench")
    cases = _scored(store, root)
    path = write_report(store, results.collect_results(store), cases)
    text = path.read_text(encoding="utf-8")
    page = _Sources()
    page.feed(text)
    assert page.open == []
    assert len(page.sources) == len(cases) * (2 + 4)  # what was given, the truth, the four best
    for source in page.sources:
        assert not re.match(r"[a-z]+:|/", source) and (path.parent / source).is_file()
    assert "<script" not in text and "It <gave>" not in text and "no &lt;weights&gt;" in text
    assert "seed 4: PSNR ↑ 14.00, 28 matches" in text and "seed 0:" not in text  # best by matches first
    assert "not measured here" in text and "GeoComplete" in text
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_an_empty_benchmark_has_a_page_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    page = _Sources()
    page.feed(write_report(store, results.collect_results(store), []).read_text(encoding="utf-8"))
    assert page.open == [] and page.sources == []


def test_a_plot_places_points_by_their_values() -> None:
    drawing = ElementTree.fromstring(plots.lines({"a": [(0, 1), (10, 3)], "b & c": [(5, 2)]}, Axes("t <", "x", "y")))
    space = "{http://www.w3.org/2000/svg}"
    dots = [(float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in drawing.iter(f"{space}circle")]
    assert len(dots) == 3 and dots[0][0] < dots[2][0] < dots[1][0]  # left to right
    assert dots[0][1] > dots[2][1] > dots[1][1]  # up is more
    assert abs(dots[2][0] - (dots[0][0] + dots[1][0]) / 2) < 0.11
    texts = [text.text for text in drawing.iter(f"{space}text")]
    assert {"0", "2", "10", "1", "1.5", "3", "a", "b & c"} <= set(texts)  # round numbers along the axes
    assert len(list(drawing.iter(f"{space}polyline"))) == 1  # one point makes no line
    assert not list(
        ElementTree.fromstring(plots.dots({"a": [(0, 1), (1, 2)]}, Axes("", "", ""))).iter(f"{space}polyline")
    )
    assert plots.lines({"a": []}, Axes("t", "x", "y")) == ""
    assert "NaN" not in plots.lines({"a": [(1, 5), (1, 5)]}, Axes("t", "x", "y"))


def test_thumbnails_are_made_once(root: Path, tmp_path: Path) -> None:
    case = find_cases(root)[0][0]
    scene, picture, thumb = case.scene(), case.folder / "target" / "gt.png", tmp_path / "t.jpg"
    thumbnails.make_thumbnail(picture, thumb, lambda photo: draw_hole(photo, scene.hole))
    stamp = thumb.stat().st_mtime_ns
    thumbnails.make_thumbnail(picture, thumb, lambda photo: photo)
    assert thumb.stat().st_mtime_ns == stamp
    small, photo = read_photo(thumb), read_photo(picture)
    assert small.shape == photo.shape  # smaller than a thumbnail: not enlarged
    inside, outside = scene.hole, ~scene.hole
    assert abs(small[inside].astype(float).mean() - photo[inside].mean()) < 6
    assert small[outside].astype(float).mean() > photo[outside].mean() + 20
    large = thumbnails.thumbnail(np.zeros((720, 100, 3), np.uint8))
    (tmp_path / "l.jpg").write_bytes(large)
    assert read_photo(tmp_path / "l.jpg").shape == (360, 50, 3)
