"""Runs on the visitor's own Hugging Face account: an HF Job trains and fills where the visitor pays for the GPU.

The run's files go to a private bucket of the visitor's, which the Job mounts; when it has ended they are brought back
and the bucket is deleted. All is asked with the visitor's own token, in the visitor's own requests: it is written down
nowhere, so news of a Job comes while its owner has the page open. Never run against the real service
(docs/hosting.md); the tests have a stand-in of its API.
"""

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from realfill import files
from realfill.errors import DiskFull, RealFillError, RunBusy, RunError
from realfill.humanize import duration
from realfill.jobs import queue
from realfill.runs.run import Run
from realfill.runs.status import LIVE
from realfill.sentences import Sentence

HOURS = (1, 2, 4, 8)  # time limits to choose from; what is not told is ended after 30 minutes there
LOOK = 10.0  # seconds between two questions about a Job
SAVING = 300  # seconds of the limit in which a run that is not done saves itself and is copied
MOST_BYTES = 4 * 2**30  # that are brought back
IN_BUCKET = "run"
_APP = "/home/user/app"  # where a Space's image has its files
_STAYS = {"lock", "stop", "state.json", "log.txt", "labels.json"}  # what of a run is not the Job's
_COMES_BACK = re.compile(
    r"(run|scores|result|ranking)\.json|(result|confidence)\.png|events\.jsonl|"
    r"(checkpoints|lora|draft|proposals|seeds|earlier|previews|matches)(/[0-9A-Za-z_-][0-9A-Za-z._-]*)+"
)
# Bash: the bucket is copied, since nobody says what of locks and renames its mount can do; what is there is copied back
# whatever happened, and before the Job's own limit.
_SCRIPT = (
    'cp -r "/bucket/{folder}" /tmp/run && cd {app} && timeout -s TERM -k 60 {seconds} '
    "python -m realfill complete --run /tmp/run; code=$?; "
    'cp -r /tmp/run/. "/bucket/{folder}/"; exit $code'
)


@dataclass(frozen=True)
class Machine:
    """What a Job can run on."""

    name: str
    title: str
    hourly: float  # US dollars

    def label(self) -> Sentence:
        """`Nvidia L4, $0.80 an hour`."""
        return Sentence("{machine}, {price} an hour", machine=self.title, price=f"${self.hourly:.2f}")


