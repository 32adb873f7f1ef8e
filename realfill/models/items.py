"""Several items side by side: what is cut, joined and repeated without anybody knowing what is in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Items:
    """B items; every field of a subclass is a tensor with B first, a tuple of B, or B other `Items`."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def part(self, start: int, stop: int) -> Self:
        """Items start to stop."""
        return self._map(lambda value: value.part(start, stop) if isinstance(value, Items) else value[start:stop])

    def repeat(self, count: int) -> Self:
        """One item, `count` times; nothing is copied."""

        def repeat(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.expand(count, *value.shape[1:])
            return value.repeat(count) if isinstance(value, Items) else value * count

        return self._map(repeat)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same items with `change` of every tensor that has B first."""

        def apply(value: Any) -> Any:
            if isinstance(value, Items):
                return value.map_tensors(change)
            return change(value) if isinstance(value, Tensor) else value

        return self._map(apply)

    def _map(self, change: Callable[[Any], Any]) -> Self:
        return type(self)(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


Kind = TypeVar("Kind", bound="Items")


def join_items(parts: Sequence[Kind]) -> Kind:
    """All items of several parts, in their order."""

    def join(values: Sequence[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.cat(list(values))
        if isinstance(values[0], Items):
            return join_items(values)
        return tuple(one for value in values for one in value)

    kind = type(parts[0])
    return kind(**{field.name: join([getattr(part, field.name) for part in parts]) for field in fields(kind)})
