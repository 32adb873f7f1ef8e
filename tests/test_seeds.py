"""Keys: stable for ever, different whenever a part differs, and independent of any global state."""

import itertools

import numpy as np

from realfill import seeds


def test_a_key_never_changes() -> None:
    """Runs made years ago resume bit for bit only while these stay; computed by hand from sha256("1,2,3")."""
    assert seeds.key(1, 2, 3) == 0x1489001128F0B545


def test_keys_differ_in_every_part_and_in_order() -> None:
    parts = list(itertools.product(range(4), repeat=3))
    assert len({seeds.key(*part) for part in parts}) == len(parts)
    assert seeds.key(1, 23) != seeds.key(12, 3)
    assert seeds.key(1, 2) != seeds.key(2, 1)
    assert seeds.key(1) != seeds.key(1, 0)


def test_keys_fit_any_library() -> None:
    keys = [seeds.key(0, step) for step in range(1000)]
    assert all(0 <= key < 2**63 for key in keys)
    assert np.mean([key & 1 for key in keys]) > 0.4  # the lowest bit is as random as the others


def test_streams_are_distinct() -> None:
    assert len({seeds.key(7, stream, 3) for stream in seeds.Stream}) == len(seeds.Stream)


def test_a_generator_is_a_pure_function_of_its_key() -> None:
    first = seeds.rng(5, seeds.Stream.BATCH, 8).random(4)
    np.random.default_rng().random()
    seeds.rng(1, 2, 3).random(100)
    np.testing.assert_array_equal(seeds.rng(5, seeds.Stream.BATCH, 8).random(4), first)
    assert not np.array_equal(seeds.rng(5, seeds.Stream.BATCH, 9).random(4), first)


def test_proposals_stand_among_the_seeds_as_they_were_made() -> None:
    assert [seeds.proposal_seed(number) for number in (1, 2, 3)] == [seeds.DRAFT, -2, -3]
    assert all(seeds.proposal_number(seeds.proposal_seed(number)) == number for number in range(1, 9))
    assert seeds.is_proposal(-2) and not seeds.is_proposal(0)


def test_seeds_take_turns_with_proposals() -> None:
    ranks = [seeds.starting_rank(seed, 0.25, 3) for seed in range(48) if seeds.starts_from_draft(seed, 0.25)]
    assert ranks == [0, 1, 2] * 4
