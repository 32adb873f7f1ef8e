"""Finding the same points in two photos: the matchers that rank candidates (§3.4).

`loftr` is the paper's, `aliked` is small and quick, `sift` needs no weights. The paper names neither LoFTR's
weights, threshold nor size; here: kornia's `outdoor` weights, `select.confidence`, `select.size`.

A new matcher is a file with a `FeatureMatcher` and a `load`, an entry in `MATCHERS`, and its name in
`config.MatcherName`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from realfill.config import MatcherName, SelectConfig
from realfill.errors import WeightsError
from realfill.matching import weights
from realfill.matching.matcher import Matcher
from realfill.matching.weights import Published


@dataclass(frozen=True)
class MatcherEntry:
    """Where a matcher is and what it needs."""

    module: str  # with `load`; imported when the matcher is loaded: its libraries take seconds
    published: Published | None  # its weights; None: it needs none

    @property
    def load(self) -> Callable[..., Matcher]:
        """The module's `load(path, *, size, confidence, device)`; without `path` where it needs no weights."""
        module: Any = import_module(self.module)
        load: Callable[..., Matcher] = module.load
        return load


MATCHERS: Mapping[MatcherName, MatcherEntry] = {
    "loftr": MatcherEntry(
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
    "aliked": MatcherEntry(
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
    "sift": MatcherEntry(module="realfill.matching.sift", published=None),
}
FALLBACK: MatcherName = "sift"  # where the weights of another cannot be had


def load_matcher(config: SelectConfig, device: str = "cpu", *, fetch: bool = True) -> Matcher:
    """The matcher that `config` names, ready on `device` ("cpu", "cuda", "mps"; sift always uses the CPU).

    Weights come from `config.weights`, else from torch.hub's folder, else, with `fetch`, by download.

    Raises:
        WeightsError: the weights cannot be had, or are damaged or of another kind; the sentence says what was
            tried and how to fetch them by hand.
    """
    entry = MATCHERS[config.matcher]
    path = [] if entry.published is None else [weights.obtain(entry.published, config.weights, fetch=fetch)]
    return entry.load(*path, size=config.size, confidence=config.confidence, device=device)


def available_matcher(config: SelectConfig) -> tuple[MatcherName, str | None]:
    """Which matcher works with what lies on this machine, and what to do where it is not the one asked for.

    Looks at files only, loads and downloads nothing.

    Raises:
        WeightsError: `config.weights` names a file that does not exist.
    """
    published = MATCHERS[config.matcher].published
    if published is None or weights.is_present(published, config.weights):
        return config.matcher, None
    return FALLBACK, f"{published.title}'s weights are not on this machine. {weights.manual_cure(published)}"


def load_matcher_or_sift(
    config: SelectConfig, device: str = "cpu", *, fetch: bool = True
) -> tuple[Matcher, str | None]:
    """As `load_matcher`, but with sift and a sentence that says so where the weights cannot be had.

    Raises:
        WeightsError: the file in `config.weights` cannot be used; who names a file wants that file.
    """
    try:
        return load_matcher(config, device, fetch=fetch), None
    except WeightsError as error:
        if config.weights:
            raise
        fallback = load_matcher(config.model_copy(update={"matcher": FALLBACK}))
        return fallback, f"{error} Candidates are ranked with {FALLBACK} instead."
