"""The photos at working size: what matching, warping and merging look at."""

from dataclasses import dataclass

from realfill.imaging.fit import Fit, within
from realfill.imaging.photo import Photo


@dataclass(frozen=True, eq=False)
class View:
    """A photo at working size, (fit.height, fit.width, 3), and where its pixels lie in the photo."""

    fit: Fit
    photo: Photo


def view(photo: Photo, size: int) -> View:
    """The whole photo with its longest side at `size`; a smaller photo stays as it is."""
    fit = within(photo.shape[0], photo.shape[1], longest=size)
    small = photo if (fit.width, fit.height) == (photo.shape[1], photo.shape[0]) else fit.photo_in(photo)
    return View(fit, small)
