"""Pack photographs into one small file that travels to a GPU: `python -m tools.mini.pack PHOTOS… --out photos.zip`.

Every picture becomes a WebP with its shorter side at `--size` pixels at most; the quality is the highest at which all
stay within `--megabytes`. `tools.mini.data.read_photos` reads the file like a folder.
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from tools.mini.data import SUFFIXES

QUALITIES = range(5, 96)


def shrink(path: Path, size: int) -> Image.Image:
    """The picture, upright, with its shorter side at `size` at most."""
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file).convert("RGB")
    scale = min(1.0, size / min(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def encode_webp(picture: Image.Image, quality: int) -> bytes:
    """As WebP."""
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=quality, method=4)
    return data.getvalue()


def find_quality(pictures: Sequence[Image.Image], size: int) -> int:
    """The highest quality at which the pictures take about `size` bytes, judged by every eighth; the lowest if none."""
    sample = pictures[::8]
    allowed = size * len(sample) / max(1, len(pictures))
    low, high = QUALITIES[0], QUALITIES[-1]
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(len(encode_webp(picture, middle)) for picture in sample) <= allowed
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def pack(folders: Sequence[Path], out: Path, *, size: int, most: int) -> tuple[int, int]:
    """Writes a zip of `most` bytes, if that can be; returns how many pictures it holds and their quality."""
    paths = sorted(path for folder in folders for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    pictures = [shrink(path, size) for path in paths]
    quality = find_quality(pictures, most)
    _write(out, pictures, quality)
    while out.stat().st_size > most and quality > QUALITIES[0]:
        quality -= 1
        _write(out, pictures, quality)
    return len(pictures), quality


def _write(out: Path, pictures: Sequence[Image.Image], quality: int) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            archive.writestr(zipfile.ZipInfo(f"{number:05d}.webp"), encode_webp(picture, quality))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=224, help="shorter side in pixels")
    parser.add_argument("--megabytes", type=float, default=10)
    args = parser.parse_args()
    count, quality = pack(args.photos, args.out, size=args.size, most=int(args.megabytes * 1e6))
    sys.stdout.write(f"{count} pictures, quality {quality}, {args.out.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
