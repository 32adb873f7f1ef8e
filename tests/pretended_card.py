"""A pretended NVIDIA card on a CPU build of torch: how this project sees a GPU where there is none.

    with pretend_card(CARDS["RTX 3070"]) as card:
        complete(..., device="cuda")
    card.kernels, card.waits, card.peak

Tensors "on cuda" are CPU tensors whose storage is known to the card. A function mode answers what Python asks of them
(`device`, `to`, `cpu`, `numpy`, `pin_memory`); a dispatch mode sees every aten operation and

- refuses operands on several devices, as CUDA does (scalars of the processor may come along),
- counts kernels: operations that compute something on the card,
- counts waits: places where the processor must have a value, or hands over memory that is not pinned,
- counts bytes alive, and runs out of memory as the card would; a card that `spills` lets them be, as Windows does.

Values are real, computed by the processor, so whole runs go through the code that `device.type == "cuda"` selects.
What it cannot show: what CUDA's own kernels do (speed, rounding, workspaces, several kernels for one operation),
streams, autocast on CUDA, what cannot be captured in a CUDA graph, `torch.compile`.
"""

import contextlib
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import diffusers.hooks.group_offloading  # noqa: F401 -- it reads the type `torch.cuda.Stream` when it is imported
import pytest
import torch
import torch.nn.utils.clip_grad
import torch.utils._foreach_utils as foreach_utils
import torch.utils.checkpoint
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from realfill.device import devices

GB = 2**30


@dataclass(frozen=True)
class Card:
    """What a card says of itself."""

    name: str
    total: int  # bytes
    capability: tuple[int, int]
    taken: int  # bytes that CUDA's context, the desktop and others have taken


def _card(name: str, gigabytes: float, capability: tuple[int, int], taken: float = 0.8) -> Card:
    return Card(name, int(gigabytes * GB), capability, int(taken * GB))


CARDS = {
    "GTX 1070": _card("NVIDIA GeForce GTX 1070", 7.92, (6, 1)),
    "RTX 2070": _card("NVIDIA GeForce RTX 2070", 7.79, (7, 5)),
    "T4": _card("Tesla T4", 14.58, (7, 5), 0.35),
    "RTX 3070": _card("NVIDIA GeForce RTX 3070", 7.78, (8, 6)),
    "RTX 3060": _card("NVIDIA GeForce RTX 3060", 11.76, (8, 6)),
    "RTX 4060 Ti": _card("NVIDIA GeForce RTX 4060 Ti", 15.6, (8, 9)),
    "RTX 4090": _card("NVIDIA GeForce RTX 4090", 23.64, (8, 9)),
    "H200": _card("NVIDIA H200", 139.8, (9, 0), 0.5),
}

_aten = torch.ops.aten
_DEVICE = torch.device("cuda", 0)
_SEVERAL_DEVICES = {  # operations that take operands on several devices
    _aten.copy_.default,
    _aten._to_copy.default,
    _aten.index.Tensor,
    _aten.index_put_.default,
    _aten.index_put.default,
    _aten._index_put_impl_.default,
    _aten.set_.source_Tensor,
    _aten.lift_fresh.default,
}
_IN_PLACE = {_aten.copy_.default, _aten.index_put_.default, _aten._index_put_impl_.default}
_WAITING = {  # operations whose result the processor must know
    _aten._local_scalar_dense.default,
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten.equal.default,
    _aten._unique2.default,
    _aten.unique_dim.default,
    _aten.is_nonzero.default,
}
_COMPUTES_NOTHING = {
    _aten.empty.memory_format,
    _aten.empty_strided.default,
    _aten.empty_like.default,
    _aten.new_empty.default,
    _aten.new_empty_strided.default,
    _aten.detach.default,
    _aten.alias.default,
    _aten.lift_fresh.default,
    _aten._unsafe_view.default,
    _aten._reshape_alias.default,
    _aten.set_.source_Tensor,
}


