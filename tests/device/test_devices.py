"""Devices: names are checked, the choice works, the default base fits."""

import pytest
import torch

from realfill.device import devices
from realfill.device.devices import choose_device, describe_device
from realfill.device.process_group import ProcessGroup
from realfill.errors import OptionError


def test_auto_is_a_device_that_computes() -> None:
    name = choose_device()
    assert (torch.ones(2, device=name) * 2).sum().item() == 4
    assert name != "cpu" or not torch.cuda.is_available()


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "", "gpu", "cpu "])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="the devices are"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "mps"])
def test_a_device_that_is_not_there_is_refused_with_the_reason(name: str) -> None:
    if name.startswith("cuda") and torch.cuda.device_count() > int(name[5:] or 0):
        pytest.skip("this machine has it")
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(OptionError, match="give cpu"):
        choose_device(name)


def test_memory_is_told() -> None:
    device = describe_device("cpu")
    assert 0 < device.free <= device.total


@pytest.mark.parametrize(
    ("name", "total", "base"), [("cuda", 24e9, "sd2"), ("mps", 5e9, "mini"), ("cpu", 500e9, "mini")]
)
def test_the_default_base_fits_the_memory(monkeypatch: pytest.MonkeyPatch, name: str, total: float, base: str) -> None:
    monkeypatch.setattr(devices, "describe_device", lambda asked: devices.Device(asked, "", int(total), int(total)))
    assert devices.default_base(name) == base


def test_alone_there_is_one_main_process() -> None:
    processes = ProcessGroup("cpu")
    assert processes.is_main and not processes.is_shared
    assert processes.any_true(True) and not processes.any_true(False)
    assert processes.device("cpu") == "cpu"
    processes.barrier()
