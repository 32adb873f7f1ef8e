"""Resumable training state as safetensors, written beside and renamed, so that a kill costs a few steps."""

import json
import os
from collections import defaultdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Average:
    """An exponential moving average of a model's weights, with a short warm-up."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.detach(), 1 - decay)
            else:
                self.weights[name].copy_(value)


def save(folder: Path, tensors: dict[str, dict[str, Tensor]], state: dict[str, object]) -> None:
    """Write groups of tensors and a JSON state; the state is renamed last and makes the checkpoint valid."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, group in tensors.items():
        part = folder / f"{name}.part"
        save_file({key: value.contiguous() for key, value in group.items()}, part)
        os.replace(part, folder / f"{name}.safetensors")
    part = folder / "state.part"
    part.write_text(json.dumps(state))
    os.replace(part, folder / "state.json")


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, object]] | None:
    """What `save` wrote, or None where there is nothing yet."""
    if not (folder / "state.json").exists():
        return None
    groups = {path.stem: load_file(path) for path in folder.glob("*.safetensors")}
    return groups, json.loads((folder / "state.json").read_text())


def moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter, flat, as `save` takes it."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def restore_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `moments` gave."""
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        index, name = key.split(".")
        state[int(index)][name] = value
    optimiser.load_state_dict({"state": dict(state), "param_groups": optimiser.state_dict()["param_groups"]})
