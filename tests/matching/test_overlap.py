from pathlib import Path

import cv2
import numpy as np
import pytest

from realfill.arrays import Photo
from realfill.imaging.photo import read_photo
from realfill.matching import overlap
from realfill.matching.overlap import count_shared, overlap_keypoints
from realfill.matching.rootsift import Keypoints
from tests.matching.test_epipolar import flat_but_two


def textured(seed: int, height: int = 420, width: int = 560) -> Photo:
    """Blobs of many sizes: enough for SIFT, alike in nothing from seed to seed."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.integers(0, 255, (height // step, width // step, 3), np.uint8), (width, height), interpolation=2)
        for step in (4, 10, 28)
    ]
    return np.asarray(np.mean(layers, axis=0), np.uint8)


def seen_from(photo: Photo, degrees: float, scale: float) -> Photo:
    """The photo turned and zoomed about its centre."""
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    return np.asarray(cv2.warpAffine(photo, turn, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def test_the_same_place_shares_much_and_another_place_next_to_nothing() -> None:
    target = overlap_keypoints(textured(1))
    same = count_shared(overlap_keypoints(seen_from(textured(1), 8, 1.15)), target)
    other = count_shared(overlap_keypoints(textured(2)), target)
    assert same > 100
    assert not overlap.is_little(same)
    assert overlap.is_little(other)


def test_large_photos_are_looked_at_small() -> None:
    photo = textured(3, 1200, 1600)
    found = overlap_keypoints(photo)
    assert found.xy.max() < overlap.SIZE
    assert len(found.xy) <= overlap.KEYPOINTS + 1  # OpenCV keeps equals of the last


def test_an_empty_wall_shares_nothing() -> None:
    wall = overlap_keypoints(np.full((200, 300, 3), 128, np.uint8))
    assert wall.descriptors.shape == (0, 128)
    assert count_shared(wall, overlap_keypoints(textured(1))) == 0
    assert count_shared(overlap_keypoints(textured(1)), wall) == 0


def test_a_flat_place_on_which_opencv_asserts_is_still_the_same_place() -> None:
    first, second = (xy.astype(np.float32) for xy in flat_but_two(188))
    words = np.eye(len(first), 128, dtype=np.float32)
    count = count_shared(Keypoints(first, words), Keypoints(second, words))
    assert len(first) - 4 <= count <= len(first)


def test_real_scenes_share_more_than_strangers(shared: Path) -> None:
    folder = shared / "scenes"
    if not folder.is_dir():
        pytest.skip("the shared scenes are not on this machine")
    names = ("berlin_cathedral_8mp", "flowerwoman")
    targets = {name: overlap_keypoints(read_photo(folder / name / "target" / "target.png")) for name in names}
    reference = overlap_keypoints(read_photo(next(iter(sorted((folder / names[1] / "ref").iterdir())))))
    assert not overlap.is_little(count_shared(reference, targets[names[1]]))
    assert overlap.is_little(count_shared(reference, targets[names[0]]))
