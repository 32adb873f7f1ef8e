"""What the page can have done: start, stop, resume, export. The work itself is a worker process's.

The page is handed run ids by the browser, so every id passes `Jobs.open`.
"""

import contextlib
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from realfill import assets, bases, files
from realfill.config import Config
from realfill.device.memory_plan import gpu_memory
from realfill.errors import RunError
from realfill.jobs import queue
from realfill.jobs.child_process import detached_options
from realfill.runs.labels import LONGEST_NAME
from realfill.runs.listing import new_run_folder, run_folders
from realfill.runs.run import Run
from realfill.runs.status import LIVE, State

from ..access import visitors
from ..access.bodies import Refused
from ..access.quotas import Ledger
from ..access.visitors import current_visitor, known_owners
from ..decoding import decoder
from ..logs import rotate
from .hub_jobs import HubJobs
from .index import RunFacts, RunIndex
from .scene_inputs import SceneInputs
from .turns import Turns

MOST = 3  # runs of one visitor of a Space that wait or are in work
UNFINISHED: tuple[State, ...] = (*LIVE, "interrupted")
TRASH = ".trash"  # beside the runs: what was deleted, for a day
IDLE = "300"  # seconds without work after which the worker ends
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = assets.FOLDER / "projects"
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,120}")


class Jobs:
    """The runs of one folder, and the worker that serves them; `examples` are finished runs for everybody to see.

    With `turns` what needs a GPU is done in them, in this process, and the worker does the rest. With `hub` visitors
    can have runs done on their own account. `lasting`: whether runs are there after a restart.
    """

    def __init__(
        self,
        runs_dir: Path,
        examples: Path = EXAMPLES,
        *,
        turns: Turns | None = None,
        hub: HubJobs | None = None,
        lasting: bool = True,
    ) -> None:
        self.runs_dir, self.examples = runs_dir, examples
        self.turns, self.hub, self.lasting = turns, hub, lasting
        self.index = RunIndex(runs_dir)
        self._ledger = Ledger(runs_dir)
        self._worker: subprocess.Popen[bytes] | None = None
        self._guard, self._queueing = threading.Lock(), threading.Lock()

    def folder(self, run_id: str) -> Path:
        """The folder of a run that the asking visitor may see, an example too, by its id. Cheap: opens nothing.

        Raises:
            RunError: there is no such run here, or it is another visitor's; nobody learns which.
        """
        for place in (self.runs_dir, self.examples):
            name = str(run_id)  # a program may send anything
            folder = place / name
            there = _ID.fullmatch(name) and not folder.is_symlink() and (folder / "run.json").is_file()
            if there and (place is self.examples or self.may_see(folder)):
                return folder
        raise RunError("There is no such run here; it may have been deleted.")

    def is_deleted(self, run_id: str) -> bool:
        """Whether a run lies in the trash."""
        return bool(_ID.fullmatch(str(run_id))) and (self.runs_dir / TRASH / str(run_id)).is_dir()

    def may_see(self, folder: Path) -> bool:
        """Whether the asking visitor may see a run: everybody where runs are shared, else its owner alone."""
        return self._is_visible(self.index.facts(folder))

    def _is_visible(self, facts: RunFacts) -> bool:
        return not visitors.is_space() or facts.owner in known_owners()

    def view(self, run_id: str) -> Run:
        """A run by its id, the name of its folder, to be looked at.

        Raises:
            RunError: as `folder`.
        """
        return Run.open(self.folder(run_id))

    def open(self, run_id: str) -> Run:
        """A run by its id, to be worked on or changed.

        Raises:
            RunError: as `folder`; or it is an example.
        """
        run = self.view(run_id)
        if run.labels.is_example:
            raise RunError("This is a finished example and stays as it is here; make it your own first.")
        return run

    def folders(self) -> list[Path]:
        """The folders of all runs that the asking visitor may see; only changed ones are opened."""
        return [folder for folder, facts in self._known() if self._is_visible(facts)]

    def _known(self) -> list[tuple[Path, RunFacts]]:
        """All runs, without those of which nobody knows whose they are: their labels are damaged."""
        known, folders = [], run_folders(self.runs_dir)
        for folder in folders:
            with contextlib.suppress(RunError):
                known.append((folder, self.index.facts(folder)))
        self.index.keep(folders)
        return known

    def latest_id(self) -> str:
        """The id of the run that was worked on or changed last; empty where there is none."""
        times = []
        for folder in self.folders():
            with contextlib.suppress(OSError):  # deleted at this moment
                times.append(((folder / "run.json").stat().st_mtime_ns, folder.name))
        return max(times, default=(0, ""))[1]

    def start(
        self,
        inputs: SceneInputs,
        config: Config,
        *,
        trained: Run | None = None,
        submit: Callable[[Run], None] | None = None,
    ) -> Run:
        """Makes a run from the inputs and puts it into the queue; with the adapter of `trained`, where one is given.

        `submit` has it done elsewhere.

        Raises:
            SceneError, DiskFull, RunError: nothing is left behind then.
        """
        self._check_room()
        photos = [*inputs.references, inputs.target, *([inputs.mask] if isinstance(inputs.mask, Path) else [])]
        self.book(photos)
        folder = new_run_folder(self.runs_dir)
        try:
            run = decoder.create_run(folder, inputs.references, inputs.target, inputs.mask, config)
            if trained is not None:
                run.take_adapter(trained)
            run.labels.update(name=inputs.name or inputs.target.stem[:LONGEST_NAME], **owner_facts())
            if inputs.extension:
                run.labels.update(extended=inputs.extension.sides())
            (submit or self._submit)(run)
        except BaseException:
            files.remove_folder(folder)
            raise
        self._call_worker(run)
        return run

    def resume(self, run: Run) -> None:
        """Puts a run into the queue; it goes on where it ended.

        Raises:
            RunBusy: it is being worked on.
            RunError: the visitor has enough runs waiting.
        """
        self._submit(run)
        self._call_worker(run)

    def _call_worker(self, run: Run) -> None:
        if not queue.waits_for_turn(run.status()):
            self.ensure_worker()

    def _submit(self, run: Run) -> None:
        with self._queueing:  # or several that are asked for at once would all find room
            self._check_room(run.folder)
            if self.turns is not None and self.turns.takes(run.config):
                self.turns.wait(run)
            else:
                queue.submit(run)

    def move(self, run_id: str, place: int) -> None:
        """Gives a waiting run another place in the queue, 1 for the next.

        Raises:
            RunError: as `open`; or strangers wait in the same queue.
        """
        self._check_own_queue()
        with self._queueing:
            queue.move(self.open(run_id), place)

    def pause(self) -> None:
        """Begins no further run; the one in work goes on.

        Raises:
            RunError: strangers wait in the same queue, or nothing can be written.
        """
        self._check_own_queue()
        queue.pause(self.runs_dir)

    def unpause(self) -> None:
        """Lets waiting runs begin again.

        Raises:
            RunError: as `pause`.
        """
        self._check_own_queue()
        queue.unpause(self.runs_dir)
        self.tend()

    @property
    def is_paused(self) -> bool:
        """Whether waiting runs are held back."""
        return queue.is_paused(self.runs_dir)

    def _check_own_queue(self) -> None:
        if visitors.is_space():
            raise RunError("Others wait in this queue too; it goes by who came first.")

    def book(self, copied: Iterable[Path]) -> None:
        """Books a new run for who asks, with the files that it begins with; nothing off a Space, where runs are shared.

        Raises:
            RunError: the visitor, the address or the server has had enough of them today.
        """
        if not visitors.is_space():
            return
        try:
            size = sum(path.stat().st_size for path in copied if path.is_file())
            self._ledger.admit(current_visitor(), size, address=visitors.current_network(), runs=1)
        except Refused as refusal:
            raise RunError(refusal.sentence) from refusal

    def take_turn(self, run: Run) -> Iterator[None]:
        """What a run waits for that only its owner's request can give: one turn of the GPU, or news of its Job."""
        if self.hub is not None and run.fact("job"):
            self.hub.look(run, visitors.hub_token())
        elif self.turns is not None:
            yield from self.turns.take(run)

    def stop(self, run: Run) -> None:
        """Asks the run to stop after the current step or seed; a Job ends at once.

        Raises:
            RunError: the Job could not be cancelled.
        """
        if self.hub is not None and run.fact("job"):
            self.hub.cancel(run, visitors.hub_token())
        else:
            run.request_stop()

    def tend(self) -> bool:
        """Sees to it that a worker is there where runs wait for one, or were left behind by one that died.

        Returns whether there are such runs.
        """
        if queue.is_paused(self.runs_dir):
            return False
        wanted = any(facts.state in UNFINISHED and queue.wants_worker(folder) for folder, facts in self._known())
        if wanted:
            self.ensure_worker()
        return wanted

    def _check_room(self, but: Path | None = None) -> None:
        """On a Space, where strangers share a device.

        Raises:
            RunError: the asking visitor keeps no id, or has `MOST` runs waiting or in work besides `but`.
        """
        if not visitors.is_space():
            return
        if current_visitor() == visitors.NOBODY:
            raise RunError("Your browser keeps no cookie of this page, so a run could not be told to be yours.")
        others = [facts for item, facts in self._known() if item != but and facts.owner in known_owners()]
        if sum(facts.state in LIVE for facts in others) >= MOST:
            raise RunError("You have {most} runs waiting or in work; stop one or wait for it.", most=MOST)

    def ensure_worker(self) -> None:
        """Starts a worker where none serves the folder; it outlives the page's process."""
        with self._guard:
            started = self._worker is not None and self._worker.poll() is None
            if started or queue.worker_alive(self.runs_dir):
                return
            command = [sys.executable, "-m", "realfill", "worker", str(self.runs_dir.resolve()), "--idle", IDLE]
            rotate(self.runs_dir / "worker.log")
            with (self.runs_dir / "worker.log").open("ab") as log:
                self._worker = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **detached_options()
                )


def owner_facts() -> dict[str, str]:
    """The label that says whose a new run is; none where runs are shared."""
    asking = current_visitor()
    return {"owner": asking} if asking else {}


def default_base() -> str:
    """The base for new runs: `sd2` where a GPU with room and a torch build for it are found, else `mini`.

    torch itself is not asked: the page's process never imports it.
    """
    if platform.system() == "Darwin":
        return bases.PREFERRED if platform.machine() == "arm64" else bases.EMBEDDED
    return bases.default_base(gpu_memory())
