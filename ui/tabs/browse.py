"""Tab 3: the seeds in order of their matches; one of them in full; other seeds; export."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill.bases import EMBEDDED, default_preset
from realfill.config import PRESETS, ExportConfig
from realfill.imaging.encode import FORMATS

from ..forms import Form
from ..grid import component
from ..language.catalogue import translate
from ..runs import pictures
from ..runs.jobs import Jobs
from ..runs.pictures import Export
from ..wiring import QUIET, Values

WITH_QUALITY = [name for name, known in FORMATS.items() if known.quality]
WHAT = [
    ("Picture", "picture"),
    ("Starred pictures", "starred"),
    ("Before/after animation", "animation"),
    ("Adapter (LoRA)", "adapter"),
    ("Settings", "settings"),
    ("Whole project", "project"),
]
AGAIN = ("sample.sampler", "sample.steps", "sample.guidance")
GUIDE = """<p>ddim and dpm++ need 20 to 30 steps, ddpm, the paper's own, 200. More steps make finer pictures and take
as much longer. Guidance 1 is the paper's; 2 to 4 hold closer to the prompt and lose some of the scene. Where the
pictures look like one photo and not like the place, an earlier checkpoint often does better. The seeds that are here
now move to "earlier" in the project's folder.</p>"""


@dataclass(frozen=True)
class BrowseTab:
    """The tab's components."""

    seeds: gr.HTML
    viewer: gr.HTML
    again: Form
    checkpoint: gr.Dropdown
    make_again: gr.Button
    what: gr.Dropdown
    kind: gr.Dropdown
    quality: gr.Slider
    feather: gr.Slider
    match_colour: gr.Checkbox
    seam: gr.HTML
    elsewhere: gr.Button
    export: gr.Button
    download: gr.DownloadButton

    @property
    def export_inputs(self) -> list[Any]:
        """What `read_export` reads: all that decides how the result looks."""
        return [self.feather, self.match_colour, self.kind, self.quality]

    def read_export(self, values: Values) -> Export:
        """The export that was asked for, from what a handler was called with."""
        feather, quality = int(values[self.feather] or 0), int(values[self.quality] or 95)
        return Export(feather, values[self.kind], quality, bool(values[self.match_colour]))


def build(jobs: Jobs) -> BrowseTab:
    """Renders the tab over the runs of `jobs` into the open gradio context."""
    start = PRESETS[default_preset(EMBEDDED)]
    again = Form(start)
    with gr.Row(equal_height=False, elem_classes="rf-fill"):
        with gr.Column(scale=39, min_width=300, elem_id="browse-left"):
            seeds = _build_seeds(again)
        with gr.Column(scale=61, min_width=420, elem_id="browse-right"):
            viewer = component.viewer("viewer", jobs)
            with gr.Row(elem_id="export-bar", equal_height=False):
                export = _build_export(start.export)
    tab = BrowseTab(viewer=viewer, again=again, **seeds, **export)
    _wire(tab)
    return tab


def _build_seeds(again: Form) -> dict[str, Component]:
    """The left column, by the names of BrowseTab's fields; `again` gets its components."""
    seeds = component.seed_grid("seeds")
    with gr.Accordion("Redo with other settings", open=False, elem_id="again"):
        gr.HTML(GUIDE, elem_classes="rf-hint")
        with gr.Row():
            again.build(AGAIN, prefix="again")
            checkpoint = gr.Dropdown(
                list_checkpoints([], 0), value=0, label="Checkpoint", filterable=False,
                info="Steps of training after which the pictures are made.", elem_id="checkpoint",
            )  # fmt: skip
        make_again = gr.Button("Make all seeds again", size="sm", interactive=False, elem_id="make-again")
    return {"seeds": seeds, "checkpoint": checkpoint, "make_again": make_again}


def _build_export(start: ExportConfig) -> dict[str, Component]:
    """The export's components, by the names of BrowseTab's fields."""
    with gr.Column(scale=5, min_width=180, elem_id="seam-side"):
        feather = gr.Slider(0, pictures.WIDEST, value=start.feather, step=1, label="Feather", elem_id="feather")
        match_colour = gr.Checkbox(value=start.match_colour, label="Match colours", elem_id="match-colour")
    with gr.Column(scale=4, min_width=150, elem_id="seam-box"):
        seam = gr.HTML("", elem_id="seam")
        elsewhere = gr.Button("Another place", size="sm", elem_id="elsewhere")
    with gr.Column(scale=6, min_width=220, elem_id="export-side"):
        with gr.Row(elem_id="export-what"):
            what = gr.Dropdown(WHAT, value="picture", label="Export", filterable=False, min_width=90, elem_id="what")
            formats = [(known.label, name) for name, known in FORMATS.items()]
            kind = gr.Dropdown(formats, value="png", label="Format", filterable=False, min_width=70, elem_id="format")
        quality = gr.Slider(1, 100, value=start.quality, step=1, label="Quality", visible=False, elem_id="quality")
        export = gr.Button("Export", variant="primary", elem_id="export")
        download = gr.DownloadButton("Download", visible="hidden", elem_id="download")
    blend = {"feather": feather, "match_colour": match_colour, "seam": seam, "elsewhere": elsewhere}
    return {**blend, "what": what, "kind": kind, "quality": quality, "export": export, "download": download}


def _wire(tab: BrowseTab) -> None:
    """Shows format and quality where they mean something."""
    tab.what.change(
        lambda what, kind: (
            gr.update(visible=what in ("picture", "starred")),
            gr.update(visible=what in ("picture", "starred") and kind in WITH_QUALITY),
        ),
        [tab.what, tab.kind],
        [tab.kind, tab.quality],
        **QUIET,
    )
    tab.kind.change(lambda kind: gr.update(visible=kind in WITH_QUALITY), tab.kind, tab.quality, **QUIET)


def list_checkpoints(steps: list[int], adapter_steps: int) -> list[tuple[str, int]]:
    """What can fill in the hole: the finished adapter and every earlier checkpoint."""
    return [
        (translate("the finished adapter"), 0),
        *((translate("step {step}", step=step), step) for step in steps if step != adapter_steps),
    ]
