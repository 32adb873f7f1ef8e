"""The small LoFTR: kornia's class with a reduced configuration, coarse and fine stage, 0.5 million parameters."""

import copy
from typing import Any

import torch
from kornia.feature import LoFTR
from kornia.feature.loftr.loftr import default_cfg
from torch import nn

FIRST_GAIN = 0.3  # of every attention message at the start: the first matches come from the backbone
FIRST_SCALE = 0.3  # of its coarse features: at kornia's the first scores are all sure, and most of them wrong


def config(*, threshold: float = 0.2) -> dict[str, Any]:
    """kornia's configuration, reduced: 16-pixel cells, three attention rounds of width 64, fine windows of 5 × 4 px.

    No border is left out, because a hole often lies at one: kornia's default drops two cells, here 32 pixels.
    """
    reduced: dict[str, Any] = copy.deepcopy(default_cfg)
    reduced["resolution"] = (16, 4)
    reduced["resnetfpn"] = {"initial_dim": 8, "block_dims": [8, 16, 32, 64]}
    reduced["coarse"] |= {"d_model": 64, "d_ffn": 64, "nhead": 4, "layer_names": ["self", "cross"] * 3}
    reduced["coarse"]["temp_bug_fix"] = True  # the positions as the paper has them; no old weights to agree with
    reduced["fine"] |= {"d_model": 16, "d_ffn": 16, "nhead": 2}
    # A pair has 64 or 256 cells: 19 or 76 of them train the fine stage, 16 a batch at least true ones; kornia's 200
    # would be more than a small batch has.
    reduced["match_coarse"] |= {
        "thr": threshold,
        "border_rm": 0,
        "train_coarse_percent": 0.3,
        "train_pad_num_gt_min": 16,
    }
    return reduced


def network() -> LoFTR:
    """The network with fresh weights, in training mode."""
    made = LoFTR(pretrained=None, config=config())
    with torch.no_grad():
        made.backbone.layer4_outconv.weight *= FIRST_SCALE
    for name, parameter in made.named_parameters():
        if name.endswith("norm2.weight"):
            nn.init.constant_(parameter, FIRST_GAIN)
    return made.train()
