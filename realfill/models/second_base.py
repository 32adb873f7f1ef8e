"""A second base beside the one in training, which draws with a copy of its adapter as far as it has come.

One of both is on the device where there is no room for two, the other in the computer's memory.
"""

import contextlib
from collections.abc import Iterator

from torch import nn

from realfill.config import TrainConfig
from realfill.device.memory_plan import MemoryPlan
from realfill.errors import WeightsError
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters, attach_adapters
from realfill.models.registry import load_backbone
from realfill.models.room import make_room, move

_RESTING = MemoryPlan(items=1, seeds=1, pictures=1, parked=True)


class SecondBase:
    """Loaded when it is first used, off the device between uses."""

    def __init__(self, name: str, device: str, config: TrainConfig) -> None:
        self._name, self._device, self._config = name, device, config
        self._backbone: Backbone | None = None

    @contextlib.contextmanager
    def draw(self, trained: Backbone) -> Iterator[Backbone]:
        """The second base, on the device and with the adapter that `trained` has now.

        Raises:
            OptionError, WeightsError: as `registry.load_backbone` and `check_family`.
        """
        with make_room(trained.device, _networks(trained), _networks(trained)):
            if self._backbone is None:
                second = load_backbone(self._name, device=self._device)
                check_family(second, trained.spec.family)
                second.use_mask_form(self._config.mask_form)
                self._backbone = second
            second = self._backbone
            try:
                move(_networks(second), second.device, second.device)
                if not adapter_parameters(second):
                    attach_adapters(second, self._config, seed=0)
                copies = adapter_parameters(second)
                for name, parameter in adapter_parameters(trained).items():
                    copies[name].data.copy_(parameter.data)
                yield second
            finally:
                second.use_plan(_RESTING)
                move(_networks(second), "cpu", second.device)


def check_family(drawing: Backbone, trained: str) -> None:
    """Refuses a base for the seeds that an adapter of the family `trained` cannot fit.

    Raises:
        WeightsError: it is of another family.
    """
    if drawing.spec.family != trained:
        raise WeightsError(
            "sample.base '{other}' is of the family {family}, and the adapter was trained on "
            "{trained}; give a base of that family, or leave sample.base empty.",
            other=drawing.spec.name,
            family=drawing.spec.family,
            trained=trained,
        )


def _networks(backbone: Backbone) -> list[nn.Module]:
    return list(backbone.trainable().values())
