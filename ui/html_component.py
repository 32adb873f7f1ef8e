"""Components of our own: markup, style and script in files beside the module that offers them."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from .errors import Question


def read_asset(folder: Path, name: str) -> str:
    """The text of a file of a component."""
    return (folder / name).read_text(encoding="utf-8")


def html_component(
    folder: Path, name: str, elem_id: str, scripts: Sequence[str] = (), questions: Sequence[Question] = ()
) -> gr.HTML:
    """The component of `name`.html in `folder`, rendered into the open gradio context.

    Its script is `name`.js or, one after another as the body of one function, the named `scripts`; it may ask the
    server `questions` by their names. Its style stands with the page's own (`theme.CSS`).
    """
    # Made by a function: of a class of its own gradio would write a stub file beside the source when it is imported.
    script = "\n".join(read_asset(folder, f"{part}.js") for part in scripts or (name,))
    markup, functions = read_asset(folder, f"{name}.html"), list(questions) or None
    return gr.HTML(
        html_template=markup,
        js_on_load=script,
        apply_default_css=False,
        server_functions=functions,
        elem_id=elem_id,
    )
