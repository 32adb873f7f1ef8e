"""Training pictures for `mini`: photographs, renders and procedural pictures, and the holes cut into them."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from realfill.arrays import Hole
from realfill.imaging.decode import ACCEPTED
from realfill.imaging.holes import random_hole
from tools.mini.procedural import dead_leaves

PHOTO_PROMPT = "a photo"
DRAWING_PROMPT = "a drawing of shapes"
SUFFIXES = tuple(suffix for name in ("JPEG", "PNG", "WEBP") for suffix in ACCEPTED[name].suffixes)


def read_photos(source: Path, device: torch.device, *, shortest: int = 160) -> list[Tensor]:
    """Every picture of a folder, or of a zip by `tools.mini.pack`, as uint8 (3, H, W), sorted by name."""
    photos = []
    for file in _files(source):
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        if min(pixels.shape[:2]) >= shortest:
            photos.append(torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(device))
    return photos


def _files(source: Path) -> Iterator[Path | io.BytesIO]:
    if source.is_dir():
        names = (path for path in source.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
        yield from sorted(names)
        return
    with zipfile.ZipFile(source) as archive:
        for name in sorted(archive.namelist()):
            yield io.BytesIO(archive.read(name))


class Pictures:
    """An endless source of batches of pictures, a share of them procedural, another share from `renders`.

    Procedural pictures come from a reservoir of which every batch renews a few, so that drawing them
    costs a fraction of a training step on a CPU and nothing noticeable on a GPU.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        *,
        seed: int,
        device: torch.device,
        procedural: float,
        renders: Sequence[Tensor] = (),
        rendered: float = 0.0,
        reservoir: int = 96,
        side: int = 288,
    ) -> None:
        """`reservoir` procedural pictures of `side` pixels are at hand at once."""
        self._photos, self._renders = photos, renders
        self._procedural, self._rendered = procedural, rendered if renders else 0.0
        self._rng = np.random.default_rng(seed)
        self._generator = torch.Generator(device).manual_seed(seed)
        self._device = device
        self._owed = 0.0  # procedural pictures still to be renewed
        self._side = side
        chunks = [dead_leaves(16, side, self._generator) for _ in range(max(1, reservoir // 16))]
        self._reservoir = torch.cat(chunks)

    def _renew(self, count: int) -> None:
        where = torch.from_numpy(self._rng.choice(len(self._reservoir), count, replace=False)).to(self._device)
        self._reservoir[where] = dead_leaves(count, self._side, self._generator)

    def _crop(self, picture: Tensor, size: int) -> Tensor:
        """A random crop (1, 3, size, size) in [-1, 1], at a scale between whole picture and native pixels."""
        pixels = picture if picture.is_floating_point() else picture.float() / 127.5 - 1
        height, width = pixels.shape[1:]
        largest = min(height, width)
        side = round(float(np.exp(self._rng.uniform(np.log(min(size, largest)), np.log(largest)))))
        top = int(self._rng.integers(0, height - side + 1))
        left = int(self._rng.integers(0, width - side + 1))
        crop = pixels[None, :, top : top + side, left : left + side]
        if side != size:
            crop = F.interpolate(crop, (size, size), mode="bilinear", antialias=True, align_corners=False)
        return crop.flip(-1) if self._rng.random() < 0.5 else crop

    def batch(self, count: int, size: int) -> tuple[Tensor, list[str]]:
        """(count, 3, size, size) in [-1, 1] and a prompt for each."""
        self._owed += count / 16
        if self._owed >= 1:
            self._renew(int(self._owed))
            self._owed %= 1
        crops, prompts = [], []
        for _ in range(count):
            source, prompt = self._source(self._rng.random())
            crops.append(self._crop(source[int(self._rng.integers(len(source)))], size))
            prompts.append(prompt)
        return torch.cat(crops), prompts

    def _source(self, draw: float) -> tuple[Sequence[Tensor] | Tensor, str]:
        """Where the picture for a number in [0, 1) comes from, and its prompt."""
        if draw < self._procedural:
            return self._reservoir, DRAWING_PROMPT
        return self._renders if draw < self._procedural + self._rendered else self._photos, PHOTO_PROMPT

    def holes(self, count: int, size: int) -> Tensor:
        """(count, 1, size, size) of 0 and 1: §3.4's random rectangles, outpainting bands, boxes, everything."""
        return torch.from_numpy(np.stack([_hole(size, self._rng) for _ in range(count)])[:, None]).to(
            self._device, torch.float32
        )


def _hole(size: int, rng: np.random.Generator) -> Hole:
    kind = rng.random()
    if kind < 0.45:
        return random_hole(size, size, rng)
    hole = np.zeros((size, size), np.bool_)
    if kind < 0.75:  # one large box, the usual request
        h, w = (int(size * rng.uniform(0.25, 0.8)) for _ in range(2))
        top, left = int(rng.integers(0, size - h + 1)), int(rng.integers(0, size - w + 1))
        hole[top : top + h, left : left + w] = True
    elif kind < 0.95:  # outpainting: a band on one to three sides
        for side in rng.choice(4, int(rng.integers(1, 4)), replace=False):
            band = max(1, int(size * rng.uniform(0.1, 0.45)))
            turned = np.rot90(hole, side)
            turned[:band] = True
    else:
        hole[:] = True
    return hole
