"""Marking by pointing with Segment Anything 2.1 (Ravi et al., 2024), by transformers' network."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from realfill.arrays import Hole, Photo
from realfill.errors import WeightsError
from realfill.imaging.segment import grow_object

# Of ImageNet, as the network was trained.
_MEAN, _SPREAD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
# Of the network for videos, whose weights these are; a single picture has no memory.
_OF_VIDEOS = ("memory_", "mask_downsample", "object_pointer", "temporal_", "no_object", "occlusion_")


class Pointer:
    """The network, and what it saw of the last photo: another point there costs a fraction."""

    def __init__(self, path: Path, config: Any = None) -> None:
        """`config`: transformers' `Sam2Config`; None is that of the published weights, which are its defaults.

        Raises:
            WeightsError: the file does not fit.
        """
        from safetensors.torch import load_file
        from transformers import Sam2Config, Sam2Model

        self._network = Sam2Model(config or Sam2Config()).eval().requires_grad_(False)
        self._side = int(self._network.config.prompt_encoder_config.image_size)
        state = {name: weight for name, weight in load_file(path).items() if not name.startswith(_OF_VIDEOS)}
        try:
            found = self._network.load_state_dict(state, strict=False)
        except RuntimeError as error:  # shapes
            raise WeightsError("{name} does not fit SAM 2.1 tiny.", name=path.name) from error
        if found.missing_keys:
            raise WeightsError("{name} does not fit SAM 2.1 tiny.", name=path.name)
        self._seen: tuple[object, list[Tensor]] | None = None

    def mark(self, photo: Photo, box: tuple[int, int, int, int], key: object) -> Hole:
        """The hole (H, W) of the thing in a box (left, top, right, bottom) of a photo (H, W, 3), grown a little.

        A box without sides is a point. `key` tells photos apart. Empty where the network sees nothing.
        """
        height, width = photo.shape[:2]
        scale = torch.tensor([self._side / width, self._side / height])
        corners = torch.tensor(box, dtype=torch.float32).reshape(2, 2) * scale
        is_point = box[:2] == box[2:]
        with torch.inference_mode():
            asked = (
                {"input_points": corners[:1].reshape(1, 1, 1, 2)}
                if is_point
                else {"input_boxes": corners.reshape(1, 1, 4)}
            )
            answer = self._network(image_embeddings=self._look(photo, key), multimask_output=is_point, **asked)
            best = int(answer.iou_scores[0, 0].argmax())  # of a point there are three answers: part, thing, group
            logits = answer.pred_masks[0, 0, best].float().numpy()
        found = np.asarray(cv2.resize(logits, (self._side, self._side)) > 0)
        grown = grow_object(found, self._side) if found.any() else found
        return np.asarray(cv2.resize(grown.astype(np.uint8), (width, height)) > 0)

    def _look(self, photo: Photo, key: object) -> list[Tensor]:
        if self._seen is None or self._seen[0] != key:
            small = cv2.resize(photo, (self._side, self._side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
            pixels = torch.from_numpy((small - _MEAN) / _SPREAD).permute(2, 0, 1)
            self._seen = key, self._network.get_image_embeddings(pixels[None].float())
        return self._seen[1]
