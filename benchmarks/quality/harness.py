"""What the quality benchmarks share: their options, the loop over scenes, pictures of runs and tables in Markdown."""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.options import base_parser, print_json
from realfill import config
from realfill.arrays import Photo
from realfill.device.devices import choose_device
from realfill.imaging import photo
from realfill.runs.export import compose
from realfill.runs.run import Run
from realfill.scene.scene import Scene

Row = dict[str, Any]  # one scene's numbers
MeasureScene = Callable[[Path, argparse.Namespace], Row]
FormatTable = Callable[[list[Row]], str]


def scenes_parser(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark over scenes has."""
    parser = base_parser(description)
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("--only", action="append", default=[], metavar="SCENE", help="this scene; repeatable")
    return parser


def runs_parser(description: str) -> argparse.ArgumentParser:
    """As `scenes_parser`, with the options of a benchmark that completes scenes with a base."""
    parser = scenes_parser(description)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the runs, continued if they are there")
    parser.add_argument("--base", default="mini")
    parser.add_argument("--preset", default="mini", choices=list(config.PRESETS))
    parser.add_argument("--device", default="auto")
    return parser


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """Adds --set, whose values `parse_changes` reads."""
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable")


def parse_changes(texts: Sequence[str]) -> dict[str, str]:
    """`["train.steps=3"]` → {"train.steps": "3"}."""
    return dict(text.split("=", 1) for text in texts)


def list_scenes(roots: Sequence[Path], only: Collection[str]) -> list[Path]:
    """The scene folders in some folders, those named in `only` where any is named."""
    folders = sorted(path for root in roots for path in root.iterdir() if (path / "target").is_dir())
    return [folder for folder in folders if not only or folder.name in only]


def measure_scenes(
    folders: Sequence[Path], args: argparse.Namespace, measure: MeasureScene, table: FormatTable
) -> list[Row]:
    """The rows of all scenes; DIR/table.md and DIR/rows.json are written anew after each, the table is printed."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for folder in folders:
        sys.stderr.write(f"{folder.name}\n")
        rows.append(measure(folder, args))
        (args.out / "table.md").write_text(table(rows))
        (args.out / "rows.json").write_text(json.dumps(rows))
    sys.stdout.write(table(rows))
    if args.json:
        print_json(device=choose_device(args.device), rows=rows)
    return rows


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def exported_photo(run: Run, scene: Scene, seed: int) -> Photo:
    """The export of a seed at the target's own size (H, W, 3), before it is encoded."""
    return photo.to_photo(compose(run, scene, seed))


def replace_hole(scene: Scene, picture: Photo) -> Photo:
    """A picture (H, W, 3) in the hole, and the target's known pixels."""
    return np.where(scene.hole[..., None], picture, scene.target)


def tile_pictures(pictures: Sequence[Photo], *, across: int) -> Photo:
    """Pictures of one size beside one another, so many in a row; what is left of the last row is white."""
    tiles = [*pictures, *[np.full_like(pictures[0], 255)] * (-len(pictures) % across)]
    rows = [np.concatenate(tiles[start : start + across], 1) for start in range(0, len(tiles), across)]
    return np.concatenate(rows)


def write_picture(path: Path, picture: Photo, *, quality: int = 90) -> None:
    """Writes a picture (H, W, 3) as its suffix says; `quality` is a JPEG's."""
    settings = [] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    encoded, data = cv2.imencode(path.suffix, picture[..., ::-1], settings)  # BGR here only
    if not encoded:
        raise ValueError(f"{path} cannot be encoded.")
    path.write_bytes(data.tobytes())
