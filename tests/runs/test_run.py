"""A run folder: what may be asked of it again, and that no kill makes it unreadable."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill import config
from realfill.config import Config, flatten
from realfill.errors import OptionError, RunBusy, RunError, SceneError
from realfill.runs.listing import list_runs, new_run_folder, run_folders
from realfill.runs.run import SCHEMA, Run
from realfill.runs.status import RunFolder
from realfill.scene import scene

MINI = config.make("mini", {"train.steps": 5})
PHOTO = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@pytest.fixture
def run(toy_scene: Path, tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", MINI, toy_scene)


def test_a_run_opens_as_it_was_made(run: Run, toy_scene: Path) -> None:
    opened = Run.open(run.folder)
    assert opened.config == MINI
    assert opened.fact("schema") == SCHEMA
    assert opened.fact("versions")["numpy"] == np.__version__
    given, stored = scene.load(toy_scene), scene.load(opened.scene_folder)
    np.testing.assert_array_equal(given.target, stored.target)
    np.testing.assert_array_equal(given.hole, stored.hole)
    assert (opened.seeds_done(), opened.is_trained, opened.labels.seed) == ([], False, None)
    assert opened.status().state == "stopped"


def test_the_scene_is_the_runs_own(run: Run, toy_scene: Path) -> None:
    shutil.rmtree(toy_scene)
    assert len(scene.load(Run.open(run.folder).scene_folder).references) == 2


def test_a_scene_may_have_been_assembled_in_the_folder(toy_scene: Path, tmp_path: Path) -> None:
    scene.store(tmp_path / "new" / "scene", toy_scene, variants=False)
    assert Run.create(tmp_path / "new", MINI).config == MINI


def test_a_refused_scene_leaves_no_folder(toy_scene: Path, tmp_path: Path) -> None:
    shutil.rmtree(toy_scene / "ref")
    with pytest.raises(SceneError):
        Run.create(tmp_path / "new", MINI, toy_scene)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_other_things_is_left_alone(toy_scene: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("dear")
    with pytest.raises(RunError, match=r"thesis\.tex"):
        Run.ensure(tmp_path / "mine", MINI, toy_scene)
    assert os.listdir(tmp_path / "mine") == ["thesis.tex"]


def test_no_run_no_scene(tmp_path: Path, run: Run) -> None:
    with pytest.raises(RunError, match="There is no run"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match="give a scene folder"):
        Run.ensure(tmp_path / "none", MINI)
    with pytest.raises(RunError, match="holds a run already"):
        Run.create(run.folder, MINI)
    assert not (tmp_path / "none").exists()


def test_a_newer_schema_is_refused(run: Run) -> None:
    data = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**data, "schema": SCHEMA + 1}))
    with pytest.raises(RunError, match="update RealFill"):
        Run.open(run.folder)
    (run.folder / "run.json").write_text(json.dumps({**data, "config": {"base": 3}}))
    with pytest.raises(OptionError, match="base"):
        Run.open(run.folder)


def test_ensure_makes_and_opens(toy_scene: Path, tmp_path: Path) -> None:
    first = Run.ensure(tmp_path / "new", MINI, toy_scene)
    for again in (
        Run.ensure(tmp_path / "new", MINI, toy_scene),
        Run.ensure(tmp_path / "new", MINI),
        Run.ensure(tmp_path / "new"),
        Run.ensure(tmp_path / "new", None, first.scene_folder),
    ):
        assert again.fact("created") == first.fact("created")
        assert again.config == MINI


@pytest.mark.parametrize(
    "change",
    [{"train.steps": 4}, {"train.rank": 4}, {"seed": 1}, {"base": "sd2"}, {"fit.context": 1.0}, {"variants": True}],
)
def test_another_training_needs_another_folder(run: Run, change: dict[str, object]) -> None:
    before = (run.folder / "run.json").read_bytes()
    with pytest.raises(RunError, match=next(iter(change))) as caught:
        Run.ensure(run.folder, config.change(MINI, change))
    assert "--run" in str(caught.value)
    assert (run.folder / "run.json").read_bytes() == before


def test_later_stages_may_change(run: Run) -> None:
    other = config.change(
        MINI, {"sample.seeds": "0-2", "select.matcher": "sift", "export.feather": 3, "train.micro_batch": 1}
    )
    Run.ensure(run.folder, other)
    assert Run.open(run.folder).config == other
    assert Run.open(run.folder).fact("versions") == run.fact("versions")


@pytest.mark.parametrize("what", ["pixel", "mask", "reference", "fewer"])
def test_another_scene_needs_another_folder(run: Run, toy_scene: Path, what: str) -> None:
    path = toy_scene / {"pixel": "target/target.png", "mask": "target/mask.png"}.get(what, "ref/1.png")
    if what == "fewer":
        path.unlink()
    else:
        pixels = np.array(Image.open(path))
        pixels[0, 0] = 255 - pixels[0, 0]
        Image.fromarray(pixels).save(path)
    with pytest.raises(RunError, match="other photos or another mask"):
        Run.ensure(run.folder, MINI, toy_scene)


def test_a_run_in_work_keeps_its_settings(run: Run) -> None:
    before = (run.folder / "run.json").read_bytes()
    other = config.change(MINI, {"sample.seeds": "0-2"})
    with run.lock():
        with pytest.raises(RunBusy):
            Run.ensure(run.folder, other)
        assert (run.folder / "run.json").read_bytes() == before
        assert Run.ensure(run.folder, MINI).config == MINI  # nothing to write: needs no lock
    assert Run.ensure(run.folder, other).config == other
    with Run.open(run.folder).lock():  # free again, for the pipeline to take
        pass


def test_other_settings_are_judged_by_what_the_holder_of_the_lock_left(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = RunFolder.lock

    def late(workplace: RunFolder) -> contextlib.AbstractContextManager[None]:
        run.update(config.change(MINI, {"train.steps": 8}))
        return lock(workplace)

    monkeypatch.setattr(RunFolder, "lock", late)
    with pytest.raises(RunError, match=r"train\.steps = 8, not 5"):
        Run.ensure(run.folder, config.change(MINI, {"sample.seeds": "0-2"}))


def test_a_refusal_for_the_scene_or_a_later_setting_changes_nothing(run: Run, toy_scene: Path) -> None:
    run.lora.mkdir()
    before = (run.folder / "run.json").read_bytes()
    with pytest.raises(RunError, match=r"train\.rank"):
        Run.ensure(run.folder, config.change(MINI, {"train.steps": 9, "train.rank": 4}))
    (toy_scene / "ref" / "1.png").unlink()
    with pytest.raises(RunError, match="other photos"):
        Run.ensure(run.folder, config.change(MINI, {"sample.seeds": "0-2"}), toy_scene)
    assert (run.folder / "run.json").read_bytes() == before


def test_more_steps_remember_after_how_many_the_adapter_was_made(run: Run) -> None:
    run.lora.mkdir()
    further = Run.ensure(run.folder, config.change(MINI, {"train.steps": 9}))
    assert (further.adapter_steps, further.config.train.steps, further.is_trained) == (5, 9, False)
    assert Run.open(run.folder).adapter_steps == 5


def test_an_equal_scene_from_elsewhere_is_the_same(run: Run, toy_scene: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(toy_scene, tmp_path / "copy"))
    (copy / "target" / "gt.png").unlink()
    (copy / "ref" / ".DS_Store").write_text("")
    assert Run.ensure(run.folder, MINI, copy).config == MINI


def test_facts_are_added_once(run: Run) -> None:
    run.record(base={"weights_hash": "abc"}, box=(1, 2))
    stamp = (run.folder / "run.json").stat().st_mtime_ns
    run.record(box=[1, 2])
    assert (run.folder / "run.json").stat().st_mtime_ns == stamp
    opened = Run.open(run.folder)
    assert (opened.fact("base"), opened.fact("box"), opened.fact("none")) == ({"weights_hash": "abc"}, [1, 2], None)
    assert opened.config == MINI


def test_what_a_person_decides(run: Run) -> None:
    assert run.labels.name == "run"
    run.labels.update(name="Grandma's garden")
    run.labels.update(seed=17)
    opened = Run.open(run.folder)
    assert (opened.labels.name, opened.labels.seed) == ("Grandma's garden", 17)
    opened.labels.update(seed=None)
    assert (opened.labels.name, opened.labels.seed) == ("Grandma's garden", None)


def test_seeds_come_back_and_broken_ones_are_missing(run: Run) -> None:
    for seed in (3, 17, 1_234_567):
        run.write_seed(seed, PHOTO)
    np.testing.assert_array_equal(run.read_seed(17), PHOTO)
    assert run.seed_path(17) == run.folder / "seeds" / "000017.png"
    whole = run.seed_path(3).read_bytes()
    run.seed_path(4).write_bytes(b"")
    run.seed_path(5).write_bytes(whole[:-1])
    run.seed_path(6).write_bytes(b"x" * len(whole))
    run.seed_path(7).mkdir()
    (run.folder / "seeds" / "notes.png").write_bytes(whole)
    assert run.seeds_done() == [3, 17, 1_234_567]


def test_one_process_at_a_time_may_create(toy_scene: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with RunFolder(tmp_path / "new").lock(), pytest.raises(RunBusy):
        Run.create(tmp_path / "new", MINI, toy_scene)


def test_a_run_in_work_is_not_deleted(run: Run) -> None:
    with Run.open(run.folder).lock(), pytest.raises(RunBusy):
        run.delete()
    run.delete()
    assert not run.folder.exists()
    assert list_runs(run.folder.parent) == []


def test_listing_is_newest_first_and_passes_over_the_rest(run: Run, toy_scene: Path) -> None:
    folder = run.folder.parent
    second = Run.create(folder / "second", MINI, toy_scene)
    second.record(created="2999-01-01T00:00:00+00:00")
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    (folder / "file").write_text("")
    assert [run.folder.name for run in list_runs(folder)] == ["second", "run"]
    assert list_runs(folder / "none") == []


def test_a_folder_that_may_not_be_read_hides_no_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.folder.parent / "lost+found").mkdir()
    is_file = Path.is_file

    def refusing(path: Path) -> bool:  # root, who runs tests in containers, may read every folder
        if path.parent.name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refusing)
    assert run_folders(run.folder.parent) == [run.folder]
    assert [run.folder for run in list_runs(run.folder.parent)] == [run.folder]


def test_new_names_cannot_be_guessed() -> None:
    names = {new_run_folder(Path("runs")).name for _ in range(50)}
    assert len(names) == 50
    assert all(len(name.rsplit("-", 1)[1]) == 32 for name in names)


def test_flat_names_are_the_settings_names() -> None:
    assert set(flatten(Config())) == set(config.flat_fields())


KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    import numpy as np
    from realfill import config, files
    from realfill.events import Notice
    from realfill.runs.run import Run

    folder, source = Path(sys.argv[1]), Path(sys.argv[2])
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    def work(start):
        run = Run.ensure(folder, config.make("mini", {}), source)
        with run.lock():
            for number in range(start, 10**9):
                run.enter("running", ticket=number)
                run.append(Notice(f"{number} {'x' * 300}"))
                run.write_seed(number % 40, photo)
                run.write("scores", {"number": number, "seeds": list(range(number % 100))})
                run.record(device=str(number))
                run.update(config.make("mini", {"sample.steps": 1 + number % 50}))
                with files.new_folder(run.lora) as draft:
                    (draft / "a").write_bytes(bytes(1000))
                    (draft / "b").write_bytes(bytes(1000))
                run.labels.update(seed=number % 40)

    Run.ensure(folder, config.make("mini", {}), source)
    last = 0
    for trial in range(40):
        child = os.fork()
        if child == 0:
            work(last + 1)
        time.sleep(random.uniform(0.01, 0.25))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        run = Run.open(folder)
        with run.lock():  # free at once
            pass
        status = run.status()
        assert status.state in ("interrupted", "stopped"), status  # the lock was taken and given back since
        assert status.ticket >= last, (status, last)
        events, end = run.events()
        numbers = [int(event.sentence.split()[0]) for event in events]
        assert numbers == sorted(set(numbers)), numbers
        assert not numbers or numbers[-1] <= status.ticket
        for seed in run.seeds_done():
            assert np.array_equal(run.read_seed(seed), photo)
        assert all(path.stat().st_size for path in (folder / "seeds").glob("0*.png"))
        scores = run.read("scores")
        assert scores == {} or len(scores["seeds"]) == scores["number"] % 100
        assert not run.is_trained or {item.name for item in run.lora.iterdir()} == {"a", "b"}
        assert run.labels.seed is None or run.labels.seed in run.seeds_done()
        last = status.ticket
    print(last)
"""


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_killed_at_any_moment_a_run_opens_and_goes_on(toy_scene: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "killed"), str(toy_scene)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 10  # it did get on in between


