"""The whole method on a tiny base: every stage does what is missing and nothing else."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from realfill import config
from realfill.arrays import Photo
from realfill.config import Config
from realfill.errors import DiskFull, Interrupted, OptionError, RunError, WeightsError
from realfill.events import Event, Failed, Notice, ProposalReady, SeedReady, SeedScored, StageStarted, TrainStep
from realfill.imaging import composite, decode, holes, photo
from realfill.jobs.device_lock import hold_device
from realfill.matching import registry as matching
from realfill.matching import weights
from realfill.matching.registry import load_matcher
from realfill.models import registry
from realfill.network import NameServer
from realfill.pipeline.stages import Outcome, complete
from realfill.runs.export import choose_seed
from realfill.runs.layout import checkpoint_steps
from realfill.runs.run import Run
from realfill.scene import scene
from realfill.seeds import DRAFT
from tests.tiny import make_scene

STEPS, SEEDS = 6, (0, 1, 2)


@pytest.fixture(autouse=True)
def own_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture(scope="module")
def settings(tiny_base: Path) -> Config:
    changes = {
        "base": str(tiny_base),
        "train.steps": STEPS,
        "train.batch": 2,
        "train.rank": 2,
        "train.layers": "attention",
    }
    later = {
        "sample.seeds": SEEDS,
        "sample.steps": 2,
        "sample.batch": 1,
        "select.matcher": "sift",
        "guide.draft": False,
    }
    return config.make("mini", {**changes, **later})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "toy")


@pytest.fixture(scope="module")
def finished(settings: Config, source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALFILL_LOCKS", str(folder.parent))
        return folder, complete(folder, scene=source, config=settings, device="cpu")


@pytest.fixture
def done(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A finished run of the test's own."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def _stamps(folder: Path) -> dict[str, int]:
    files = [
        path for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", "state.json", "events.jsonl")
    ]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def _weights(folder: Path) -> dict[str, bytes]:
    """The adapter, bit for bit; the file's header has no fixed order."""
    tensors = load_file(folder / "lora" / "pytorch_lora_weights.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def _changed_files(folder: Path, stamps: dict[str, int]) -> set[str]:
    now = _stamps(folder)
    return {name for name in stamps.keys() | now.keys() if stamps.get(name) != now.get(name)}


def _raiser(error: BaseException, when: Callable[[Event], bool]) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if when(event):
            raise error

    return report


def test_it_ends_with_a_ranked_set_and_a_result(finished: tuple[Path, Outcome], source: Path, settings: Config) -> None:
    folder, outcome = finished
    run = Run.open(folder)
    assert outcome.result == run.result
    assert list(outcome.seconds) == ["prepare", "train", "sample", "select", "export"]
    assert run.status().state == "done"
    assert run.seeds_done() == list(SEEDS)
    scores = run.read("scores")
    assert (scores["matcher"], {entry["seed"] for entry in scores["seeds"]}) == ("sift", set(SEEDS))
    counts = [entry["matches"] for entry in scores["seeds"]]
    assert counts == sorted(counts, reverse=True)
    assert [sum(entry["per_reference"]) for entry in scores["seeds"]] == counts
    assert (outcome.seed, outcome.matches) == (scores["seeds"][0]["seed"], counts[0])
    assert run.fact("base")["name"] == settings.base and len(run.fact("base")["weights_hash"]) == 64
    assert run.fact("precision") == str(registry.choose_dtype("cpu")).removeprefix("torch.")
    assert run.fact("device") == "cpu"
    json.dumps(outcome.as_json())


def test_known_pixels_beyond_the_feather_are_the_targets(finished: tuple[Path, Outcome], source: Path) -> None:
    given, result = scene.load(source), decode.read_original(finished[0] / "result.png")
    far = holes.distance_from_hole(given.hole) > Run.open(finished[0]).config.export.feather
    assert result.pixels.shape == given.original.pixels.shape
    np.testing.assert_array_equal(result.pixels[far], given.original.pixels[far])
    assert not np.array_equal(result.pixels[given.hole], given.original.pixels[given.hole])


def test_what_happened_is_written_down_in_order(finished: tuple[Path, Outcome]) -> None:
    events, _ = Run.open(finished[0]).events()
    assert [event.stage for event in events if isinstance(event, StageStarted)] == list(finished[1].seconds)
    assert [event.step for event in events if isinstance(event, TrainStep)] == list(range(1, STEPS + 1))
    assert [event.seed for event in events if isinstance(event, SeedReady)] == list(SEEDS)
    assert {event.seed for event in events if isinstance(event, SeedScored)} == set(SEEDS)
    first_step = next(number for number, event in enumerate(events) if isinstance(event, TrainStep))
    notices = [event.sentence for event in events[:first_step] if isinstance(event, Notice)]
    assert any("120 × 90" in sentence for sentence in notices)


def test_again_does_nothing(done: Path, source: Path, settings: Config) -> None:
    stamps = _stamps(done)
    outcome = complete(done, scene=source, config=settings, device="cpu")
    assert outcome.seconds == {} and outcome.result == done / "result.png"
    assert _changed_files(done, stamps) == set()
    assert complete(str(done), device="cpu").seed == outcome.seed


def test_interrupted_training_goes_on_bit_for_bit(
    finished: tuple[Path, Outcome], source: Path, settings: Config, tmp_path: Path
) -> None:
    folder = tmp_path / "new"

    def stop(event: Event) -> None:
        if isinstance(event, TrainStep) and event.step in (2, 5):
            Run.open(folder).request_stop()

    for step in (2, 5):
        with pytest.raises(Interrupted, match="same command"):
            complete(folder, scene=source, config=settings, device="cpu", report=stop)
        assert max(checkpoint_steps(folder / "checkpoints")) == step
        assert Run.open(folder).status().state == "stopped"
        assert not Run.open(folder).is_trained
    complete(folder, device="cpu")
    assert _weights(folder) == _weights(finished[0])
    for seed in SEEDS:
        np.testing.assert_array_equal(Run.open(folder).read_seed(seed), Run.open(finished[0]).read_seed(seed))


def test_the_adapter_from_the_file_makes_the_same_pictures(done: Path) -> None:
    whole = (done / "seeds" / "000001.png").read_bytes()
    (done / "seeds" / "000001.png").write_bytes(b"")
    stamps = _stamps(done)
    outcome = complete(done, device="cpu")
    assert (done / "seeds" / "000001.png").read_bytes() == whole
    assert list(outcome.seconds) == ["sample"]
    assert _changed_files(done, stamps) == {"seeds/000001.png"}


def test_more_seeds_cost_only_themselves(done: Path, settings: Config) -> None:
    stamps = _stamps(done)
    complete(done, config=config.change(settings, {"sample.seeds": "0-3"}), device="cpu")
    assert _changed_files(done, stamps) <= {
        *("run.json", "seeds/000003.png", "matches/000003.json", "scores.json", "result.png", "result.json")
    }
    assert len(Run.open(done).read("scores")["seeds"]) == 4
    complete(done, config=config.change(settings, {"sample.seeds": "1"}), device="cpu")
    assert [entry["seed"] for entry in Run.open(done).read("scores")["seeds"]] == [1]
    assert Run.open(done).read("result")["seed"] == 1
    assert Run.open(done).seeds_done() == [0, 1, 2, 3]


def test_other_sampling_makes_all_pictures_anew(done: Path, settings: Config) -> None:
    stamps = _stamps(done)
    complete(done, config=config.change(settings, {"sample.steps": 3}), device="cpu")
    pictures = {f"seeds/00000{seed}.png" for seed in SEEDS}
    assert _changed_files(done, stamps) >= pictures | {"scores.json", "result.png", "seeds/made.json"}
    assert not any(name.startswith(("lora", "checkpoints", "scene")) for name in _changed_files(done, stamps))


def test_other_matching_counts_anew(done: Path, settings: Config) -> None:
    stamps = _stamps(done)
    complete(done, config=config.change(settings, {"select.size": 128}), device="cpu")
    points = {f"matches/00000{seed}.json" for seed in SEEDS}
    assert _changed_files(done, stamps) - {"result.png", "result.json"} == {"run.json", "scores.json"} | points


def test_another_feather_exports_anew(done: Path, settings: Config) -> None:
    stamps = _stamps(done)
    outcome = complete(done, config=config.change(settings, {"export.feather": 0}), device="cpu")
    assert _changed_files(done, stamps) == {"run.json", "result.png", "result.json"}
    assert list(outcome.seconds) == ["export"]


def test_a_chosen_seed_is_exported_and_stays(done: Path, settings: Config) -> None:
    worst = Run.open(done).read("scores")["seeds"][-1]["seed"]
    choose_seed(Run.open(done), worst)
    assert complete(done, device="cpu").seed == worst
    assert complete(done, config=config.change(settings, {"export.feather": 1}), device="cpu").seed == worst
    with pytest.raises(OptionError, match="no picture of seed 99"):
        choose_seed(Run.open(done), 99)


def test_a_picture_is_never_taken_for_anothers(done: Path, settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between result.png and its record, the next start writes the picture again."""
    write = Run.write
    other = config.change(settings, {"export.feather": 0})
    with monkeypatch.context() as patch:
        patch.setattr(Run, "write", lambda run, name, data: _boom() if name == "result" else write(run, name, data))
        with pytest.raises(ZeroDivisionError):
            complete(done, config=other, device="cpu")
    assert list(complete(done, config=settings, device="cpu").seconds) == ["export"]


def _boom() -> None:
    raise ZeroDivisionError


def test_stages_one_by_one(source: Path, settings: Config, tmp_path: Path) -> None:
    folder, short = tmp_path / "new", config.change(settings, {"train.steps": 1})
    assert complete(folder, scene=source, config=short, device="cpu", until="train").result is None
    run = Run.open(folder)
    assert run.is_trained and run.seeds_done() == []
    assert (run.status().state, "train" in run.status().sentence) == ("stopped", True)
    complete(folder, device="cpu", until="sample")
    assert run.seeds_done() == list(SEEDS) and run.read("scores") == {}
    assert complete(folder, device="cpu", until="select").result is None
    assert run.read("scores")["seeds"] and not run.result.exists()
    assert complete(folder, device="cpu").result == run.result


def test_a_base_that_changed_is_refused(done: Path, tiny_base: Path, settings: Config, tmp_path: Path) -> None:
    run = Run.open(done)
    run.record(base={**run.fact("base"), "weights_hash": "0" * 64})
    with pytest.raises(RunError, match="has changed"):
        complete(done, config=config.change(settings, {"sample.seeds": "7"}), device="cpu")
    assert run.status().state == "failed"
    assert isinstance(run.events()[0][-1], Failed)


def test_bad_input_is_refused_before_the_base_is_loaded(source: Path, settings: Config, tmp_path: Path) -> None:
    nowhere = config.change(settings, {"base": "nobody/nothing"})
    weights = config.change(nowhere, {"select.matcher": "loftr", "select.weights": str(tmp_path / "none.ckpt")})
    with pytest.raises(WeightsError, match=r"none\.ckpt"):
        complete(tmp_path / "new", scene=source, config=weights, device="cpu")
    with pytest.raises(OptionError, match="no device"):
        complete(tmp_path / "other", scene=source, config=settings, device="tpu")
    assert not (tmp_path / "other").exists()


def test_sift_stands_in_aloud_until_the_weights_are_there(
    done: Path, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config.change(settings, {"select.matcher": "loftr"})
    sift = load_matcher(config.SelectConfig(matcher="sift"))
    monkeypatch.setattr(matching, "load_matcher_or_fallback", lambda *_, **__: (sift, "LoFTR could not be had."))
    monkeypatch.setattr(matching, "available_matcher", lambda _: ("sift", "not here"))
    outcome = complete(done, config=wanted, device="cpu")
    assert outcome.matcher == "sift" and "LoFTR could not be had." in outcome.notices
    assert Run.open(done).read("scores")["settings"]["matcher"] == "loftr"
    assert complete(done, config=wanted, device="cpu").seconds == {}
    monkeypatch.setattr(matching, "available_matcher", lambda _: ("loftr", None))
    assert "select" in complete(done, config=wanted, device="cpu").seconds


def test_counts_that_are_there_are_kept_when_matching_was_cut(done: Path) -> None:
    Run.open(done).forget("scores.json")
    boom = _raiser(KeyboardInterrupt(), lambda event: isinstance(event, SeedScored) and event.done == 2)
    with pytest.raises(KeyboardInterrupt):
        complete(done, device="cpu", report=boom)
    assert len(Run.open(done).read("scores")["seeds"]) == 2
    counted: list[Event] = []
    complete(done, device="cpu", report=counted.append)
    assert len([event for event in counted if isinstance(event, SeedScored)]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step(source: Path, settings: Config, tmp_path: Path, number: signal.Signals) -> None:
    def report(event: Event) -> None:
        if isinstance(event, TrainStep) and event.step == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted):
        complete(tmp_path / "new", scene=source, config=settings, device="cpu", report=report)
    assert signal.getsignal(number) is before
    assert max(checkpoint_steps(tmp_path / "new" / "checkpoints")) == 2
    assert Run.open(tmp_path / "new").status().state == "stopped"


def test_a_defect_is_written_down_and_does_not_spoil_the_run(done: Path) -> None:
    Run.open(done).forget("seeds/000000.png", "scores.json")
    boom = _raiser(ZeroDivisionError("oh"), lambda event: isinstance(event, SeedScored))
    with pytest.raises(ZeroDivisionError):
        complete(done, device="cpu", report=boom)
    run = Run.open(done)
    assert run.status().state == "failed" and "ZeroDivisionError: oh" in run.status().sentence
    assert complete(done, device="cpu").result == run.result
    assert run.status().state == "done"


def test_a_full_disk_ends_in_a_sentence_and_goes_on_later(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run.open(done).forget("seeds/000000.png")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="free some space"):
        patch.setattr("realfill.runs.run.save_photo", full)
        complete(done, device="cpu")
    assert Run.open(done).status().state == "failed"
    assert list(complete(done, device="cpu").seconds) == ["sample"]


def test_a_seed_is_told_of_once_its_picture_is_there_and_a_full_disk_keeps_the_others(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are written in a thread while the next one is made."""
    run = Run.open(done)
    for seed in SEEDS:
        run.forget(f"seeds/{seed:06}.png")
    told: list[int] = []

    def report(event: Event) -> None:
        if isinstance(event, SeedReady):
            assert run.seed_path(event.seed).exists()
            told.append(event.seed)

    def full_at_the_second(picture: Photo, path: Path) -> None:
        if path == run.seed_path(SEEDS[1]):
            raise OSError(errno.ENOSPC, "No space left on device")
        photo.save_photo(picture, path)

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="free some space"):
        patch.setattr("realfill.runs.run.save_photo", full_at_the_second)
        complete(done, device="cpu", report=report)
    assert told == [SEEDS[0], SEEDS[2]]  # the third was made by then
    assert run.status().state == "failed"
    complete(done, device="cpu", report=report)
    assert sorted(told) == sorted(SEEDS) and run.seeds_done() == list(SEEDS)


@contextlib.contextmanager
def _in_thread(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def test_it_waits_for_the_device_and_can_be_stopped_meanwhile(done: Path) -> None:
    Run.open(done).forget("scores.json")
    said, ended = threading.Event(), threading.Event()

    def work() -> None:
        with contextlib.suppress(Interrupted):
            complete(done, device="cpu", report=lambda event: said.set() if isinstance(event, Notice) else None)
        ended.set()

    with hold_device("cpu", check=lambda: None), _in_thread(work):
        assert said.wait(60)
        assert not ended.is_set()
        Run.open(done).request_stop()
        assert ended.wait(60)
    assert Run.open(done).status().state == "stopped"


def test_scene_variants_fill_the_whole_picture(source: Path, settings: Config, tmp_path: Path) -> None:
    (source_copy := Path(shutil.copytree(source, tmp_path / "toy"))).joinpath("target", "mask.png").unlink()
    changes = {"variants": True, "train.steps": 1, "sample.seeds": "0"}
    outcome = complete(tmp_path / "new", scene=source_copy, config=config.change(settings, changes), device="cpu")
    assert outcome.result is not None
    result = photo.read_photo(outcome.result)
    assert result.shape == (90, 120, 3)
    assert np.mean(result == scene.load(source).target) < 0.2


def test_the_draft_alone_fills_without_a_base_and_ends_with_a_result(source: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no base here")
    wanted = config.make("quick", {"base": nowhere, "guide.only": True, "guide.proposals": 2, "select.matcher": "sift"})
    assert wanted.guide.draft
    folder, there = tmp_path / "run", list[list[int]]()

    def watch(event: Event) -> None:
        if isinstance(event, ProposalReady):
            there.append(Run.open(folder).seeds_done())

    outcome = complete(folder, scene=source, config=wanted, device="cpu", report=watch)
    run = Run.open(folder)
    assert there == [[DRAFT], [-2, DRAFT]]  # each to be seen as soon as it is made
    assert (run.seeds_done(), run.status().state) == ([-2, DRAFT], "done")
    assert not run.lora.exists() and run.fact("base") is None
    assert [entry["seed"] for entry in run.read("scores")["seeds"]] == run.ranked_proposals()
    assert outcome.seed == run.ranked_proposals()[0]
    made, given = decode.read_original(run.result).pixels, decode.read_original(source / "target" / "target.png").pixels
    far = composite.feather_alpha(scene.load(source).hole, wanted.export.feather) == 0
    assert np.array_equal(made[far], given[far]) and not np.array_equal(made, given)
    stamps = _stamps(folder)
    complete(folder)
    assert not _changed_files(folder, stamps)


def test_the_draft_alone_waits_for_no_device_and_asks_no_network(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "urlopen", lambda *_, **__: pytest.fail("asked the network"))
    monkeypatch.setattr(NameServer, "check_host", lambda *_: pytest.fail("asked for an address"))
    wanted = config.make("mini", {"guide.only": True, "guide.proposals": 1})
    assert wanted.select.matcher == "loftr"
    with hold_device("cpu", check=lambda: None):
        outcome = complete(tmp_path / "run", scene=source, config=wanted, device="cpu")
    assert outcome.seed == DRAFT and outcome.matcher != "loftr"
    assert not any("device" in notice or "LoFTR" in notice for notice in outcome.notices)


def test_the_draft_alone_imports_no_torch_for_itself(source: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # importing it fails from here on
        "from pathlib import Path\n"
        "from realfill import config\n"
        "from realfill.cli.main import main\n"
        "from realfill.geometry import make_draft\n"
        "from realfill.jobs import queue\n"
        "from realfill.runs.run import Run\n"
        "make_draft.load_draft_matcher = lambda: None\n"  # XFeat, where SIFT finds little
        "folder = Path(sys.argv[2])\n"
        "wanted = config.make('mini', {'guide.only': True, 'guide.proposals': 1})\n"
        "queue.submit(Run.create(folder, wanted, Path(sys.argv[1])))\n"
        "sys.exit(main(['complete', '--queued', '--run', str(folder)]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "run")],
        cwd=Path(__file__).resolve().parents[2],
        check=True,
    )
    assert Run.open(tmp_path / "run").status().state == "done"


def test_notices_about_the_scene_are_said_once_and_kept(source: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "odd"))
    with Image.open(folder / "target" / "mask.png") as mask:
        mask.resize((mask.height, mask.width)).save(folder / "target" / "mask.png")
    with Image.open(folder / "target" / "target.png") as target:
        target.convert("RGB").save(folder / "target" / "target.jpg")
    (folder / "target" / "target.png").unlink()
    Image.new("RGB", (20, 20)).save(folder / "target" / "gt.png")
    (folder / "ref" / "clip.gif").write_bytes(b"GIF89a")
    told = (
        "ref/clip.gif is no picture by its ending",
        "although its shape differs; check the hole",
        "target.jpg (JPEG) cannot be written back",
        "gt has another size",
    )
    given = scene.load(folder).notices
    assert len(given) == len(told)
    wanted = config.make("mini", {"guide.only": True, "select.matcher": "sift"})
    for call in range(2):
        said: list[Event] = []
        outcome = complete(tmp_path / "run", scene=None if call else folder, config=wanted, report=said.append)
        sentences = [event.sentence for event in said if isinstance(event, Notice)]
        assert sentences == list(outcome.notices) and set(given) <= set(sentences)
        for words in told:
            assert sum(words in sentence for sentence in sentences) == 1
    assert Run.open(tmp_path / "run").scene_notices == list(given)


def test_a_run_of_the_draft_alone_stays_one(source: Path, tmp_path: Path) -> None:
    wanted = config.make("mini", {"guide.only": True, "select.matcher": "sift"})
    run = Run.create(tmp_path / "run", wanted, source)
    with pytest.raises(RunError, match=r"guide\.only"):
        run.update(config.change(wanted, {"guide.only": False}))


def test_where_there_is_no_geometry_the_draft_alone_says_so(source: Path, tmp_path: Path) -> None:
    for path in (source / "ref").iterdir():
        other = tmp_path / "scene" / "ref" / path.name
        other.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)).save(other)
    shutil.copytree(source / "target", tmp_path / "scene" / "target")
    for count, said in ((1, "made of the scene's own texture"), (0, "only continues what is around")):
        wanted = config.make("mini", {"guide.only": True, "guide.proposals": count, "select.matcher": "sift"})
        outcome = complete(tmp_path / f"run-{count}", scene=tmp_path / "scene", config=wanted, device="cpu")
        assert outcome.seed == DRAFT and any(said in notice for notice in outcome.notices)
