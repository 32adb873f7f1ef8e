"""Gradio is imported without what it does for editors."""

import gradio
from gradio import component_meta


def test_gradio_writes_no_interface_files() -> None:
    """The name is still what this release calls, and every component is there."""
    assert component_meta.create_or_modify_pyi.__module__ == "ui.quick_import"
    assert "create_or_modify_pyi" in component_meta.ComponentMeta.__new__.__code__.co_names
    assert gradio.Button.click and gradio.HTML.change
