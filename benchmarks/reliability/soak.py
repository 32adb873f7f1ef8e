"""The page, its worker and its runs under kills, a full disk and hostile files, for as long as one likes.

    python -m benchmarks.reliability.soak --minutes 20

Twenty clients start projects, ask how far they are, export and open the page, all through the server's own API. In
between, server, worker and warm process are killed with SIGKILL at random moments (a killed server is started again,
as a supervisor would), the disk of the runs fills and empties (a tmpfs, where one may be mounted), and files arrive
that no picture is. At the end every run that was promised must be there and finished, by the command that a person
would give where a kill was the last word, with the very bytes that an undisturbed run has.

Prints what was started, finished, lost and bit-identical, the 95th percentile of every call, the server's memory over
time and how much the logs grew. Exit code 1 where a run was lost or differs.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.options import base_parser
from benchmarks.reliability import hostile_files
from realfill.jobs.queue import read_status
from realfill.runs.listing import run_folders
from realfill.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "train.steps": 4,
    "train.batch": 1,
    "train.checkpoint_every": 1,
    "sample.seeds": "0-1",
    "sample.steps": 2,
    "select.matcher": "sift",
}
UNFINISHED = 8  # projects that wait or run at once
FILLED_SECONDS = 3.0  # for which the disk stays full
PATIENCE = 60.0  # seconds of a call, after which it counts as unanswered
DRAIN_SECONDS = 600.0  # for the queue, once nothing is killed any more
ANSWERED, UNREACHABLE, REFUSED = "answered", "unreachable", "refused"


class Refusal(Exception):
    """The server answered with a sentence instead of a result."""


@dataclass
class Tally:
    """What happened, written to by many threads."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # of answered calls, by name
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (call, outcome)
    kills: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the beginning, bytes)
    defects: list[str] = field(default_factory=list)  # answers that are neither a result nor a refusal
    projects: list[str] = field(default_factory=list)
    disk_filled: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, call: str, outcome: str, seconds: float) -> None:
        """Notes one call."""
        with self.guard:
            self.outcomes[call, outcome] += 1
            if outcome == ANSWERED:
                self.seconds[call].append(seconds)


class Server:
    """`python app.py` over a folder of runs, started again whenever it was killed."""

    def __init__(self, runs_dir: Path, place: Path, base: Path) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.runs_dir, self.log = runs_dir, place / "server.log"
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(self.port), "--runs-dir", str(runs_dir)]
        self._command = [*command, "--base", str(base)]
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "REALFILL_LOCKS": str(place),
            "GRADIO_TEMP_DIR": str(place / "page"),
        }
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def restart(self) -> None:
        """What a supervisor does when the server has died."""
        self.process.wait()
        self.process = self._start()

    def wait(self) -> None:
        """Returns once it answers.

        Raises:
            TimeoutError: it does not, in two minutes.
        """
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url, timeout=5).status_code == httpx.codes.OK:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"{self.url} does not answer; its log is {self.log}")

    def resident_bytes(self) -> float:
        """The memory of the page's own process; 0 while there is none."""
        with contextlib.suppress(psutil.Error):
            return float(psutil.Process(self.process.pid).memory_info().rss)
        return 0.0

    def victims(self) -> dict[str, psutil.Process]:
        """What can be killed at the moment, by what it is."""
        living = {"server": psutil.Process(self.process.pid)} if self.process.poll() is None else {}
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if "worker" in command and str(self.runs_dir.resolve()) in command:
                living["worker"] = process
                with contextlib.suppress(psutil.Error):
                    for child in process.children():
                        living["warm process"] = child
        return living

    def end(self) -> None:
        """Ends the server and the workers that outlive it."""
        for process in self.victims().values():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()


