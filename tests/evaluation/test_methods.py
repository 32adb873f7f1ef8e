"""Every method has one signature; what each gives on scenes whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.arrays import Photo
from realfill.config import Config
from realfill.errors import OptionError, WeightsError
from realfill.evaluation.dataset import Case
from realfill.evaluation.methods import registry
from realfill.evaluation.methods.base import NoResult, Setup
from realfill.evaluation.methods.registry import expand_methods, find_method
from realfill.pipeline.stages import complete
from realfill.runs.run import Run
from realfill.scene.scene import Scene
from tests.evaluation.pipelines import paint_by_example, text_to_image
from tests.tiny import world


def _setup(case: Case, work: Path, config: Config, **more: str) -> Setup:
    return Setup(case.folder, work, config, **more)  # type: ignore[arg-type]


def _photos(name: str, setup: Setup, scene: Scene, seeds: tuple[int, ...]) -> list[Photo]:
    found = list(find_method(name).entry.make(setup)(scene, seeds))
    assert [one.seed for one in found] == list(seeds)
    assert all(one.photo.shape == scene.target.shape and one.photo.dtype == np.uint8 for one in found)
    return [one.photo for one in found]


def _error(photo: Photo, scene: Scene) -> float:
    assert scene.truth is not None
    return float(((photo[scene.hole].astype(float) - scene.truth[scene.hole]) ** 2).mean())


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A camera turning on the spot, more or less: three views of a far wall that overlap."""
    folder = tmp_path_factory.mktemp("wide") / "wall"
    (folder / "ref").mkdir(parents=True)
    (folder / "target").mkdir()
    wall = np.asarray(Image.fromarray(world(150, 250)).resize((1000, 600), Image.Resampling.BICUBIC), np.uint8)
    for index, left in enumerate((40, 400)):
        Image.fromarray(wall[100:500, left : left + 520]).save(folder / "ref" / f"{index}.png")
    truth = wall[100:500, 220:740]
    hole = np.zeros(truth.shape[:2], np.uint8)
    hole[120:280, 180:340] = 255
    Image.fromarray(truth).save(folder / "target" / "gt.png")
    Image.fromarray(np.where(hole[..., None] > 0, np.uint8(255), truth)).save(folder / "target" / "target.png")
    Image.fromarray(hole).save(folder / "target" / "mask.png")
    return Case("wall", folder)


@pytest.mark.parametrize("name", ["telea", "ns"])
def test_inpainting_reads_known_pixels_only_and_is_smooth(name: str, case: Case, quick: Config, tmp_path: Path) -> None:
    scene = case.scene()
    first, second = _photos(name, _setup(case, tmp_path, quick), scene, (0, 4))
    assert (first == second).all() and (first[~scene.hole] == scene.target[~scene.hole]).all()
    grey = np.full_like(scene.target, 127)
    assert _error(first, scene) < _error(grey, scene) * 1.5
    assert first[scene.hole].std() > 0


def test_stitching_finds_what_the_references_show(overlapping: Case, quick: Config, tmp_path: Path) -> None:
    scene = overlapping.scene()
    setup = _setup(overlapping, tmp_path, quick)
    (stitched,), (smooth,) = (_photos(name, setup, scene, (0,)) for name in ("stitch", "telea"))
    assert _error(stitched, scene) < 0.5 * _error(smooth, scene)
    assert setup.facts["shown"] > 0.9
    assert (stitched[~scene.hole] == scene.target[~scene.hole]).all()


def test_stitching_refuses_photos_of_other_places(overlapping: Case, quick: Config, tmp_path: Path) -> None:
    import dataclasses

    elsewhere = np.random.default_rng(4).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    scene = dataclasses.replace(overlapping.scene(), references=(elsewhere,))
    with pytest.raises(NoResult, match="stitcher"):
        _photos("stitch", _setup(overlapping, tmp_path, quick), scene, (0,))


def test_realfill_is_what_the_pipeline_makes(case: Case, quick: Config, tmp_path: Path) -> None:
    scene = case.scene()
    setup = _setup(case, tmp_path / "bench", quick)
    photos = _photos("realfill", setup, scene, (1, 2))
    complete(tmp_path / "run", scene=case.folder, config=quick, device="cpu", until="sample")
    run = Run.open(tmp_path / "run")
    from realfill.runs.export import crop_of_run

    fit = crop_of_run(run)
    assert fit is not None
    for seed, photo in zip((1, 2), photos, strict=True):
        inside = scene.hole & fit.covered_hole()
        assert (photo[inside] == fit.uncrop_photo(run.read_seed(seed))[inside]).all()
    assert Run.open(tmp_path / "bench").seeds_done() == [1, 2]  # and it opens in the page
    assert setup.facts["base"]["weights_hash"] == run.fact("base")["weights_hash"]
    again = _photos("realfill", setup, scene, (5,))
    assert not (again[0] == photos[0]).all()


def test_untrained_takes_no_step(case: Case, quick: Config, tmp_path: Path) -> None:
    _photos("untrained", _setup(case, tmp_path / "work", quick), case.scene(), (0,))
    assert Run.open(tmp_path / "work").config.train.steps == 0


