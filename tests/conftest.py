"""Fixtures that every test may use, and how tests are shared out among processes (pytest-xdist)."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from realfill.garbage import collect_rarely
from ui.quick_import import skip_interface_files

if TYPE_CHECKING:  # torch takes seconds to import, and the page's tests never need it
    from realfill.models.backbone import Backbone
    from realfill.scene.scene import Scene

# One thread in each process, and in what it starts: torch reads this when it is imported. A test that needs more
# takes `cores`.
os.environ.setdefault("OMP_NUM_THREADS", "1")
collect_rarely()
skip_interface_files()
# Tests start hundreds of processes: what they import is compiled once, also where the machine asks not to keep it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples on every run: a failure is everybody's, not luck.
settings.register_profile("same", derandomize=True, deadline=None)  # nor does other work on the machine fail a test
settings.load_profile("same")

SHARED = Path(__file__).resolve().parents[2] / "shared"
BROWSER_TESTS = "tests/ui/browser/"
# What takes longest begins first, so that no process is left with a long file while the others have nothing to do.
LONGEST = (
    BROWSER_TESTS,
    "tests/benchmarks/test_soak",
    "tests/ui/test_",
    "tests/cli/",
    "tests/jobs/",
    "tests/training/",
)
MOST_WORKERS = 4  # the browser's tests are one piece of work; more processes would wait for it


# ── processes ──


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For folders one process more than cores, since many tests wait for others that they started.

    Single files and tests run in this process, which begins at once.
    """
    if all(".py" in argument for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest pieces of work begin first."""

    def place(item: pytest.Item) -> int:
        return next((place for place, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What collecting imported stays; looking at it again and again for garbage takes seconds."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Files are handed out whole, so that their fixtures are made once; the browser's tests all go to one process."""
    return _FilesAndTheBrowser(config, log) if config.getoption("dist") == "loadfile" else None


class _FilesAndTheBrowser(LoadFileScheduling):  # type: ignore[misc]  # no types there
    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else str(super()._split_scope(nodeid))


def common_folder(factory: pytest.TempPathFactory) -> Path:
    """The session's temporary folder, the same for all processes."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process to ask for it makes, with `make`, and all the others use."""
    place = common_folder(factory)
    folder, unfinished = place / name, place / f"{name}.part"
    with FileLock(place / f"{name}.lock"):
        if not folder.exists():
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture
def heeded_ctrl_c() -> Iterator[None]:
    """A job in the background ignores SIGINT, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# ── bases and scenes ──


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random inpainting pipeline (64 px, ε-prediction)."""

    def make(folder: Path) -> None:
        from tests.tiny import make_base

        make_base(folder)

    return make_once(tmp_path_factory, "tiny", make)


@pytest.fixture(scope="session")
def tiny_bases(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the tiny bases of `tests.families`."""

    def make(folder: Path) -> None:
        from tests.families import TINY

        for name, family in TINY.items():
            if name != "epsilon":
                family.make(folder / name)

    folder = make_once(tmp_path_factory, "bases", make)
    return {"epsilon": tiny_base, **{kind.name: kind for kind in sorted(folder.iterdir())}}


@pytest.fixture(scope="session")
def _toy_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        from tests.tiny import make_scene

        make_scene(folder)

    return make_once(tmp_path_factory, "toy", make)


@pytest.fixture
def toy_scene(_toy_scene: Path, tmp_path: Path) -> Iterator[Path]:
    """A scene folder of a test's own: two references, a target with a hole, and the truth."""
    import shutil

    yield Path(shutil.copytree(_toy_scene, tmp_path / "toy"))


@pytest.fixture(scope="session")
def _loaded_tiny(tiny_base: Path) -> "Backbone":
    import torch

    from realfill.models.registry import load_backbone_folder

    # In float32 also where the processor has bf16: what tests compare is the same on every machine.
    return load_backbone_folder(tiny_base, dtype=torch.float32)


@pytest.fixture
def tiny(_loaded_tiny: "Backbone") -> Iterator["Backbone"]:
    """The tiny base, loaded once for all tests; a test may attach adapters, they are removed after it."""
    from realfill.models.lora import detach_adapters

    yield _loaded_tiny
    detach_adapters(_loaded_tiny)


@pytest.fixture(scope="session")
def toy(_toy_scene: Path) -> "Scene":
    """The toy scene, read; not to be written to."""
    from realfill.scene import scene

    return scene.load(_toy_scene)


@pytest.fixture
def cores() -> Iterator[Callable[[int], None]]:
    """Gives torch a number of threads for one test; lanes follow it."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def one_lane(cores: "Callable[[int], None]") -> None:
    """Whole batches at once on a CPU too, where a test counts or watches them."""
    cores(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scenes and weights beside the checkout; tests that need it skip without it."""
    if not (SHARED / "scenes").is_dir():
        pytest.skip("the shared scenes and weights are not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _own_locks(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Device locks of a test's own: nothing waits for another test, nor for a person's run on this machine."""
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path_factory.mktemp("locks")))


@pytest.fixture(autouse=True)
def _gpu_alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One test at a time has the GPU: some measure its memory, and some fill it."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    with FileLock(common_folder(tmp_path_factory) / "gpu.lock"):
        yield
