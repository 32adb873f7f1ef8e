"""What a mask means: which pixels are to be filled in.

White on black, as a rule. What else people bring is taken where it is plain what was painted, and said; a photo that
is no mask is refused. The decisions are made on the picture's colours alone, with the target beside it for photos that
were painted over.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole
from realfill.errors import SceneError
from realfill.imaging import decode
from realfill.imaging.decode import Original, rotate_upright
from realfill.imaging.holes import bounding_box
from realfill.scene.scene_files import MaskInput
from realfill.sentences import Sentence

Values = npt.NDArray[np.uint8]  # (H, W) or (H, W, 3)
Colour = npt.NDArray[np.uint8]  # (3,)

_HALF = 128  # a level from here on is fill
_NEAR = 24  # levels: a brush's colour, black and white vary less, with the noise of a JPEG
_CLEAN, _PURE = 0.98, 0.9  # shares of black and white pixels that make a picture a mask, at once or with noise
_SOFT = 0.5  # … and a grey picture, whose other pixels are soft edges
_ROUGH, _SMOOTH = 3, 0.03  # second differences over so many levels are rare in a gradient, and everywhere in a photo
_EXPLAINED = 0.97  # share of the pixels that a drawing's colours, or the target and the paint over it, account for
_TEXTURE = 0.05  # at least so much of a photo that was painted over is neither black nor white and the target's
_FLAT = 0.85  # share of a painted part that has the paint's colour
_EXACT = 3  # levels: what was saved without loss varies no more
_LEAST = 0.0005  # share of a picture that a painted part has at least
_LEAST_COLOUR = 0.005  # … and a colour of a drawing
_SATURATED = 100  # levels between the strongest and the weakest channel of a brush's colour
_MOST_COLOURS = 16  # of a drawing in flat colours
_WINDOW = (9, 9)  # pixels, half of which differ where a photo was painted over
_LOOKED_AT = 100_000  # pixels that statistics are made of
_BRUSH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # a JPEG's noise is thinner
_HUES = (
    *((15, Sentence("red")), (45, Sentence("orange")), (75, Sentence("yellow")), (165, Sentence("green"))),
    *((195, Sentence("cyan")), (265, Sentence("blue")), (345, Sentence("magenta")), (361, Sentence("red"))),
)  # degrees up to which people say so
UNNAMED = Sentence("The mask")  # one that is no file


def read_hole(mask: MaskInput, target: Original, name: str = UNNAMED) -> tuple[Hole, list[str]]:
    """What a mask means for a target: its hole (H, W) at the target's size, and sentences for the person.

    `name` is what those call a mask that is no file.

    Raises:
        SceneError: the mask's file is not a picture that can be used, or is a photo in which nothing plain is painted.
    """
    name = mask.name if isinstance(mask, Path) else name
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
        hole, notices = np.asarray(mask, np.bool_), list[str]()
    else:
        hole, notices = find_fill(_upright_values(mask, target), target, name)
    size = (target.height, target.width)
    if hole.shape != size:
        hole, notice = _resize_hole(hole, size, name)
        notices.append(notice)
    return hole, notices


def find_fill(values: Values, target: Original, name: str) -> tuple[Hole, list[str]]:
    """Which pixels (H, W) of a mask (H, W[, 3 or 4]) mean "fill", and what to say about it.

    Where the alpha channel varies it may carry the mask: strokes of one colour on a transparent layer are fill
    whatever their colour, and in a picture that is no mask the erased part is.

    Raises:
        SceneError: as `read_hole`.
    """
    if values.ndim == 2 or values.shape[2] == 3:
        return _find_painted(values, target, name)
    colours, alpha = values[:, :, :3], values[:, :, 3]
    if int(alpha.min()) == int(alpha.max()):
        return _find_painted(colours, target, name)
    opaque = np.asarray(alpha > (int(alpha.min()) + int(alpha.max())) / 2, np.bool_)
    seen = _sample(colours[alpha == alpha.max()][None])[0]  # without soft edges
    if (np.percentile(seen, 95, axis=0) - np.percentile(seen, 5, axis=0)).max() < _NEAR:
        return opaque, []
    if _pure(seen[None]).mean() >= _PURE:
        return _bright(colours) & opaque, []
    return ~opaque, [Sentence("{name} is a photo; its transparent part is filled in.", name=name)]


def _find_painted(values: Values, target: Original, name: str) -> tuple[Hole, list[str]]:
    """As `find_fill`, of an opaque picture."""
    few = _sample(values)
    is_faint = few.min() < few.max() < _NEAR  # labels such as 0 and 1
    pure = 0.0 if is_faint else float(_pure(few).mean())
    if pure >= _CLEAN:
        return _find_shades(values, few, name) or _say_if_inverted(_bright(values), name)
    over_target = _find_paint_over(values, target, name)
    if over_target is not None:
        return over_target
    if pure >= _PURE:
        return _find_shades(values, few, name) or _say_if_inverted(_bright(values), name)
    flat = _find_flat(values, few, name)
    if flat is not None:
        return flat
    if _is_grey(few):
        if pure >= _SOFT or _is_gradient(values):
            return _find_lighter(values, name)
    elif (paint := _find_brush(few)) is not None:
        return _near(values, paint), [
            Sentence(
                "{name} is a photo in which a part is painted {colour}; it is filled in.",
                name=name,
                colour=_word(paint),
            )
        ]
    raise SceneError(
        "{name} is a photo, not black and white; paint the missing part white on black, or erase it.", name=name
    )


def _find_paint_over(values: Values, target: Original, name: str) -> tuple[Hole, list[str]] | None:
    """What was painted over the target itself; None where the mask is another picture.

    Raises:
        SceneError: it is the target, and nothing is painted in one colour.
    """
    known = _like(target, values)
    if known is None:
        return None
    differs = _brightest(np.asarray(cv2.absdiff(values, known), np.uint8)) > _NEAR
    if (~differs & ~_pure(values)).mean() < _TEXTURE:
        return None
    brushed = np.asarray(cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, _BRUSH) > 0, np.bool_)
    if differs.mean() < 1 - _EXPLAINED and brushed.mean() < _LEAST:
        raise SceneError(
            "{name} is the photo itself, with nothing painted in it; paint the missing part white.", name=name
        )
    if not brushed.any():
        return None
    paint = _as_colour(np.median(_sample(values[brushed][None])[0], axis=0))
    painted = _near(values, paint)
    # A JPEG mixes the colours at an edge.
    blurred = cv2.dilate((brushed & painted).astype(np.uint8), _BRUSH) > 0
    inner = cv2.erode(brushed.astype(np.uint8), _BRUSH) > 0
    if painted[inner if inner.any() else brushed].mean() < _FLAT or (~differs | painted | blurred).mean() < _EXPLAINED:
        covered = _find_covered(values, known)
        over = Sentence("{name} is the photo with a part painted over; that part is filled in.", name=name)
        return None if covered is None else (covered, [over])
    # In the paint's own places the target may have its colour: those belong to it that it mostly covers.
    exact = _near(values, paint, _EXACT)
    is_exact = exact[brushed].mean() >= _FLAT
    hole = brushed & (painted | blurred) | _mostly_in(exact if is_exact else painted, brushed)
    return hole, [
        Sentence(
            "{name} is the photo with a part painted {colour}; that part is filled in.", name=name, colour=_word(paint)
        )
    ]


def _find_covered(values: Values, known: Values) -> Hole | None:
    """The part of a copy (H, W[, 3]) that no longer shows what is `known` of it; None where the rest is no copy.

    So paint may be soft, of several colours or let the photo through, and a JPEG's noise is no paint.
    """
    one, other = (cv2.blur(picture, (3, 3)) for picture in (values, known))
    apart = _brightest(np.asarray(cv2.absdiff(one, other), np.uint8))
    dense = (cv2.blur((apart > _NEAR).astype(np.float32), _WINDOW) >= 0.5).astype(np.uint8)
    _, parts = cv2.connectedComponents(dense)
    large = np.bincount(parts.ravel()) >= _LEAST * dense.size
    large[0] = False
    covered = np.asarray(large[parts], np.bool_)
    rest = apart[cv2.dilate(covered.astype(np.uint8), np.ones(_WINDOW, np.uint8)) == 0]
    is_copy = rest.size >= _TEXTURE * dense.size and np.percentile(rest, 95) <= _NEAR * 0.7
    return covered if is_copy and covered.any() else None


def _find_lighter(values: Values, name: str) -> tuple[Hole, list[str]]:
    """What is bright of soft edges and gradients; of a picture that nowhere is, what is so by its own measure."""
    level = _brightest(values)
    most = int(level.max())
    if most >= _HALF or not _is_smooth(values):
        return _bright(values), []
    return np.asarray(level > most / 2, np.bool_), [_say_lighter(name)]


def _find_shades(values: Values, few: Values, name: str) -> tuple[Hole, list[str]] | None:
    """What is painted white or in a flat dark grey on black; None where there is no such grey."""
    colours = _flat_colours(few)
    black = next((colour for colour in colours if colour.max() < _NEAR), None)
    darkest = min((int(colour.max()) for colour in colours if colour is not black), default=_HALF)
    if len(colours) < 3 or black is None or darkest >= _HALF:
        return None
    return ~_near(values, black), [
        Sentence("{name} has {count} shades; all that is not black is filled in.", name=name, count=len(colours))
    ]


def _find_flat(values: Values, few: Values, name: str) -> tuple[Hole, list[str]] | None:
    """What a drawing in flat colours marks; None where it is none, or not plain."""
    colours = _flat_colours(few)
    coloured = [colour for colour in colours if int(colour.max()) - int(colour.min()) >= 2 * _NEAR]
    if len(colours) == 2 and not coloured:
        dark, light = sorted(colours, key=lambda colour: int(colour.sum()))
        hole = np.asarray(_brightest(values) > (float(dark.mean()) + float(light.mean())) / 2, np.bool_)
        straddles = dark.mean() < _HALF <= light.mean()
        return hole, [] if straddles else [_say_lighter(name)]
    if len(colours) == 2 and len(coloured) == 1:
        other = colours[0] if coloured[0] is colours[1] else colours[1]
        hole = _distance(values, coloured[0]) < _distance(values, other)
        return hole, [Sentence("The {colour} part of {name} is filled in.", colour=_word(coloured[0]), name=name)]
    black = next((colour for colour in colours if colour.max() < _NEAR), None)
    if black is None or not coloured:
        return None
    return ~_near(values, black), [
        Sentence("{name} has {count} colours; all that is not black is filled in.", name=name, count=len(colours))
    ]


def _flat_colours(few: Values) -> list[Colour]:
    """The colours of a drawing, the most frequent first; none where a picture has not a few flat ones."""
    pixels = few.reshape(-1, 1 if few.ndim == 2 else 3).astype(np.int16)
    if pixels.max() < _NEAR:  # labels are colours of their own
        levels = np.unique(pixels.max(axis=1))
        return [_as_colour(level) for level in levels] if len(levels) == 2 else []
    colours: list[Colour] = []
    left, explained, exact = pixels, 0, 0
    while len(left) > (1 - _EXPLAINED) * len(pixels) and len(colours) < _MOST_COLOURS:
        colour = _most_frequent(left)
        away = np.abs(left - colour).max(axis=1)
        near = int((away <= _NEAR).sum())
        if near < _LEAST_COLOUR * len(pixels):
            return []
        colours.append(_as_colour(colour))
        explained, exact = explained + near, exact + int((away <= _EXACT).sum())
        left = left[away > _NEAR]
    is_flat = explained >= _EXPLAINED * len(pixels) and exact >= _FLAT * len(pixels)
    return colours if is_flat else []


def _most_frequent(pixels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """The most frequent colour (1 or 3,) of pixels (n, 1 or 3)."""
    packed = sum(pixels[:, at].astype(np.int32) << (8 * at) for at in range(pixels.shape[1]))
    found, counts = np.unique(packed, return_counts=True)
    most = int(found[counts.argmax()])
    return np.array([most >> (8 * at) & 255 for at in range(pixels.shape[1])], np.int16)


def _find_brush(few: Values) -> Colour | None:
    """The strong colour of a brush in a photo: many pixels have exactly it, and hardly any nearly."""
    pixels = few.reshape(-1, 3).astype(np.int16)
    strong = pixels[pixels.max(axis=1) - pixels.min(axis=1) >= _SATURATED]
    if len(strong) < _LEAST * len(pixels):
        return None
    paint = _most_frequent(strong)
    away = np.abs(strong - paint).max(axis=1)
    near, exact = int((away <= 2 * _NEAR).sum()), int((away <= _EXACT).sum())
    return _as_colour(paint) if exact >= max(0.8 * near, _LEAST * len(pixels)) else None


def _is_grey(few: Values) -> bool:
    return few.ndim == 2 or float(np.percentile(few.max(axis=2) - few.min(axis=2), 99)) <= _NEAR


def _is_gradient(values: Values) -> bool:
    """Whether a grey picture goes from dark to light without the texture of a photo."""
    level = _brightest(values)
    return int(level.min()) < _HALF <= int(level.max()) and _is_smooth(values)


def _is_smooth(values: Values) -> bool:
    """Whether a picture has no texture of a photo, where neighbours differ."""
    rough = np.abs(cv2.Laplacian(_brightest(values), cv2.CV_16S)[1:-1, 1:-1]) > _ROUGH
    return float(rough.mean() if rough.size else 0.0) <= _SMOOTH


def _say_if_inverted(hole: Hole, name: str) -> tuple[Hole, list[str]]:
    """A hole all round what is known is meant for outpainting, and then a rectangle is known; else it is said."""
    border = np.concatenate([hole[0], hole[-1], hole[:, 0], hole[:, -1]])
    if hole.all() or hole.mean() <= 0.5 or border.mean() < 0.99:
        return hole, []
    left, top, right, bottom = bounding_box(~hole)
    if (~hole).sum() >= 0.95 * (right - left) * (bottom - top):
        return hole, []
    return hole, [
        Sentence(
            "{name} marks {share} of the photo, its whole border too: white is filled in. Invert it if black is.",
            name=name,
            share=f"{hole.mean():.0%}",
        )
    ]


def _resize_hole(hole: Hole, size: tuple[int, int], name: str) -> tuple[Hole, str]:
    """A mask's hole at the target's (H, W): any touch when it shrinks, half when it grows."""
    (height, width), (mask_height, mask_width) = size, hole.shape
    sizes = {"mask": f"{mask_width}×{mask_height}", "target": f"{width}×{height}"}
    notice = Sentence("{name} is {mask} and was scaled to the target's {target}.", name=name, **sizes)
    if abs(np.log((mask_width / mask_height) / (width / height))) > np.log(1.02):
        notice = Sentence(
            "{name} is {mask} and was scaled to the target's {target}, although its shape differs; check the hole.",
            name=name,
            **sizes,
        )
    shrinks = mask_height > height or mask_width > width
    share = cv2.resize(
        hole.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(share > 1e-4 if shrinks else share >= 0.5, np.bool_), notice


def _upright_values(mask: MaskInput, target: Original) -> Values:
    """The mask's values at its own size, upright as the target is."""
    if isinstance(mask, np.ndarray):
        return np.asarray(mask, np.uint8)
    original = decode.read_original(mask) if isinstance(mask, Path) else mask
    values = decode.to_eight_bits(original.pixels)
    turned = (target.width, target.height)  # what the target's size is in its file, when it lies on its side
    if target.orientation >= 5 and values.shape[:2] == turned and values.shape[:2] != turned[::-1]:
        return rotate_upright(values, target.orientation)
    return values


