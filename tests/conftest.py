"""Fixtures that every test may use."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # torch takes seconds to import, and the page's tests never need it
    from realfill.models.backbone import Backbone
    from realfill.scene.scene import Scene

# The same examples on every run: a failure is everybody's, not luck.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random inpainting pipeline (64 px, ε-prediction)."""
    from tests.tiny import make_base

    return make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def _toy_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import make_scene

    return make_scene(tmp_path_factory.mktemp("scene") / "toy")


@pytest.fixture
def toy_scene(_toy_scene: Path, tmp_path: Path) -> Iterator[Path]:
    """A scene folder of a test's own: two references, a target with a hole, and the truth."""
    import shutil

    yield Path(shutil.copytree(_toy_scene, tmp_path / "toy"))


@pytest.fixture(scope="session")
def tiny_bases(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny bases by prediction type."""
    from tests.tiny import make_base

    folder = tmp_path_factory.mktemp("bases")
    others = {kind: make_base(folder / kind, prediction_type=kind) for kind in ("v_prediction", "sample")}
    return {"epsilon": tiny_base, **others}


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
