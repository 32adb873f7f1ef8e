"""What the references' geometry adds to the learned fill (docs/geometry.md); all of it is off in `paper`.

The draft says what lies in the hole and how far references vouch for it. From it come: pictures in the target's
frame to train on (`training.draft_views`), starts for seeds, so that vouched-for cells begin from the noised draft
instead of pure noise (`DraftStart`), and a bound on what the model may change there (`hold_to_draft`). Where geometry
is not consistent the draft vouches for nothing, and everything here falls back to the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from realfill.arrays import Confidence, Hole, Photo
from realfill.config import GuideConfig
from realfill.geometry.draft import VOUCHED, Draft, render_draft
from realfill.imaging.crop import CropTransform
from realfill.models.backbone import Backbone, Pictures
from realfill.models.pixels import to_tensors, whole_place
from realfill.scene.scene import Scene
from realfill.seeds import starting_rank, starts_from_draft


@dataclass(frozen=True, eq=False)
class DraftPrior:
    """The draft at the working size, and what is to be made of it."""

    photo: Photo  # (H, W, 3)
    confidence: Confidence  # (H, W), 1 in known pixels
    hole: Hole  # (H, W): the target's
    config: GuideConfig


@dataclass(frozen=True, eq=False)
class DraftStart:
    """Where seeds begin that start from the draft."""

    clean: Tensor  # (1, c, h, w) latents of the draft
    strength: Tensor  # (1, 1, h, w) in 0..1: share of the diffusion time at which a cell begins to be denoised
    max_strength: float  # the largest; no cell is denoised before its share of the diffusion time

    def times(self, times: Tensor, train_steps: int) -> Tensor:
        """The solver's times (T,) without those before which every cell is still the draft; one at least."""
        needed = times[times / train_steps <= self.max_strength]
        return needed if len(needed) else times[-1:]

    def hold(self, latents: Tensor, noisy_draft: Tensor, share: float) -> Tensor:
        """Cells whose time has not come, at `share` of the diffusion time, as the noised draft."""
        return torch.where(self.strength < share, noisy_draft, latents)


def make_draft_prior(draft: Draft, scene: Scene, crop: CropTransform, config: GuideConfig) -> DraftPrior:
    """A draft, or one of its proposals, as sampling uses it."""
    photo, confidence = render_draft(draft, crop)
    return DraftPrior(photo, confidence, crop.crop_hole(scene.hole), config)


def prior_condition(prior: DraftPrior) -> Pictures:
    """What the condition of a seed begun from the draft sees of the target.

    With `guide.known`, vouched-for pixels of the draft count as known.
    """
    vouched = prior.confidence >= VOUCHED
    hole = prior.hole & ~vouched if prior.config.known else prior.hole
    return Pictures(*to_tensors(prior.photo, hole), whole_place(*prior.hole.shape))


def make_start(prior: DraftPrior, backbone: Backbone) -> DraftStart:
    """Latents of the draft and each cell's strength, between `guide.strength` (vouched for) and `guide.guess`."""
    low, high = prior.config.strength, prior.config.guess
    pixels, inside = to_tensors(prior.photo, prior.hole)
    doubt = inside * torch.from_numpy(1 - prior.confidence)
    # A cell is vouched for as its worst pixel is.
    doubt, inside = (F.max_pool2d(plane, backbone.spec.cell).to(backbone.device) for plane in (doubt, inside))
    strength = torch.where(inside > 0, low + (high - low) * doubt, low)
    return DraftStart(backbone.encode(pixels.to(backbone.device)), strength, float(strength.max()))


def keep_texture(photo: Photo, prior: DraftPrior, cell: int) -> Photo:
    """A generated picture (H, W, 3) with the prior's detail that is finer than `cell` pixels (`guide.texture`).

    What is coarser, light and colours, stays as it was generated.
    """
    if prior.config.texture == 0:
        return photo
    change = photo.astype(np.float32) - prior.photo
    coarse = cv2.GaussianBlur(change, (0, 0), cell / 2)
    kept = photo + prior.config.texture * (coarse - change)
    return np.asarray(np.rint(np.clip(kept, 0, 255)), np.uint8)


def hold_to_draft(photo: Photo, prior: DraftPrior) -> Photo:
    """A generated picture (H, W, 3), drawn back to the draft as far as references vouch for it (`guide.bound`)."""
    if prior.config.bound == 0:
        return photo
    trust = cv2.blur(prior.confidence, (3, 3))
    ramp = np.clip((trust - 0.25) / 0.5, 0, 1)
    weight = (prior.config.bound * ramp * ramp * (3 - 2 * ramp))[..., None]
    blended: Photo = np.rint(weight * prior.photo + (1 - weight) * photo).astype(np.uint8)
    return blended


def split_seeds(seeds: Sequence[int], priors: Sequence[DraftPrior]) -> tuple[list[int], list[list[int]]]:
    """Seeds that start from pure noise, and for each prior those that start from it."""
    from_noise: list[int] = []
    from_prior: list[list[int]] = [[] for _ in priors]
    for seed in seeds:
        if priors and starts_from_draft(seed, priors[0].config.warm):
            from_prior[starting_rank(seed, priors[0].config.warm, len(priors))].append(seed)
        else:
            from_noise.append(seed)
    return from_noise, from_prior
