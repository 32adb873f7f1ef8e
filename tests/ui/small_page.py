"""`serve_small_page.py PORT RUNS_DIR BASE [USER:PASSWORD]`: rail, API, upload fields over the real server.

The server's tests ask it instead of the whole studio, so that they say what the server does and start quickly.
"""

import socket
import sys
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from realfill import config
from ui import api, logs, server
from ui.access import hosts, uploads, visitors
from ui.access.uploads import check_path
from ui.errors import speak_errors
from ui.rail import component
from ui.runs.jobs import Jobs
from ui.runs.projects import Projects
from ui.wiring import Values
from ui.workbench.payload import read_payload, scene_inputs

SECONDS = 0.5  # between the rail's looks, so that tests need not wait long for the next one
ADDRESS = "(id) => history.replaceState(null, '', id ? '?project=' + id : '?')"


class SmallPage:
    """What rail and API ask of a page, and no more."""

    def __init__(self, jobs: Jobs, base: str) -> None:
        self.jobs, self.base = jobs, base
        self.projects = Projects(jobs)
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        with gr.Blocks(title="Small") as self.blocks:
            self.rail = component.build()
            self.run_id: Component = gr.Textbox(visible="hidden", elem_id="run-id")
            self.shown = gr.Markdown("nothing", elem_id="shown")
            self.photo = gr.File(type="filepath", elem_id="photo")
            self.photos = gr.Gallery(type="filepath", interactive=True)
            broken = gr.Button("break", elem_id="broken")
            self.project_outputs: list[Component] = [self.run_id, self.shown]
            self.queue_inputs: set[Component] = {self.run_id}
            self.address = {"fn": None, "inputs": self.run_id, "js": ADDRESS, "api_visibility": "private"}
            self.photo.change(self.take, self.photo, self.shown, **quiet)
            self.photos.change(self.take_all, self.photos, self.shown, **quiet)
            broken.click(self.fail, None, self.shown, **quiet)
            loaded = self.blocks.load(self.load, None, self.project_outputs, **quiet)
            loaded.success(**self.address)
            component.wire(self.rail, self)
            api.publish(self)

    @speak_errors
    def attach(self, run_id: str) -> dict[Component, Any]:
        """Shows a project's name."""
        return {self.run_id: run_id, self.shown: f"project {self.jobs.view(run_id).labels.name}"}

    def blank(self) -> dict[Component, Any]:
        """Shows nothing."""
        return {self.run_id: "", self.shown: "nothing"}

    def load(self, request: gr.Request) -> dict[Component, Any]:
        """What the address names."""
        asked = str(request.query_params.get("project", "") or self.jobs.latest_id())
        return self.attach(asked) if asked else self.blank()

    @speak_errors
    def enqueue(self, values: Values, event: gr.EventData) -> None:
        """Starts a run of a scene that was brought."""
        inputs, _ = scene_inputs(read_payload(event._data.get("scene")))
        self.jobs.start(inputs, config.make("mini", {"base": self.base}))

    @speak_errors
    def take(self, path: str | None) -> str:
        """Says how large an upload is."""
        found = check_path(path)
        return "no file" if found is None else f"{found.stat().st_size} bytes"

    @speak_errors
    def take_all(self, given: list[tuple[str, Any]] | None) -> str:
        """Says how many uploads there are."""
        return f"{len([check_path(path) for path, _ in given or ()])} files"

    def fail(self) -> str:
        """A defect that nobody turned into a sentence."""
        raise ZeroDivisionError(f"secret of {self.jobs.runs_dir}")


def main() -> None:
    """Serves until it is ended."""
    port, runs_dir, base = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    logs.bound_output()
    uploads.choose_folder(runs_dir)
    visitors.load_key(runs_dir)
    component.SECONDS = SECONDS
    page = SmallPage(Jobs(runs_dir, runs_dir.parent / "examples"), base)
    users = hosts.read_users(sys.argv[4]) if len(sys.argv) > 4 else None
    app = server.build(page.blocks, "127.0.0.1", port, users)
    listener = socket.create_server(("127.0.0.1", port))
    server.WebServer(app).run(sockets=[listener])