class PretendedCard:
    """What is on the card and what it did; shared by all threads."""

    def __init__(self, card: Card, *, spills: bool = False) -> None:
        self.card, self._spills = card, spills
        self.kernels = self.live = self.peak = self.spilled = 0
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()  # by the line of the project that waited
        self.copies: Counter[str] = Counter()
        self.fraction = 1.0  # set_per_process_memory_fraction
        self.room = card.total - card.taken  # bytes for this process; a test may take some away in the middle of a run
        self.backward = 0
        self.recording: PretendedGraph | None = None
        self._storages: dict[int, tuple[int, Any]] = {}  # bytes by storage, and the reference that tells of its end
        self._pinned: dict[int, Any] = {}
        self._lock = threading.RLock()

    def reset_counts(self) -> None:
        """Counts anew, the peak from what is there now."""
        with self._lock:
            self.kernels, self.peak = 0, self.live
            for counter in (self.operations, self.waits, self.copies):
                counter.clear()

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor lies on the card."""
        try:
            return tensor.untyped_storage()._cdata in self._storages
        except (NotImplementedError, RuntimeError):
            return False

    def place(self, tensor: Tensor) -> None:
        """Puts a tensor's storage on the card.

        Raises:
            torch.OutOfMemoryError: there is no room, or more than the process allowed itself.
        """
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        with self._lock:
            if key in self._storages:
                return
            over_share = self.live + size > self.fraction * self.card.total
            if over_share or (self.live + size > self.room and not self._spills):
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB. GPU 0 has a total capacity of "
                    f"{self.card.total / GB:.2f} GiB (pretended)."
                )
            self._storages[key] = (size, weakref.ref(storage, lambda _: self._remove(key)))
            self.live += size
            self.peak = max(self.peak, self.live)
            self.spilled = max(self.spilled, self.live - self.room)

    def take_off(self, tensor: Tensor) -> None:
        """Says that a tensor lies in the computer's memory."""
        self._remove(tensor.untyped_storage()._cdata)

    def pin(self, tensor: Tensor) -> None:
        """Makes a tensor's storage pinned memory."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        self._pinned[key] = weakref.ref(storage, lambda _: self._pinned.pop(key, None))

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in pinned memory."""
        return tensor.untyped_storage()._cdata in self._pinned

    def wait(self, why: str) -> None:
        """Counts a wait of the processor; a graph that is being captured allows none."""
        if self.recording is not None:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({why})")
        with self._lock:
            self.waits[f"{_project_line()} {why}"] += 1

    def copy(self, direction: str) -> None:
        """Counts a copy between card and computer."""
        with self._lock:
            self.copies[direction] += 1

    def launch(self, function: Any) -> None:
        """Counts a kernel."""
        with self._lock:
            self.kernels += 1
            self.operations[str(function).removeprefix("aten.")] += 1

    def _remove(self, key: int) -> None:
        with self._lock:
            self.live -= self._storages.pop(key, (0, None))[0]


class PretendedGraph:
    """A CUDA graph: the operations of a capture, computed again on the same tensors."""

    def __init__(self, state: PretendedCard) -> None:
        self._state = state
        self.operations: list[tuple[Any, Any, Any, Any]] = []  # function, arguments, named ones, result

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Records what the block computes."""
        self._state.recording = self
        try:
            yield
        finally:
            self._state.recording = None

    def replay(self) -> None:
        """One launch, however much is computed; Python runs no line of what was captured."""
        self._state.launch("graph")
        with _disable_current_modes(), torch.no_grad():
            for function, args, kwargs, found in self.operations:
                for old, new in zip(_tensors((found,)), _tensors((function(*args, **kwargs),)), strict=True):
                    if old.data_ptr() != new.data_ptr():  # neither a view nor changed in place
                        old.copy_(new)


def _project_line() -> str:
    """The innermost line of the project that is being run."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        _, found, name = frame.f_code.co_filename.rpartition("/realfill/")
        if found:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among an operation's arguments or results."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


