"""LoFTR on many candidates, ours beside one pair at a time; a part of the speed benchmarks."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from kornia.feature import LoFTR
from kornia.feature.loftr.loftr import default_cfg

from benchmarks.speed import random_sd2
from benchmarks.speed.timing import DeviceTimer, SpeedReport
from realfill.arrays import Photo
from realfill.matching import weights
from realfill.matching.inference import refuse_out_of_memory, to_tensor
from realfill.matching.loftr import HALF_PIXEL, Loftr
from realfill.matching.matcher import Matcher, Matches
from realfill.matching.registry import MATCHERS

# What LoFTR finds again when its batches and features are computed in another order; matches near the threshold
# come and go, and with random weights scores are so close that a neighbour may win.
MOST_LOST = 0.05


@dataclass(frozen=True)
class MatchWorkload:
    """How much is matched: `targets` candidates with `references` photos each, `size` pixels a side."""

    device: str
    size: int = 512
    targets: int = 64
    references: int = 5
    plain_pairs: int = 20  # that the plain path is timed on
    weights: str = ""  # a file; empty looks in torch.hub's folder, else the weights are random
    small: bool = False  # a small network, for a dry run


def match_section(workload: MatchWorkload, report: SpeedReport) -> None:
    """The same matches as one pair at a time, then times."""
    network, source = _network(workload)
    matcher = Loftr(network, size=workload.size, scale=1.0, device=workload.device)
    photos = list(_photos(workload))
    references, targets = photos[: workload.references], photos[workload.references :]
    timer, pairs = DeviceTimer(workload.device), len(references) * len(targets)
    first, plain = (
        matcher.match(references, targets[:1])[0],
        [_match_pair(network, workload, one, targets[0]) for one in references],
    )
    lost = max(_lost_share(a, b) for a, b in zip(first, plain, strict=True))
    matches_a_pair = float(np.mean([len(one) for one in plain]))
    report.check("matches that only one way finds", lost, MOST_LOST)
    timer.reset_peak()
    timed = timer.time(
        lambda: _match_all(matcher, references, targets),
        warm_up=0,
        calls=2 if workload.device != "cpu" else 1,
        until=report.until,
    )
    ours = report.add(
        f"ours, {len(targets)} x {len(references)}", timed, matches_a_pair=matches_a_pair, weights=source, pairs=pairs
    )
    if report.skip_if_late("one pair at a time"):
        return
    count = min(pairs, workload.plain_pairs)
    some = [(references[i % len(references)], targets[i // len(references)]) for i in range(count)]
    timer.reset_peak()
    alone = iter(some * 2)
    timed = timer.time(
        lambda: _match_pair(network, workload, *next(alone)), warm_up=min(2, count), calls=count, until=report.until
    )
    ms_for_all = timed.seconds * 1000 * pairs
    report.add("one pair at a time", timed, ms_for_all=ms_for_all, weights=source, ratio=ms_for_all / ours["ms"])


def _match_all(matcher: Matcher, references: list[Photo], targets: list[Photo]) -> None:
    for _ in matcher.stream(references, targets):
        pass


def _network(workload: MatchWorkload) -> tuple[LoFTR, str]:
    """The network and what its weights are. With random ones every mutual nearest neighbour is a match."""
    config: dict[str, Any] = copy.deepcopy(default_cfg)
    if workload.small:
        config["resnetfpn"] = {"initial_dim": 8, "block_dims": [8, 16, 32]}
        config["coarse"] = {**config["coarse"], "d_model": 32, "d_ffn": 32, "nhead": 2}
        config["fine"] = {**config["fine"], "d_model": 8, "d_ffn": 8, "nhead": 2}
    published = MATCHERS["loftr"].published
    assert published is not None
    here = not workload.small and weights.is_present(published, workload.weights)
    config["match_coarse"]["thr"] = 0.5 if here else 0.0
    torch.manual_seed(9)
    network = LoFTR(pretrained=None, config=config).to(workload.device).eval()
    if here:
        path = weights.obtain(published, workload.weights)
        state = {name.removeprefix("matcher."): value for name, value in weights.read(path).items()}
        weights.fill(network, state, path)
    return network, "published" if here else "random"


def _photos(workload: MatchWorkload) -> Iterator[Photo]:
    """The references, then the candidates: overlapping pieces of one picture."""
    world = random_sd2.picture(workload.size * 2)
    rng = np.random.default_rng(1)
    for _ in range(workload.references + workload.targets):
        top, left = rng.integers(workload.size // 8, size=2) * 4
        yield np.ascontiguousarray(world[top : top + workload.size, left : left + workload.size])


def _match_pair(network: LoFTR, workload: MatchWorkload, reference: Photo, target: Photo) -> Matches:
    """One pair through the whole network, as its documentation shows it."""
    with refuse_out_of_memory(workload.device):
        grey = [
            to_tensor(np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), np.uint8), workload.device)
            for p in (reference, target)
        ]
        out = network({"image0": grey[0], "image1": grey[1]})
        parts = [out[name].float().cpu().numpy() for name in ("keypoints0", "keypoints1", "confidence")]
    return Matches(parts[0] - HALF_PIXEL, parts[1] - HALF_PIXEL, parts[2])


def _lost_share(ours: Matches, plain: Matches) -> float:
    """Share of the matches, to the nearest pixel, that only one of two ways found."""
    sets = [
        set(map(tuple, np.rint(np.concatenate([one.reference_xy, one.target_xy], 1)).astype(int).tolist()))
        for one in (ours, plain)
    ]
    return len(sets[0] ^ sets[1]) / max(1, len(sets[0] | sets[1])) if sets[1] else 1.0
