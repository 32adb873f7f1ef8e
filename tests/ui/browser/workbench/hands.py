"""What the journeys share: drops, what arrives at the server, and how holes are compared."""

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from playwright.sync_api import Locator, Page, expect

from realfill.arrays import Hole
from realfill.scene import scene
from realfill.scene.scene import Scene

WIDTH, HEIGHT = 1200, 800  # of the target
NEAR = 3  # target pixels that a hand's stroke may be off: the screen shows it at about 0.8


@dataclass(frozen=True)
class Bench:
    """The page of `page.py`: its address and its folder."""

    url: str
    folder: Path


def sent(page: Page, bench: Bench, *, variants: bool = False) -> Scene:
    """The scene that Start would give to a run."""
    token = page.locator("#sent textarea")
    before = token.input_value()
    page.locator("#send").evaluate("button => button.click()")
    expect(token).not_to_have_value(before)
    return scene.load(bench.folder / "sent", variants=variants)


def rectangle(left: int, top: int, right: int, bottom: int, *, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Hole:
    hole = np.zeros(size, np.bool_)
    hole[top:bottom, left:right] = True
    return hole


def alike(one: Hole, other: npt.NDArray[np.bool_], near: int = NEAR) -> bool:
    """Whether two holes differ by no more than a seam of `near` pixels along their borders."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * near + 1, 2 * near + 1))
    wide = cv2.dilate(other.astype(np.uint8), disc).astype(bool)
    narrow = cv2.erode(other.astype(np.uint8), disc, borderValue=1).astype(bool)
    return bool((narrow <= one).all() and (one <= wide).all())


def drop(page: Page, where: Locator, paths: list[Path], *, right_half: bool = False) -> bool:
    """Drops files on an element as a person's mouse does; whether the browser was kept from opening them."""
    files = page.evaluate_handle("() => new DataTransfer()")
    for path in paths:
        kind = {".jpg": "image/jpeg", ".png": "image/png"}.get(path.suffix, "application/octet-stream")
        page.evaluate(
            "([files, name, kind, data]) => files.items.add("
            "new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], name, {type: kind}))",
            [files, path.name, kind, base64.b64encode(path.read_bytes()).decode()],
        )
    kept = where.evaluate(
        """(node, [files, right]) => {
          const box = node.getBoundingClientRect();
          const x = box.left + box.width * (right ? 0.8 : 0.2), y = box.top + box.height / 2;
          const make = kind => new DragEvent(kind,
            {bubbles: true, cancelable: true, dataTransfer: files, clientX: x, clientY: y});
          const over = !node.dispatchEvent(make('dragover'));
          return !node.dispatchEvent(make('drop')) && over;
        }""",
        [files, right_half],
    )
    return bool(kept)
