"""Projects, as the rail lists them: the runs of the asking visitor, with rename, duplicate, delete and undo.

"Project" is the page's word for a run. What is deleted lies in a hidden folder beside the runs for a day.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from realfill import files
from realfill.errors import RealFillError, RunBusy, RunError
from realfill.files import speak_refusals
from realfill.runs.export import chosen_seed
from realfill.runs.labels import LONGEST_NAME, Labels
from realfill.runs.listing import new_run_folder, run_folders
from realfill.runs.run import Run, timestamp
from realfill.runs.status import RunFolder, State
from realfill.sentences import Sentence

from .index import RunFacts, RunIndex
from .jobs import TRASH, Jobs, owner_facts
from .thumbnails import Thumbnails

KEEP = 24 * 3600.0  # seconds until what is deleted is gone for good
PATIENCE = 20.0  # seconds that a deletion waits for a running project to stop
THUMBNAIL = 96  # longest side in pixels
_LIVING = ("lock", "stop", "state.json", "log.txt")  # belong to the work, not to the project


@dataclass(frozen=True)
class Project:
    """One line of the rail. `created` is in seconds since 1970; `thumb` an address, empty until it is made.

    `place` is that among the visitor's waiting projects, 1 for the next; 0: it does not wait.
    """

    id: str
    name: str
    state: State
    created: float
    thumb: str
    place: int = 0


class Projects:
    """The projects over the runs of `jobs`, and its finished examples."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._examples = RunIndex(jobs.examples, kept=False)
        self._bin = RunIndex(jobs.runs_dir / TRASH, kept=False)
        self._targets: dict[str, Path] = {}
        self._thumbnails = Thumbnails()

    def listing(self) -> list[Project]:
        """All projects of the asking visitor, newest first. Unchanged ones cost a few `stat` calls."""
        folders = self._jobs.folders()
        known = [(self._jobs.index.facts(folder), folder) for folder in folders]
        known.sort(key=lambda one: (-one[0].created, one[1].name))  # the newest get their pictures first, too
        waiting = sorted((facts.ticket, folder.name) for facts, folder in known if facts.state == "queued")
        places = {name: place for place, (_, name) in enumerate(waiting, start=1)}
        listed = (self._describe(facts, folder) for facts, folder in known)
        return [replace(one, place=places.get(one.id, 0)) for one in listed if one is not None]

    def examples(self) -> list[Project]:
        """The finished examples, by name."""
        known = [(self._examples.facts(folder), folder) for folder in run_folders(self._jobs.examples)]
        return [project for facts, folder in known if (project := self._describe(facts, folder)) is not None]

    def take_example(self, name: str) -> str:
        """The id of the asking visitor's own copy of an example, made when it is first asked for.

        Raises:
            RunError: there is no such example.
        """
        if name not in [folder.name for folder in run_folders(self._jobs.examples)]:
            raise RunError("There is no such example here.")
        mine = (folder for folder in self._jobs.folders() if read_labels(folder).get("example") == name)
        copy = next(mine, None)
        return copy.name if copy else self._copy(self._jobs.examples / name, {"example": name, "elsewhere": True})

    def rename(self, run_id: str, name: str) -> None:
        """Gives a project another name; an empty one changes nothing.

        Raises:
            RunError: there is no such project.
        """
        run = self._jobs.open(run_id)
        if text := " ".join(name.split())[:LONGEST_NAME]:
            run.labels.update(name=text)

    def duplicate(self, run_id: str) -> str:
        """Copies a project and returns the copy's id; of one in work, only photos, mask and settings.

        Raises:
            RunError, DiskFull: it cannot be copied; nothing is left behind.
        """
        run = self._jobs.open(run_id)
        labels = {"name": f"{run.labels.name[: LONGEST_NAME - 5]} copy", "example": None}
        try:
            with run.lock():
                return self._copy(run.folder, labels)
        except RunBusy:
            return self._copy(run.folder, labels, inputs_only=True)

    def delete(self, run_id: str) -> str:
        """Moves a project into the trash and returns its name. A running one is asked to stop first.

        Raises:
            RunBusy: it did not stop in time.
        """
        self.sweep()
        run = self._jobs.open(run_id)
        name = run.labels.name
        self._jobs.stop(run)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with run.lock():
                    run.forget("stop")
                break
            except RunBusy as error:
                if time.monotonic() > until:
                    sentence = Sentence(
                        "“{name}” is still at work; it will stop soon. Delete it again then.", name=name
                    )
                    raise RunBusy(sentence) from error
                time.sleep(0.2)
        with speak_refusals(run.folder):  # without the lock: Windows moves no folder with an open file
            self._trash.mkdir(exist_ok=True)
            files.replace(run.folder, self._trash / run_id)
            os.utime(self._trash / run_id)
        return name

    def restore(self, run_id: str) -> str:
        """Takes a project back out of the trash; returns its id.

        Raises:
            RunError: it is not there any more.
        """
        folder = self._trash / run_id
        if Path(run_id).name != run_id or not (folder / "run.json").is_file() or not self._jobs.may_see(folder):
            raise RunError("That project is gone for good.")
        with speak_refusals(folder):
            files.replace(folder, self._jobs.runs_dir / run_id)
        return run_id

    def bin(self) -> list[Project]:
        """What the asking visitor deleted in the last day, the latest first."""
        folders = [folder for folder in run_folders(self._trash) if self._jobs.may_see(folder)]
        known = [(self._bin.facts(folder), folder) for folder in folders]
        known.sort(key=lambda one: -_deleted_at(one[1]))
        return [project for facts, folder in known if (project := self._describe(facts, folder)) is not None]

    def empty_bin(self) -> None:
        """Removes for good what the asking visitor deleted.

        Raises:
            RunError: a file of it cannot be removed.
        """
        for folder in run_folders(self._trash):
            if self._jobs.may_see(folder):
                files.remove_folder(folder)

    def sweep(self, now: float | None = None) -> None:
        """Removes for good the projects that were deleted over a day ago; what else lies there is not ours."""
        limit = (time.time() if now is None else now) - KEEP
        for folder in run_folders(self._trash):
            with contextlib.suppress(OSError):
                if folder.stat().st_mtime < limit:
                    files.remove_folder(folder)
        files.sweep(self._trash)  # of removals that were killed

    @property
    def _trash(self) -> Path:
        return self._jobs.runs_dir / TRASH

    def _describe(self, facts: RunFacts, folder: Path) -> Project | None:
        """A project as it is now; None where it is being deleted, or does not open."""
        try:
            thumb = self._thumbnails.url(self._picture(folder), THUMBNAIL)
        except (OSError, RealFillError, StopIteration):
            return None
        return Project(folder.name, facts.name, facts.state, facts.created, thumb) if facts.opens else None

    def _picture(self, folder: Path) -> Path:
        """What stands for a project: its result, its best picture of an example, or its target."""
        result = folder / "result.png"
        if result.exists():
            return result
        if folder.parent == self._jobs.examples and (run := Run.open(folder)).seeds_done():
            return run.seed_path(chosen_seed(run)[0])
        if folder.name not in self._targets:
            self._targets[folder.name] = next((folder / "scene" / "target").glob("target.*"))
        return self._targets[folder.name]

    def _copy(self, source: Path, labels: Mapping[str, str | bool | None], *, inputs_only: bool = False) -> str:
        self._jobs.book(files.walk_files(source))
        folder = new_run_folder(self._jobs.runs_dir)
        with files.new_folder(folder) as draft:
            for item in ("scene", "run.json", "labels.json") if inputs_only else sorted(os.listdir(source)):
                if item not in _LIVING and (source / item).exists() and not (source / item).is_symlink():
                    _link(source / item, draft / item)
            run_file = files.read_json(draft / "run.json") or {}
            run_file.pop("job", None)  # a Job is one run's
            files.write_json(draft / "run.json", {**run_file, "created": timestamp()})
            files.write_json(draft / "labels.json", {**Labels(source).read(), **labels, "owner": None, **owner_facts()})
            if not inputs_only:
                _settle(source, draft)
        return folder.name