def _like(target: Original, values: Values) -> Values | None:
    """The target's own values at a mask's size, grey where it is grey; None where the shape is another."""
    known = decode.to_eight_bits(target.pixels)
    known = known[:, :, :3] if known.ndim == 3 else known
    height, width = values.shape[:2]
    if abs(np.log((width / height) / (target.width / target.height))) > np.log(1.02):
        return None
    if values.ndim == 2 and known.ndim == 3:
        known = np.asarray(cv2.cvtColor(np.ascontiguousarray(known), cv2.COLOR_RGB2GRAY), np.uint8)
    elif values.ndim == 3 and known.ndim == 2:
        known = np.repeat(known[:, :, None], 3, axis=2)
    if known.shape[:2] != (height, width):
        known = np.asarray(cv2.resize(known, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(known)


def _mostly_in(parts: Hole, region: Hole) -> Hole:
    """The connected parts that lie in a region by half at least."""
    count, labels = cv2.connectedComponents(parts.astype(np.uint8), connectivity=4)
    inside = np.bincount(labels[region], minlength=count)
    mostly = 2 * inside >= np.bincount(labels.ravel(), minlength=count)
    mostly[0] = False
    return np.asarray(mostly[labels], np.bool_)


def _sample(values: Values) -> Values:
    """Every so many rows and columns, for statistics of a large picture."""
    step = max(1, int(np.sqrt(values.shape[0] * values.shape[1] / _LOOKED_AT)))
    return values if step == 1 else values[::step, ::step] if len(values) > 1 else values[:, :: step * step]


def _brightest(values: Values) -> Values:
    return values if values.ndim == 2 else values.max(axis=2)


def _bright(values: Values) -> Hole:
    return np.asarray(_brightest(values) >= _HALF, np.bool_)


def _pure(values: Values) -> Hole:
    """Which pixels are black or white."""
    least = values if values.ndim == 2 else values.min(axis=2)
    return np.asarray((_brightest(values) < _NEAR) | (least > 255 - _NEAR), np.bool_)


def _near(values: Values, colour: Colour, levels: int = _NEAR) -> Hole:
    """Which pixels have a colour, give or take so many levels in each channel."""
    return np.asarray(_distance(values, colour) <= levels, np.bool_)


def _distance(values: Values, colour: Colour) -> Values:
    """How far pixels are from a colour, in levels of the channel that is farthest."""
    other = np.empty_like(values)
    other[:] = colour[0] if values.ndim == 2 else colour
    return _brightest(np.asarray(cv2.absdiff(np.ascontiguousarray(values), other), np.uint8))


def _as_colour(value: npt.ArrayLike) -> Colour:
    return np.asarray(np.broadcast_to(np.round(np.atleast_1d(value)), 3), np.uint8)


def _say_lighter(name: str) -> Sentence:
    return Sentence("{name} is not black and white; its lighter part is filled in.", name=name)


def _word(colour: Colour) -> Sentence:
    """What people call a colour."""
    most, least = int(colour.max()), int(colour.min())
    if most - least < _NEAR * 2:
        return Sentence("white") if least > 255 - _NEAR else Sentence("black") if most < _NEAR else Sentence("grey")
    hue = 2 * int(cv2.cvtColor(colour[None, None], cv2.COLOR_RGB2HSV)[0, 0, 0])
    return next(word for end, word in _HUES if hue < end)
