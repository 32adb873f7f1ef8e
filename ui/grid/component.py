"""The seeds as a grid keyed by seed, and one seed in full: two components of our own.

A component's value is what it shows, as JSON; what the person does comes back as events that name the seed.
Nothing goes by position, so that a better seed that is sorted in before the one looked at changes nothing for it.
"""

from pathlib import Path

import gradio as gr

_HERE = Path(__file__).parent


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


CSS = _text("grid.css") + _text("viewer.css")


def seed_grid(elem_id: str) -> gr.HTML:
    """All seeds of a run. Events: `pick`, `mark` and `more`, each with what it is about in the event's data."""
    return _component("grid", elem_id)


def viewer(elem_id: str) -> gr.HTML:
    """One seed: before and after, beside a reference, and why it ranks there."""
    return _component("viewer", elem_id)


def _component(name: str, elem_id: str) -> gr.HTML:
    # Made by a function: of a class of its own gradio would write a stub file beside the source when it is imported.
    markup, script = _text(f"{name}.html"), _text(f"{name}.js")
    return gr.HTML(html_template=markup, js_on_load=script, apply_default_css=False, elem_id=elem_id)