class _Functions(TorchFunctionMode):
    """Answers what Python asks of a tensor."""

    def __init__(self, card: PretendedCard) -> None:
        super().__init__()
        self._card = card
        kind: Any = Tensor
        self._answers: dict[Any, Callable[..., Any]] = {
            kind.device.__get__: self._device,
            kind.is_cuda.__get__: card.holds,
            kind.is_cpu.__get__: lambda tensor: not card.holds(tensor) and kind.is_cpu.__get__(tensor),
            kind.get_device: lambda tensor: 0 if card.holds(tensor) else -1,
            kind.numpy: lambda tensor, *rest, **named: kind.numpy(self._in_memory(tensor), *rest, **named),
            kind.__array__: lambda tensor, *rest, **named: kind.__array__(self._in_memory(tensor), *rest, **named),
            kind.tolist: self._tolist,
            kind.cpu: lambda tensor, *rest, **named: self._to(tensor, "cpu"),
            kind.cuda: lambda tensor, *rest, **named: self._to(tensor, "cuda"),
            kind.to: self._to,
            kind.pin_memory: self._pin,
            kind.is_pinned: lambda tensor, *rest: card.is_pinned(tensor),
            torch.tensor: self._tensor,
            torch.as_tensor: lambda data, *rest, device=None, **named: (
                torch.as_tensor(data, *rest, **named)
                if device is None
                else self._to(torch.as_tensor(data, *rest, **named), device)
            ),
        }

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        try:
            answer = self._answers.get(function)
        except TypeError:  # not hashable
            answer = None
        if answer is not None:
            return answer(*args, **kwargs)
        if kwargs.get("device") is not None and kwargs.get("generator") is not None:
            wanted, own = torch.device(kwargs["device"]).type, kwargs["generator"].device.type
            if wanted != own:
                raise RuntimeError(f"Expected a '{wanted}' device type for generator but found '{own}'")
        return function(*args, **kwargs)

    def _device(self, tensor: Tensor) -> Any:
        own: Any = Tensor.device
        return _DEVICE if self._card.holds(tensor) else own.__get__(tensor)

    def _in_memory(self, tensor: Tensor) -> Tensor:
        if self._card.holds(tensor):
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory."
            )
        return tensor

    def _tolist(self, tensor: Tensor) -> Any:
        if self._card.holds(tensor):
            self._card.wait("tolist")
        return Tensor.tolist(tensor)

    def _pin(self, tensor: Tensor, *rest: Any) -> Tensor:
        if self._card.holds(tensor):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        pinned = tensor.clone()
        self._card.pin(pinned)
        return pinned

    def _tensor(self, data: Any, *rest: Any, device: Any = None, **named: Any) -> Tensor:
        if device is None or torch.device(device).type != "cuda":
            return torch.tensor(data, *rest, **named) if device is None else torch.tensor(data, device=device, **named)
        made = torch.tensor(data, *rest, **named).clone()
        self._card.place(made)
        self._card.copy("to the card")
        self._card.wait("torch.tensor on the card")
        return made

    def _to(self, tensor: Tensor, *rest: Any, **named: Any) -> Tensor:
        target, dtype, patient, form = self._read_to(tensor, *rest, **named)
        here = self._card.holds(tensor)
        if not here and target != "cuda":
            return Tensor.to(tensor, *rest, **named)
        dtype = tensor.dtype if dtype is None else dtype
        layout = {} if form is None else {"memory_format": form}
        convert: Any = Tensor.to
        if here == (target == "cuda"):
            moved: Tensor = convert(tensor, dtype, copy=bool(named.get("copy")), **layout)
            return moved
        moved = convert(tensor, dtype, copy=True, **layout)
        if here:
            self._card.take_off(moved)  # the copy came out as everything that is computed from the card's tensors
            self._card.copy("to the computer")
            if patient:
                self._card.pin(moved)
            else:
                self._card.wait("to the computer")
        else:
            self._card.place(moved)
            self._card.copy("to the card")
            if not (patient and self._card.is_pinned(tensor)):
                self._card.wait("to the card")
        return moved

    def _read_to(self, tensor: Tensor, *rest: Any, **named: Any) -> tuple[str, Any, bool, Any]:
        """Device type, dtype, non_blocking and layout that a call of `Tensor.to` asks for."""
        named.pop("copy", None)
        other = named.pop("other", None)
        if rest and isinstance(rest[0], Tensor):
            other = rest[0]
        if other is not None:
            return self._device(other).type, other.dtype, False, None
        parse: Any = torch._C._nn._parse_to
        device, dtype, patient, form = parse(*rest, **named)
        device = self._device(tensor) if device is None else device
        return device.type, dtype, patient, named.get("memory_format", form)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what is computed."""

    def __init__(self, card: PretendedCard) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._card = card

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        card, kwargs = self._card, dict(kwargs or {})
        asked = kwargs.get("device")
        wanted = None if asked is None else torch.device(asked).type
        if wanted == "cuda":
            kwargs["device"] = torch.device("cpu")
        elif wanted == "cpu" and (function is _aten._to_copy.default or card.backward):
            wanted = None  # asked by autograd, which sees CPU tensors; people ask through `_Functions`
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
        given = list(_tensors((args, tuple(kwargs.values()))))
        held = [tensor for tensor in given if card.holds(tensor)]
        if held:
            self._refuse_several_devices(function, given)
            self._count_waits(function, args, given, held)
        known = {tensor.untyped_storage()._cdata for tensor in given}
        found = function(*args, **kwargs)
        if card.recording is not None:
            card.recording.operations.append((function, args, kwargs, found))
        if not self._computes_on_card(function, args, wanted, given, held):
            return found
        fresh = [tensor for tensor in _tensors((found,)) if tensor.untyped_storage()._cdata not in known]
        for tensor in fresh:
            card.place(tensor)
        if function not in _COMPUTES_NOTHING and (fresh or function._schema.is_mutable):
            card.launch(function)
        return found

    def _refuse_several_devices(self, function: Any, given: list[Tensor]) -> None:
        if function in _SEVERAL_DEVICES:
            return
        scalars_may = not any(name in function._schema.name for name in ("cat", "stack"))
        for tensor in given:
            if not self._card.holds(tensor) and not (tensor.dim() == 0 and scalars_may) and tensor.device.type == "cpu":
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                    f"({function} at {_project_line()}, shapes {[tuple(one.shape) for one in given]})"
                )

    def _count_waits(self, function: Any, args: Any, given: list[Tensor], held: list[Tensor]) -> None:
        card = self._card
        if function in _WAITING:
            card.wait(str(function))
        elif function is _aten.index.Tensor:
            if any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
                card.wait("boolean index")
        elif function is _aten.copy_.default and len(given) == 2 and len(held) == 1:
            direction = "to the computer" if card.holds(given[1]) else "to the card"
            card.copy(direction)
            card.wait(f"copy_ {direction}")

    def _computes_on_card(
        self, function: Any, args: Any, wanted: str | None, given: list[Tensor], held: list[Tensor]
    ) -> bool:
        if function in _IN_PLACE and wanted is None:
            return self._card.holds(args[0])
        if function is _aten.index.Tensor:
            return self._card.holds(args[0])
        if wanted is not None:
            return wanted == "cuda"
        return bool(held) or (self._card.backward > 0 and not given)


@contextlib.contextmanager
def pretend_card(card: Card, *, spills: bool = False, graphs: bool = False) -> Iterator[PretendedCard]:
    """Inside the block there is a CUDA device, this one.

    Args:
        graphs: whether CUDA graphs can be captured, as on every real card; their operations are computed again.
        spills: what does not fit goes to the computer's memory instead of raising, as Windows' drivers do.

    A test is skipped where torch is a build for CUDA: that one asks a driver whatever is pretended.
    """
    if torch.version.cuda is not None:
        pytest.skip("torch's build for CUDA asks a real driver; its build for CPUs can pretend one")
    state = PretendedCard(card, spills=spills)
    with contextlib.ExitStack() as stack:
        for name, answer in (_answers_of_cuda(state) | (_answers_of_graphs(state) if graphs else {})).items():
            stack.enter_context(patch.object(torch.cuda, name, answer))
        bf16: Any = torch.cuda._check_bf16_tensor_supported
        bf16.cache_clear()  # a bf16 tensor can be made on every card, by emulation
        stack.callback(bf16.cache_clear)
        stack.enter_context(patch.object(torch.version, "cuda", "13.0"))
        # What is remembered of this machine's devices is another's.
        devices._find_trouble.cache_clear()
        stack.callback(devices._find_trouble.cache_clear)
        stack.callback(AcceleratorState._reset_state, reset_partial_state=True)
        _patch_threads(stack, state)
        _patch_autograd(stack, state)
        _patch_foreach(stack, state)
        stack.enter_context(_Functions(state))
        stack.enter_context(_Operations(state))
        yield state


def _answers_of_graphs(state: PretendedCard) -> dict[str, Any]:
    """`torch.cuda`'s functions around CUDA graphs by name; there is one stream."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    return {
        "Stream": lambda device=None: stream,
        "current_stream": lambda device=None: stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": lambda: PretendedGraph(state),
        "graph": lambda graph, **_: graph.capture(),
    }


