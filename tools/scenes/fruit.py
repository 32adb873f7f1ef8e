"""Fruit in heaps, and the cards with their prices."""

from tools.scenes import artwork, kit, materials, printed, things
from tools.scenes.kit import Object, Point
from tools.scenes.materials import Surface
from tools.scenes.paint import Rng

SKIN = Surface(rough=0.32, bump=0.15, grain=120, worn=0.35)
FRUIT = {  # name: colours, radii, price
    "Apples": (("#a8201f", "#c9772b"), (0.036, 0.036, 0.033), "2.40"),
    "Oranges": (("#e0791a", "#d96a12"), (0.038, 0.038, 0.037), "1.90"),
    "Lemons": (("#e8c41f", "#d9b016"), (0.034, 0.027, 0.027), "3.10"),
    "Plums": (("#4a2350", "#6d2f4a"), (0.026, 0.026, 0.028), "3.60"),
    "Pears": (("#a8b03a", "#c2a545"), (0.033, 0.033, 0.042), "2.80"),
    "Tomatoes": (("#c4261a", "#b81f14"), (0.034, 0.034, 0.028), "2.20"),
    "Limes": (("#4f8a2a", "#6d9c34"), (0.027, 0.024, 0.024), "3.40"),
    "Peaches": (("#e0955a", "#c9503a"), (0.037, 0.037, 0.036), "4.20"),
    "Aubergines": (("#2a1430", "#3a1a40"), (0.033, 0.033, 0.07), "1.70"),
    "Melons": (("#c9b268", "#a8a052"), (0.075, 0.075, 0.07), "5.00"),
}


def ball(name: str) -> Object:
    """One fruit of a kind, out of sight, to be copied."""
    (first, second), radii, _ = FRUIT[name]
    return kit.ball(radii, (0, 0, -5), materials.plain(first, SKIN, second=second), cells=20)


def heap(rng: Rng, name: str, at: Point) -> None:
    """Up to three layers of a fruit in a crate at `at`."""
    one, radii = ball(name), FRUIT[name][1]
    step = 2.02 * radii[0]
    for layer in range(2 if radii[0] > 0.07 else 3):
        wide, deep = 0.4 - layer * step * 0.9, 0.29 - layer * step * 0.9
        for row in range(max(1, int(deep / step))):
            for column in range(max(1, int(wide / step))):
                if layer == 2 and rng.random() < 0.35:
                    continue
                x = (column + 0.5) * wide / max(1, int(wide / step)) - wide / 2 + float(rng.normal(0, 0.004))
                y = (row + 0.5) * deep / max(1, int(deep / step)) - deep / 2 + float(rng.normal(0, 0.004))
                spot = (at[0] + x, at[1] + y, at[2] + radii[2] * (1 + 1.55 * layer) + float(rng.uniform(0, 0.006)))
                tilt, roll = (float(value) for value in rng.uniform(-40, 40, 2))
                kit.copy_object(
                    one, spot, (tilt, roll, float(rng.uniform(0, 360))), scale=float(rng.uniform(0.9, 1.06))
                )


def price(rng: Rng, name: str, at: Point) -> None:
    """A card on a stick: what it is and what a kilo costs."""
    ground, ink = (("#f4ecd2", "#2a2420"), ("#f2c94c", "#6b1d14"), ("#2c3a36", "#f4f1e6"), ("#b8352a", "#f9efd8"))[
        int(rng.integers(4))
    ]
    card = artwork.age(
        rng,
        printed.sign(
            (420, 260), [name, f"{FRUIT[name][2]} a kilo"], ink, ground, "serif-bold" if rng.random() < 0.5 else "bold"
        ),
        0.5,
    )
    kit.box((0.012, 0.008, 0.2), (at[0], at[1], at[2] - 0.12), materials.plain("#8a6a42"))
    kit.panel(
        (0.2, 0.124),
        (at[0], at[1] - 0.008, at[2] + 0.05),
        materials.picture("price", card, things.PAPER),
        turn=(float(rng.normal(-8, 3)), float(rng.normal(0, 4)), float(rng.normal(0, 6))),
    )
