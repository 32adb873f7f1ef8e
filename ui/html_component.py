"""Components of our own: markup, style and script in files beside the module that offers them."""

from pathlib import Path

import gradio as gr


def read_asset(folder: Path, name: str) -> str:
    """The text of a file of a component."""
    return (folder / name).read_text(encoding="utf-8")


def html_component(folder: Path, name: str, elem_id: str) -> gr.HTML:
    """The component of `name`.html and `name`.js in `folder`, rendered into the open gradio context.

    Its style stands with the page's own (`theme.CSS`).
    """
    # Made by a function: of a class of its own gradio would write a stub file beside the source when it is imported.
    markup, script = read_asset(folder, f"{name}.html"), read_asset(folder, f"{name}.js")
    return gr.HTML(html_template=markup, js_on_load=script, apply_default_css=False, elem_id=elem_id)
