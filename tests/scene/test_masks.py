"""Masks as people bring them: what is plain is taken and said, what is no mask is refused."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from realfill.errors import SceneError
from realfill.imaging.decode import Original
from realfill.scene.masks import read_hole
from tests.tiny import world

Array = npt.NDArray[np.uint8]
LARGE = np.array(Image.fromarray(world(200, 260)).filter(ImageFilter.GaussianBlur(1.5)))  # as a lens draws
PHOTO, OTHER = LARGE[:90, :120], LARGE[100:190, 130:250]
TARGET = Original(PHOTO, "RGB", None, "PNG", None, bit_exact=True)
HOLE = np.zeros((90, 120), np.bool_)
HOLE[20:60, 30:75] = True
WHITE = HOLE.astype(np.uint8) * np.uint8(255)


def jpeg(pixels: Array, quality: int) -> Array:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def painted(colour: tuple[int, int, int], photo: Array = PHOTO) -> Array:
    return np.where(HOLE[..., None], np.array(colour, np.uint8), photo)


def on(colour: tuple[int, int, int], ground: tuple[int, int, int] = (0, 0, 0)) -> Array:
    return painted(colour, np.full((90, 120, 3), ground, np.uint8))


def seen_through(colour: tuple[int, int, int], share: npt.NDArray[np.float64]) -> Array:
    """The photo under so much of a colour (90, 120)."""
    mixed = PHOTO + share[:, :, None] * (np.array(colour) - PHOTO.astype(float))
    return np.asarray(np.rint(mixed), np.uint8)


def blurred(radius: float) -> Array:
    return np.array(Image.fromarray(WHITE).filter(ImageFilter.GaussianBlur(radius)))


def grey(pixels: Array) -> Array:
    return np.array(Image.fromarray(pixels).convert("L"))


def double(pixels: Array) -> Array:
    return np.array(Image.fromarray(pixels).resize((240, 180), Image.Resampling.NEAREST))


OVER_PHOTO = "mask.png is the photo with a part painted "
TAKEN: dict[str, tuple[Array, str]] = {
    "JPEG of low quality": (jpeg(WHITE, 10), ""),
    "soft edges": (blurred(3), ""),
    "0 and 1": (HOLE.astype(np.uint8), "mask.png is not black and white; its lighter part is filled in."),
    "0 and 100": (HOLE.astype(np.uint8) * 100, "mask.png is not black and white; its lighter part is filled in."),
    "dark red on black": (on((128, 0, 0)), "The red part of mask.png is filled in."),
    "green on white": (on((0, 200, 0), (255, 255, 255)), "The green part of mask.png is filled in."),
    "the photo painted red": (painted((255, 0, 0)), OVER_PHOTO + "red;"),
    "the photo painted red, as JPEG": (jpeg(painted((255, 0, 0)), 90), OVER_PHOTO + "red;"),
    "the photo painted white": (painted((255, 255, 255)), OVER_PHOTO + "white;"),
    "the photo painted black": (painted((0, 0, 0)), OVER_PHOTO + "black;"),
    "the grey photo painted white": (grey(painted((255, 255, 255))), OVER_PHOTO + "white;"),
    "the photo painted, twice as large": (double(painted((0, 0, 255))), OVER_PHOTO + "blue;"),
    "another photo painted magenta": (painted((255, 0, 255), OTHER), "mask.png is a photo in which a part is painted"),
    "the photo painted white, as JPEG": (jpeg(painted((255, 255, 255)), 75), OVER_PHOTO + "white;"),
    "the photo under soft red": (seen_through((255, 0, 0), blurred(1.2) / 255), OVER_PHOTO),
    "the photo under half transparent red": (seen_through((255, 0, 0), WHITE / 510), OVER_PHOTO + "over;"),
    "the photo under half transparent white, as JPEG": (
        jpeg(seen_through((255, 255, 255), WHITE / 510), 85), OVER_PHOTO + "over;"
    ),
    "white and dark grey on black": (
        np.where(np.arange(120) < 50, WHITE, WHITE // 3), "mask.png has 3 shades; all that is not black is filled in."
    ),
    "soft and nowhere bright": (blurred(3) // 3, "mask.png is not black and white; its lighter part is filled in."),
    "a stroke on a half transparent layer": (np.dstack([on((255, 0, 0), (255, 0, 0)), WHITE // 2]), ""),
    "a photo with a part half erased": (
        np.dstack([OTHER, 255 - WHITE // 2]), "mask.png is a photo; its transparent part is filled in."
    ),
    "a photo with a part erased": (
        np.dstack([OTHER, 255 - WHITE]), "mask.png is a photo; its transparent part is filled in."
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_plain_is_taken_and_said(kind: str) -> None:
    mask, sentence = TAKEN[kind]
    hole, notices = read_hole(mask, TARGET, "mask.png")
    assert (hole & HOLE).sum() / (hole | HOLE).sum() > (
        0.85 if "JPEG" in kind or "soft" in kind or "under" in kind else 0.9999
    )
    notices = [notice for notice in notices if "was scaled" not in notice]
    assert [notice[: len(sentence)] for notice in notices] == ([sentence] if sentence else [])


REFUSED: dict[str, tuple[Array, str]] = {
    "another photo": (OTHER, "mask.png is a photo, not black and white; paint the missing part white on black"),
    "another grey photo": (grey(OTHER), "mask.png is a photo, not black and white"),
    "another photo painted white": (painted((255, 255, 255), OTHER), "mask.png is a photo, not black and white"),
    "the photo in other colours": (np.roll(PHOTO, 1, 2), "mask.png is a photo, not black and white"),
    "the photo with more contrast": (
        np.clip(2.2 * (PHOTO.astype(float) - 120) + 120, 0, 255).astype(np.uint8),
        "mask.png is a photo, not black and white",
    ),
    "another dark photo": (grey(OTHER) // 5, "mask.png is a photo, not black and white"),
    "the photo itself": (PHOTO, "mask.png is the photo itself, with nothing painted in it"),
    "the photo itself as JPEG": (jpeg(PHOTO, 75), "mask.png is the photo itself, with nothing painted in it"),
    "the photo in grey": (grey(PHOTO), "mask.png is the photo itself, with nothing painted in it"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_mask_is_refused(kind: str) -> None:
    mask, sentence = REFUSED[kind]
    with pytest.raises(SceneError) as refused:
        read_hole(mask, TARGET, "mask.png")
    assert str(refused.value).startswith(sentence)


def test_paint_of_the_targets_own_colour_is_part_of_the_hole() -> None:
    """White paint over a white wall: there the two pictures do not differ."""
    photo = PHOTO.copy()
    photo[30:50, 35:60] = 255
    target = Original(photo, "RGB", None, "PNG", None, bit_exact=True)
    hole, _ = read_hole(painted((255, 255, 255), photo), target, "mask.png")
    assert np.array_equal(hole, HOLE)


def test_a_mask_that_may_be_inverted_is_said_and_outpainting_is_not() -> None:
    blob = HOLE.copy()
    blob[20:40, 30:50] = False
    hole, notices = read_hole(np.where(blob, 0, 255).astype(np.uint8), TARGET, "mask.png")
    assert np.array_equal(hole, ~blob)
    assert notices == [
        "mask.png marks 87% of the photo, its whole border too: white is filled in. Invert it if black is."
    ]
    assert read_hole(255 - WHITE, TARGET, "mask.png")[1] == []  # a rectangle is known: room round a photo
    assert read_hole(WHITE, TARGET, "mask.png")[1] == []


MAKERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "palette": lambda image: image.convert("P"),
    "one bit": lambda image: image.convert("1"),
    "grey with alpha": lambda image: image.convert("LA"),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_modes_of_files_make_no_difference(maker: str) -> None:
    values = np.array(MAKERS[maker](Image.fromarray(WHITE)).convert("RGBA"))
    hole, notices = read_hole(values, TARGET)
    assert np.array_equal(hole, HOLE) and notices == []
