"""The animation of before and after."""

import io

import numpy as np
from PIL import Image, ImageSequence

from ui.runs import animation


def test_a_wipe_shows_both_photos_and_a_line_between() -> None:
    before, after = np.zeros((4, 20, 3), np.uint8), np.full((4, 20, 3), 200, np.uint8)
    assert np.array_equal(animation.wipe(before, after, 0.0), before)
    assert np.array_equal(animation.wipe(before, after, 1.0), after)
    half = animation.wipe(before, after, 0.5)
    assert (half[:, :9] == 200).all() and (half[:, 9:11] == 255).all() and (half[:, 11:] == 0).all()


def test_the_animation_goes_there_and_back_and_rests_at_both_ends() -> None:
    before, after = np.full((24, 32, 3), 20, np.uint8), np.full((24, 32, 3), 220, np.uint8)
    with Image.open(io.BytesIO(animation.encode_wipe(before, after))) as image:
        assert (image.format, image.size, image.info["loop"]) == ("WEBP", (32, 24), 0)
        shown = [(np.asarray(one.convert("RGB")).mean(), one.info["duration"]) for one in ImageSequence.Iterator(image)]
    means, times = [float(mean) for mean, _ in shown], [time for _, time in shown]
    assert len(shown) == 2 * animation.STEPS + 2
    assert abs(means[0] - 20) < 4 and abs(means[15] - 220) < 4
    assert means[:16] == sorted(means[:16])
    assert (times[0], times[15], set(times[1:15])) == (animation.BEFORE, animation.AFTER, {animation.STEP})
