"""TIFF directories, read with bounds before a library opens the file, and EXIF blocks, which are TIFF files too.

TIFF 6.0, section 2, and BigTIFF. Pillow reads every tag that a directory names, however large, and some odd ones
end its reading; here a tag that is odd counts as none, and nothing is copied before somebody asks for it.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import IFDRational

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_SMALLER, _MASK = 1, 4  # bits of NewSubfileType: a smaller copy or the transparency of another page
_MOST_DIRECTORIES = 100
_MOST_TAGS = 4096
_VALUE_BYTES = 1 << 24  # of one tag; a strip for each of two million rows
# Bytes of a value and its code in `struct`, by TIFF's types; rationals are pairs.
_TYPES: Mapping[int, tuple[int, str]] = {
    1: (1, "B"), 2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 5: (8, "I"), 6: (1, "b"), 7: (1, "s"), 8: (2, "h"),
    9: (4, "i"), 10: (8, "i"), 11: (4, "f"), 12: (8, "d"), 13: (4, "I"), 16: (8, "Q"), 17: (8, "q"), 18: (8, "Q"),
}  # fmt: skip
_TEXT, _UNDEFINED, _RATIONALS = 2, 7, (5, 10)
_BYTES = (1, _UNDEFINED)


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    place: int  # of its values in the file
    row: bytes  # as the directory has it


@dataclass(frozen=True)
class Directory:
    """An image file directory: its sound tags, and the place of the next one (0: none)."""

    file: "TiffReader"
    place: int
    entries: Mapping[int, _Entry]
    next: int

    def __contains__(self, tag: object) -> bool:
        return tag in self.entries

    def read(self, tag: int) -> Any:
        """A tag's value as Pillow's `ImageFileDirectory_v2` gives it, or None.

        Text is str without its NULs, bytes and undefined values are bytes, all others are a tuple of numbers
        (`IFDRational` for rationals).
        """
        entry = self.entries.get(tag)
        return None if entry is None else self.file.values(entry)

    def integers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A tag's whole numbers; `default` where it has none."""
        value = self.read(tag)
        whole = tuple(value) if isinstance(value, (bytes, tuple)) else ()
        return whole if whole and all(isinstance(number, int) for number in whole) else default

    def integer(self, tag: int, default: int) -> int:
        """The first of a tag's whole numbers."""
        return self.integers(tag, (default,))[0]

    def raw(self, tag: int) -> bytes | None:
        """A tag's bytes, whatever it says that they are."""
        entry = self.entries.get(tag)
        return None if entry is None else self.file.raw(entry)

    def little_endian(self, tag: int) -> tuple[int, bytes] | None:
        """A tag's type and its values in little-endian order."""
        entry = self.entries.get(tag)
        return None if entry is None else (entry.kind, self.file.little_endian(entry))

    @property
    def is_accessory(self) -> bool:
        """Whether its picture is a smaller copy or the mask of another one (NewSubfileType, or SubfileType 2)."""
        return bool(self.integer(254, 0) & (_SMALLER | _MASK)) or self.integer(255, 1) == 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 where it does not say."""
        return self.integer(256, 0), self.integer(257, 0)


def type_bytes(kind: int) -> int:
    """Bytes of one value of a TIFF type."""
    return _TYPES[kind][0]


def read_pages(data: bytes) -> tuple[Directory, ...]:
    """The directories of a TIFF file's pages; none where it is no TIFF file."""
    try:
        return tuple(TiffReader(data).directories())
    except ValueError:
        return ()


def choose_page(pages: Sequence[Directory]) -> Directory:
    """The page that is meant: the first that is neither a smaller copy nor a mask, else the first."""
    return next((page for page in pages if not page.is_accessory), pages[0])


