"""Downloads of bases from a hub on this machine: counted, ended, gone on with, and refused before they begin."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from realfill.errors import Interrupted, WeightsError
from realfill.models import download, registry
from realfill.models.registry import fetch_bases, find_base
from tests.models.hub import Hub, serve

NAME = "someone/tiny"
LARGE = 20_000


@pytest.fixture
def hub(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A tiny base on a hub, with files that nobody needs."""
    files = {str(path.relative_to(tiny_base)): path.read_bytes() for path in tiny_base.rglob("*") if path.is_file()}
    files |= {"unet/diffusion_pytorch_model.fp16.safetensors": b"x" * 50_000, "sd.ckpt": b"x" * 50_000}
    served = Hub(NAME, files, large=LARGE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 8192)
    monkeypatch.setattr(download, "LARGE", LARGE)
    with serve(served, monkeypatch):
        yield served


def wanted(hub: Hub) -> int:
    return sum(len(data) for name, data in hub.files.items() if "fp16" not in name and not name.endswith(".ckpt"))


def test_a_base_comes_with_bytes_and_speed_told_and_loads(hub: Hub) -> None:
    told: list[tuple[int, int, float]] = []
    fetch_bases([NAME], lambda *progress: told.append(progress))
    dones, totals, speeds = zip(*told, strict=True)
    assert set(totals) == {wanted(hub)}
    assert list(dones) == sorted(dones) and len(set(dones)) > 10 and max(speeds) > 0
    assert {name for name, _ in hub.ranges}.isdisjoint({"sd.ckpt", "unet/diffusion_pytorch_model.fp16.safetensors"})
    place = find_base(NAME)
    assert place is not None
    assert registry.load_backbone(NAME, device="cpu").spec.family == "stable_diffusion"
    hub.ranges.clear()
    fetch_bases([NAME])
    assert not hub.ranges  # it is here


def test_a_download_that_was_ended_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    unet = "unet/diffusion_pytorch_model.safetensors"

    def stop(done: int, total: int, speed: float) -> None:
        if any(one.stat().st_size > 20_000 for one in (tmp_path / "hub").rglob(f"{hub.etag(unet)}.partial")):
            raise Interrupted("Stopped as asked.")

    with pytest.raises(Interrupted):
        fetch_bases([NAME], stop)
    (partial,) = (tmp_path / "hub").rglob("*.partial")
    here = partial.stat().st_size
    assert here > 20_000 and find_base(NAME) is None
    hub.ranges.clear()
    told: list[int] = []
    fetch_bases([NAME], lambda done, total, speed: told.append(done))
    assert (unet, f"bytes={here}-") in hub.ranges
    assert told[0] >= here and find_base(NAME) is not None
    assert not list((tmp_path / "hub").rglob("*.partial"))


def test_what_two_bases_have_in_common_comes_once(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_bases([NAME])
    unet = "unet/diffusion_pytorch_model.safetensors"
    changed = {**hub.files, unet: hub.files[unet][:-1] + b"x"}
    other = Hub("someone/distilled", changed, large=LARGE)
    told: list[tuple[int, int, float]] = []
    with serve(other, monkeypatch):
        shared = wanted(hub) - sum(len(data) for name, data in changed.items() if len(data) < LARGE or name == unet)
        space = wanted(hub) - shared
        free = shutil.disk_usage
        monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=download.SPARE + space))
        fetch_bases([other.name], lambda *progress: told.append(progress))
        monkeypatch.setattr(shutil, "disk_usage", free)
    assert shared > 0 and {name for name, _ in other.ranges if len(changed[name]) >= LARGE} == {unet}
    assert told[0][0] >= shared
    assert find_base(other.name) is not None
    blobs = [
        {blob.name: blob.stat().st_ino for blob in (tmp_path / "hub" / f"models--someone--{name}" / "blobs").iterdir()}
        for name in ("tiny", "distilled")
    ]
    same = [name for name in blobs[0] if name in blobs[1] and len(name) == 64]
    assert same and all(blobs[0][name] == blobs[1][name] for name in same)


def test_of_a_base_in_half_precision_alone_that_comes(
    hub: Hub, tiny_bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tiny_bases["sdxl"]
    files = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    half = Hub("someone/half", files, large=LARGE)
    with serve(half, monkeypatch):
        fetch_bases([half.name])
    assert registry.load_backbone(half.name, device="cpu").spec.family == "stable_diffusion_xl"


def test_what_comes_damaged_is_not_kept(hub: Hub, tmp_path: Path) -> None:
    unet = "unet/diffusion_pytorch_model.safetensors"
    blobs = tmp_path / "hub" / "models--someone--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.etag(unet)}.partial").write_bytes(b"not what it was")
    with pytest.raises(WeightsError, match=r"unet/.* came damaged"):
        fetch_bases([NAME])
    fetch_bases([NAME])
    assert find_base(NAME) is not None


def test_the_disk_is_asked_for_room_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=10_000))
    with pytest.raises(WeightsError, match=r"someone/tiny needs .* more .* 10 kB are free there.*HF_HOME"):
        fetch_bases([NAME])
    assert not [name for name, _ in hub.ranges if name != "model_index.json"]


def test_another_kind_of_model_is_refused_before_its_weights_come(hub: Hub) -> None:
    hub.files["model_index.json"] = b'{"_class_name": "PixArtAlphaPipeline"}'
    with pytest.raises(WeightsError, match=r"is a PixArtAlphaPipeline.*Flux2KleinPipeline"):
        fetch_bases([NAME])
    assert {name for name, _ in hub.ranges} == {"model_index.json"}


def test_a_gated_base_says_where_its_licence_is_accepted(hub: Hub) -> None:
    hub.is_gated = True
    with pytest.raises(WeightsError, match=r"accept a licence.*huggingface\.co/someone/tiny.*hf auth login"):
        fetch_bases([NAME])
