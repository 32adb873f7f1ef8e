"""ALIKED (Zhao et al. 2023) through kornia: learned keypoints and descriptors, 3 MB of weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from kornia.feature import ALIKED

from realfill.arrays import Photo
from realfill.errors import WeightsError
from realfill.matching import weights
from realfill.matching.inference import refuse_out_of_memory, to_tensor
from realfill.matching.matcher import FeatureMatcher, Matches

KEYPOINTS = 4096  # strongest ones kept
DETECTION = 0.2  # least score of a keypoint, as published
FLOOR = 0.6  # the cosine that counts as confidence 0; so the default confidence 0.5 is a cosine of 0.8

# Layouts by what tells them apart: channels of the first convolution, sample points of the descriptor head.
# aliked-n16rot has the layout of aliked-n16.
_LAYOUTS: Mapping[tuple[int, int], str] = {(8, 16): "aliked-t16", (16, 16): "aliked-n16", (16, 32): "aliked-n32"}


@dataclass(frozen=True)
class AlikedFeatures:
    """N keypoints in working pixels (N, 2) and their unit descriptors (N, D), on the device."""

    xy: torch.Tensor
    descriptors: torch.Tensor


class Aliked(FeatureMatcher[AlikedFeatures]):
    """Mutual nearest neighbours by cosine; confidence is the cosine, with 0.6..1 spread over 0..1."""

    name = "aliked"

    def __init__(self, network: torch.nn.Module, *, size: int, confidence: float, device: str) -> None:
        self.size = size
        self._network, self._confidence, self._device = network.to(device).eval(), confidence, device

    def extract(self, working: Photo) -> AlikedFeatures:
        """Keypoints and descriptors of a photo at working size."""
        with refuse_out_of_memory(self._device):
            features = self._network(to_tensor(working, self._device))[0]
            # Where no point reaches the threshold kornia gives the best below it, eleven in a picture of one grey.
            keep = features.keypoint_scores > DETECTION
            return AlikedFeatures(features.keypoints[keep], features.descriptors[keep])

    def pair(self, references: Sequence[AlikedFeatures], target: AlikedFeatures) -> list[Matches]:
        """Matches of one target with each reference, in working pixels."""
        with refuse_out_of_memory(self._device):
            return [self._compare(reference, target) for reference in references]

    def _compare(self, reference: AlikedFeatures, target: AlikedFeatures) -> Matches:
        if not len(reference.xy) or not len(target.xy):
            return Matches.empty()
        cosine, best = (similarity := target.descriptors @ reference.descriptors.T).max(1)
        mutual = similarity.argmax(0)[best] == torch.arange(len(best), device=best.device)
        confidence = ((cosine - FLOOR) / (1 - FLOOR)).clamp(0, 1)
        keep = mutual & (confidence > self._confidence)
        parts = (reference.xy[best[keep]], target.xy[keep], confidence[keep])
        return Matches(*(part.float().cpu().numpy() for part in parts))


def load(path: Path, *, size: int, confidence: float, device: str) -> Aliked:
    """ALIKED from a published file of any of its layouts, recognised by its shapes.

    Raises:
        WeightsError: the file is damaged or holds something else.
    """
    state = weights.read(path)
    first, head = state.get("block1.conv1.weight"), state.get("desc_head.agg_weights")
    layout = None if first is None or head is None else _LAYOUTS.get((first.shape[0], head.shape[0]))
    if layout is None:
        raise WeightsError(
            "{path} does not hold ALIKED weights; give aliked-n16.pth, or leave the file out.", path=path
        )
    network = ALIKED(model_name=layout, max_num_keypoints=KEYPOINTS, detection_threshold=DETECTION)
    # "dkd.hw_grid" is computed by kornia and in no published file.
    weights.fill(network, state, path, may_lack=("dkd.",))
    return Aliked(network, size=size, confidence=confidence, device=device)
