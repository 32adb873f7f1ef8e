"""The Scene tab alone on a guarded page: `python -m tests.ui.browser.workbench.page PORT FOLDER`.

One button stores what the tab gives as the scene folder FOLDER/sent, as a run would have it; the other opens that.
"""

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realfill.scene import scene
from ui.access import uploads


def serve(port: int, folder: Path) -> None:
    """Until it is killed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    (folder / "page").mkdir(exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str((folder / "page").resolve())
    assert uploads.folder().is_dir()
    import gradio as gr

    from ui import server
    from ui.errors import speak_errors
    from ui.tabs import scene as scene_tab
    from ui.tabs.scene import read_inputs
    from ui.workbench.endpoints import open_scene

    with gr.Blocks(analytics_enabled=False, fill_width=True) as page:
        with gr.Tabs():
            with gr.Tab("Scene"):
                tab = scene_tab.build()
            with gr.Tab("Other"):
                opening = gr.Button("Open", elem_id="open")

        # in the page and not seen, so that sending leaves the Scene tab as it is
        send = gr.Button("Send", elem_id="send", visible="hidden")
        sent = gr.Textbox(elem_id="sent", visible="hidden")

        @speak_errors
        def store(given: Mapping[Any, Any]) -> str:
            inputs, variants = read_inputs(tab, given)
            scene.assemble(folder / "sent", inputs.references, inputs.target, inputs.mask, variants=variants)
            return secrets.token_hex(8)  # another one each time

        @speak_errors
        def reopen() -> dict[str, Any]:
            return {"open": open_scene(folder / "sent")}

        opening.click(reopen, None, tab.workbench, api_visibility="private")
        send.click(store, {tab.workbench}, sent, api_visibility="private")
    listener = socket.create_server(("127.0.0.1", port))
    app = server.build(page, "127.0.0.1", port)
    server.WebServer(app).run(sockets=[listener])


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
