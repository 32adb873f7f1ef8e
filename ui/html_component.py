"""Components of our own: markup, style and script in files beside the module that offers them."""

import json
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from realfill.imaging import raw
from realfill.imaging.decode import SUFFIXES
from realfill.scene.scene_files import FILMS, SIDECARS

from .errors import Question


def read_asset(folder: Path, name: str) -> str:
    """The text of a file of a component."""
    return (folder / name).read_text(encoding="utf-8")


def folder_script() -> str:
    """What scripts need that take folders: folders.js, and the endings by which the server knows files."""
    kinds = {"pictures": SUFFIXES, "raws": raw.SUFFIXES, "sidecars": SIDECARS | FILMS}
    endings = json.dumps({kind: sorted(endings) for kind, endings in kinds.items()})
    return f"const ENDINGS = {endings};\n{read_asset(Path(__file__).parent, 'folders.js')}"


def html_component(
    folder: Path,
    name: str,
    elem_id: str,
    scripts: Sequence[str] = (),
    questions: Sequence[Question] = (),
    *,
    before: str = "",
) -> gr.HTML:
    """The component of `name`.html in `folder`, rendered into the open gradio context.

    Its script is `name`.js or, one after another as the body of one function, the named `scripts`, with the text
    `before` before them; it may ask the server `questions` by their names. Its style stands with the page's own
    (`theme.CSS`).
    """
    # Made by a function: of a class of its own gradio would write a stub file beside the source when it is imported.
    script = "\n".join([before, *(read_asset(folder, f"{part}.js") for part in scripts or (name,))])
    markup, functions = read_asset(folder, f"{name}.html"), list(questions) or None
    return gr.HTML(
        html_template=markup,
        js_on_load=script,
        apply_default_css=False,
        server_functions=functions,
        elem_id=elem_id,
    )
