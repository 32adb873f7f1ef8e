"""The workbench as a gradio component: markup, style and script from the files beside this one.

Gradio evaluates the markup as a template once; it holds no template signs, so later values leave the page alone and
the script owns what is inside. The value is the scene as `payload.read_payload` takes it; its paths are plain
strings, which gradio neither copies nor fetches.
"""

import re
from pathlib import Path

import gradio as gr
from markupsafe import Markup

from realfill.scene import examples

from ..html_component import folder_script, read_asset
from ..markup import join_markup, markup
from . import endpoints

_HERE = Path(__file__).parent
# Concatenated in this order they are the body of one function with element, props, server, upload, watch.
SCRIPTS = ("strokes", "state", "view", "tools", "extend", "context", "draft", "photos", "files", "start")
# 24 units wide, drawn with a stroke of 1.8.
ICONS = {
    "brush": "M20 4 10.5 13.5M9 13c-2.6-.3-4 1.2-4.3 3.4-.2 1.6-1 2.4-1.9 2.9 3 1.6 8.2 1.1 8.6-3.1A3 3 0 0 0 9 13z",
    "eraser": "M9 19 4.2 14.2a1.6 1.6 0 0 1 0-2.3l8-8a1.6 1.6 0 0 1 2.3 0l5.2 5.2a1.6 1.6 0 0 1 0 2.3"
    "L12 19M8 8.5l7.5 7.5M7.5 19H20",
    "rectangle": "M4.5 6h15v12h-15z",
    "lasso": "M7.5 15.5C4.8 14.5 3 12.7 3 10.5 3 7 7 4.5 12 4.5s9 2.5 9 6-4 6-9 6c-.9 0-1.7-.1-2.5-.2"
    "M7.5 15.5a2 2 0 1 0 1.5 2M8.8 17c.4 1.7-.2 3-1.8 4",
    "object": "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M12 8a2.2 2.2 0 1 0 0 4.4A2.2 2.2 0 0 0 12 8z"
    "M8.3 17c.4-2.4 1.8-3.4 3.7-3.4s3.3 1 3.7 3.4",
    "grow": "M12 3v6M9.5 5.5 12 3l2.5 2.5M12 21v-6M9.5 18.5 12 21l2.5-2.5M3 12h6M5.5 9.5 3 12l2.5 2.5M21 12h-6"
    "M18.5 9.5 21 12l-2.5 2.5",
    "shrink": "M12 3v6M9.5 6.5 12 9l2.5-2.5M12 21v-6M9.5 17.5 12 15l2.5 2.5M3 12h6M6.5 9.5 9 12l-2.5 2.5M21 12h-6"
    "M17.5 9.5 15 12l2.5 2.5",
    "edges": "M4 16c1-6 3-9 6-9s3 3 5 3 3-2 5-5M4 20h16M9 20v-3M15 20v-6",
    "soft": "M12 4a8 8 0 1 0 0 16M12 4a8 8 0 0 1 0 16M15.5 7v.1M18 10v.1M18.6 12.5v.1M18 15v.1M15.5 18v.1",
    "context": "M4 7V4h3M17 4h3v3M20 17v3h-3M7 20H4v-3M8.5 9h7v6h-7z",
    "undo": "M8 5 3.5 9.5 8 14M4 9.5h10a5.5 5.5 0 0 1 0 11h-3",
    "redo": "m16 5 4.5 4.5L16 14M20 9.5H10a5.5 5.5 0 0 0 0 11h3",
    "minus": "M5 12h14",
    "plus": "M5 12h14M12 5v14",
    "help": "M9.2 9a2.9 2.9 0 1 1 4.5 2.4c-1 .7-1.7 1.3-1.7 2.6M12 17.5v.1M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
    "half": "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 4v16M14.5 6.5v11M17 8.5v7",
    "clear": "M5 5h14v14H5zM9.5 9.5l5 5M14.5 9.5l-5 5",
    "load": "M12 15V4M8 8l4-4 4 4M4.5 15v4.5h15V15",
    "save": "M12 4v11M8 11l4 4 4-4M4.5 15v4.5h15V15",
    "draft": "M3.5 8.5h11v11h-11zM9.5 8.5v-5h11v11h-6M7 14l2 2 3.2-3.6",
    "close": "M6 6l12 12M18 6 6 18",
}


def workbench() -> gr.HTML:
    """References, target and mask of one scene. Its value is for `payload.read_payload`, which trusts none of it.

    {"open": what `endpoints.payload_answer` gives} as a value makes the browser show that scene; Ctrl+Z undoes it.
    """
    # `html_component` says why this is no class of its own.
    return gr.HTML(
        html_template=_with_icons(read_asset(_HERE, "workbench.html").replace("[[cards]]", _example_cards())),
        css_template=read_asset(_HERE, "workbench.css"),
        js_on_load="\n".join([folder_script(), *(read_asset(_HERE, f"js/{name}.js") for name in SCRIPTS)]),
        apply_default_css=False,
        server_functions=endpoints.questions(),
        elem_id="workbench",
    )


def _example_cards() -> Markup:
    """The example scenes as buttons without their pictures, so that nothing pops in when those are made."""
    template = (
        '<li><button type="button" data-example="{name}"><img alt="" loading="lazy"><b>{title}</b>'
        "<span>{shows}</span></button></li>"
    )
    return join_markup(
        markup(template, name=example.name, title=example.title, shows=example.shows) for example in examples.examples()
    )


def _with_icons(markup: str) -> str:
    def icon(name: re.Match[str]) -> str:
        return f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{ICONS[name[1]]}"></path></svg>'

    return re.sub(r"\[\[([a-z]+)\]\]", icon, markup)
