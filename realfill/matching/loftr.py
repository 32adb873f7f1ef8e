"""LoFTR (Sun et al. 2021) through kornia: dense matches without keypoints; the paper's choice for ranking."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from kornia.feature import LoFTR
from kornia.feature.loftr.loftr import default_cfg

from realfill.arrays import Photo
from realfill.device.devices import is_out_of_memory, release_memory
from realfill.errors import WeightsError
from realfill.matching import weights
from realfill.matching.inference import refuse_out_of_memory, to_tensor
from realfill.matching.matcher import FeatureMatcher, Matches

HALF_PIXEL = 0.5  # the weights put pixel centres at x + 0.5, we at x
PAIRED_CELLS = 2**26  # entries of the coarse similarity tables computed at once, 256 MB each
COARSE_SCALE = 0.1  # the coarse network's scores are flat: its 0.05 separates as LoFTR's 0.5 does, and is given as 0.5
_FINE = ("fine_preprocess.", "loftr_fine.")

# The reduced network of Coarse_LoFTR_TRT: 16-pixel cells, two attention rounds of width 32, no fine stage.
# kornia insists on a fine stage; with its weights at zero it moves no point.
_COARSE_ONLY: dict[str, Any] = {
    "resolution": (16, 4),
    "resnetfpn": {"initial_dim": 8, "block_dims": [8, 16, 32, 32]},
    "coarse": {"d_model": 32, "d_ffn": 32, "nhead": 1, "layer_names": ["self", "cross"] * 2},
    "fine": {"d_model": 16, "d_ffn": 16, "nhead": 1},
}


@dataclass(frozen=True)
class LoftrFeatures:
    """Backbone features of one photo: coarse (1, C, h, w) and fine (1, C', h', w'), on the device."""

    coarse: torch.Tensor
    fine: torch.Tensor


class Loftr(FeatureMatcher[LoftrFeatures]):
    """Coarse matches above a confidence, refined to parts of a pixel; confidence is LoFTR's own score / `scale`."""

    name = "loftr"

    def __init__(self, network: LoFTR, *, size: int, scale: float, device: str) -> None:
        self._scale = scale
        self.size, self.multiple = size, int(network.config["resolution"][0])
        self._network, self._device = network.to(device).eval(), device

    def extract(self, working: Photo) -> LoftrFeatures:
        """Backbone features of a photo at working size."""
        with refuse_out_of_memory(self._device):
            grey = np.asarray(cv2.cvtColor(working, cv2.COLOR_RGB2GRAY), np.uint8)
            features = self._network.extract_features(to_tensor(grey, self._device))
            return LoftrFeatures(features["coarse"], features["fine"])

    def pair(self, references: Sequence[LoftrFeatures], target: LoftrFeatures) -> list[Matches]:
        """Matches of one target with each reference, in working pixels; references of one shape in one batch."""
        groups: dict[torch.Size, list[int]] = {}
        for index, reference in enumerate(references):
            groups.setdefault(reference.coarse.shape, []).append(index)
        by_reference: dict[int, Matches] = {}
        with refuse_out_of_memory(self._device):
            for shape, members in groups.items():
                cells = shape[2:].numel() * target.coarse.shape[2:].numel()
                group, most = [references[index] for index in members], max(1, PAIRED_CELLS // cells)
                matches = self._match_in_batches(group, target, most)
                by_reference |= zip(members, matches, strict=True)
        return [by_reference[index] for index in range(len(references))]

    def _match_in_batches(self, references: Sequence[LoftrFeatures], target: LoftrFeatures, most: int) -> list[Matches]:
        """References of one shape, at most `most` at once; half as many where memory runs out."""
        matches: list[Matches] = []
        while len(matches) < len(references):
            try:
                matches += self._match_batch(references[len(matches) : len(matches) + most], target)
                continue
            except RuntimeError as error:
                if most == 1 or not is_out_of_memory(error):
                    raise
                most = math.ceil(min(most, len(references)) / 2)
            release_memory(self._device)  # only here: until now the error held on to the tensors of its frames
        return matches

    def _match_batch(self, references: Sequence[LoftrFeatures], target: LoftrFeatures) -> list[Matches]:
        names, count = ("coarse", "fine"), len(references)
        many = {name: torch.cat([getattr(one, name) for one in references]) for name in names}
        same = {name: getattr(target, name).expand(count, -1, -1, -1) for name in names}
        out = self._network({"features0": many, "features1": same})
        parts = [out[name].float().cpu().numpy() for name in ("keypoints0", "keypoints1", "confidence")]
        owner = out["batch_indexes"].cpu().numpy()
        result = []
        for index in range(count):
            first, second, confidence = (part[owner == index] for part in parts)
            confidence = np.minimum(confidence / self._scale, 1).astype(np.float32)
            result.append(Matches(first - HALF_PIXEL, second - HALF_PIXEL, confidence))
        return result


def load(path: Path, *, size: int, confidence: float, device: str) -> Loftr:
    """LoFTR from a file: the full network or the coarse one, recognised by names and shapes.

    Raises:
        WeightsError: the file is damaged or holds something else.
    """
    state = {name.removeprefix("matcher."): value for name, value in weights.read(path).items()}
    first = state.get("backbone.conv1.weight")
    coarse_only = not any(name.startswith(_FINE) for name in state)
    if first is None or first.shape[0] != (8 if coarse_only else 128):
        raise WeightsError(
            "{path} does not hold LoFTR weights; give loftr_outdoor.ckpt, or leave the file out.", path=path
        )
    config = copy.deepcopy(default_cfg)
    for name, value in (_COARSE_ONLY if coarse_only else {}).items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    scale = COARSE_SCALE if coarse_only else 1.0
    config["match_coarse"]["thr"] = confidence * scale
    network = LoFTR(pretrained=None, config=config)
    weights.fill(network, state, path, may_lack=_FINE if coarse_only else ())
    if coarse_only:
        for name, parameter in network.named_parameters():
            if name.startswith(_FINE):
                torch.nn.init.zeros_(parameter)
    return Loftr(network, size=size, scale=scale, device=device)