class Client:
    """One person's program: calls the API as `docs/api.md` describes it, and times every call."""

    def __init__(self, server: Server, scene: Path, tally: Tally, seed: int) -> None:
        self._server, self._scene, self._tally = server, scene, tally
        self._random = random.Random(seed)
        self._http = httpx.Client(base_url=server.url, timeout=PATIENCE)
        self._mine: list[str] = []

    def run(self, end: threading.Event) -> None:
        """Calls until `end` is set."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self._start, 3),
            (self._ask, 10),
            (self._list, 4),
            (self._export, 2),
            (self._open_page, 2),
            (self._attack, 2),
        ]
        calls, weights = zip(*actions, strict=True)
        with self._http:
            self._start()
            while not end.wait(self._random.uniform(0.1, 1.5)):
                self._random.choices(calls, weights)[0]()

    def _timed(self, name: str, call: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            answer = call()
        except Refusal:
            outcome, answer = REFUSED, None
        except httpx.HTTPError:  # killed, or being started
            outcome, answer = UNREACHABLE, None
        else:
            outcome = ANSWERED
        self._tally.count(name, outcome, time.monotonic() - began)
        return answer

    def _call(self, name: str, *data: Any) -> Any:
        begun = self._http.post(f"/gradio_api/call/{name}", json={"data": list(data)})
        self._check(name, begun)
        with self._http.stream("GET", f"/gradio_api/call/{name}/{begun.json()['event_id']}") as stream:
            event = ""
            for line in stream.iter_lines():
                kind, _, value = line.partition(": ")
                if kind == "event":
                    event = value
                elif kind == "data" and event == "complete":
                    return json.loads(value)[0]
                elif kind == "data" and event == "error":
                    raise Refusal(value)
        raise httpx.RemoteProtocolError("the stream ended without an answer")

    def _check(self, name: str, response: httpx.Response) -> None:
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR and response.status_code not in (503, 507):
            with self._tally.guard:
                self._tally.defects.append(f"{name}: {response.status_code} {response.text[:200]}")
        if response.is_error:
            raise Refusal(response.text)

    def _upload(self, paths: Mapping[str, bytes]) -> list[dict[str, Any]]:
        files = [("files", (name, data)) for name, data in paths.items()]
        response = self._http.post("/gradio_api/upload", files=files)
        self._check("upload", response)
        return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in response.json()]

    def _start(self) -> None:
        if _count_unfinished(self._server.runs_dir) < UNFINISHED:
            self._begin({path.name: path.read_bytes() for path in _scene_files(self._scene)})

    def _begin(self, photos: Mapping[str, bytes]) -> None:
        def begin() -> Any:
            *references, target, mask = self._upload(photos)
            return self._call("start_training", references, target, mask, SETTINGS, "soak")

        answer = self._timed("start_training", begin)
        if answer is not None:
            self._mine.append(answer["project"])
            with self._tally.guard:
                self._tally.projects.append(answer["project"])

    def _ask(self) -> None:
        if self._mine:
            self._timed("status", lambda: self._call("status", self._random.choice(self._mine)))

    def _list(self) -> None:
        if self._mine:
            self._timed("list_seeds", lambda: self._call("list_seeds", self._random.choice(self._mine)))

    def _export(self) -> None:
        if self._mine:
            project = self._random.choice(self._mine)
            self._timed("export", lambda: self._call("export", project, None, "picture", "png", 8))

    def _open_page(self) -> None:
        def read() -> None:
            for path in ("/", "/config"):
                self._check(path, self._http.get(path))

        self._timed("page", read)

    def _attack(self) -> None:
        """Sends as a reference what no photo is, or what is dear to decode; now and then the answer stays unread.

        What is a photo after all becomes a project, so these count among the unfinished ones.
        """
        if _count_unfinished(self._server.runs_dir) >= UNFINISHED:
            return
        name, make = self._random.choice(list(hostile_files.FILES.items()))
        photos = {path.name: path.read_bytes() for path in _scene_files(self._scene)}

        def begin() -> Any:
            _, *_, target, mask = self._upload(photos)
            (bad,) = self._upload({name: make()})
            if self._random.random() < 0.2:
                return self._http.post(
                    "/gradio_api/call/start_training", json={"data": [[bad], target, mask, SETTINGS, ""]}
                )
            return self._call("start_training", [bad], target, mask, SETTINGS, "hostile")

        self._timed("hostile file", begin)


def kill_at_random(server: Server, tally: Tally, end: threading.Event, *, mean: float, seed: int) -> None:
    """Kills one of the processes every `mean` seconds or so until `end` is set; the server is started again."""
    choose = random.Random(seed)
    while not end.wait(choose.expovariate(1 / mean)):
        living = server.victims()
        if not living:
            continue
        kind = choose.choice(sorted(living))
        with contextlib.suppress(psutil.Error):
            living[kind].send_signal(signal.SIGKILL)
            tally.kills[kind] += 1
        if kind == "server":
            server.restart()


def fill_disk(place: Path, tally: Tally, end: threading.Event, *, mean: float, seed: int) -> None:
    """Fills the disk of `place` to its last bytes for some seconds, again and again, until `end` is set."""
    choose = random.Random(seed)
    ballast = place / ".ballast"
    while not end.wait(choose.expovariate(1 / mean)):
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(2**16))
                file.flush()
        tally.disk_filled += 1
        end.wait(FILLED_SECONDS)
        ballast.unlink(missing_ok=True)


def watch_memory(server: Server, tally: Tally, end: threading.Event) -> None:
    """Notes the memory of the page's process every second."""
    began = time.monotonic()
    while not end.wait(1.0):
        if used := server.resident_bytes():
            tally.memory.append((time.monotonic() - began, used))


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[str]:
    """A tmpfs at `place`; yields why there is none where it may not be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        yield "only root on Linux may mount a small disk"
        return
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        yield f"a small disk could not be mounted: {mounted.stderr.strip()}"
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def drain(server: Server, client: httpx.Client, tally: Tally) -> None:
    """Lets the queue finish what it can, looking as an open page would, so that a worker is always there."""
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        live = [
            name for name in tally.projects if _state(server.runs_dir / name) in ("queued", "running", "interrupted")
        ]
        if not live:
            return
        with contextlib.suppress(httpx.HTTPError):
            client.post("/gradio_api/call/status", json={"data": [live[0]]})
        time.sleep(1.0)


def finish(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether a run is done, after the command that a person gives for one that is not."""
    if _state(folder) != "done":
        command = [sys.executable, "-m", "realfill", "complete", "--run", str(folder), "--device", "cpu"]
        ended = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
        if ended.returncode:
            sys.stderr.write(f"{folder.name}: {ended.stderr[-500:]}\n")
    return _state(folder) == "done"