def test_a_creation_that_was_killed_may_be_done_again(toy_scene: Path, tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from realfill import config, files
        from realfill.runs.run import Run
        write = files.write_json
        def last(path, data):
            os.kill(os.getpid(), signal.SIGKILL) if path.name == "run.json" else write(path, data)
        files.write_json = last
        Run.create(Path({str(tmp_path / "new")!r}), config.make("mini", {{}}), Path({str(toy_scene)!r}))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "new" / "scene").exists()
    assert Run.ensure(tmp_path / "new", MINI, toy_scene).status().state == "stopped"


def test_marks_of_a_person_are_kept_and_taken_back(run: Run) -> None:
    run.labels.mark(7, "starred", True)
    run.labels.mark(3, "starred", True)
    run.labels.mark(7, "hidden", True)
    run.labels.update(name="Garden", seed=3)
    again = Run.open(run.folder)
    assert (again.labels.starred, again.labels.hidden, again.labels.name, again.labels.seed) == (
        [3, 7],
        [7],
        "Garden",
        3,
    )
    again.labels.mark(3, "starred", False)
    assert (run.labels.starred, run.labels.name) == ([7], "Garden")


def test_labels_set_at_once_by_several_threads_are_all_kept(run: Run) -> None:
    def mark(seed: int) -> None:
        Run.open(run.folder).labels.mark(seed, "starred", True)
        Run.open(run.folder).labels.update(seed=seed)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(mark, range(40)))
    assert run.labels.starred == list(range(40))