def _answers_of_cuda(state: PretendedCard) -> dict[str, Any]:
    """`torch.cuda`'s functions by name."""
    card = state.card
    major, minor = card.capability
    properties = SimpleNamespace(
        name=card.name,
        total_memory=card.total,
        major=major,
        minor=minor,
        multi_processor_count=46,
        is_integrated=0,
        gcnArchName="",
    )

    class Event:
        def __init__(self, enable_timing: bool = False) -> None:
            self.time = 0.0

        def record(self, stream: Any = None) -> None:
            """Work is done when it is asked for."""
            self.time = time.perf_counter()

        def synchronize(self) -> None:
            state.wait("torch.cuda.Event")

        def elapsed_time(self, later: Any) -> float:
            return float((later.time - self.time) * 1000)

    def set_fraction(fraction: float, device: Any = None) -> None:
        state.fraction = fraction

    def seed(*_: Any, **__: Any) -> None:
        return None

    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_initialized": lambda: True,
        "init": lambda: None,
        "Event": Event,
        "_lazy_init": lambda: None,
        "device": lambda device=None: contextlib.nullcontext(),
        "set_device": lambda device: None,
        "mem_get_info": lambda device=None: (max(0, state.room - state.live), card.total),
        "memory_allocated": lambda device=None: state.live,
        "memory_reserved": lambda device=None: state.live,
        "max_memory_allocated": lambda device=None: state.peak,
        "reset_peak_memory_stats": lambda device=None: None,
        "get_per_process_memory_fraction": lambda device=None: state.fraction,
        "set_per_process_memory_fraction": set_fraction,
        "get_device_name": lambda device=None: card.name,
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: card.capability,
        "empty_cache": lambda: None,
        "synchronize": lambda device=None: state.wait("torch.cuda.synchronize"),
        "get_rng_state": lambda device=None: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": seed,
        "manual_seed": seed,
        "manual_seed_all": seed,
    }


