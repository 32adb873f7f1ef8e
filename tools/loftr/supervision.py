"""What LoFTR should have answered, and the two losses (Sun et al. 2021, §3.6); kornia ships neither.

Cells lie where LoFTR's published weights have them, at stride × (column, row) in a frame whose pixel centres are at
x + 0.5: so one reader serves those weights and ours.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from kornia.feature import LoFTR
from torch import Tensor

from tools.loftr.pairs import WarpedPairs

HALF_PIXEL = 0.5
GAMMA = 2.0  # of the focal loss: what is already sure teaches little
SPAN = 4  # pixels around a cell's point that must be seen


@dataclass(frozen=True)
class Truth:
    """True cell pairs, M in all, as indices; and where each cell of the first picture lies in the second."""

    batch: Tensor  # (M,) int64
    first: Tensor  # (M,) int64, row × columns + column
    second: Tensor
    warped: Tensor  # (B, L, 2) float32, pixels of the second picture; nan where the point is not seen in both


def cells(rows: int, columns: int, stride: int) -> Tensor:
    """The points (rows × columns, 2) of the cells, (x, y) in pixels, pixel centres at whole numbers."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return stride * torch.stack([x, y], -1).reshape(-1, 2).double() - HALF_PIXEL


def warp(homography: Tensor, points: Tensor) -> Tensor:
    """Points (L, 2) through homographies (B, 3, 3): (B, L, 2)."""
    moved = F.pad(points, (0, 1), value=1.0) @ homography.transpose(1, 2)
    return moved[..., :2] / moved[..., 2:]


def truth(pairs: WarpedPairs, stride: int) -> Truth:
    """Cells are true pairs where each is the nearest to the other's warped point and both are seen."""
    rows, columns = (side // stride for side in pairs.first.shape[2:])
    points = cells(rows, columns, stride)
    there, back = warp(pairs.homography, points), warp(torch.linalg.inv(pairs.homography), points)
    first_seen, second_seen = (_cells_seen(seen, stride) for seen in (pairs.first_seen, pairs.second_seen))
    ahead, ahead_inside = _nearest_cell(there, rows, columns, stride)
    behind, _ = _nearest_cell(back, rows, columns, stride)
    both = first_seen & ahead_inside & second_seen.gather(1, ahead)
    mutual = behind.gather(1, ahead) == torch.arange(rows * columns)
    batch, first = torch.nonzero(both & mutual, as_tuple=True)
    warped = torch.where(both[..., None], there, torch.nan).float()
    return Truth(batch, first, ahead[batch, first], warped)


def _cells_seen(seen: Tensor, stride: int) -> Tensor:
    """(B, H, W) → (B, L): whether all around a cell's point is seen."""
    hidden = F.max_pool2d((~seen)[:, None].float(), 2 * SPAN + 1, stride, SPAN)
    return hidden.flatten(1) == 0


def _nearest_cell(points: Tensor, rows: int, columns: int, stride: int) -> tuple[Tensor, Tensor]:
    """Index of the cell nearest to each point (B, L), clamped, and whether the point lies in the picture."""
    column, row = ((points + HALF_PIXEL) / stride).round().unbind(-1)
    inside = (points >= -HALF_PIXEL).all(-1) & (column < columns) & (row < rows)
    index = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
    return index.nan_to_num().long(), inside


def run(network: LoFTR, pairs: WarpedPairs, known: Truth | None = None) -> dict[str, Any]:
    """LoFTR's forward pass with everything the losses need; `known` is required in training mode.

    `LoFTR.forward` cannot be trained with: it hands no truth to its coarse stage.
    """
    count = len(pairs.first)
    with torch.autocast(pairs.first.device.type, torch.bfloat16, enabled=network.training):
        extracted = network.extract_features(torch.cat([pairs.first, pairs.second]))
    features = {name: value.float() for name, value in extracted.items()}
    tokens = features["coarse"].flatten(2).transpose(1, 2).contiguous()
    first, second = network.loftr_coarse(tokens[:count], tokens[count:])
    shape = features["coarse"].shape[2:]
    stride, fine_stride = network.config["resolution"]
    data: dict[str, Any] = {"hw0_c": shape, "hw1_c": shape, "stride_c": stride, "stride_f": fine_stride}
    if known is not None:
        data |= {"spv_b_ids": known.batch, "spv_i_ids": known.first, "spv_j_ids": known.second}
    network.coarse_matching(first, second, data)
    windows = network.fine_preprocess(features["fine"][:count], features["fine"][count:], first, second, data)
    if len(windows[0]):
        windows = network.loftr_fine(*windows)
    network.fine_matching(*windows, data)
    return data


def coarse_loss(confidence: Tensor, known: Truth) -> Tensor:
    """Focal loss on the dual-softmax confidence (B, L, S): mean over true pairs, plus false confidence by cell.

    Unlike the published loss, which takes the mean over all L × S false entries, the false ones count by cell: a
    cell without a partner then weighs as much as one with.
    """
    sure = confidence.clamp(1e-6, 1 - 1e-6)
    right = sure[known.batch, known.first, known.second]
    missed = -((1 - right) ** GAMMA * right.log()).mean()
    wrong = -(sure**GAMMA * (1 - sure).log())
    wrong_right = -(right**GAMMA * (1 - right).log())
    return missed + (wrong.sum() - wrong_right.sum()) / (confidence.shape[0] * confidence.shape[1])


def fine_loss(data: dict[str, Any], known: Truth, stride: int) -> Tensor:
    """Squared error of the offsets in units of half a window, weighted by certainty; 0 where no cell is right.

    Only matches whose true point lies in the window count. The weight is 1 / deviation, held constant, so that the
    network cannot lower the loss by being unsure.
    """
    offset, deviation = data["expec_f"][:, :2], data["expec_f"][:, 2]
    columns = data["hw1_c"][1]
    cell = torch.stack([data["j_ids"] % columns, data["j_ids"] // columns], -1) * stride - HALF_PIXEL
    reach = data["stride_f"] * (data["W"] // 2)
    true = (known.warped[data["b_ids"], data["i_ids"]] - cell) / reach
    within = true.abs().amax(1) <= 1  # false for nan
    if not within.any():
        nothing: Tensor = offset.sum() * 0
        return nothing
    weight = 1 / deviation[within].detach().clamp_min(1e-3)
    error = ((offset[within] - true[within]) ** 2).sum(1)
    weighted: Tensor = (weight / weight.mean() * error).mean()
    return weighted
