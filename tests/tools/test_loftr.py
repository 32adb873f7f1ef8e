"""Training a small LoFTR: what it should answer is exact, the losses measure it, and steps make it better."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from realfill.evaluation.store import Store
from realfill.matching.loftr import Loftr
from tools.loftr import architecture, compare, supervision, train
from tools.loftr.pairs import WarpedPairs, draw
from tools.loftr.supervision import Truth
from tools.mini.data import Pictures

STRIDE = 16


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures([], seed=0, device=torch.device("cpu"), procedural=1.0, reservoir=16)


def _pairs(homography: Tensor, size: int = 128) -> WarpedPairs:
    seen = torch.ones(1, size, size, dtype=torch.bool)
    blank = torch.zeros(1, 1, size, size)
    return WarpedPairs(blank, blank, homography[None].double(), seen, seen)


def _shift(x: float, y: float) -> Tensor:
    return torch.tensor([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def test_equal_pictures_pair_every_cell_with_itself() -> None:
    known = supervision.truth(_pairs(torch.eye(3)), STRIDE)
    assert known.first.tolist() == known.second.tolist() == list(range(64))
    assert torch.equal(known.warped[0], supervision.cells(8, 8, STRIDE).float())


def test_a_shift_of_whole_cells_pairs_with_the_cells_there() -> None:
    known = supervision.truth(_pairs(_shift(2 * STRIDE, -STRIDE)), STRIDE)
    row, column = known.first // 8, known.first % 8
    assert len(known.first) == 7 * 6
    assert torch.equal(known.second, (row - 1) * 8 + column + 2)


def test_offsets_are_exact_for_parts_of_a_cell() -> None:
    known = supervision.truth(_pairs(_shift(5, -3)), STRIDE)
    cells = supervision.cells(8, 8, STRIDE)
    moved = known.warped[0, known.first] - cells[known.second].float()
    assert (moved == torch.tensor([5.0, -3.0])).all()
    assert torch.equal(known.first, known.second)


def test_pairs_of_a_perspective_are_the_nearest_and_unique() -> None:
    homography = torch.tensor([[1.1, 0.15, -9], [-0.1, 0.9, 12], [4e-4, -3e-4, 1]])
    known = supervision.truth(_pairs(homography), STRIDE)
    cells = supervision.cells(8, 8, STRIDE)
    point = torch.cat([cells[known.first], torch.ones(len(known.first), 1)], 1) @ homography.double().T
    away = (point[:, :2] / point[:, 2:] - cells[known.second]).abs()
    assert len(known.first) > 30
    assert away.max() <= STRIDE / 2
    assert len(set(known.first.tolist())) == len(set(known.second.tolist())) == len(known.first)


@pytest.mark.parametrize("side", ["first_seen", "second_seen"])
def test_what_is_covered_has_no_partner(side: str) -> None:
    pairs = _pairs(torch.eye(3))
    covered = pairs.first_seen.clone()
    covered[:, :, 64:] = False
    known = supervision.truth(replace(pairs, **{side: covered}), STRIDE)
    assert (known.first % 8 < 4).all()
    assert len(known.first) == 8 * 4
    assert known.warped[0].isnan().any(1).sum() == 32


def test_drawn_pairs_show_the_same_where_the_truth_says_so(pictures: Pictures) -> None:
    pairs = draw(pictures, np.random.default_rng(3), 12, size=128)
    known = supervision.truth(pairs, STRIDE)
    cells = supervision.cells(8, 8, STRIDE)
    alike: list[list[float]] = []
    for index in range(12):
        mine = known.first[known.batch == index]
        if len(mine) >= 8:
            here, there = _at(pairs.first[index, 0], cells[mine]), known.warped[index, mine]
            beside = [_at(pairs.second[index, 0], there + step) for step in (0, STRIDE, -STRIDE)]
            alike.append([float(torch.corrcoef(torch.stack([here, values]))[0, 1]) for values in beside])
    true, right, left = np.mean(alike, 0)
    assert len(alike) >= 6
    assert true > max(right, left) + 0.2  # not near 1: light, blur and noise differ


def _at(picture: Tensor, points: Tensor) -> Tensor:
    """The mean of 3 × 3 pixels around each point."""
    smooth = torch.nn.functional.avg_pool2d(picture[None, None], 3, 1, 1)[0, 0]
    x, y = points.round().long().clamp(0, len(picture) - 1).unbind(1)
    return smooth[y, x]


def _one_pair_of_cells(warped: Tensor) -> Truth:
    first = torch.tensor([0])
    return Truth(first, first, torch.tensor([1]), warped)


def test_coarse_loss_wants_the_true_entry_and_no_other() -> None:
    known = _one_pair_of_cells(torch.zeros(1, 2, 2))
    right, unsure, false = (torch.tensor([[entries, [0.0, 0.0]]]) for entries in ([0, 1.0], [0, 0.5], [0.5, 1.0]))
    assert supervision.coarse_loss(right, known) == pytest.approx(0, abs=1e-5)
    expected = 0.25 * np.log(2)  # (1 - c)² log c, focal with γ = 2
    assert supervision.coarse_loss(unsure, known).item() == pytest.approx(expected, rel=1e-4)
    assert supervision.coarse_loss(false, known).item() == pytest.approx(expected / 2, rel=1e-3)  # by cell, of two


def _answer(offsets: list[list[float]], deviation: list[float]) -> dict[str, object]:
    count = len(offsets)
    zeros = torch.zeros(count, dtype=torch.long)
    expected = torch.cat([torch.tensor(offsets), torch.tensor(deviation)[:, None]], 1).requires_grad_()
    cells = {"b_ids": zeros, "i_ids": torch.arange(count), "j_ids": zeros, "hw1_c": (2, 2)}
    return {"expec_f": expected, "W": 5, "stride_f": 4, **cells}


def test_fine_loss_is_the_squared_error_in_half_windows() -> None:
    # Cell 0 lies at -0.5; a true point 4 px to its right is half a window's reach of 8 px away.
    known = _one_pair_of_cells(torch.tensor([[[3.5, -0.5]]]))
    assert supervision.fine_loss(_answer([[0.5, 0.0]], [1.0]), known, STRIDE).item() == 0
    assert supervision.fine_loss(_answer([[0.0, 0.5]], [1.0]), known, STRIDE).item() == pytest.approx(0.5)


def test_fine_loss_trusts_certain_offsets_more_and_leaves_out_wrong_cells() -> None:
    here, far = [-0.5, -0.5], [40.0, -0.5]
    known = _one_pair_of_cells(torch.tensor([[here, here, far, [torch.nan, torch.nan]]]))
    answer = _answer([[1.0, 0.0], [0.0, 0.0], [0.3, 0.0], [0.3, 0.0]], [1.0, 3.0, 1.0, 1.0])
    assert supervision.fine_loss(answer, known, STRIDE).item() == pytest.approx(0.75)
    nothing = supervision.fine_loss(_answer([[0.3, 0.0]], [1.0]), _one_pair_of_cells(torch.tensor([[far]])), STRIDE)
    assert nothing.item() == 0


def test_a_few_steps_reduce_both_losses_on_one_pair(pictures: Pictures) -> None:
    torch.manual_seed(0)
    pairs = draw(pictures, np.random.default_rng(1), 2, size=128, difficulty=0.3)
    network = architecture.network()
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    seen = []
    for _ in range(16):
        coarse, fine = train.losses(network, pairs)
        optimiser.zero_grad()
        (coarse + fine).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seen.append((coarse.item(), fine.item()))
    assert np.mean(seen[-3:], 0)[0] < 0.6 * seen[0][0]
    assert np.mean(seen[-3:], 0)[1] < 0.8 * seen[0][1]


def test_the_trained_pass_answers_as_kornias_own(pictures: Pictures) -> None:
    torch.manual_seed(0)
    pairs = draw(pictures, np.random.default_rng(2), 2, size=128)
    network = architecture.network().eval()
    network.coarse_matching.thr = 0.0
    with torch.inference_mode():
        ours = supervision.run(network, pairs)
        theirs = network({"image0": pairs.first, "image1": pairs.second})
    assert len(theirs["confidence"]) > 10
    assert torch.equal(ours["mkpts1_f"], theirs["keypoints1"])
    assert torch.equal(ours["mconf"], theirs["confidence"])


def test_training_goes_on_where_it_was(pictures: Pictures, tmp_path: Path) -> None:
    args = Namespace(out=tmp_path, lr=1e-3, batch=1, minutes=1.0)
    heldout = [draw(pictures, np.random.default_rng(5), 2, size=128)]
    first = train.LoftrTrainer(args, heldout)
    first.train_step(pictures)
    first.seconds = 7.0
    state = first.save()
    assert (tmp_path / "config.json").is_file()
    assert 0 <= state["accuracy"] <= 1
    again = train.LoftrTrainer(args, heldout)
    assert (again.step, again.pairs, again.seconds) == (1, 2, 7.0)
    weights = again.network.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.network.state_dict().items())
    again.train_step(pictures)
    assert again.step == 2


def test_trained_weights_match_as_the_projects_matchers_do(tmp_path: Path) -> None:
    save_file(architecture.network().state_dict(), tmp_path / "average.safetensors")
    matcher = compare.load_small(tmp_path, size=128, threshold=0.0)
    assert isinstance(matcher, Loftr)
    photo = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    ((found,),) = matcher.match([photo], [photo])
    assert len(found) > 5
    assert np.abs(found.reference_xy % 16 - 15.5).max() < 0.01  # cells, in a frame of whole pixel centres


def test_comparison_ranks_each_matcher_against_what_was_measured(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for scene, best in (("desk", 30.0), ("shelf", 20.0)):
        (tmp_path / "pictures" / "trained" / scene).mkdir(parents=True)
        seeds = {str(seed): {"psnr": best - seed, "ssim": 0.5 - seed / 10} for seed in range(4)}
        store.write_scores("trained", scene, {"seeds": seeds})
    falling, rising = (
        {"trained": {str(seed): n for seed, n in enumerate(order)}} for order in ([9, 7, 5, 1], [1, 2, 3, 4])
    )
    counts = {
        name: {scene: {"seeds": seeds, "own": [40, 60], "other": [0, 2]} for scene in ("desk", "shelf")}
        for name, seeds in (("good", falling), ("bad", rising))
    }
    text = compare.table(store, counts)
    assert "| trained, all | good | 2 | 1.00 | 1.00 |" in text
    assert "| trained, all | bad | 2 | -1.00 | -1.00 |" in text
    assert "| good | 50 | 1.00 | 2 | 2.0% |" in text
