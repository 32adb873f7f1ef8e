"""Marking by pointing on a photo of 12 megapixels: `python -m benchmarks.speed.pointing`.

Processor seconds of one process, so that other work on the machine counts little. The page's child decodes a photo
once, however much is marked on it. The photo is an example's, enlarged; GrabCut alone: SAM 2.1 needs its weights.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from realfill.cli.decode_process import THREADS
from realfill.imaging import segment
from realfill.imaging.photo import read_photo
from realfill.scene import examples

WIDTH, HEIGHT = 4000, 3000
BOX = (1600, 900, 2500, 2200)  # about a thing of a quarter of the photo's side
ROUNDS = 3


def main() -> None:
    """Measures and prints a table."""
    cv2.setNumThreads(THREADS)
    source = next((examples.find("desk").folder / "ref").iterdir())
    marks = np.zeros((HEIGHT, WIDTH), np.bool_)
    marks[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        Image.open(source).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path, quality=92)
        photo = read_photo(path)
        ways: dict[str, Callable[[], object]] = {
            "decoding": lambda: read_photo(path),
            "a box": lambda: segment.mark_object(photo, BOX),
            "a point": lambda: segment.mark_at(photo, 2050, 1550),
            "rough marks": lambda: segment.fit_to_edges(photo, marks),
        }
        sys.stdout.write("| 12 MP | processor seconds, median of 3 | least |\n| --- | ---: | ---: |\n")
        for name, mark in ways.items():
            seconds = []
            for _ in range(ROUNDS):
                began = time.process_time()
                mark()
                seconds.append(time.process_time() - began)
            sys.stdout.write(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} |\n")


if __name__ == "__main__":
    main()
