"""Memory that runs out: the plan goes down, the numbers stay, the person hears one sentence, nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realfill import config
from realfill.arrays import Photo
from realfill.config import Config, SampleConfig, TrainConfig
from realfill.device.devices import is_out_of_memory
from realfill.device.memory_plan import MemoryPlan
from realfill.errors import OutOfMemory
from realfill.events import Notice
from realfill.imaging.crop import CropTransform, crop_around
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters, detach_adapters
from realfill.models.out_of_memory import MemoryBudget, plan_memory
from realfill.pipeline.stages import complete
from realfill.runs.layout import checkpoint_steps
from realfill.sampling import sample
from realfill.scene.scene import Scene
from realfill.training import train
from tests.tiny import condition_of

pytestmark = pytest.mark.usefixtures("one_lane")  # calls are counted here

TRAIN = TrainConfig(steps=3, batch=4, checkpoint_every=100, learning_rate_unet=1e-2, learning_rate_text=1e-2)
SAMPLE = SampleConfig(sampler="ddim", steps=2)
WHOLE = MemoryPlan(items=4, seeds=5, pictures=5)
LAST = MemoryPlan(items=1, seeds=1, pictures=1, parked=True, recompute=True, merged=False)


def fit_of(scene: Scene) -> CropTransform:
    return crop_around(scene.hole, size=32, multiple=8, context=0.5)


def full() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory (injected)")


def fails(real: Callable[..., Any], calls: set[int], error: Callable[[], Exception] = full) -> Callable[..., Any]:
    """`real`, but the calls with these numbers, from 1, run out of memory."""
    count = iter(range(1, 10**6))

    def wrapped(*args: Any, **given: Any) -> Any:
        if next(count) in calls:
            raise error()
        return real(*args, **given)

    return wrapped


def holds(real: Callable[..., Any], most: int) -> Callable[..., Any]:
    """`real` on a device that has room for `most` items in the first argument."""

    def wrapped(first: Tensor, *args: Any, **given: Any) -> Any:
        if len(first) > most:
            raise full()
        return real(first, *args, **given)

    return wrapped


Trained = tuple[list[float], dict[str, Tensor]]


def trained(
    backbone: Backbone, scene: Scene, folder: Path, budget: MemoryBudget, settings: TrainConfig = TRAIN
) -> Trained:
    steps = train.train(backbone, scene, fit_of(scene), settings, seed=3, folder=folder, budget=budget)
    losses = [step.loss for step in steps]
    return losses, {name: value.detach().clone() for name, value in adapter_parameters(backbone).items()}


def filled(backbone: Backbone, scene: Scene, budget: MemoryBudget) -> dict[int, Photo]:
    found = sample.sample(
        backbone, scene, fit_of(scene), SAMPLE, prompt="a photo of sks", seeds=range(5), budget=budget
    )
    return {candidate.seed: candidate.photo for candidate in found}


def alike(one: dict[int, Photo], other: dict[int, Photo]) -> bool:
    """Up to the rounding to eight bits."""
    return list(one) == list(other) and all(
        np.abs(one[seed].astype(int) - other[seed].astype(int)).max() <= 1 for seed in one
    )


@pytest.fixture(scope="module")
def plain(_loaded_tiny: Backbone, toy: Scene, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Losses and adapter of a training for which everything fits."""
    found = trained(_loaded_tiny, toy, tmp_path_factory.mktemp("plain"), MemoryBudget(WHOLE))
    detach_adapters(_loaded_tiny)
    return found


# ── training ──


@pytest.mark.parametrize(
    ("part", "calls", "items"),
    [
        ("predict", {1}, 2),
        ("predict", {2, 3}, 1),  # the second step, twice
        ("prompt_embeds", {3}, 2),
    ],
)
def test_training_goes_on_from_the_same_step_with_the_same_numbers(
    tiny: Backbone,
    toy: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plain: Trained,
    part: str,
    calls: set[int],
    items: int,
) -> None:
    heard: list[str] = []
    budget = MemoryBudget(WHOLE, heard.append)
    monkeypatch.setattr(tiny, part, fails(getattr(tiny, part), calls))
    short, others = trained(tiny, toy, tmp_path / "short", budget)
    assert short == pytest.approx(plain[0], abs=1e-5)
    for name, value in plain[1].items():
        torch.testing.assert_close(others[name], value, atol=1e-4, rtol=1e-3)
    assert budget.plan.items == items
    said = [sentence for sentence in heard if "ran out" in sentence]
    assert said and all("training items at once" in sentence for sentence in said)
    assert checkpoint_steps(tmp_path / "short") == [3]


