"""What the page can have done: start, stop, resume, export. The work itself is a worker process's.

The page is handed run ids by the browser, so every id passes `Jobs.open`.
"""

import importlib.metadata
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realfill import files, queue, runs, scene
from realfill.config import Config
from realfill.errors import RunError
from realfill.masks import Hole
from realfill.runs import Run

IDLE = "300"  # seconds without work after which the worker ends
ROOM_FOR_SD2 = 8000  # MiB of GPU memory
ROOT = Path(__file__).resolve().parent.parent
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,120}")


@dataclass(frozen=True)
class Inputs:
    """A scene as it was given on the page; `mask` None: it is in the target's transparency, or variants."""

    references: Sequence[Path]
    target: Path
    mask: Path | Hole | None


class Jobs:
    """The runs of one folder, and the worker that serves them."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._worker: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()

    def open(self, run_id: str) -> Run:
        """A run by its id, the name of its folder.

        Raises:
            RunError: there is no such run here.
        """
        folder = self.runs_dir / run_id
        if not _ID.fullmatch(run_id) or folder.is_symlink() or not (folder / "run.json").is_file():
            raise RunError("There is no such run here; it may have been deleted.")
        return Run.open(folder)

    def names(self) -> list[tuple[str, str]]:
        """(what to show, id) of every run, newest first."""
        return [(f"{run.name[:24]} · {run.status().state}", run.folder.name) for run in runs.listing(self.runs_dir)]

    def latest(self) -> str:
        """The newest run's id; empty where there is none."""
        return next((run.folder.name for run in runs.listing(self.runs_dir)), "")

    def start(self, inputs: Inputs, config: Config) -> Run:
        """Makes a run from the inputs and puts it into the queue.

        Raises:
            SceneError, DiskFull, RunError: nothing is left behind then.
        """
        folder = runs.new_folder(self.runs_dir)
        try:
            scene.assemble(folder / "scene", inputs.references, inputs.target, inputs.mask, variants=config.variants)
            run = Run.create(folder, config)
            run.label(name=inputs.target.stem[:60])
        except BaseException:
            files.remove_folder(folder)
            raise
        self.resume(run)
        return run

    def resume(self, run: Run) -> None:
        """Puts a run into the queue; it goes on where it ended.

        Raises:
            RunBusy: it is being worked on.
        """
        queue.submit(run)
        self.ensure_worker()

    def ensure_worker(self) -> None:
        """Starts a worker where none serves the folder; it outlives the page's process."""
        with self._guard:
            started = self._worker is not None and self._worker.poll() is None
            if started or queue.worker_alive(self.runs_dir):
                return
            command = [sys.executable, "-m", "realfill", "worker", str(self.runs_dir.resolve()), "--idle", IDLE]
            with (self.runs_dir / "worker.log").open("ab") as log:
                self._worker = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )


def default_base() -> str:
    """The base for new runs: `sd2` where a GPU with room and a torch build for it are found, else `mini`.

    torch itself is not asked: the page's process never imports it.
    """
    if platform.system() == "Darwin":
        return "sd2" if platform.machine() == "arm64" else "mini"
    try:
        if importlib.metadata.version("torch").endswith("+cpu"):
            return "mini"
        command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError, importlib.metadata.PackageNotFoundError):
        return "mini"
    return "sd2" if any(size.isdecimal() and int(size) >= ROOM_FOR_SD2 for size in found) else "mini"
