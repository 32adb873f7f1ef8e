"""Methods without a learned prior: OpenCV's inpainting, and the draft by geometry."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import cv2
import numpy as np

from realfill.arrays import Photo
from realfill.config import PROPOSALS
from realfill.evaluation.methods.base import Method, Setup, resize_to_target
from realfill.imaging.crop import crop_longest
from realfill.sampling.sample import Candidate
from realfill.scene.scene import Scene

LONGEST = 768  # pixels; inpainting by diffusion is slow, and as smooth at this size as at the photo's own
RADIUS = 5.0


def inpaint(scene: Scene, kind: Literal["telea", "ns"]) -> Photo:
    """OpenCV's inpainting of a target at no more than 768 pixels, at the target's size (H, W, 3); radius 5."""
    flag = cv2.INPAINT_TELEA if kind == "telea" else cv2.INPAINT_NS
    fit = crop_longest(*scene.hole.shape, longest=LONGEST)
    hole = fit.crop_hole(scene.hole).astype(np.uint8)
    working = np.asarray(cv2.inpaint(fit.crop_photo(scene.target), hole, RADIUS, flag), np.uint8)
    return resize_to_target(scene, fit, working)


class Inpaint:
    """OpenCV's inpainting, Telea's or by Navier and Stokes' equations."""

    def __init__(self, kind: Literal["telea", "ns"]) -> None:
        self._kind: Literal["telea", "ns"] = kind

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        photo = inpaint(scene, self._kind)
        yield from (Candidate(seed, photo) for seed in seeds)


class GeometryDraft:
    """The draft: the best of its proposals. Where no reference lies over the target it says so."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, scene: Scene, seeds: Sequence[int]) -> Iterator[Candidate]:
        """See `Method.__call__`."""
        from realfill.geometry.make_draft import make_draft
        from realfill.geometry.propose import best_first, propose
        from realfill.matching.registry import available_matcher, load_matcher

        select = self._setup.config.select
        present = available_matcher(select)[0]  # nothing is downloaded for a draft
        matcher = load_matcher(select.model_copy(update={"matcher": present}), self._setup.device)
        geometry = make_draft(scene, matcher)
        if geometry.reason:
            self._setup.say(geometry.reason)
        self._setup.facts["held_back"] = geometry.reason
        proposals = best_first([*propose(scene, geometry, PROPOSALS)], scene.hole)
        draft = proposals[0].draft if proposals else geometry
        photo = resize_to_target(scene, draft.frame, draft.photo)
        yield from (Candidate(seed, photo) for seed in seeds)


def telea(setup: Setup) -> Method:
    """Telea's method."""
    return Inpaint("telea")


def navier_stokes(setup: Setup) -> Method:
    """By Navier and Stokes' equations."""
    return Inpaint("ns")


def draft_settings(setup: Setup) -> dict[str, Any]:
    """What decides the draft."""
    return {"matcher": setup.config.select.matcher, "proposals": PROPOSALS}
