"""Finding the same points in two photos: the matchers that rank candidates (§3.4).

`loftr` is the paper's, `aliked` is small and quick, `sift` needs no weights. The paper names neither LoFTR's
weights, threshold nor size; here: kornia's `outdoor` weights, `select.confidence`, `select.size`.
"""

from realfill.config import MatcherName, SelectConfig
from realfill.errors import WeightsError
from realfill.matching.matcher import Matcher


def load_matcher(config: SelectConfig, device: str = "cpu") -> Matcher:
    """The matcher that `config` names, ready on `device` ("cpu", "cuda", "mps"; sift always uses the CPU).

    Weights come from `config.weights`, else from torch.hub's folder, else by download.

    Raises:
        WeightsError: the weights cannot be had, or are damaged or of another kind; the sentence says what was
            tried and how to fetch them by hand.
    """
    if config.matcher == "sift":
        from realfill.matching.sift import Sift

        return Sift(size=config.size)
    from realfill.matching import weights

    published = weights.PUBLISHED[config.matcher]
    path = weights.obtain(published, config.weights)
    if config.matcher == "loftr":
        from realfill.matching import loftr

        return loftr.load(path, size=config.size, confidence=config.confidence, device=device)
    from realfill.matching import aliked

    return aliked.load(path, size=config.size, confidence=config.confidence, device=device)


def available_matcher(config: SelectConfig) -> tuple[MatcherName, str | None]:
    """Which matcher works with what lies on this machine, and what to do where it is not the one asked for.

    Looks at files only, loads and downloads nothing.

    Raises:
        WeightsError: `config.weights` names a file that does not exist.
    """
    if config.matcher == "sift":
        return "sift", None
    from realfill.matching import weights
    from realfill.matching.weights import manual_cure

    published = weights.PUBLISHED[config.matcher]
    if weights.present(published, config.weights):
        return config.matcher, None
    return "sift", f"{published.title}'s weights are not on this machine. {manual_cure(published)}"


def load_matcher_or_sift(config: SelectConfig, device: str = "cpu") -> tuple[Matcher, str | None]:
    """As `load`, but with sift and a sentence that says so where the weights cannot be had.

    Raises:
        WeightsError: the file in `config.weights` cannot be used; who names a file wants that file.
    """
    try:
        return load_matcher(config, device), None
    except WeightsError as error:
        if config.weights:
            raise
        return load_matcher(
            config.model_copy(update={"matcher": "sift"})
        ), f"{error} Candidates are ranked with sift instead."
