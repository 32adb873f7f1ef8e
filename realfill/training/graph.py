"""The gradients of a piece of a step, replayed as one CUDA graph: thousands of kernels that begin as one.

Asked for by `REALFILL_TRY=graph` (`models.fast.switch`) until a GPU has shown what it is worth. It is tried in the
first steps of a training and kept where it is quicker; where it cannot be captured, and for what does not fit it,
kernels are started one by one as always. The numbers are the same up to rounding.

What a graph holds is fixed: the size of the piece, both prompts, which items choose among by an index, and every
adapter, which layer dropout multiplies by gates on the device.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from realfill.models.backbone import PromptChoice
from realfill.models.lora import FactorRounding, LayerDropout
from realfill.models.pixels import upload
from realfill.training.loader import Step
from realfill.training.loss import EncodedBatch

WARM, TIMED = 5, 7  # steps before anything is timed, and those that each way is timed for; one more captures
Gradients = tuple[Tensor, tuple[Tensor | None, ...]]  # a loss, and its gradients in the trained parameters
Compute = Callable[[Step], Gradients]


class GraphTrial:
    """Computes the pieces of a training's steps kernel by kernel or as a graph, whichever is quicker."""

    def __init__(
        self, compute: Compute, factors: FactorRounding, dropout: LayerDropout, prompts: Sequence[str]
    ) -> None:
        """`compute`: the gradients of a piece inside `factors.rounded`; `prompts`: all that an item may have."""
        self._compute, self._factors, self._dropout = compute, factors, dropout
        self._prompts = tuple(sorted(set(prompts)))
        self._graph: PieceGraph | None = None
        self._steps, self._is_possible = 0, factors.covers_all
        self._decided = WARM + 2 * TIMED + 2  # the step, counted from 1, from which on the quicker way is taken
        self._times: dict[bool, list[list[tuple[Any, Any]]]] = {False: [], True: []}  # events by way, step and piece
        self.uses_graph = False

    def begin_step(self) -> None:
        """Chooses the way of the step that begins."""
        self._steps += 1
        if not self._is_possible or self._steps <= WARM + TIMED:
            self.uses_graph = False
        elif self._steps < self._decided:
            self.uses_graph = True
        elif self._steps == self._decided:
            self.uses_graph = self._milliseconds(graph=True) < self._milliseconds(graph=False)
            self._graph = self._graph if self.uses_graph else None  # and its memory
            self._times.clear()
        if self._steps < self._decided:
            self._times[self.uses_graph].append([])

    def __call__(self, piece: Step) -> list[Gradients]:
        """The gradients of a piece, timed while ways are compared."""
        if self._steps >= self._decided or not self._is_possible:
            return [self._compute_one_way(piece)]
        before, after = _timer(), _timer()
        before.record()
        found = self._compute_one_way(piece)
        after.record()
        self._times[self.uses_graph][-1].append((before, after))
        return [found]

    def _compute_one_way(self, piece: Step) -> Gradients:
        if self.uses_graph and not any(piece.context):
            self._graph = self._graph or self._capture(piece)
            if self._graph is not None and len(self._graph) == len(piece):
                return self._graph.replay(piece, self._dropout.gates)
        with self._factors.rounded():
            return self._compute(piece)

    def _capture(self, piece: Step) -> "PieceGraph | None":
        gates = self._dropout.gates.tolist()
        self._dropout.set([1.0] * len(gates))  # the graph multiplies by gates of its own
        try:
            return PieceGraph(self._compute, self._factors, piece, self._prompts, layers=len(gates))
        except RuntimeError:  # of many kinds: no graphs here, an operation that cannot be captured, no memory for it
            self.uses_graph = self._is_possible = False
            self._times[False].append([])
            return None
        finally:
            self._dropout.set(gates)

    def _milliseconds(self, *, graph: bool) -> float:
        """What the pieces of a step took the device; the first steps, and the one that captured, left out."""
        steps = self._times[graph][-TIMED:]
        return float(statistics.median(sum(before.elapsed_time(after) for before, after in step) for step in steps))


def _timer() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call, unused-ignore]


class PieceGraph:
    """The gradients of a piece, captured; tensors in and out stay where they are."""

    def __init__(
        self, compute: Compute, factors: FactorRounding, piece: Step, prompts: tuple[str, ...], *, layers: int
    ) -> None:
        """`layers`: how many layers have gates.

        Raises:
            RuntimeError: it cannot be captured.
        """
        device = piece.noise.device
        self._prompts = prompts
        self._where = upload(self._choose(piece), device)
        self._gates = torch.ones(layers, device=device)
        static = piece.map_tensors(torch.clone)
        assert isinstance(static.items, EncodedBatch)
        self._piece = replace(static, items=replace(static.items, prompts=PromptChoice(prompts, self._where)))

        def run() -> Gradients:
            with factors.rounded(self._gates):
                return compute(self._piece)

        stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call, unused-ignore]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(3):  # libraries choose kernels and make their workspaces
                run()
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # what the loader's threads ask of the device meanwhile is not part of it
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._loss, self._gradients = run()

    def __len__(self) -> int:
        return len(self._piece)

    def replay(self, piece: Step, gates: Tensor) -> Gradients:
        """The gradients of another piece of the same size, with the gates (layers,) of its step."""
        device = self._where.device
        given = [*_tensors(piece), upload(self._choose(piece), device), upload(gates, device)]
        torch._foreach_copy_([*_tensors(self._piece), self._where, self._gates], given)
        self._graph.replay()
        found = [gradient for gradient in self._gradients if gradient is not None]
        copies = [torch.empty_like(gradient) for gradient in found]
        torch._foreach_copy_(copies, found)
        left = iter(copies)
        return self._loss.clone(), tuple(None if gradient is None else next(left) for gradient in self._gradients)

    def _choose(self, piece: Step) -> Tensor:
        return torch.tensor([self._prompts.index(prompt) for prompt in piece.items.prompts])


def _tensors(piece: Step) -> list[Tensor]:
    """All tensors of a piece, in the order of their fields."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    piece.map_tensors(keep)
    return found
