"""Functions that are imported when they are called, so that the registries load neither torch nor diffusers."""

import importlib
from collections.abc import Callable
from typing import Any


def import_on_call(module: str, name: str) -> Callable[[Any], Any]:
    """`name` of `module`, a function of one argument; an unknown name is noticed at the first call."""

    def call(argument: Any) -> Any:
        return getattr(importlib.import_module(module), name)(argument)

    return call
