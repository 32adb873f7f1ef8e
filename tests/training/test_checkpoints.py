"""Checkpoints: what is saved comes back, damage is passed over, and a kill at any write leaves a good one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from realfill.errors import RunError
from realfill.runs.layout import checkpoint_steps
from realfill.training.checkpoints import TrainState


def fresh(size: int = 3, seed: int = 0) -> tuple[TrainState, torch.optim.Optimizer]:
    generator = torch.Generator().manual_seed(seed)
    parameters = {
        name: nn.Parameter(torch.randn(size, 2, generator=generator)) for name in ("unet.a", "text_encoder.b")
    }
    groups = [{"params": [parameter], "lr": 0.1} for parameter in parameters.values()]
    optimiser = torch.optim.AdamW(groups)
    return TrainState(dict(parameters), optimiser), optimiser


def advance(state: TrainState, optimiser: torch.optim.Optimizer, count: int = 1) -> None:
    for _ in range(count):
        optimiser.zero_grad()
        torch.autograd.backward([(p * (state.step + 1)).sin().sum() for p in state.parameters.values()])
        optimiser.step()
        state.step += 1


def values(state: TrainState) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in state.parameters.values()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def saved(folder: Path, until: int, *, keep: int = 2) -> None:
    state, optimiser = fresh()
    for _ in range(until):
        advance(state, optimiser)
        state.save(folder, keep=keep)


def expected(step: int) -> list[torch.Tensor]:
    state, optimiser = fresh()
    advance(state, optimiser, step)
    return values(state)


def resumed(folder: Path) -> TrainState:
    state, _ = fresh(seed=9)
    state.resume(folder)
    return state


def test_adapter_and_optimiser_come_back_bit_for_bit(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    state, optimiser = fresh(seed=9)
    state.resume(tmp_path)
    assert state.step == 3
    assert same(values(state), expected(3))
    advance(state, optimiser, 4)
    assert same(values(state), expected(7))
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.1]


def test_nothing_to_resume_is_fine(tmp_path: Path) -> None:
    state, _ = fresh()
    before = values(state)
    state.resume(tmp_path / "none")
    assert state.step == 0 and same(values(state), before)
    assert checkpoint_steps(tmp_path / "none") == []


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    saved(tmp_path, 5, keep=keep)
    assert checkpoint_steps(tmp_path) == list(range(6 - keep, 6))
    assert {path.name for path in tmp_path.iterdir()} == {f"{step:06d}" for step in checkpoint_steps(tmp_path)}


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(bytes(data))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": lambda folder: flip(folder / "adapter.safetensors"),
    "a flipped bit in the optimiser": lambda folder: flip(folder / "optimiser.safetensors"),
    "cut short": lambda folder: os.truncate(folder / "adapter.safetensors", 20),
    "empty": lambda folder: os.truncate(folder / "optimiser.safetensors", 0),
    "gone": lambda folder: (folder / "optimiser.safetensors").unlink(),
    "no hash": lambda folder: (folder / "adapter.sha256").unlink(),
    "a hash of rubbish": lambda folder: (folder / "adapter.sha256").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_is_passed_over(tmp_path: Path, damage: str) -> None:
    saved(tmp_path, 3)
    DAMAGE[damage](tmp_path / "000003")
    state = resumed(tmp_path)
    assert state.step == 2
    assert same(values(state), expected(2))


@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_one_never_pushes_out_a_good_one(tmp_path: Path, keep: int) -> None:
    state, optimiser = fresh()
    for step in (1, 2, 9):
        advance(state, optimiser, step - state.step)
        state.save(tmp_path, keep=5)
    flip(tmp_path / "000009" / "adapter.safetensors")
    state, optimiser = fresh(seed=9)
    state.resume(tmp_path)
    advance(state, optimiser)
    state.save(tmp_path, keep=keep)
    assert checkpoint_steps(tmp_path) == [1, 2, 3][-keep:]
    assert resumed(tmp_path).step == 3


def test_all_damaged_starts_from_the_beginning(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    for step in (1, 2):
        flip(tmp_path / f"{step:06d}" / "adapter.safetensors")
    assert resumed(tmp_path).step == 0


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    state, _ = fresh(size=4)
    with pytest.raises(RunError, match="new run"):
        state.resume(tmp_path)


def test_other_things_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    (tmp_path / ".000003.0123.tmp").mkdir()
    (tmp_path / "000007").write_text("a file")
    (tmp_path / "notes").mkdir()
    assert checkpoint_steps(tmp_path) == [1, 2]
    assert resumed(tmp_path).step == 2


def save_until_killed(folder: Path, kill_at: int) -> int:
    """Save step 3 in a child that dies at its `kill_at`th write; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        seen = 0

        def dying(call: Callable[..., object]) -> Callable[..., object]:
            def wrapped(*args: object, **kwargs: object) -> object:
                nonlocal seen
                seen += 1
                if seen == kill_at:
                    os._exit(9)
                return call(*args, **kwargs)

            return wrapped

        for name in ("replace", "fsync", "mkdir", "open", "unlink", "rmdir"):
            setattr(os, name, dying(getattr(os, name)))
        state, optimiser = fresh()
        advance(state, optimiser, 3)
        state.save(folder, keep=1)
        os._exit(0)
    except BaseException:  # the child must not run the rest of the suite
        os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_write_leaves_a_checkpoint(tmp_path: Path) -> None:
    seen = set()
    for kill_at in range(1, 200):
        folder = tmp_path / str(kill_at)
        saved(folder, 2, keep=1)
        status = save_until_killed(folder, kill_at)
        state = resumed(folder)
        assert state.step in (2, 3)
        assert same(values(state), expected(state.step))
        seen.add(state.step)
        if status == 0:
            break
        assert status == 9
    assert status == 0 and kill_at > 8
    assert seen == {2, 3}
