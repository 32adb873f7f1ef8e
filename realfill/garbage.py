"""How often Python looks for objects that only hold each other."""

import gc

OBJECTS = 10_000  # new ones between two looks


def collect_rarely() -> None:
    """For whole processes, before they import much: torch, diffusers and gradio make a million objects that stay.

    By Python's default it looks at each 700 new ones, which takes a quarter of what importing them takes.
    """
    gc.set_threshold(OBJECTS)
