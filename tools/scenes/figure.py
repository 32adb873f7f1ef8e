"""A wooden artist's figure and its poses."""

from typing import Any

import numpy as np

from tools.scenes import kit, materials, paint
from tools.scenes.kit import Point
from tools.scenes.materials import Surface

# Where its joints are, in shares of its height.
STANDING: dict[str, Point] = {
    "head": (0, -0.01, 0.93),
    "neck": (0, 0, 0.83),
    "waist": (0, 0, 0.64),
    "hips": (0, 0, 0.54),
    "shoulder_l": (-0.11, 0, 0.8),
    "elbow_l": (-0.17, 0, 0.64),
    "hand_l": (-0.2, -0.06, 0.5),
    "shoulder_r": (0.11, 0, 0.8),
    "elbow_r": (0.17, 0, 0.64),
    "hand_r": (0.19, -0.06, 0.5),
    "knee_l": (-0.06, -0.02, 0.29),
    "foot_l": (-0.07, 0, 0.02),
    "knee_r": (0.06, -0.02, 0.29),
    "foot_r": (0.07, 0, 0.02),
}
WAVING: dict[str, Point] = {
    **STANDING,
    "head": (-0.02, -0.01, 0.92),
    "elbow_r": (0.26, -0.02, 0.86),
    "hand_r": (0.24, -0.05, 1.04),
    "elbow_l": (-0.22, 0, 0.68),
    "hand_l": (-0.12, -0.1, 0.58),
}
WALKING: dict[str, Point] = {
    **STANDING,
    "head": (0.03, -0.02, 0.92),
    "elbow_l": (-0.2, -0.1, 0.68),
    "hand_l": (-0.14, -0.2, 0.78),
    "elbow_r": (0.16, 0.06, 0.62),
    "hand_r": (0.2, 0.06, 0.47),
    "knee_l": (-0.08, -0.1, 0.3),
    "foot_l": (-0.1, -0.02, 0.03),
    "knee_r": (0.06, 0.03, 0.29),
    "foot_r": (0.08, 0.12, 0.02),
}


def figure(at: Point, joints: dict[str, Point], height: float = 0.33) -> list[Any]:
    """A wooden artist's figure; `joints` are the places of its joints in shares of its height, by name."""
    s = height
    wood = materials.picture(
        "figure", paint.wood(np.random.default_rng(3), (256, 256), "pine"), Surface(rough=0.35, bump=0.05), metres=0.12
    )
    made: list[Any] = []
    bones = {
        ("neck", "waist"): 0.075,
        ("waist", "hips"): 0.06,
        ("neck", "shoulder_l"): 0.035,
        ("neck", "shoulder_r"): 0.035,
        ("shoulder_l", "elbow_l"): 0.027,
        ("elbow_l", "hand_l"): 0.022,
        ("shoulder_r", "elbow_r"): 0.027,
        ("elbow_r", "hand_r"): 0.022,
        ("hips", "knee_l"): 0.042,
        ("knee_l", "foot_l"): 0.03,
        ("hips", "knee_r"): 0.042,
        ("knee_r", "foot_r"): 0.03,
    }
    for (first, second), radius in bones.items():
        a, b = (np.asarray(joints[name], float) * s for name in (first, second))
        middle = [tuple(a + (b - a) * share) for share in (0.06, 0.3, 0.7, 0.94)]
        made.append(kit.tube(middle, [0.55 * radius * s, radius * s, 0.85 * radius * s, 0.5 * radius * s], wood, at=at))
    for name, place in joints.items():
        r = 0.085 if name == "head" else 0.022
        made.append(
            kit.ball((r * s * (0.75 if name == "head" else 1),) * 2 + (r * s,), tuple(np.asarray(place) * s + at), wood)
        )
    for foot in ("foot_l", "foot_r"):
        x, y, z = np.asarray(joints[foot]) * s + at
        made.append(kit.ball((0.028 * s, 0.06 * s, 0.02 * s), (x, y - 0.03 * s, z), wood))
    return made
