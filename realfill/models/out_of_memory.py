"""Keeps work within a memory plan: where memory runs out, the plan is lowered and the same thing computed again."""

from collections.abc import Callable
from typing import TypeVar

from realfill.config import Config
from realfill.device.devices import free_memory, is_out_of_memory, release_memory
from realfill.device.memory_plan import (
    MemoryPlan,
    MemoryUse,
    choose_plan,
    describe_lowering,
    describe_plan,
    greatest_plan,
    lower_plan,
    memory_needs,
)
from realfill.errors import OutOfMemory
from realfill.imaging.crop import CropTransform
from realfill.models.backbone import Backbone, stored_dtype
from realfill.sentences import Sentence

Result = TypeVar("Result")

_TOO_MUCH: dict[MemoryUse, str] = {
    "training": "a single training item",
    "filling": "a single seed",
    "coding": "a single picture in the autoencoder",
}


class MemoryBudget:
    """The plan in force; training, previews and sampling of one run share one."""

    def __init__(self, plan: MemoryPlan, say: Callable[[str], None] = lambda sentence: None) -> None:
        """`say` hears one sentence each time the plan had to be lowered."""
        self.plan, self._say = plan, say

    def begin(self, backbone: Backbone, *, batch: int) -> None:
        """Puts the plan in force for training and says what it is."""
        backbone.use_plan(self.plan)
        self._say(Sentence("Memory plan, an estimate: {plan}.", plan=describe_plan(self.plan, batch)))

    def run(self, backbone: Backbone, use: MemoryUse, compute: Callable[[MemoryPlan], Result]) -> Result:
        """What `compute` returns under the plan; begun again under ever smaller ones while memory runs out.

        Raises:
            OutOfMemory: the smallest plan is still too much.
        """
        before = self.plan
        while True:
            try:
                result = compute(self.plan)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                smaller = lower_plan(self.plan, use)
                if smaller is None:
                    raise OutOfMemory(
                        "The device has too little memory for {work}, the smallest plan there is; close "
                        "other programs, set fit.size lower or take another device.",
                        work=_TOO_MUCH[use],
                    ) from error
            release_memory(str(backbone.device))  # only here: until now the error held on to its frames' tensors
            self.plan = smaller
            backbone.use_plan(smaller)
        if self.plan != before:
            self._say(f"Memory ran out; {describe_lowering(before, self.plan)}. The result stays the same.")
        return result


def plan_memory(
    backbone: Backbone,
    crop: CropTransform,
    config: Config,
    *,
    processes: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> MemoryBudget:
    """The budget for a run on a loaded backbone, its plan chosen from the memory that is free now."""
    device = str(backbone.device)
    pixels = crop.width * crop.height
    needs = memory_needs(
        config,
        width=stored_dtype(device, backbone.dtype).itemsize,
        computed=backbone.dtype.itemsize,
        pixels=pixels,
        denoiser=sum(weight.numel() for weight in next(iter(backbone.trainable().values())).parameters()),
    )
    batch = -(-config.train.batch // processes)
    most, keep = greatest_plan(config, gpu=device.startswith("cuda"), batch=batch, pixels=pixels)
    return MemoryBudget(choose_plan(free_memory(device), needs, most, keep=keep), say)
