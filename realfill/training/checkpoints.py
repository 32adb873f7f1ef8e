"""Training checkpoints: adapter and optimiser as safetensors, sha256 beside each, newest few kept.

A checkpoint folder is written under a temporary name and renamed, so one that has its name is whole; the
hashes catch what happens to it later. Damaged ones are passed over for the next older.
"""

import hashlib
import shutil
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from realfill import files
from realfill.errors import OptionError, RunError
from realfill.files import speak_refusals, temporary_path
from realfill.runs.layout import checkpoint_path, checkpoint_steps
from realfill.training.loss_scale import restore_scaler, scaler_state

_PARTS = ("adapter", "optimiser")
_LOSS_SCALE = "loss_scale"  # beside the moments, whose names have a colon


class TrainState:
    """Step, adapter, optimiser and, in fp16, the loss' scale: all of training that must survive."""

    def __init__(
        self, parameters: dict[str, Tensor], optimiser: torch.optim.Optimizer, scaler: GradScaler | None = None
    ) -> None:
        self.step = 0  # this many steps are done
        self.parameters = parameters
        self._optimiser, self._scaler = optimiser, scaler
        by_tensor = {id(tensor): name for name, tensor in parameters.items()}
        self._names = [by_tensor[id(tensor)] for group in optimiser.param_groups for tensor in group["params"]]

    def save(self, folder: Path, *, keep: int) -> None:
        """Write checkpoint `folder/<step>` and drop all but the newest `keep`.

        Raises:
            DiskFull, RunError: it could not be written; older checkpoints are untouched.
        """
        final = checkpoint_path(folder, self.step)
        partial = temporary_path(final)
        try:
            for part, tensors in zip(_PARTS, (self.parameters, self._moments()), strict=True):
                data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
                files.write_bytes(partial / f"{part}.safetensors", data)
                files.write_bytes(partial / f"{part}.sha256", hashlib.sha256(data).hexdigest().encode())
            with speak_refusals(final):
                shutil.rmtree(final, ignore_errors=True)
                files.replace(partial, final)
                files.sync_folder(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        # Newer ones are damaged, or `resume` would have taken them; counted as kept they would push out good ones.
        good = [step for step in checkpoint_steps(folder) if step <= self.step]
        for step in set(checkpoint_steps(folder)) - set(good[-keep:]):
            shutil.rmtree(checkpoint_path(folder, step), ignore_errors=True)

    def resume(self, folder: Path) -> None:
        """Take the newest undamaged checkpoint, if there is one.

        Raises:
            RunError: a whole checkpoint does not fit this adapter.
        """
        for step in reversed(checkpoint_steps(folder)):
            path = checkpoint_path(folder, step)
            parts = [_read(path, part) for part in _PARTS]
            if parts[0] is None or parts[1] is None:
                continue
            if {n: t.shape for n, t in parts[0].items()} != {n: t.shape for n, t in self.parameters.items()}:
                raise RunError("Checkpoint {path} belongs to other settings or another base; use a new run.", path=path)
            for name, tensor in parts[0].items():
                self.parameters[name].data.copy_(tensor)
            self._restore(parts[1])
            self.step = step
            return

    def _moments(self) -> dict[str, Tensor]:
        state = self._optimiser.state_dict()["state"]
        moments = {
            f"{self._names[index]}:{key}": torch.as_tensor(value)
            for index, entry in state.items()
            for key, value in entry.items()
        }
        scale = None if self._scaler is None else scaler_state(self._scaler)
        return moments if scale is None else {**moments, _LOSS_SCALE: scale}

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        scale = tensors.pop(_LOSS_SCALE, None)
        if scale is not None and self._scaler is not None:
            restore_scaler(self._scaler, scale)
        state: dict[int, dict[str, Tensor]] = {}
        places = {name: index for index, name in enumerate(self._names)}
        for name, tensor in tensors.items():
            parameter, _, key = name.rpartition(":")
            state.setdefault(places[parameter], {})[key] = tensor
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})


def load_checkpoint_adapter(folder: Path, step: int, parameters: dict[str, Tensor]) -> None:
    """Puts the adapter of checkpoint `folder/<step>` into `parameters`, as `lora.adapter_parameters` names them.

    Raises:
        OptionError: there is no such checkpoint, it is damaged, or it belongs to other settings.
    """
    known = ", ".join(map(str, checkpoint_steps(folder))) or "none"
    adapter = _read(checkpoint_path(folder, step), "adapter")
    if adapter is None:
        raise OptionError(
            "There is no good checkpoint of step {step}; there are {known} (sample.checkpoint).", step=step, known=known
        )
    if {n: t.shape for n, t in adapter.items()} != {n: t.shape for n, t in parameters.items()}:
        raise OptionError(
            "Checkpoint {step} belongs to other settings or another base; there are {known}.", step=step, known=known
        )
    for name, tensor in adapter.items():
        parameters[name].data.copy_(tensor)


def _read(folder: Path, part: str) -> dict[str, Tensor] | None:
    """The tensors of a part, or None where they are missing or damaged."""
    try:
        data = (folder / f"{part}.safetensors").read_bytes()
        expected = (folder / f"{part}.sha256").read_bytes().strip()
    except OSError:
        return None
    return load(data) if hashlib.sha256(data).hexdigest().encode() == expected else None
