"""The seeds as a grid keyed by seed, and one seed in full: two components of our own.

A component's value is what it shows, as JSON; what the person does comes back as events that name the seed.
Nothing goes by position, so that a better seed that is sorted in before the one looked at changes nothing for it.
"""

from pathlib import Path

import gradio as gr

from ..html_component import html_component, read_asset
from ..runs.jobs import Jobs
from .questions import questions

_HERE = Path(__file__).parent
VIEWER = ("view", "pair", "seeds", "taking", "viewer")  # scripts of the viewer

CSS = read_asset(_HERE, "grid.css") + read_asset(_HERE, "viewer.css")


def seed_grid(elem_id: str) -> gr.HTML:
    """All seeds of a run. Events: `pick`, `mark` and `more`, each with what it is about in the event's data."""
    return html_component(_HERE, "grid", elem_id)


def viewer(elem_id: str, jobs: Jobs) -> gr.HTML:
    """One seed: before and after, beside a reference or other seeds, and why it ranks there; two without names."""
    return html_component(_HERE, "viewer", elem_id, VIEWER, questions(jobs))
