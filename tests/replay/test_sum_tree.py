import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adql.replay import SumTree

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=70)


def tree_of(*leaves: float) -> SumTree:
    tree = SumTree(len(leaves))
    tree.update(np.arange(len(leaves)), np.array(leaves))
    return tree


@given(values)
def test_every_node_is_the_sum_of_its_children(leaves):
    tree = tree_of(*leaves)
    assert tree.check_valid() == []
    assert tree.total == pytest.approx(sum(leaves))


@given(st.integers(1, 60), st.data())
def test_the_last_value_of_a_repeated_index_wins(capacity, data):
    pairs = data.draw(st.lists(st.tuples(st.integers(0, capacity - 1), st.floats(0, 1e6)), min_size=1, max_size=80))
    tree = SumTree(capacity)
    tree.update(np.array([index for index, _ in pairs]), np.array([value for _, value in pairs]))
    assert {int(i): tree.leaves[i] for i in tree.leaves.nonzero()[0]} == {i: v for i, v in dict(pairs).items() if v}
    assert tree.check_valid() == []


@given(values.filter(any), st.integers(0, 100))
def test_a_leaf_of_zero_is_never_drawn(leaves, seed):
    tree = tree_of(*leaves)
    assert (tree.leaves[tree.sample(200, np.random.default_rng(seed))] > 0).all()


class AlmostOne:
    def random(self, count):
        return np.full(count, np.nextafter(1.0, 0.0))


@pytest.mark.parametrize(
    "leaves", [(0.3, 0, 0.7, 0, 0, 0, 0, 0), (0, 0.1, 0.4, 0.1, 0.8, 0.3, 0, 0), (1e300, 1e-300, 0)]
)
def test_the_largest_target_does_not_fall_off_the_last_positive_leaf(leaves):
    tree = tree_of(*leaves)
    assert (tree.leaves[tree.sample(3, AlmostOne())] > 0).all()


def test_draws_match_the_values():
    """Chi-square of 20,000 draws over 5 leaves: below 18.5, the 99.9 % quantile for 4 degrees of freedom."""
    tree = tree_of(1.0, 2.0, 0.0, 3.0, 4.0, 10.0)
    counts = np.bincount(tree.sample(20_000, np.random.default_rng(1)), minlength=6)[[0, 1, 3, 4, 5]]
    expected = 20_000 * np.array([1, 2, 3, 4, 10]) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 18.5


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_value_that_is_no_weight_is_refused_and_changes_nothing(value):
    tree = tree_of(1.0, 2.0)
    with pytest.raises(ValueError, match="finite and at least 0"):
        tree.update(np.array([0, 1]), np.array([5.0, value]))
    assert list(tree.leaves) == [1.0, 2.0]


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        tree_of(1.0, 2.0).update(np.array([index]), np.array([5.0]))


def test_sums_stay_exact_over_many_updates():
    tree, rng = SumTree(100), np.random.default_rng(3)
    for _ in range(500):
        tree.update(rng.integers(0, 100, 30), rng.random(30) * 10.0 ** rng.integers(-9, 9))
    assert tree.check_valid() == []
    assert tree.total == pytest.approx(tree.leaves.sum(), rel=1e-12)
