"""What people call seeds and proposals, and what a place in the ranking is said to be made of."""

from ui.runs.cells import seed_name
from ui.runs.seed_view import why_this_rank


def test_proposals_are_drafts_by_number() -> None:
    assert [seed_name(seed) for seed in (-1, -2, -9, 0, 17)] == ["Draft", "Draft 2", "Draft 9", "Seed 0", "Seed 17"]


def test_a_place_is_explained_where_more_than_matches_decides() -> None:
    assert why_this_rank({"matches": 12}) == ""
    parts = {"shown": 0.5, "consensus": 0.42, "agreement": 0.61, "seam": 0.05, "sharpness": -0.9}
    score = {"matches": 230, **parts, "total": 1.44}
    assert why_this_rank({"matches": 230, "score": score}) == (
        "Score 1.44: references show 50%, 42% like what other ways make of it, 61% agreement with references in this "
        "place, 230 matches by SIFT, the border is not seen, softer than its surroundings."
    )