# ── what stood at --run ──


def listing(folder: Path) -> dict[str, bytes | str | None]:
    """All that lies under a folder: bytes of files, where links lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("inside", ["", "run", "deep/run"])
def test_a_file_where_the_run_should_be_stays_and_is_named(toy_scene: Path, tmp_path: Path, inside: str) -> None:
    precious = tmp_path / "place" / "precious.jpg"
    precious.parent.mkdir()
    precious.write_bytes(b"dear")
    (tmp_path / "place" / "link").symlink_to(precious)
    (tmp_path / "place" / "nowhere").symlink_to(tmp_path / "none")
    before = listing(tmp_path / "place")
    for name, what in (("precious.jpg", "a file"), ("link", "a file"), ("nowhere", "a link that leads nowhere")):
        for call in (Run.create, Run.ensure):
            with pytest.raises(RunError, match=f"{name} is {what}; give a folder for the run"):
                call(tmp_path / "place" / name / inside, MINI, toy_scene)
    assert listing(tmp_path / "place") == before


@pytest.mark.parametrize("spoil", ["mask", "disk"])
def test_a_refusal_removes_what_the_call_made_and_nothing_else(
    toy_scene: Path, tmp_path: Path, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    (place / "empty").mkdir(parents=True)
    (place / "link").symlink_to(place / "empty")
    (place / "held").mkdir()
    (place / "held" / ".hidden").write_text("dear")
    (place / "held" / "log.txt").write_text("dear")
    before = listing(place)
    if spoil == "mask":
        (toy_scene / "target" / "mask.png").unlink()
    else:

        def full(path: Path, data: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("realfill.files.write_json", full)
    for name in ("empty", "link", "held", "new", "very/deep/new"):
        with pytest.raises((SceneError, OSError)):
            Run.create(place / name, MINI, toy_scene)
        assert listing(place) == before, name


def test_a_scene_in_the_folder_is_never_replaced(toy_scene: Path, tmp_path: Path) -> None:
    place = tmp_path / "new"
    shutil.copytree(toy_scene, place / "scene")
    (toy_scene / "ref" / "1.png").unlink()
    before = listing(place)
    with pytest.raises(RunError, match="other photos or another mask"):
        Run.create(place, MINI, toy_scene)
    assert listing(place) == before
    assert Run.create(place, MINI, place / "scene").config == MINI
    assert listing(place).items() >= before.items()


def test_a_refusal_touches_nothing_of_who_was_first(toy_scene: Path, tmp_path: Path) -> None:
    """Another process makes the same run at the same time."""
    with RunFolder(tmp_path / "new").lock():
        shutil.copytree(toy_scene, tmp_path / "new" / "scene")
        before = listing(tmp_path)
        with pytest.raises(RunBusy):
            Run.create(tmp_path / "new", MINI, toy_scene)
        assert listing(tmp_path) == before


# ── one adapter, several targets ──


@pytest.fixture
def trained(run: Run) -> Run:
    """As a training leaves a run."""
    run.lora.mkdir()
    (run.lora / "pytorch_lora_weights.safetensors").write_bytes(b"adapter")
    run.record(adapter_steps=5, base={"name": "mini", "family": "stable_diffusion", "weights_hash": "0" * 64})
    return run


def another(toy_scene: Path, folder: Path) -> Path:
    """A scene of the same place with another target."""
    scene_folder = Path(shutil.copytree(toy_scene, folder))
    Image.fromarray(255 - np.asarray(Image.open(toy_scene / "target" / "target.png"))).save(
        scene_folder / "target" / "target.png"
    )
    return scene_folder


def test_another_target_takes_the_adapter_and_says_whose_it_is(trained: Run, toy_scene: Path, tmp_path: Path) -> None:
    given = config.change(MINI, {"train.steps": 99, "train.rank": 3, "sample.steps": 7, "fit.context": 1.0})
    new = Run.create(tmp_path / "new", given, another(toy_scene, tmp_path / "scene"))
    new.take_adapter(trained)
    opened = Run.open(new.folder)
    assert opened.is_trained and opened.adapter_steps == 5
    assert (opened.lora / "pytorch_lora_weights.safetensors").read_bytes() == b"adapter"
    assert opened.config.train == trained.config.train
    assert (opened.config.sample.steps, opened.config.fit.context) == (7, 1.0)
    assert opened.fact("base") == trained.fact("base")
    assert opened.fact("adapter") == {"run": "run", "photos": trained.scene_photos()}
    assert [photo["file"].split("/")[0] for photo in trained.scene_photos()] == ["ref", "ref", "target"]
    theirs, ours = opened.adapter_photos(), opened.scene_photos()
    assert theirs[:2] == ours[:2] and theirs[2] != ours[2]
    third = Run.create(tmp_path / "third", MINI, toy_scene)
    third.take_adapter(opened)  # and on: it still says which photos it knows
    assert third.adapter_photos() == trained.scene_photos()


def test_taking_an_adapter_again_after_a_kill_is_taking_it(trained: Run, toy_scene: Path, tmp_path: Path) -> None:
    new = Run.create(tmp_path / "new", MINI, toy_scene)
    new.take_adapter(trained)
    shutil.rmtree(new.lora)  # as if killed before it was copied
    Run.open(new.folder).take_adapter(trained)
    assert Run.open(new.folder).is_trained


def test_an_adapter_is_neither_taken_unfinished_nor_put_over_another(
    trained: Run, toy_scene: Path, tmp_path: Path
) -> None:
    new = Run.create(tmp_path / "new", MINI, toy_scene)
    with pytest.raises(RunError, match="no finished adapter"):
        trained.take_adapter(new)
    new.lora.mkdir()
    with pytest.raises(RunError, match="has an adapter or pictures already"):
        new.take_adapter(trained)