class TiffReader:
    """A TIFF file's directories.

    Raises:
        ValueError: the bytes do not begin as a TIFF file does.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
        if not self._order or len(data) < 8 or self._unpack("H", 2) not in (42, 43):
            raise ValueError("not a TIFF file")
        self._big = self._unpack("H", 2) == 43
        self._first = self._unpack("Q", 8) if self._big else self._unpack("I", 4)

    def directories(self) -> Iterator[Directory]:
        """The pages' directories in their order; none twice, and a hundred at most."""
        place, seen = self._first, set[int]()
        while place and place not in seen and len(seen) < _MOST_DIRECTORIES:
            seen.add(place)
            directory = self.directory(place)
            if directory is None:
                return
            yield directory
            place = directory.next

    def directory(self, place: int) -> Directory | None:
        """The directory at `place`, without the tags that are odd: unknown type, outside of the file, twice."""
        form = struct.Struct(self._order + ("HHQ8s" if self._big else "HHI4s"))
        try:
            number = min(self._unpack("Q" if self._big else "H", place), _MOST_TAGS)
            begin = place + (8 if self._big else 2)
            rows = [form.unpack_from(self._data, begin + at * form.size) for at in range(number)]
        except struct.error:
            return None
        entries: dict[int, _Entry] = {}
        for at, (tag, kind, count, _) in enumerate(rows):
            row = begin + at * form.size
            entry = self._entry(kind, count, row, form.size)
            if entry is not None:
                entries.setdefault(tag, entry)
        try:
            following = self._unpack("Q" if self._big else "I", begin + number * form.size)
        except struct.error:
            following = 0  # the file ends here
        return Directory(self, place, entries, following)

    def keep(self, directory: Directory, tags: frozenset[int]) -> bytes:
        """The file with one page alone, which has no other tags than `tags`.

        Its directory stands where it stood, so that every place in the file stays and what is cut off stays missing.
        """
        rows = [directory.entries[tag].row for tag in sorted(tags & directory.entries.keys())]
        number, width = ("Q", 8) if self._big else ("H", 4)
        first = struct.pack(self._order + ("Q" if self._big else "I"), directory.place)
        page = struct.pack(self._order + number, len(rows)) + b"".join(rows) + bytes(width)
        data, end = memoryview(self._data), directory.place + len(page)
        return b"".join((data[:width], first, data[2 * width : directory.place], page, data[end:]))

    def raw(self, entry: _Entry) -> bytes:
        """The values of a tag as the file has them."""
        size, _ = _TYPES[entry.kind]
        return self._data[entry.place : entry.place + size * entry.count]

    def little_endian(self, entry: _Entry) -> bytes:
        """The values of a tag, the lowest byte of each number first."""
        width = struct.calcsize(_TYPES[entry.kind][1])  # of one number; a rational has two
        return np.frombuffer(self.raw(entry), f"{self._order}u{width}").astype(f"<u{width}").tobytes()

    def values(self, entry: _Entry) -> Any:
        """The values of a tag; see `Directory.read`."""
        data, code = self.raw(entry), _TYPES[entry.kind][1]
        if entry.kind in _BYTES:
            return data
        if entry.kind == _TEXT:
            return data.split(b"\0", 1)[0].decode("latin-1")
        if entry.kind in _RATIONALS:
            numbers = struct.unpack(f"{self._order}{2 * entry.count}{code}", data)
            return tuple(IFDRational(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))
        return struct.unpack(f"{self._order}{entry.count}{code}", data)

    def _entry(self, kind: int, count: int, row: int, length: int) -> _Entry | None:
        if kind not in _TYPES or count == 0:
            return None
        size, inline = _TYPES[kind][0] * count, 8 if self._big else 4
        place = row + length - inline
        if size > inline:
            place = self._unpack("Q" if self._big else "I", place)
        if size > _VALUE_BYTES or place + size > len(self._data):
            return None
        return _Entry(kind, count, place, self._data[row : row + length])

    def _unpack(self, code: str, place: int) -> int:
        return int(struct.unpack_from(self._order + code, self._data, place)[0])
