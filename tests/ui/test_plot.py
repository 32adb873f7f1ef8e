import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from ui.plot import component


@given(st.integers(0, 3000))
def test_the_plot_stays_small_and_keeps_the_last_step(steps: int) -> None:
    value = component.lines({number: 1 / number for number in range(1, steps + 1)}, steps)
    assert len(value["raw"]) == len(value["smooth"]) <= component.POINTS
    assert [step for step, _ in value["raw"]] == [step for step, _ in value["smooth"]]
    if steps:
        assert value["raw"][-1][0] == steps


def test_every_step_counts_once_where_points_are_thinned() -> None:
    losses = {number: float(number % 7) for number in range(1, 1001)}
    value = component.lines(losses, 1000)
    ends = [0, *(step for step, _ in value["raw"])]
    sizes = [high - low for low, high in itertools.pairwise(ends)]
    total = sum(size * loss for size, (_, loss) in zip(sizes, value["raw"], strict=True))
    assert math.isclose(total, sum(losses.values()), rel_tol=1e-5)


def test_a_constant_loss_is_its_own_smoothing() -> None:
    value = component.lines(dict.fromkeys(range(1, 50), 0.25), 100)
    assert value["smooth"] == value["raw"] == [[step, 0.25] for step in range(1, 50)]
    assert value["total"] == 100


def test_smoothing_follows_a_step_slowly() -> None:
    losses = {**dict.fromkeys(range(1, 51), 1.0), **dict.fromkeys(range(51, 101), 0.0)}
    smooth = dict(map(tuple, component.lines(losses, 100)["smooth"]))
    assert smooth[50] == 1.0
    assert 0.85 < smooth[51] < 0.95
    assert smooth[100] < 0.01


def test_held_out_losses_are_shown_as_they_are_by_step() -> None:
    value = component.lines({1: 0.5, 2: 0.4}, 10, {2: 0.61234567, 1: 0.7})
    assert value["held"] == [[1, 0.7], [2, 0.612346]]
    assert component.lines({1: 0.5}, 10)["held"] == []