def _patch_threads(stack: contextlib.ExitStack, state: PretendedCard) -> None:
    """Threads that begin inside the block see the card too: modes belong to one thread."""
    run = threading.Thread.run

    def run_on_card(thread: threading.Thread) -> None:
        with _Functions(state), _Operations(state):
            run(thread)

    stack.enter_context(patch.object(threading.Thread, "run", run_on_card))


def _patch_autograd(stack: contextlib.ExitStack, state: PretendedCard) -> None:
    """Backward passes create tensors on the card, and their Python parts see it."""
    engine: Any = torch.autograd.graph._engine_run_backward

    def run_backward(*args: Any, **kwargs: Any) -> Any:
        state.backward += 1
        try:
            with _Functions(state):  # what called `torch.autograd.grad` switched it off
                return engine(*args, **kwargs)
        finally:
            state.backward -= 1

    for module in (torch.autograd, torch.autograd.graph):
        stack.enter_context(patch.object(module, "_engine_run_backward", run_backward))
    # Activations that are computed again are compared with the first ones where no mode answers for their device.
    checks: Any = torch.utils.checkpoint._allowed_determinism_checks_to_fns
    same = {"default": lambda tensor: {"shape": tensor.shape, "dtype": tensor.dtype}}
    stack.enter_context(patch.dict(checks, same))


def _patch_foreach(stack: contextlib.ExitStack, state: PretendedCard) -> None:
    """Operations over lists of tensors take the card's way: the grouping by device is done outside of Python."""
    group_tensors: Any = foreach_utils._group_tensors_by_device_and_dtype

    def group(lists: Any, with_indices: bool = False) -> Any:
        groups = group_tensors(lists, with_indices)
        if any(tensor is not None and state.holds(tensor) for tensor in lists[0]):
            return {(_DEVICE, dtype): value for (_, dtype), value in groups.items()}
        return groups

    for module in (foreach_utils, sys.modules["torch.nn.utils.clip_grad"], sys.modules["torch.optim.optimizer"]):
        stack.enter_context(patch.object(module, "_group_tensors_by_device_and_dtype", group))
