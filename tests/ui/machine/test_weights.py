"""Weights on this machine: found, fetched by a process, cancelled, removed."""

import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from realfill.bases import BASES, sources
from realfill.errors import OptionError, RunBusy
from realfill.published import SAM, kept_path, partial_path
from tests.waiting import wait_until
from ui.machine.weights import BROKEN_OFF, POINTER, Downloads, list_weights, remove_weights

SAY = "import json, sys, time; say = lambda **one: print(json.dumps(one), flush=True); "


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's library."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def place(cache: Path, source: str, *, unfinished: bool = False) -> Path:
    """A repository in the cache, as the library lays it."""
    folder = cache / f"models--{source.replace('/', '--')}"
    (folder / "snapshots" / "0").mkdir(parents=True)
    (folder / "blobs").mkdir()
    (folder / "blobs" / ("aa.partial" if unfinished else "aa")).write_bytes(b"x" * 5000)
    (folder / "snapshots" / "0" / "model_index.json").write_text("{}")
    return folder


def states(cache: Path) -> dict[str, str]:
    return {one.name: one.state for one in list_weights()}


def test_what_is_here_is_found_and_removed(cache: Path) -> None:
    bases = {name: "embedded" if base.is_embedded else "absent" for name, base in BASES.items()}
    assert states(cache) == {**bases, POINTER: "absent"}
    folder, other = place(cache, BASES["sd2"].source), place(cache, BASES["sdxl"].source, unfinished=True)
    place(cache, sources("klein")[0])  # the one that draws is missing
    found = {one.name: one for one in list_weights()}
    assert found["sd2"].state == "here" and found["sd2"].bytes == 5000
    assert (found["sdxl"].state, found["klein"].state) == ("partly", "partly")
    with pytest.raises(RunBusy, match="needs sd2"):
        remove_weights("sd2", ["mini", "sd2"])
    remove_weights("sd2", [])
    assert not folder.exists() and other.exists()
    path = kept_path(SAM)
    path.parent.mkdir(parents=True)
    partial = partial_path(SAM)
    partial.write_bytes(b"x" * 10)
    assert states(cache)[POINTER] == "partly"
    path.write_bytes(b"x" * 20)
    assert states(cache)[POINTER] == "here"
    remove_weights(POINTER, [])
    assert states(cache)[POINTER] == "absent" and not partial.exists()
    for name in ("mini", "nothing", "../sd2"):
        with pytest.raises(OptionError):
            remove_weights(name, [])


def test_a_download_is_told_and_ends_well() -> None:
    code = SAY + "say(done=1, total=4, speed=2.0); say(over=True)"
    downloads = Downloads((sys.executable, "-c", code))
    downloads.begin("sd2")
    wait_until(lambda: downloads.look()["sd2"] == {"over": True}, "the end of the download")
    wait_until(lambda: not downloads.is_live("sd2"), "the end of its process")
    with pytest.raises(OptionError):
        downloads.begin("mini")


@pytest.mark.parametrize(
    ("code", "told"), [(SAY + "say(error='no network')", "no network"), ("raise SystemExit(3)", BROKEN_OFF)]
)
def test_a_download_that_fails_or_breaks_off_says_so(code: str, told: str) -> None:
    downloads = Downloads((sys.executable, "-c", code))
    downloads.begin("sd2")
    wait_until(lambda: downloads.look()["sd2"].get("error") == told, "the sentence")


def test_a_download_is_cancelled() -> None:
    downloads = Downloads((sys.executable, "-c", SAY + "say(done=1, total=4, speed=2.0); time.sleep(600)"))
    downloads.begin("sd2")
    downloads.begin("sd2")  # is under way
    wait_until(lambda: downloads.look()["sd2"].get("done") == 1, "its first line")
    assert downloads.is_live("sd2")
    downloads.cancel("sd2")
    assert not downloads.is_live("sd2") and downloads.look() == {}
    downloads.cancel("sd2")