def test_a_step_is_encoded_in_smaller_groups_before_it_is_computed(
    tiny: Backbone, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Trained
) -> None:
    budget = MemoryBudget(WHOLE)
    monkeypatch.setattr(tiny, "encode", fails(tiny.encode, {1, 4}))
    short, _ = trained(tiny, toy, tmp_path / "short", budget)
    assert short == pytest.approx(plain[0], abs=1e-5)
    assert (budget.plan.items, budget.plan.pictures) == (4, 2)


def test_a_pool_is_encoded_in_smaller_groups(
    tiny: Backbone, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled = TRAIN.model_copy(update={"pool": 5})
    whole, _ = trained(tiny, toy, tmp_path / "whole", MemoryBudget(WHOLE), pooled)
    budget = MemoryBudget(WHOLE)
    monkeypatch.setattr(tiny, "encode", fails(tiny.encode, {2, 5}))
    short, _ = trained(tiny, toy, tmp_path / "short", budget, pooled)
    assert short == pytest.approx(whole, abs=1e-5)
    assert (budget.plan.items, budget.plan.pictures) == (4, 2)


def test_memory_that_runs_out_in_the_backward_pass_counts_no_gradient_twice(
    tiny: Backbone, toy: Scene, tmp_path: Path, plain: Trained
) -> None:
    steps = train.train(tiny, toy, fit_of(toy), TRAIN, seed=3, folder=tmp_path / "short", budget=MemoryBudget(WHOLE))
    losses = [next(steps).loss]
    # The text encoder's gradients come last: those of the U-Net have been added by then.
    parameter = next(value for name, value in adapter_parameters(tiny).items() if name.startswith("text_encoder"))
    hook = fails(lambda gradient: gradient, {1})
    parameter.register_hook(hook)  # type: ignore[no-untyped-call]
    losses += [step.loss for step in steps]
    assert losses == pytest.approx(plain[0], abs=1e-5)


@pytest.mark.parametrize("plan", [MemoryPlan(2, 5, 1), MemoryPlan(1, 5, 1, parked=True), LAST])
def test_every_plan_trains_the_same(
    tiny: Backbone, toy: Scene, tmp_path: Path, plain: Trained, plan: MemoryPlan
) -> None:
    other, others = trained(tiny, toy, tmp_path / "other", MemoryBudget(plan))
    assert other == pytest.approx(plain[0], abs=1e-5)
    for name, value in plain[1].items():
        torch.testing.assert_close(others[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("place", ["clip", "moments"])
def test_memory_that_runs_out_beside_the_gradient_is_tried_again(
    tiny: Backbone, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Trained, place: str
) -> None:
    """In clipping, and where the optimiser's moments are made, some of which are there by then."""
    if place == "clip":
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", fails(torch.nn.utils.clip_grad_norm_, {2}))
    else:
        zeros, few = torch.zeros_like, fails(torch.zeros_like, {8})

        def make_zeros(like: Tensor, **given: Any) -> Tensor:
            return few(like, **given) if "memory_format" in given else zeros(like, **given)  # the optimiser's own

        monkeypatch.setattr(torch, "zeros_like", make_zeros)
    losses, others = trained(tiny, toy, tmp_path / "short", MemoryBudget(WHOLE))
    assert losses == pytest.approx(plain[0], abs=1e-5)
    for name, value in plain[1].items():
        torch.testing.assert_close(others[name], value, atol=1e-4, rtol=1e-3)


def test_recomputing_keeps_fewer_activations(tiny: Backbone, toy: Scene, tmp_path: Path) -> None:
    kept = []
    for plan in (MemoryPlan(1, 5, 1, parked=True), LAST):
        total = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.nbytes
            return tensor

        steps = train.train(tiny, toy, fit_of(toy), TRAIN, seed=3, folder=tmp_path / "x", budget=MemoryBudget(plan))
        next(steps)  # afterwards the gradient exists, whatever the plan
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            noisy = torch.randn(1, 4, 16, 16)
            condition = condition_of(tiny, torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32), ["x"])
            tiny.predict(noisy, torch.tensor([5]), condition)
        kept.append(total)
        steps.close()
    assert kept[1] < 0.7 * kept[0]


def test_the_smallest_plan_failing_is_an_error_with_the_cure_and_keeps_what_was_learnt(
    tiny: Backbone, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = MemoryBudget(WHOLE)
    steps = train.train(tiny, toy, fit_of(toy), TRAIN, seed=3, folder=tmp_path, budget=budget)
    next(steps)
    monkeypatch.setattr(tiny, "predict", holds(tiny.predict, 0))
    with pytest.raises(OutOfMemory, match=r"smallest plan.*fit\.size"):
        next(steps)
    assert budget.plan == MemoryPlan(1, 5, 1, parked=True, recompute=True)
    assert checkpoint_steps(tmp_path) == [1]
    assert not any(getattr(module, "gradient_checkpointing", False) for module in tiny.trainable()["unet"].modules())


# ── sampling ──


def test_seeds_are_made_in_smaller_groups(tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = filled(tiny, toy, MemoryBudget(WHOLE))
    heard: list[str] = []
    budget = MemoryBudget(WHOLE, heard.append)
    monkeypatch.setattr(tiny, "predict", holds(tiny.predict, 2))
    assert alike(filled(tiny, toy, budget), plain)
    assert heard == [
        "Memory ran out; going on with 2 instead of 5 seeds at once and the adapter beside the weights instead of "
        "added to them. The result stays the same."
    ]


def test_pictures_are_decoded_in_smaller_groups(tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = filled(tiny, toy, MemoryBudget(WHOLE))
    heard: list[str] = []
    budget = MemoryBudget(WHOLE, heard.append)
    monkeypatch.setattr(tiny, "decode", holds(tiny.decode, 1))
    assert alike(filled(tiny, toy, budget), plain)
    assert (budget.plan.seeds, budget.plan.pictures) == (5, 1)
    assert heard == [
        "Memory ran out; going on with 1 instead of 5 pictures at once in the autoencoder. The result stays the same."
    ]


def test_memory_that_runs_out_in_the_encoder_is_tried_again(
    tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, budget = filled(tiny, toy, MemoryBudget(WHOLE)), MemoryBudget(WHOLE)
    monkeypatch.setattr(tiny, "encode", fails(tiny.encode, {1}))
    assert alike(filled(tiny, toy, budget), plain)
    assert budget.plan.seeds == 5


def test_every_plan_fills_the_same(tiny: Backbone, toy: Scene) -> None:
    plain = filled(tiny, toy, MemoryBudget(WHOLE))
    for plan in (MemoryPlan(1, 3, 2), LAST):
        assert alike(filled(tiny, toy, MemoryBudget(plan)), plain)
    tiny.use_plan(None)


@pytest.mark.parametrize("part", ["predict", "decode", "encode"])
def test_too_much_for_the_smallest_plan_says_so(
    tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(tiny, part, holds(getattr(tiny, part), 0))
    with pytest.raises(OutOfMemory, match="smallest plan"):
        filled(tiny, toy, MemoryBudget(WHOLE))
    tiny.use_plan(None)


# ── what counts, and what does not ──


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 12 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("Unable to find an engine to execute this computation"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
    ],
)
def test_torch_has_many_words_for_it(error: Exception, tiny: Backbone) -> None:
    assert is_out_of_memory(error)
    budget = MemoryBudget(WHOLE)
    assert budget.run(tiny, "filling", lambda plan: fails(lambda: plan.seeds, {plan.seeds // 5}, lambda: error)()) == 3


def test_the_computers_own_words(tiny: Backbone) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_other_errors_pass(tiny: Backbone) -> None:
    def wrong(plan: MemoryPlan) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    budget = MemoryBudget(WHOLE)
    with pytest.raises(RuntimeError, match="shapes"):
        budget.run(tiny, "training", wrong)
    assert budget.plan == WHOLE


# ── in a run ──


def test_a_run_says_its_plan_and_what_was_lowered(
    tiny_base: Path, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realfill.models.stable_diffusion import StableDiffusionInpaint

    changes = {"base": str(tiny_base), "train.steps": 2, "train.rank": 2, "train.pool": 0, "sample.seeds": "0-4"}
    settings = config.make("mini", {**changes, "sample.steps": 1, "select.matcher": "sift", "guide.draft": False})
    real = StableDiffusionInpaint.predict

    def predict(self: StableDiffusionInpaint, noisy: Tensor, *rest: Any) -> Tensor:
        if len(noisy) > 2:
            raise full()
        return real(self, noisy, *rest)

    monkeypatch.setattr(StableDiffusionInpaint, "predict", predict)
    told: list[str] = []
    outcome = complete(
        tmp_path / "run",
        scene=toy_scene,
        config=settings,
        device="cpu",
        report=lambda event: told.append(event.sentence) if isinstance(event, Notice) else None,
    )
    assert outcome.result is not None
    assert [sentence for sentence in told if "emory" in sentence] == [
        "Memory plan, an estimate: all 4 items of a step at once.",
        "Memory ran out; going on with 2 instead of 4 training items at once. The result stays the same.",
        "Memory ran out; going on with 2 instead of 5 seeds at once and the adapter beside the weights instead of "
        "added to them. The result stays the same.",
    ]


def test_the_plan_follows_the_memory_that_is_free(tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Config(base=tiny.spec.name, train=TRAIN)
    assert plan_memory(tiny, fit_of(toy), wanted).plan.items == 4
    assert plan_memory(tiny, fit_of(toy), wanted, processes=2).plan.items == 2
    monkeypatch.setattr("realfill.models.out_of_memory.free_memory", lambda name: 0)
    assert plan_memory(tiny, fit_of(toy), wanted).plan == LAST
    given = Config(base=tiny.spec.name, train=TRAIN.model_copy(update={"micro_batch": 3}))
    assert plan_memory(tiny, fit_of(toy), given).plan.items == 3


# ── on a GPU ──


@pytest.mark.gpu
@pytest.mark.parametrize("gigabytes", [8, 12, 16, 24])
def test_a_step_of_sixteen_at_full_size_goes_on_under_a_cap(tmp_path: Path, gigabytes: int) -> None:
    """The architecture of Stable Diffusion 2 with the allocator capped: by the plan, and from a plan far too great."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    from benchmarks.speed import random_sd2
    from realfill.models.stable_diffusion import StableDiffusionInpaint

    total = torch.cuda.get_device_properties(0).total_memory
    if total < 1.1 * gigabytes * 1e9:
        pytest.skip(f"needs a GPU of more than {gigabytes} GB")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((gigabytes - 0.8) * 1e9 / total)
    try:
        pipeline = random_sd2.pipeline(random_sd2.FULL, device="cuda", dtype=torch.bfloat16)
        backbone = StableDiffusionInpaint(pipeline, name="sd2", weights_hash="")
        scene, fit = random_sd2.scene(tmp_path / "scene", 512)
        wanted = TrainConfig(steps=2, batch=16, pool=2)
        chosen = plan_memory(backbone, fit, Config(base="sd2", train=wanted)).plan
        losses: list[list[float]] = []
        heard: list[str] = []
        for number, plan in enumerate((chosen, MemoryPlan(16, 64, 16))):
            torch.cuda.reset_peak_memory_stats()
            budget = MemoryBudget(plan, heard.append)
            folder = tmp_path / str(number)
            steps = list(train.train(backbone, scene, fit, wanted, seed=0, folder=folder, budget=budget))
            losses.append([step.loss for step in steps])
            assert torch.cuda.max_memory_allocated() < gigabytes * 1e9
            if number == 0:
                assert budget.plan == chosen, "the estimate was too small"
        assert losses[0] == pytest.approx(losses[1], rel=0.02)  # bf16: pieces round otherwise
        found = sample.sample(backbone, scene, fit, SAMPLE, prompt="x", seeds=range(4), budget=budget)
        assert len(list(found)) == 4
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