def test_a_written_prompt_decides_the_picture(case: Case, quick: Config, tmp_path: Path) -> None:
    scene = case.scene()
    with pytest.raises(WeightsError, match="no prompt"):
        _photos("sd-inpaint", _setup(case, tmp_path, quick), scene, (0,))
    texts = ("a red wall", "a red wall", "the sea at night with boats")
    first, same, other = (
        _photos("sd-inpaint", _setup(case, tmp_path, quick, prompt=text), scene, (3,))[0] for text in texts
    )
    assert (first == same).all() and not (first == other).all()


def test_paint_by_example_takes_one_reference_a_seed(case: Case, quick: Config, tmp_path: Path) -> None:
    import dataclasses

    from realfill.evaluation.methods.prompted import pick_reference

    assert {pick_reference(seed, 3) for seed in range(20)} == {0, 1, 2}
    scene = case.scene()
    taken = pick_reference(5, 2)
    setup = _setup(case, tmp_path, quick, example_base=str(paint_by_example(tmp_path / "pbe")))
    first = _photos("paint-by-example", setup, scene, (5,))[0]
    left = list(scene.references)
    left[1 - taken] = np.zeros_like(left[1 - taken])  # the other reference plays no part
    assert (
        _photos("paint-by-example", setup, dataclasses.replace(scene, references=tuple(left)), (5,))[0] == first
    ).all()
    left[taken] = 255 - left[taken]
    changed = _photos("paint-by-example", setup, dataclasses.replace(scene, references=tuple(left)), (5,))[0]
    assert not (changed == first).all()


def test_paint_by_example_says_that_it_is_not_there(case: Case, quick: Config, tmp_path: Path) -> None:
    setup = _setup(case, tmp_path, quick, example_base=str(tmp_path / "none"))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        _photos("paint-by-example", setup, case.scene(), (0,))


def test_dreambooth_tunes_once_and_fills_at_a_strength(
    case: Case, quick: Config, tmp_path: Path, tiny_base: Path
) -> None:
    scene = case.scene()
    base = text_to_image(tmp_path / "base", tiny_base)
    setup = _setup(case, tmp_path / "work", quick, text_base=str(base))
    half = _photos("dreambooth@0.5", setup, scene, (0, 1))
    stamp = (tmp_path / "work" / "lora" / "pytorch_lora_weights.safetensors").stat().st_mtime_ns
    assert len(setup.facts["base"]["weights_hash"]) == 64
    full = _photos("dreambooth@1", setup, scene, (0,))
    assert (tmp_path / "work" / "lora" / "pytorch_lora_weights.safetensors").stat().st_mtime_ns == stamp
    assert not (half[0] == half[1]).all() and not (half[0] == full[0]).all()


def test_dreambooths_training_lowers_its_loss(case: Case, quick: Config, tmp_path: Path, tiny_base: Path) -> None:
    """By Eq. 2 on the references alone; the same again after a stop between two steps."""
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import load_file

    from realfill import config
    from realfill.evaluation.methods import dreambooth, prompted
    from realfill.evaluation.methods.dreambooth import train_dreambooth
    from realfill.events import Event, TrainStep

    base = str(text_to_image(tmp_path / "base", tiny_base))
    changes = {"train.steps": 24, "train.batch": 1, "train.checkpoint_every": 8, "train.learning_rate_unet": 0.02}
    settings = config.change(quick, changes)
    losses: list[float] = []

    class Stop(Exception): ...

    def train(work: Path, stop: int = 0) -> None:
        def report(event: Event) -> None:
            if isinstance(event, TrainStep):
                losses.append(event.loss)
                if event.step == stop:
                    raise Stop

        pipe = prompted.load_pipeline(StableDiffusionPipeline, base, "cpu")
        setup = Setup(case.folder, work, settings, report=report)
        train_dreambooth(dreambooth.TextToImage(pipe), case.scene().references, settings.train, setup=setup)

    train(tmp_path / "whole")
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    with pytest.raises(Stop):
        train(tmp_path / "parts", stop=8)
    train(tmp_path / "parts")
    whole, parts = (
        load_file(tmp_path / name / "lora" / "pytorch_lora_weights.safetensors") for name in ("whole", "parts")
    )
    assert all((whole[name] == parts[name]).all() for name in whole)


def test_names() -> None:
    assert expand_methods(()) == list(registry.DEFAULT)
    assert expand_methods(["dreambooth", "telea"]) == ["dreambooth@0.6", "dreambooth@0.8", "dreambooth@1", "telea"]
    assert expand_methods(["realfill"], (1, 3)) == ["realfill", "realfill@1refs", "realfill@3refs"]
    assert expand_methods(["telea", "untrained", "stitch"], (2,)) == ["telea", "untrained", "stitch", "stitch@2refs"]
    found = find_method("dreambooth@0.8@2refs")
    assert (found.entry.title, found.references) == ("DreamBooth, strength 0.8, 2 references", 2)
    for wrong in ("dalle", "telea@0.5", "realfill@9refs", "dreambooth@0", "RealFill"):
        with pytest.raises(OptionError):
            find_method(wrong)
