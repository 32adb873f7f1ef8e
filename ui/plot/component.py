"""The loss of training as a plot of our own: lines on a canvas, drawn in a millisecond."""

import statistics
from pathlib import Path
from typing import Any

import gradio as gr

from ..html_component import html_component, read_asset

POINTS = 400  # of each line
SMOOTHING = 0.1  # weight of a new loss in the smoothed line
_HERE = Path(__file__).parent

CSS = read_asset(_HERE, "plot.css")


def loss_plot(elem_id: str) -> gr.HTML:
    """The plot; its value is what `lines` returns."""
    return html_component(_HERE, "plot", elem_id)


def lines(losses: dict[int, float], total: int, held_out: dict[int, float] | None = None) -> dict[str, Any]:
    """Raw and smoothed losses by step, thinned to `POINTS` each, and those on held-out patches.

    The last step is always there. The raw line holds the mean of what was thinned away, so that a peak does not come
    and go.
    """
    steps = sorted(losses)
    smooth: dict[int, float] = {}
    level = losses[steps[0]] if steps else 0.0
    for index, step in enumerate(steps):
        level += max(SMOOTHING, 1 / (index + 1)) * (losses[step] - level)
        smooth[step] = level
    stride = -(-len(steps) // POINTS) or 1
    groups = [steps[max(0, end - stride) : end] for end in range(len(steps), 0, -stride)][::-1]
    return {
        "total": total,
        "raw": [[group[-1], round(statistics.fmean(losses[step] for step in group), 6)] for group in groups],
        "smooth": [[group[-1], round(smooth[group[-1]], 6)] for group in groups],
        "held": [[step, round(loss, 6)] for step, loss in sorted((held_out or {}).items())],
    }
