"""Colour spaces that files name otherwise than by a profile, as ICC profiles (ICC.1:2022).

EXIF says Adobe RGB; PNG says gamma and chromaticities or, as HEIC, code points of ITU-T H.273. The profile serves the
models' eyes and goes into the result, so that untouched pixels look there as they did. None stands for sRGB.
"""

import functools
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from realfill.imaging.metadata import Cicp, Metadata

Vector = npt.NDArray[np.float64]

PQ, HLG = 16, 18  # transfer characteristics of high dynamic range, which no profile of curves and a matrix tells
_D65 = (0.3127, 0.3290)
_SRGB = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x, y of white, red, green, blue, as PNG's cHRM
_ADOBE_RGB = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)  # Adobe RGB (1998), 4.3.1.1
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
_PRIMARIES: Mapping[int, tuple[float, ...]] = {  # H.273, table 2
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, *_P3),
    12: (*_D65, *_P3),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# H.273, table 3. Cameras' curves (1, 6, 14, 15) are shown by sRGB's, as browsers do it: what was seen is what counts.
_SRGB_TRANSFERS = (1, 2, 6, 13, 14, 15)
_GAMMAS: Mapping[int, float] = {4: 2.2, 5: 2.8, 8: 1.0}
_UNSPECIFIED = 2
_ADOBE_GAMMA = 563 / 256
_ENCODING_GAMMA = 1 / 2.2
_LOWEST_GAMMA, _HIGHEST_GAMMA = 0.2, 5.0
_NEAR_GAMMA = 0.05  # libpng's PNG_GAMMA_THRESHOLD: less than this is not seen
_NEAR_CHROMATICITY = 0.005
_SRGB_CURVE = (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # a parametric curve's kind and numbers
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])  # ICC.1, E
_SINGULAR = 1e-3


def is_beyond_profiles(cicp: Cicp) -> bool:
    """Whether these code points are none that a profile here tells: high dynamic range, or a video's short range."""
    return cicp.transfer in (PQ, HLG) or not cicp.is_full_range


def describe(cicp: Cicp) -> str:
    """What code points beyond profiles are, in words."""
    curve = {PQ: "HDR colours (PQ)", HLG: "HDR colours (HLG)"}
    return curve.get(cicp.transfer, "colours in a video's short range")


def is_known(cicp: Cicp) -> bool:
    """Whether these code points name a space: sRGB, or one that has a profile here."""
    transfer, primaries = cicp.transfer, cicp.primaries
    if is_beyond_profiles(cicp) or transfer == primaries == _UNSPECIFIED:
        return False
    is_curve = transfer in _SRGB_TRANSFERS or transfer in _GAMMAS
    return is_curve and (primaries == _UNSPECIFIED or primaries in _PRIMARIES)


def cicp_profile(cicp: Cicp, *, is_grey: bool) -> bytes | None:
    """The profile of code points that are known; None for sRGB."""
    corners = _PRIMARIES.get(cicp.primaries, _SRGB)
    gamma = _GAMMAS.get(cicp.transfer)
    if gamma is None and (is_grey or corners == _SRGB):
        return None
    return _build(f"CICP {cicp.primaries}/{cicp.transfer}", corners, _curve(gamma), is_grey=is_grey)


def png_profile(metadata: Metadata, *, is_grey: bool) -> bytes | None:
    """The profile of PNG's gamma and chromaticities; None where they are absent, absurd, or sRGB as far as one sees.

    PNG 3, 11.3.2.1 and 11.3.2.2.
    """
    gamma, corners = metadata.gamma, metadata.chromaticities
    if gamma is not None and not _LOWEST_GAMMA <= gamma <= _HIGHEST_GAMMA:
        gamma = None
    if gamma is not None and abs(gamma / _ENCODING_GAMMA - 1) < _NEAR_GAMMA and (corners is None or is_near(corners)):
        gamma = None
    if corners is None or is_grey or is_near(corners):
        corners = _SRGB
    if gamma is None and corners == _SRGB:
        return None
    return _build("PNG gAMA and cHRM", corners, _curve(None if gamma is None else 1 / gamma), is_grey=is_grey)


def adobe_rgb_profile(*, is_grey: bool) -> bytes:
    """Adobe RGB (1998), by its numbers; grey values have its curve."""
    profile = _build("Compatible with Adobe RGB (1998)", _ADOBE_RGB, _curve(_ADOBE_GAMMA), is_grey=is_grey)
    assert profile is not None
    return profile


def is_near(corners: Sequence[float]) -> bool:
    """Whether chromaticities are those of sRGB, as far as one sees."""
    return max(abs(one - other) for one, other in zip(corners, _SRGB, strict=True)) < _NEAR_CHROMATICITY


def _curve(gamma: float | None) -> tuple[float, ...]:
    return _SRGB_CURVE if gamma is None else (0, gamma)


@functools.lru_cache(maxsize=16)
def _build(name: str, corners: tuple[float, ...], curve: tuple[float, ...], *, is_grey: bool) -> bytes | None:
    """A profile of version 4 for a display; None where the corners make no colours."""
    parametric = b"para" + bytes(4) + struct.pack(">HH", int(curve[0]), 0) + b"".join(map(_fixed, curve[1:]))
    texts = {b"desc": _text(name), b"cprt": _text("No copyright, use freely")}
    if is_grey:
        return _profile(b"GRAY", {**texts, b"wtpt": _xyz(_D50), b"kTRC": parametric})
    points = [_to_xyz(corners[at], corners[at + 1]) for at in range(0, 8, 2)]
    if any(point is None for point in points):
        return None
    white, *primaries = (point for point in points if point is not None)
    columns = np.stack(primaries, 1)
    if abs(np.linalg.det(columns)) < _SINGULAR:
        return None
    adapted = _adaptation(white)
    matrix = adapted @ (columns * np.linalg.solve(columns, white))
    tags = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), parametric)
    chad = b"sf32" + bytes(4) + b"".join(_fixed(float(value)) for value in adapted.flat)
    return _profile(b"RGB ", {**texts, b"wtpt": _xyz(_D50), b"chad": chad, **tags})


def _to_xyz(x: float, y: float) -> Vector | None:
    return np.array([x / y, 1.0, (1 - x - y) / y]) if y > 0 else None


def _adaptation(white: Vector) -> npt.NDArray[np.float64]:
    """From colours under `white` to those under D50, which profiles speak of (Bradford; ICC.1, annex E)."""
    scale = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD, np.float64)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: Sequence[float] | Vector) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def _profile(space: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """ICC.1, 7.2: a header of 128 bytes, the list of tags, their values; equal values stand once."""
    list_bytes = 4 + 12 * len(tags)
    listed, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, value in tags.items():
        if value not in places:
            places[value] = 128 + list_bytes + len(body)
            body += value + bytes(-len(value) % 4)
        listed += name + struct.pack(">II", places[value], len(value))
    size = 128 + list_bytes + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return header.ljust(128, b"\0") + listed + body
