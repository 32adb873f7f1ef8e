"""What gradio's events take and what handlers return, in the words of this page."""

from collections.abc import Mapping
from typing import Any

from gradio.components import Component

Values = Mapping[Component, Any]
"""What a handler with a set of inputs is called with: each component's value."""
Updates = dict[Component, Any]
"""What a handler returns: new values, or `gr.update`, of the components that change."""

PRIVATE: Mapping[str, Any] = {"api_visibility": "private", "api_name": "private"}
"""Arguments of an event that programs cannot call. The name keeps it from taking that of a public function: gradio
names events by their handlers, and what comes second is called `export_1`."""
QUIET: Mapping[str, Any] = {**PRIVATE, "show_progress": "hidden"}
"""As `PRIVATE`, without gradio's veil over the components that may change."""