def digest(folder: Path) -> str:
    """What a run made, as one hash: adapter, seeds, counts, result."""
    made = hashlib.sha256()
    for path in sorted([*folder.glob("lora/*.safetensors"), *folder.glob("seeds/*.png"), folder / "result.png"]):
        made.update(path.name.encode() + path.read_bytes())
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    made.update(json.dumps(scores["seeds"], sort_keys=True).encode())
    return made.hexdigest()


def soak(minutes: float, *, clients: int, kills: int, base: Path, scene: Path, seed: int = 0) -> dict[str, Any]:
    """The whole of it; returns the numbers of the report."""
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary, contextlib.ExitStack() as stack:
        place = Path(temporary)
        (place / "page").mkdir()
        why_not = stack.enter_context(small_disk(place / "runs", 512))
        server = Server(place / "runs", place, base)
        stack.callback(server.end)
        server.wait()
        tally, end = Tally(), threading.Event()
        people = [Client(server, scene, tally, seed + number) for number in range(clients)]
        work: list[Callable[[], None]] = [lambda one=one: one.run(end) for one in people]  # type: ignore[misc]
        mean = minutes * 60 / max(1, kills)
        if kills:
            work.append(lambda: kill_at_random(server, tally, end, mean=mean, seed=seed))
        if not why_not:
            work.append(lambda: fill_disk(place / "runs", tally, end, mean=max(20.0, 4 * mean), seed=seed + 1))
        work.append(lambda: watch_memory(server, tally, end))
        threads = [threading.Thread(target=do, daemon=True) for do in work]
        for thread in threads:
            thread.start()
        time.sleep(minutes * 60)
        until = time.monotonic() + DRAIN_SECONDS
        while not tally.projects and time.monotonic() < until:  # a busy machine: there must be something to lose
            time.sleep(0.2)
        end.set()
        for thread in threads:
            thread.join(2 * PATIENCE)
        server.wait()
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as looking:
            drain(server, looking, tally)
        server.end()
        return _report(server, place, tally, base, scene, why_not)


