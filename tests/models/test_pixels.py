"""Photos as tensors, and what stands in a hole on the device."""

import numpy as np
import torch

from realfill.imaging.fill import fill_from_known
from realfill.models.pixels import fill_smoothly, to_photo, to_tensors
from tests.tiny import world


def test_a_hole_is_filled_about_as_averages_of_what_is_known() -> None:
    photo, hole = world(48, 64), np.zeros((48, 64), np.bool_)
    hole[10:37, 20:51] = True
    filled = fill_smoothly(*to_tensors(photo, hole))[0]
    assert np.array_equal(to_photo(filled)[~hole], photo[~hole])
    ours, theirs = to_photo(filled).astype(float), fill_from_known(photo, hole).astype(float)
    assert np.abs(ours - theirs)[hole].mean() < 0.3 * np.abs(photo.astype(float) - theirs)[hole].mean()


def test_a_fill_depends_on_known_pixels_alone_and_is_grey_where_there_are_none() -> None:
    pixels, hole = to_tensors(world(33, 47), np.ones((33, 47), np.bool_))
    assert torch.equal(fill_smoothly(torch.full_like(pixels, float("nan")), hole), torch.zeros_like(pixels))
    hole[..., 4:9, :20] = 0
    painted = torch.where(hole > 0, torch.full_like(pixels, float("nan")), pixels)
    assert torch.equal(fill_smoothly(painted, hole), fill_smoothly(pixels, hole))
