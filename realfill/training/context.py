"""The scene's photos as they stand in the attention beside an item, for the families that can see them.

An item never sees the photo that it is a crop of: the network would copy it. The target is seen without its hole.
"""

import functools
from collections.abc import Sequence

from torch import Tensor

from realfill import seeds
from realfill.models.backbone import Backbone
from realfill.models.context import encode_context
from realfill.training.batches import TrainingViews


class SceneContext:
    """The photos of `TrainingViews`, encoded once and when they are first needed."""

    def __init__(self, backbone: Backbone, views: TrainingViews) -> None:
        self._backbone, self._views = backbone, views

    def draw(self, numbers: Sequence[int], dropout: float, key: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Of the photos with these numbers each by itself with probability 1 - `dropout`, in an order drawn by `key`.

        Returns:
            Their latents (1, c, h, w); none where the family sees no other photos.
        """
        if not self._backbone.spec.has_context:
            return ()
        rng = seeds.rng(*key, seeds.Stream.CONTEXT)
        order = [int(place) for place in rng.permutation(len(numbers))]
        kept = rng.random(len(numbers)) >= dropout
        return tuple(self._latents[numbers[place]] for place in order if kept[place])

    def all(self, numbers: Sequence[int]) -> tuple[Tensor, ...]:
        """The latents of these photos, in their order; none where the family sees no other photos."""
        return tuple(self._latents[number] for number in numbers) if self._backbone.spec.has_context else ()

    @functools.cached_property
    def _latents(self) -> list[Tensor]:
        views, area = self._views, self._views.height * self._views.width
        return encode_context(self._backbone, [(view.photo, view.hole) for view in views.views], area=area)
