"""Plots as plain SVG text: lines and dots that a page shows as they are, in the page's own text colour."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 42
ROW = 16  # of the legend, below the plot
COLOURS = ("#2563eb", "#d97706", "#059669", "#be185d", "#7c3aed", "#64748b", "#0891b2", "#b91c1c")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axes:
    """What the axes are called, and a plot's title."""

    title: str
    x: str
    y: str


def lines(series: Mapping[str, Points], axes: Axes) -> str:
    """One line a series, with dots and a legend where there are several. Empty where there is nothing to draw."""
    return _plot(series, axes, joined=True)


def dots(series: Mapping[str, Points], axes: Axes) -> str:
    """As `lines`, without the lines."""
    return _plot(series, axes, joined=False)


def _plot(series: Mapping[str, Points], axes: Axes, *, joined: bool) -> str:
    points = [point for values in series.values() for point in values]
    if not points:
        return ""
    across, down = _ticks([x for x, _ in points]), _ticks([y for _, y in points])
    height = HEIGHT + (ROW * len(series) if len(series) > 1 else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui,sans-serif" font-size="11" fill="currentColor"><title>{escape(axes.title)}</title>',
        _text(WIDTH / 2, 16, axes.title, "middle", weight=True),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axes.x, "middle"),
        _text(12, (TOP + HEIGHT - BOTTOM) / 2, axes.y, "middle", turned=True),
        *_grid(across, down),
    ]
    for index, (name, values) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        placed = [(_x(x, across), _y(y, down)) for x, y in sorted(values)]
        if joined and len(placed) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        if len(series) > 1:
            top = HEIGHT + ROW * index
            parts.append(f'<rect x="{LEFT}" y="{top}" width="9" height="9" fill="{colour}"/>')
            parts.append(_text(LEFT + 15, top + 9, name, "start"))
    return "".join([*parts, "</svg>"])


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, 3 to 7 of them, that reach from below the least value to above the greatest."""
    low, high = min(values), max(values)
    if low == high:
        spare = abs(low) * 0.1 or 1.0
        low, high = low - spare, high + spare
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _x(value: float, ticks: Sequence[float]) -> float:
    return LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - LEFT - RIGHT)


def _y(value: float, ticks: Sequence[float]) -> float:
    return HEIGHT - BOTTOM - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (HEIGHT - TOP - BOTTOM)


def _grid(across: Sequence[float], down: Sequence[float]) -> list[str]:
    """Faint lines at round values of each axis."""
    line = 'stroke="currentColor" stroke-opacity="0.15" fill="none"/>'
    parts = []
    for value in across:
        x = _x(value, across)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" {line}')
        parts.append(_text(x, HEIGHT - BOTTOM + 15, f"{value:.6g}", "middle"))
    for value in down:
        y = _y(value, down)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" {line}')
        parts.append(_text(LEFT - 5, y + 4, f"{value:.6g}", "end"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, *, weight: bool = False, turned: bool = False) -> str:
    style = ' font-weight="600"' if weight else ""
    style += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
