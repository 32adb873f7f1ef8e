"""The page about the example scenes: `python -m tools.scenes.sheet` writes docs/scenes.md and its pictures.

Runs with the project's own requirements (it counts matches with the project's SIFT); Blender is not needed.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill.config import SelectConfig
from realfill.matching.registry import load_matcher
from realfill.scene import examples, scene
from realfill.scene.examples import Example
from realfill.scene.scene import Scene

CELL, GAP, MOST = (250, 188), 6, 400_000  # pixels of one photo, between photos; bytes of the sheet
GROUND = "#c9ccd1"  # not white: that is what the holes are
HEAD = """# Example scenes

Eight scenes with known answers. They are the examples in the app, the fixture of tests and the pictures in the docs.
We rendered them ourselves with Blender ([tools/scenes](../tools/scenes)) and give them away under CC0-1.0.

![Each row is a scene: the target with its hole, the truth, the references](images/scenes.jpg)

Each row: the target with its hole in white, the truth, the references.

| scene | title | what it tests | target | hole | references | SIFT matches, by reference |
|---|---|---|---|---|---|---|
"""
TAIL = """
The hole is given as its share of the target. Matches are those of the project's SIFT (`realfill/matching`, longest
side 512, ratio 0.75) between the known part of the target and each reference; none of them lies in the hole.

`python -m realfill complete --example desk` completes one of them; any name from the first column works. The folders in
`assets/scenes` have the layout of every scene: `ref/*`, `target/{target,mask,gt}.*`, and `scene.json` with the words
in this table, the licence and how the scene was made. `prompt.txt` says in a sentence what is to be seen, for the
benchmark.

## Making them again
```
python3.11 -m venv scenes-venv
scenes-venv/bin/pip install -r requirements-tools.txt
scenes-venv/bin/python -m tools.scenes --out assets/scenes          # all; --only desk for one
python -m tools.scenes.sheet                                        # this page
```
Rendering runs on one CPU thread, one to three minutes a photo, and keeps every finished picture in `.work/scenes`, so
it goes on where it was stopped. `--draft 400` makes quick small pictures for a look. The photos get their grain, their
vignette and their film style after rendering (`tools/scenes/recipe.py`). `posters` is rendered at 4000×3000 pixels.
"""


def matches(of: Scene) -> list[int]:
    """Matches between the known part of the target and each reference."""
    matcher = load_matcher(SelectConfig(matcher="sift"))
    counts = []
    for found in matcher.match(of.references, [of.target])[0]:
        x, y = np.round(found.target_xy).astype(int).T
        height, width = of.hole.shape
        counts.append(int((~of.hole[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]).sum()))
    return counts


def row(example: Example, of: Scene) -> str:
    """One line of the table."""
    counts = " · ".join(str(count) for count in matches(of))
    cells = [
        f"`{example.name}`",
        example.title,
        example.tests,
        f"{example.width}×{example.height}",
        f"{example.hole:.0%}",
        str(example.references),
        counts,
    ]
    return f"| {' | '.join(cells)} |\n"


def strip(of: Scene) -> Image.Image:
    """Target, truth and references side by side."""
    painted = np.where(of.hole[..., None], np.uint8(255), of.target)
    truth = of.truth if of.truth is not None else of.target
    shown = [painted, truth, *of.references]
    made = Image.new("RGB", ((CELL[0] + GAP) * 7 - GAP, CELL[1]), GROUND)
    for index, photo in enumerate(shown):
        made.paste(_shrink(photo), (index * (CELL[0] + GAP), 0))
    return made


def _shrink(photo: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(photo).resize(CELL, Image.Resampling.LANCZOS, reducing_gap=3)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.scenes.sheet", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    docs = parser.parse_args().docs
    loaded = [(example, scene.load(example.folder)) for example in examples.examples()]
    page = HEAD + "".join(row(example, of) for example, of in loaded) + TAIL
    (docs / "scenes.md").write_text(page, encoding="utf-8")
    rows = [strip(of) for _, of in loaded]
    sheet = Image.new("RGB", (rows[0].width, len(rows) * (CELL[1] + GAP) - GAP), GROUND)
    for index, part in enumerate(rows):
        sheet.paste(part, (0, index * (CELL[1] + GAP)))
    path = docs / "images" / "scenes.jpg"
    for quality in range(85, 40, -5):
        sheet.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size < MOST:
            return


if __name__ == "__main__":
    main()