def _deleted_at(folder: Path) -> float:
    """When a folder was moved into the trash, in seconds since 1970; 0 where it is gone."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _settle(source: Path, copy: Path) -> None:
    """Gives a copy the state of what it was made of, as far as that holds without anybody's work."""
    status = RunFolder(source).status()
    done = status.state == "done"
    sentence = "" if Labels(source).is_example else status.sentence
    RunFolder(copy).enter("done" if done else "stopped", sentence if done else Sentence("A copy; resume goes on."))


def _link(source: Path, copy: Path) -> None:
    """Copies a file or folder without its bytes, where the disk can: run files are replaced, never changed.

    Only what is appended to gets bytes of its own. Links are left out: they may lead anywhere.
    """

    def copy_file(old: str, new: str) -> str:
        if not old.endswith(".jsonl"):
            with contextlib.suppress(OSError):
                os.link(old, new)
                return new
        return shutil.copy2(old, new)

    def skip(folder: str, names: list[str]) -> set[str]:
        links = {name for name in names if os.path.islink(os.path.join(folder, name))}
        return links | set(filter(files.is_temporary, names))

    with speak_refusals(copy):
        if source.is_dir():
            shutil.copytree(source, copy, copy_function=copy_file, ignore=skip)
        else:
            copy_file(str(source), str(copy))


def read_labels(folder: Path) -> dict[str, Any]:
    """The labels of a run that is one of many; none where they cannot be read."""
    try:
        return Labels(folder).read()
    except RunError:
        return {}