class HubJobs:
    """Jobs of visitors; `image` is the Space whose container they run in."""

    def __init__(self, image: str = "", endpoint: str | None = None) -> None:
        self._image = image or f"hf.co/spaces/{os.environ.get('SPACE_ID', '')}"
        self._endpoint = endpoint
        self._looked: dict[str, float] = {}  # by run: when, by time.monotonic
        self._guard = threading.Lock()

    def machines(self, token: str) -> list[Machine]:
        """The machines with one GPU, the cheapest first.

        Raises:
            RunError: Hugging Face says no, or does not answer.
        """
        with _speak():
            offers = self._api(token).list_jobs_hardware()
        single = [one for one in offers if one.accelerator is not None and str(one.accelerator.quantity) == "1"]
        machines = [Machine(one.name, one.pretty_name, _hourly(one.unit_cost_usd, one.unit_label)) for one in single]
        return sorted(machines, key=lambda one: one.hourly)

    def start(self, run: Run, token: str, machine: Machine, hours: float) -> None:
        """Uploads the run to a private bucket of the visitor's and starts a Job for it; the run waits for it then.

        Raises:
            RunError: it was refused; nothing of the run is left there.
            RunBusy: the run is being worked on.
        """
        with run.lock():
            if run.status().state in LIVE:
                raise RunBusy(Sentence("This project is at work; wait until it has finished, or stop it."))
            api = self._api(token)
            with _speak():
                owner = str(api.whoami()["name"])
            bucket = f"{owner}/realfill-{run.folder.name.lower()}"
            try:
                with _speak():
                    self._upload(api, bucket, run)
                    job = self._run_job(api, owner, bucket, run, machine, hours)
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    api.delete_bucket(bucket, missing_ok=True)
                raise
            facts = {"id": job.id, "owner": owner, "bucket": bucket, "url": job.url, "hours": hours}
            run.record(job={**facts, "machine": machine.label(), "hourly": machine.hourly})
            run.forget("stop")
            queue.wait_for_turn(run, _waiting(machine.label()))

    def look(self, run: Run, token: str) -> None:
        """Asks how the run's Job does, seldom enough, and brings back what it made once it has ended.

        What Hugging Face refuses stands in the run's state, and is asked for again.
        """
        try:
            self._look(run, token)
        except RunError as error:
            why = str(error).rstrip(".")
            self._tell(run, Sentence("No news of the Job on your Hugging Face account: {why}.", why=why))

    def _look(self, run: Run, token: str) -> None:
        job, name = run.fact("job"), run.folder.name
        with self._guard:
            now = time.monotonic()
            if not job or now - self._looked.get(name, -LOOK) < LOOK:
                return
            self._looked[name] = now
        if not token:
            self._tell(run, Sentence("On your Hugging Face account; sign in to see how it does."))
            return
        api = self._api(token)
        with _speak():
            info = api.inspect_job(job_id=job["id"], namespace=job["owner"])
        stage, seconds = str(info.status.stage), (info.durations.running_secs if info.durations else 0) or 0
        spent = f"${seconds / 3600 * job['hourly']:.2f}"
        if stage == "SCHEDULING":
            self._tell(run, _waiting(job["machine"]))
        elif stage == "RUNNING":
            known = {"machine": job["machine"], "time": duration(seconds), "cost": spent}
            self._tell(run, Sentence("On your Hugging Face account ({machine}): {time}, {cost} so far.", **known))
        else:
            self._finish(api, run, job, str(info.status.message or ""))

    def cancel(self, run: Run, token: str) -> None:
        """Ends the run's Job and deletes its bucket; what the Job has made is not brought back.

        Raises:
            RunError: Hugging Face says no, or does not answer.
        """
        job = run.fact("job")
        if not token:
            raise RunError(Sentence("The Job runs on a Hugging Face account; sign in to stop it."))
        api = self._api(token)
        with _speak():
            api.cancel_job(job_id=job["id"], namespace=job["owner"])
            api.delete_bucket(job["bucket"], missing_ok=True)
        with run.lock():
            run.record(job=None)
            run.enter("stopped", Sentence("The Job was cancelled; what it had made was not brought back."))

    def _api(self, token: str) -> Any:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # nobody sees them in a server's log
        return HfApi(endpoint=self._endpoint, token=token, library_name="realfill")

    def _upload(self, api: Any, bucket: str, run: Run) -> None:
        api.create_bucket(bucket, private=True, exist_ok=True)
        kept = [path for path in files.walk_files(run.folder) if not files.is_temporary(path.name)]
        names = [path.relative_to(run.folder).as_posix() for path in kept]
        add = [(run.folder / name, f"{IN_BUCKET}/{name}") for name in names if name not in _STAYS]
        api.batch_bucket_files(bucket, add=add)

    def _run_job(self, api: Any, owner: str, bucket: str, run: Run, machine: Machine, hours: float) -> Any:
        from huggingface_hub import Volume

        limit = int(hours * 3600)
        script = _SCRIPT.format(folder=IN_BUCKET, app=_APP, seconds=limit - SAVING)
        return api.run_job(
            image=self._image,
            command=["bash", "-c", script],
            flavor=machine.name,
            timeout=limit,
            labels={"realfill": re.sub(r"[^0-9A-Za-z_-]", "-", run.folder.name)},
            volumes=[Volume(type="bucket", source=bucket, mount_path="/bucket")],
            namespace=owner,
        )

    def _tell(self, run: Run, sentence: str) -> None:
        with contextlib.suppress(RunBusy), run.lock():
            status = run.status()
            if status.state == "queued" and status.sentence != sentence:
                queue.wait_for_turn(run, sentence)

    def _finish(self, api: Any, run: Run, job: dict[str, Any], message: str) -> None:
        with contextlib.suppress(RunBusy), run.lock():
            with _speak():
                state = self._bring_back(api, run, job["bucket"])
                api.delete_bucket(job["bucket"], missing_ok=True)
            run.record(job=None)
            if state == "done":
                run.enter("done")
            elif state == "stopped":
                limit = duration(job["hours"] * 3600)
                run.enter(
                    "stopped",
                    Sentence("The Job's time of {limit} was over. What was done is here; Resume goes on.", limit=limit),
                )
            else:
                known = {"why": message.rstrip(".") or state or "nothing was left", "url": job["url"]}
                run.enter(
                    "failed",
                    Sentence(
                        "The Job ended before the fill was done ({why}). What was done is here; its log is {url}.",
                        **known,
                    ),
                )

    def _bring_back(self, api: Any, run: Run, bucket: str) -> str:
        """Copies the bucket's files into the run, those that a run has; returns the state that the Job left."""
        found = [one for one in api.list_bucket_tree(bucket, recursive=True) if hasattr(one, "size")]
        inside = {str(PurePosixPath(one.path).relative_to(IN_BUCKET)): one for one in found if _is_inside(one.path)}
        wanted = {name: one for name, one in inside.items() if _COMES_BACK.fullmatch(name) or name == "state.json"}
        if sum(one.size for one in wanted.values()) > MOST_BYTES:
            raise RunError(
                Sentence("The bucket {bucket} holds more than a run has; nothing was brought back.", bucket=bucket)
            )
        with tempfile.TemporaryDirectory(dir=run.folder.parent, prefix=".hub-") as folder:
            api.download_bucket_files(bucket, [(one, Path(folder) / name) for name, one in wanted.items()])
            state = str((files.read_json(Path(folder) / "state.json") or {}).get("state", ""))
            for name in sorted(wanted, key=lambda name: name in ("scores.json", "run.json")):  # what names others: last
                source, target = Path(folder) / name, run.folder / name
                if name == "run.json":
                    files.write_json(target, {**(files.read_json(source) or {}), "job": run.fact("job")})
                elif name != "state.json":
                    target.parent.mkdir(parents=True, exist_ok=True)
                    temporary = files.temporary_path(target)
                    shutil.move(source, temporary)
                    files.replace(temporary, target)
        return state


