"""How the page looks: our own theme for light and dark, system fonts, no request to another machine."""

from pathlib import Path

import gradio as gr

from .grid import component
from .machine import component as machine
from .plot import component as plot
from .rail import component as rail

_GRAYS = gr.themes.Color(
    name="graphite",
    c50="#f7f8fa",
    c100="#eef0f4",
    c200="#dfe3ea",
    c300="#c6ccd7",
    c400="#949dad",
    c500="#667085",
    c600="#4a5366",
    c700="#343c4c",
    c800="#232936",
    c900="#191e28",
    c950="#11151d",
)
_BLUES = gr.themes.Color(
    name="harbour",
    c50="#eff5ff",
    c100="#dce8fd",
    c200="#bdd3fb",
    c300="#8fb4f6",
    c400="#6397ee",
    c500="#3b7be6",
    c600="#2f6fde",
    c700="#2459ba",
    c800="#214b96",
    c900="#1f4077",
    c950="#152849",
)

_PAGE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
CSS = "".join((_PAGE, rail.CSS, component.CSS, plot.CSS, machine.CSS))

HEAD = f"<script>{Path(__file__).with_name('page.js').read_text(encoding='utf-8')}</script>"


def theme() -> gr.themes.Base:
    """Quiet greys, one blue, the system's own fonts."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]
    base = gr.themes.Base(
        primary_hue=_BLUES,
        neutral_hue=_GRAYS,
        font=fonts,
        font_mono=mono,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
    )
    themed: gr.themes.Base = base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_shadow="0 1px 2px rgb(16 24 40 / 5%)",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_weight="600",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_large_padding="9px 18px",
        button_large_text_size="*text_md",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        block_title_text_size="*text_sm",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_info_text_size="*text_xs",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
    )
    return themed
