"""Networks that give up their place on a device while others need it, where there is no room for all of them."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from realfill.device.devices import free_memory, release_memory

ROOM = 1.1  # of the networks' bytes that must be free for them to lie beside the others


@contextlib.contextmanager
def make_room(device: torch.device, needed: Sequence[nn.Module], resting: Sequence[nn.Module]) -> Iterator[None]:
    """Inside the block there is room on the device for networks as large as `needed`; `resting` ones leave it for that.

    On a processor nothing moves.
    """
    size = sum(weight.nbytes for network in needed for weight in network.parameters())
    is_short = device.type != "cpu" and free_memory(str(device)) < ROOM * size
    try:
        if is_short:
            move(resting, "cpu", device)
        yield
    finally:
        if is_short:
            move(resting, device, device)


def move(networks: Sequence[nn.Module], place: torch.device | str, device: torch.device) -> None:
    """Moves networks to `device` or away from it, and gives the device back what nothing uses then."""
    for network in networks:
        network.to(place)
    release_memory(str(device))