def _waiting(machine: str) -> Sentence:
    return Sentence("On your Hugging Face account ({machine}): waiting for the machine.", machine=machine)


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return parts[:1] == (IN_BUCKET,) and ".." not in parts


def _hourly(cost: float, unit: str) -> float:
    return cost * {"minute": 60, "second": 3600}.get(unit, 1)


@contextlib.contextmanager
def _speak() -> Iterator[None]:
    """What Hugging Face answers as sentences.

    Raises:
        RunError: in place of the client's errors.
    """
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (RealFillError, DiskFull):
        raise
    except HfHubHTTPError as error:
        raise RunError(_refusal(error.response.status_code, error.server_message or "")) from error
    except Exception as error:  # of the client's many libraries: no route, a name, a broken transfer
        why = type(error).__name__
        raise RunError(Sentence("Hugging Face cannot be reached ({why}); try again later.", why=why)) from error


def _refusal(status: int, message: str) -> Sentence:
    why = message.rstrip(".") or f"code {status}"
    sentences = {
        401: Sentence("Hugging Face no longer knows who you are ({why}); sign out and in again.", why=why),
        402: Sentence(
            "Hugging Face starts no Job without credit ({why}); add some at huggingface.co/settings/billing.", why=why
        ),
        403: Sentence(
            "Hugging Face does not let this page do that for you ({why}); sign out, sign in again and allow it.",
            why=why,
        ),
        404: Sentence("Hugging Face does not find the Job or its files any more ({why}).", why=why),
        429: Sentence("Hugging Face wants no more of that for now ({why}); try again later.", why=why),
    }
    return sentences.get(status) or Sentence("Hugging Face refused it ({why}); try again later.", why=why)