def _report(server: Server, place: Path, tally: Tally, base: Path, scene: Path, why_not: str) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "REALFILL_LOCKS": str(place)}
    settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    command = [sys.executable, "-m", "realfill", "complete", str(scene), "--run", str(place / "undisturbed")]
    command += ["--base", str(base), "--device", "cpu", *settings]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    right = digest(place / "undisturbed")
    by_itself = sum(_state(server.runs_dir / project) == "done" for project in tally.projects)
    finished = [project for project in tally.projects if finish(server.runs_dir / project, environment)]
    identical = sum(digest(server.runs_dir / project) == right for project in finished)
    logs = [server.log, server.runs_dir / "worker.log", *server.runs_dir.glob("*/log.txt")]
    memory = [used for _, used in tally.memory]
    tenth = max(1, len(memory) // 10)
    return {
        "kills": dict(tally.kills),
        "disk filled": why_not or tally.disk_filled,
        "runs started": len(tally.projects),
        "finished by themselves": by_itself,
        "finished": len(finished),
        "lost": len(tally.projects) - len(finished),
        "bit-identical": identical,
        "calls": {
            name: {
                "answered": len(seconds),
                "p50": round(sorted(seconds)[len(seconds) // 2], 3),
                "p95": round(sorted(seconds)[int(0.95 * (len(seconds) - 1))], 3),
                REFUSED: tally.outcomes[name, REFUSED],
                UNREACHABLE: tally.outcomes[name, UNREACHABLE],
            }
            for name, seconds in sorted(tally.seconds.items())
        },
        "refused or unreachable only": {
            f"{name}, {outcome}": count
            for (name, outcome), count in tally.outcomes.items()
            if name not in tally.seconds
        },
        "memory of the page, MB": {
            "first tenth": round(_mean(memory[:tenth]) / 1e6),
            "last tenth": round(_mean(memory[-tenth:]) / 1e6),
            "most": round(max(memory, default=0) / 1e6),
        },
        "logs, MB": round(sum(path.stat().st_size for path in logs if path.exists()) / 1e6, 2),
        "defects": tally.defects[:20],
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _state(folder: Path) -> str:
    """The state of a run; `lost` where it cannot be opened."""
    try:
        return str(Run.open(folder).status().state)
    except Exception:  # whatever it is, the run is not there for its owner
        return "lost"


def _count_unfinished(runs_dir: Path) -> int:
    statuses = [read_status(folder) for folder in run_folders(runs_dir)]
    return sum(status is None or status.state not in ("done", "failed") for status in statuses)


def _scene_files(scene: Path) -> list[Path]:
    return [*sorted((scene / "ref").iterdir()), scene / "target" / "target.png", scene / "target" / "mask.png"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Soaks and prints."""
    parser = base_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--kills", type=int, default=100, help="about so many, at random moments")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    from tests.tiny import make_base, make_scene  # the base of the tests: random weights, through in seconds

    with tempfile.TemporaryDirectory(prefix="soak-scene-") as temporary:
        base, scene = make_base(Path(temporary) / "tiny"), make_scene(Path(temporary) / "toy")
        found = soak(given.minutes, clients=given.clients, kills=given.kills, base=base, scene=scene, seed=given.seed)
    print(json.dumps(found, indent=1))
    sys.exit(bool(found["lost"] or found["bit-identical"] != found["finished"] or found["defects"]))


if __name__ == "__main__":
    main()
