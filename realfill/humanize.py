"""Numbers and lists as people say them."""

from collections.abc import Sequence

_MINUTE, _HOUR = 60, 3600
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """`75` → "1 min 15 s"; rounded so that nobody reads more than is known."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 10 * _MINUTE:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _HOUR:
        return f"{round(whole / _MINUTE)} min"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def size(count: float) -> str:
    """`8.5e9` → "8.5 GB"; decimal units."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit in ("bytes", "kB", "MB") else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def transfer(done: float, total: float, speed: float) -> str:
    """`3.1 GB of 16.0 GB · 25 MB/s · 9 min left`."""
    left = f" · {duration((total - done) / speed)} left" if speed > 0 else ""
    return f"{size(done)} of {size(total)} · {size(speed)}/s{left}"


def alternatives(words: Sequence[str]) -> str:
    """Words to choose from: "png, tiff or webp"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
