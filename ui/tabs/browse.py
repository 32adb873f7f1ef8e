"""Tab 3: the seeds in order of their matches; one of them in full; export."""

import re
from dataclasses import dataclass
from typing import Any

import gradio as gr

from realfill.config import PRESETS

FORMATS = [("PNG", "png"), ("JPEG", "jpeg"), ("TIFF", "tiff"), ("WebP", "webp")]
_SEED = re.compile(r"seed (\d+)")


@dataclass(frozen=True)
class BrowseTab:
    """The tab's components."""

    seeds: gr.Gallery
    chosen: gr.Markdown
    compare: gr.ImageSlider
    feather: gr.Slider
    kind: gr.Dropdown
    quality: gr.Slider
    export: gr.Button
    download: gr.DownloadButton


def build() -> BrowseTab:
    """Renders the tab into the open gradio context."""
    start = PRESETS["mini"].export
    with gr.Row(equal_height=False):
        with gr.Column(scale=5):
            seeds = gr.Gallery(
                label="Seeds, most matches first",
                columns=5,
                height="calc(100vh - 165px)",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="seeds",
            )
        with gr.Column(scale=4, min_width=420):
            chosen = gr.Markdown("Choose a seed to see it in the photo.", elem_classes="rf-hint", elem_id="chosen")
            compare = gr.ImageSlider(
                label="Before and after",
                type="filepath",
                format="webp",
                interactive=False,
                max_height=460,
                buttons=["fullscreen"],
                elem_id="compare",
            )
            with gr.Row():
                feather = gr.Slider(
                    0,
                    64,
                    value=start.feather,
                    step=1,
                    label="Feather",
                    info="Pixels of the known border that are blended",
                    elem_id="feather",
                )
                kind = gr.Dropdown(FORMATS, value="png", label="Format", filterable=False, elem_id="format")
                quality = gr.Slider(
                    1, 100, value=start.quality, step=1, label="Quality", visible=False, elem_id="quality"
                )
            with gr.Row():
                export = gr.Button("Export", variant="primary", elem_id="export")
                download = gr.DownloadButton("Download", interactive=False, elem_id="download")
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    kind.change(lambda name: gr.update(visible=name in ("jpeg", "webp")), kind, quality, **quiet)
    return BrowseTab(seeds, chosen, compare, feather, kind, quality, export, download)


def seed_of(caption: str | None) -> int | None:
    """The seed that a picture's caption names. The order may have changed since the browser drew it."""
    found = _SEED.search(caption or "")
    return int(found[1]) if found else None
