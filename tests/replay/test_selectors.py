import numpy as np
import pytest

from adql.replay import PrioritisedSelector, UniformSelector


def prioritised(*td_errors: float, exponent: float = 1.0) -> PrioritisedSelector:
    selector = PrioritisedSelector(8, exponent)
    selector.insert(np.arange(len(td_errors)), np.array(td_errors, np.float32))
    return selector


def test_prioritised_sampling_matches_priorities():
    """Chi-square of 20,000 draws over 4 items: below 16.3, the 99.9 % quantile for 3 degrees of freedom."""
    slots, probabilities = prioritised(1, -2, 4, 8, exponent=0.5).sample(0, 4, 20_000, np.random.default_rng(1))
    expected = np.sqrt([1, 2, 4, 8]) / np.sqrt([1, 2, 4, 8]).sum()
    observed = np.bincount(slots, minlength=4)
    assert ((observed - 20_000 * expected) ** 2 / (20_000 * expected)).sum() < 16.3
    np.testing.assert_allclose(probabilities, expected[slots], rtol=1e-5)


def test_uniform_sampling_reaches_every_occupied_slot_round_the_ring_and_no_other():
    slots, probabilities = UniformSelector(8).sample(13, 5, 1_000, np.random.default_rng(1))
    assert set(slots) == {5, 6, 7, 0, 1}
    assert set(probabilities) == {0.2}


def test_an_item_without_td_error_gets_the_largest_priority_in_the_table():
    selector = prioritised(3, 1)
    selector.insert(np.array([2]), None)
    assert selector.priorities(np.array([2])) == selector.priorities(np.array([0]))


def test_the_largest_priority_leaves_with_its_item():
    selector = prioritised(100, 2, 1)
    selector.insert(np.array([3]), None)
    selector.insert(np.array([0, 3]), np.array([1, 1], np.float32))
    selector.insert(np.array([4]), None)
    assert selector.priorities(np.array([4])) == pytest.approx(2, rel=1e-5)
    assert selector.check_valid() == []


def test_the_first_items_have_priority_one():
    selector = PrioritisedSelector(8, 0.6)
    selector.insert(np.array([0, 1]), None)
    assert list(selector.priorities(np.array([0, 1]))) == [1.0, 1.0]


def test_an_item_without_error_can_still_be_drawn():
    selector = prioritised(0, 0)
    slots, _ = selector.sample(0, 2, 100, np.random.default_rng(1))
    assert set(slots) == {0, 1}


def test_exponent_zero_is_uniform():
    _, probabilities = prioritised(1, 1_000, exponent=0.0).sample(0, 2, 10, np.random.default_rng(1))
    assert set(probabilities) == {0.5}
