"""Tab 1: references, target and mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import gradio as gr
import numpy as np
import numpy.typing as npt
from gradio.components import Component
from PIL import Image

from realfill import images
from realfill.errors import SceneError
from realfill.masks import Hole
from ui import uploads
from ui.jobs import Inputs
from ui.speak import spoken

MOST = 5
TYPES = ["image", ".heic", ".heif", ".tif", ".tiff"]
PAINT, FILE, VARIANTS = "Paint it", "From a file", "Everything"
WELCOME = """<ol>
<li><b>References.</b> One to five photos of the place as it really is.</li>
<li><b>Target.</b> The photo in which something is missing, or in the way, or beyond the edge.</li>
<li><b>Mark</b> what is to be filled in: paint it here, or bring a mask.</li>
<li><b>Start.</b> Settings are on the next tab and may stay as they are.</li>
</ol>"""
PAINT_COLOUR = "rgb(255, 45, 85)"


@dataclass(frozen=True)
class SceneTab:
    """The tab's components."""

    references: gr.Gallery
    target: gr.File
    mask_from: gr.Radio
    mask_file: gr.File
    canvas: gr.ImageEditor
    welcome: gr.HTML

    @property
    def inputs(self) -> list[Component]:
        """What `inputs_of` reads."""
        return [self.references, self.target, self.mask_from, self.mask_file, self.canvas]


def build() -> SceneTab:
    """Renders the tab into the open gradio context."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=400):
            references = gr.Gallery(
                label="References: 1 to 5 photos of the same place",
                type="filepath",
                format="webp",
                file_types=TYPES,
                sources=["upload", "clipboard"],
                interactive=True,
                columns=3,
                height=240,
                object_fit="cover",
                allow_preview=False,
                buttons=[],
                elem_id="references",
            )
            target = gr.File(
                label="Target: the photo to complete", file_types=TYPES, type="filepath", height=165, elem_id="target"
            )
            mask_from = gr.Radio(
                [PAINT, FILE, VARIANTS],
                value=PAINT,
                label="What is to be filled in",
                info="Everything: scene variants, a new picture of the same place",
                elem_id="mask-from",
            )
            mask_file = gr.File(
                label="Mask: white is filled in",
                file_types=TYPES,
                type="filepath",
                height=165,
                visible=False,
                elem_id="mask-file",
            )
        with gr.Column(scale=1):
            welcome = gr.HTML(WELCOME, elem_id="welcome")
            canvas = gr.ImageEditor(
                label="Paint over what is to be filled in",
                type="numpy",
                image_mode="RGBA",
                format="png",
                sources=(),
                transforms=(),
                layers=False,
                brush=gr.Brush(default_size=40, colors=[PAINT_COLOUR], color_mode="fixed"),
                eraser=gr.Eraser(default_size=40),
                fixed_canvas=False,
                height="calc(100vh - 165px)",
                buttons=["fullscreen"],
                visible=False,
                elem_id="canvas",
            )
    tab = SceneTab(references, target, mask_from, mask_file, canvas, welcome)
    _wire(tab)
    return tab


def _wire(tab: SceneTab) -> None:
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    tab.references.upload(take_references, tab.references, tab.references, **quiet)
    tab.target.change(show_target, tab.target, [tab.canvas, tab.welcome], api_visibility="private")
    tab.mask_from.change(lambda chosen: gr.update(visible=chosen == FILE), tab.mask_from, tab.mask_file, **quiet)
    tab.mask_file.upload(check_mask, tab.mask_file, **quiet)


def take_references(given: Sequence[tuple[str, Any]] | None) -> list[str]:
    """Replaces uploads by thumbnails that remember their photo; refuses the sixth and what is no photo, in words."""
    thumbs: list[str] = []
    for path, _ in given or ():
        try:
            thumb = uploads.shown(uploads.checked(path))
        except SceneError as error:
            gr.Warning(str(error))
            continue
        if thumb in thumbs:
            continue
        if len(thumbs) == MOST:
            gr.Warning(f"A scene takes at most {MOST} references; the others were left out.")
            break
        thumbs.append(thumb)
    return thumbs


@spoken
def show_target(path: str | None) -> tuple[Any, Any]:
    """Updates of canvas and welcome: the target to paint on, at most `uploads.PREVIEW` pixels long."""
    real = uploads.checked(path)
    if real is None:
        return gr.update(value=None, visible=False), gr.update(visible=True)
    photo = uploads.preview(images.read_photo(real))
    value = {"background": photo, "layers": [], "composite": None}
    return gr.update(value=value, visible=True), gr.update(visible=False)


@spoken
def check_mask(path: str | None) -> None:
    """Refuses at once a mask file that cannot be read."""
    real = uploads.checked(path)
    if real is not None:
        images.read_original(real)


def inputs_of(tab: SceneTab, given: Mapping[Component, Any]) -> tuple[Inputs, bool]:
    """The scene that was given, and whether it is one of scene variants.

    Raises:
        SceneError: something is missing; the sentence says what to do.
    """
    references = [uploads.photo_of(uploads.checked(path)) for path, _ in given[tab.references] or ()]
    if not references:
        raise SceneError("There is no reference yet; add one to five photos of the same place.")
    target = uploads.checked(given[tab.target])
    if target is None:
        raise SceneError("There is no target yet; add the photo to complete.")
    kind = given[tab.mask_from]
    if kind == VARIANTS:
        return Inputs(references, target, None), True
    if kind == FILE:
        return Inputs(references, target, uploads.checked(given[tab.mask_file])), False
    original = images.read_original(target)
    return Inputs(references, target, enlarged(painted(given[tab.canvas]), original.height, original.width)), False


def painted(value: Mapping[str, Any] | None) -> Hole:
    """The hole (H, W) that was painted, at the size of the canvas.

    Raises:
        SceneError: nothing was painted.
    """
    layers = cast("list[npt.NDArray[np.uint8]]", (value or {}).get("layers") or [])
    marks = [layer[..., 3] > 0 for layer in layers if layer.ndim == 3 and layer.shape[2] == 4]
    if not any(mark.any() for mark in marks):
        raise SceneError("Nothing is marked yet; paint over what is to be filled in, or give a mask file.")
    return np.asarray(np.any(marks, axis=0), np.bool_)


def enlarged(hole: Hole, height: int, width: int) -> Hole:
    """A hole painted on a smaller picture, as (height, width) with smooth outlines."""
    picture = Image.fromarray(hole.astype(np.uint8) * 255)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)) >= 128
