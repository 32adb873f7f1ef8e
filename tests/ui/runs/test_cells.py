"""What people call seeds and proposals, and what a place in the ranking is said to be made of."""

from ui.runs.cells import seed_name
from ui.runs.seed_view import why_this_rank


def test_proposals_are_drafts_by_number() -> None:
    assert [seed_name(seed) for seed in (-1, -2, -9, 0, 17)] == ["Draft", "Draft 2", "Draft 9", "Seed 0", "Seed 17"]


def test_a_place_is_explained_where_more_than_matches_decides() -> None:
    assert why_this_rank({"matches": 12}) == ""
    score = {"matches": 230, "agreement": 0.61, "seam": 0.05, "total": 1.44}
    assert why_this_rank({"matches": 230, "score": score}) == (
        "Score 1.44: 61% agreement with what references show in this place, 230 matches by SIFT, "
        "the border is not seen."
    )
    score |= {"consensus": 0.42, "novelty": 2.5, "seam": 0.3}
    assert why_this_rank({"matches": 230, "score": score}) == (
        "Score 1.44: 61% agreement with what references show in this place, 42% like what other ways make of it, "
        "230 matches by SIFT, the border is seen, texture that the scene has nowhere else."
    )
