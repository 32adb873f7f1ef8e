"""Which device computes, how much memory it has, and which base suits it. torch is imported when asked."""

import functools
import os
import sys
from dataclasses import dataclass

from realfill import bases
from realfill.errors import OptionError

# MPS and CUDA, CPU, Windows, cuBLAS, cuDNN; cuDNN finds no engine where none's workspace fits.
_FULL = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "allocation_failed",
    "unable to find an engine",
)


@dataclass(frozen=True)
class Device:
    """A device: torch's name for it, a name for people, and its memory in bytes."""

    name: str
    title: str
    free: int
    total: int


def choose_device(asked: str = "auto") -> str:
    """The device to use: "auto" takes CUDA if it works, else MPS, else the CPU; a name is checked.

    Raises:
        OptionError: the named device does not exist or does not work here.
    """
    if asked == "auto":
        return next((name for name in ("cuda", "mps") if _find_trouble(name) is None), "cpu")
    kind, _, index = asked.partition(":")
    if kind not in ("cuda", "mps", "cpu") or (index and not index.isdecimal()):
        raise OptionError("There is no device '{asked}'; the devices are auto, cuda, cuda:1, mps and cpu.", asked=asked)
    if trouble := _find_trouble(asked):
        raise OptionError(
            "The device {asked} does not work here ({trouble}); leave --device out or give cpu.",
            asked=asked,
            trouble=trouble,
        )
    return asked


def list_devices() -> list[str]:
    """The devices to choose from here: the one that "auto" takes, and all other GPUs."""
    import torch

    name = choose_device()
    others = [f"cuda:{index}" for index in range(1, torch.cuda.device_count())] if name == "cuda" else []
    return [name, *others]


def describe_device(name: str) -> Device:
    """Name and memory of a device that `choose_device` returned."""
    import psutil  # type: ignore[import-untyped, unused-ignore]
    import torch

    memory = psutil.virtual_memory()
    if name.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(name if ":" in name else 0)
        return Device(name, torch.cuda.get_device_name(name), free, total)
    if name == "mps":
        total = torch.mps.recommended_max_memory()
        return Device(name, "Apple GPU", total - torch.mps.current_allocated_memory(), total)
    return Device(name, f"CPU, threads: {torch.get_num_threads()}", int(memory.available), int(memory.total))


def free_memory(name: str) -> int:
    """Bytes that this process may still take on a device, those included that torch holds and nothing uses.

    A cap by `torch.cuda.set_per_process_memory_fraction` counts. On a processor weights that are mapped from their
    files do not: the system calls their memory available, but they are read with every step.
    """
    import psutil  # type: ignore[import-untyped, unused-ignore]
    import torch

    if not name.startswith("cuda"):
        mapped = getattr(psutil.Process().memory_info(), "shared", 0) if name == "cpu" else 0  # Linux only
        return max(0, describe_device(name).free - int(mapped))
    device = name if ":" in name else 0
    left, total = torch.cuda.mem_get_info(device)
    taken = torch.cuda.memory_allocated(device)
    left += torch.cuda.memory_reserved(device) - taken
    return int(min(left, torch.cuda.get_per_process_memory_fraction(device) * total - taken))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a device or in the computer; torch has many ways to say so."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _FULL)


def cap_memory(name: str) -> None:
    """Allows this process no more of a GPU's memory than is free now.

    Windows' drivers move what does not fit into the computer's memory, at a hundredth of the speed, instead of
    refusing it; a cap of torch's own allocator refuses, and the memory plan comes down.
    """
    import torch

    if name.startswith("cuda"):
        device = torch.device(name).index or 0
        left, total = torch.cuda.mem_get_info(device)
        share = (left + torch.cuda.memory_reserved(device)) / total
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)


def release_memory(name: str) -> None:
    """Gives memory that torch holds and nothing uses back to the device."""
    import torch

    if name.startswith("cuda"):
        torch.cuda.empty_cache()
    elif name.startswith("mps"):
        torch.mps.empty_cache()


def used_memory(name: str) -> int:
    """The most bytes that this process has used so far: of the GPU's memory there, else of the computer's."""
    import torch

    if name.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(name if ":" in name else 0))
    if name == "mps":
        return int(torch.mps.driver_allocated_memory())
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def default_base(name: str) -> str:
    """The base for new runs on a device: `sd2` on CUDA or MPS with room for it, else `mini`."""
    return bases.default_base(0 if name == "cpu" else describe_device(name).total)


def find_gpus() -> list[str]:
    """CUDA's names of the GPUs that this process may use, without taking hold of one."""
    import torch

    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return (given or [str(index) for index in range(count)])[:count]


@functools.cache
def _find_trouble(name: str) -> str | None:
    """Why a device does not work, or None; tried by one small sum, since a driver may be there but broken."""
    import torch

    try:
        if int((torch.ones(2, device=name) + 1).sum()) != 4:
            return "it computes wrongly"
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch's ways to say no
        return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return None
