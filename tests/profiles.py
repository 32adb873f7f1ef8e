"""ICC profiles for tests, built from the numbers of the ICC specification (v2/v4 tags), so that none is shipped."""

import itertools
import struct

P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))  # D50 columns
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def display_p3() -> bytes:
    """Display P3: its primaries with sRGB's curve; goes both ways."""
    return rgb(P3, _srgb_curve())


def padded(profile: bytes, size: int) -> bytes:
    """The same profile with nothing behind it up to `size` bytes, as large tables would fill it."""
    return struct.pack(">I", size) + profile[4:] + bytes(size - len(profile))


def rgb(columns: tuple[tuple[float, float, float], ...], curve: bytes) -> bytes:
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {name: _xyz(column) for name, column in zip(names, columns, strict=True)}
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey(gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": gamma_curve(gamma)})


def one_way_rgb() -> bytes:
    """A scanner-like profile: a table to Lab and none back."""
    corners = itertools.product((0, 1), repeat=3)
    table = bytes(value for r, g, b in corners for value in (int(255 * (r + g + b) / 3), 128, 128))
    return _profile(b"scnr", b"RGB ", b"Lab ", {b"A2B0": _table(3, table)})


def cmyk() -> bytes:
    """A press without colour: Lightness falls with every ink."""
    corners = itertools.product((0, 1), repeat=4)
    table = bytes(value for inks in corners for value in (max(0, 255 - 85 * sum(inks)), 128, 128))
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": _table(4, table)})


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _srgb_curve() -> bytes:
    values = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(_fixed(value) for value in values)


def _table(inputs: int, grid: bytes) -> bytes:
    identity = b"".join(_fixed(float(row == column)) for row in range(3) for column in range(3))
    straight = bytes(range(256))
    return b"mft1" + bytes(4) + bytes((inputs, 3, 2, 0)) + identity + straight * inputs + grid + straight * 3


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in values)


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made for a test"
    every = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 78),
        b"cprt": b"text" + bytes(4) + text + b"\0",
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        **tags,
    }
    directory, body, offset = struct.pack(">I", len(every)), b"", 128 + 4 + 12 * len(every)
    for name, data in every.items():
        padded = data + bytes(-len(data) % 4)
        directory += name + struct.pack(">II", offset + len(body), len(data))
        body += padded
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, kind, space, pcs)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return header.ljust(128, b"\0") + directory + body
