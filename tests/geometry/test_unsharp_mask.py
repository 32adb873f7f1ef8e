"""What a mean of pictures takes of their finest texture comes back, and nothing else changes."""

import cv2
import numpy as np
import pytest

from realfill.arrays import Photo
from realfill.geometry.unsharp_mask import MOST, fine_energy, fine_gain, sharpen_to

SHAPE = 120, 160


def grain(seed: int) -> Photo:
    noise = np.random.default_rng(seed).normal(0, 40, (*SHAPE, 1)).astype(np.float32)
    luma = 128 + cv2.GaussianBlur(noise, (0, 0), 1.0)
    return np.repeat(np.clip(luma, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_a_mean_of_pictures_becomes_as_crisp_as_they_are() -> None:
    one, other = grain(1), grain(2)
    mean = ((one.astype(np.float32) + other) / 2).astype(np.uint8)
    wanted = fine_energy(one)
    assert fine_energy(mean).mean() < 0.6 * wanted.mean()
    made = sharpen_to(mean, wanted)
    assert fine_energy(made).mean() == pytest.approx(wanted.mean(), rel=0.1)
    broad = [cv2.GaussianBlur(photo, (0, 0), 8.0).astype(int) for photo in (made, mean)]
    assert np.abs(broad[0] - broad[1]).max() <= 2  # light and large things stay


def test_what_is_as_crisp_stays_bit_for_bit_and_nothing_becomes_softer() -> None:
    photo = grain(1)
    for wanted in (np.zeros(SHAPE, np.float32), fine_energy(photo), 0.5 * fine_energy(photo)):
        assert np.array_equal(sharpen_to(photo, wanted), photo)


def test_noise_is_not_made_texture() -> None:
    assert fine_gain(np.float32(1e6), np.float32(0)) == MOST
    flat = np.full((*SHAPE, 3), 90, np.uint8)
    assert np.array_equal(sharpen_to(flat, np.full(SHAPE, 1e6, np.float32)), flat)


def test_coloured_fringes_do_not_become_stronger() -> None:
    photo = np.full((*SHAPE, 3), 100, np.uint8)
    photo[:, 80:] = (140, 88, 60)  # an edge of colour and next to none of luma
    before = cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int)
    after = cv2.cvtColor(sharpen_to(photo, np.full(SHAPE, 400, np.float32)), cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int)
    assert np.abs(after - before).max() <= 1
