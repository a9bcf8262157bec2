import pytest

from adql.config import StalenessSettings
from adql.errors import StaleUpdateError
from adql.parameters.staleness import bound, damping, judge


@pytest.mark.parametrize(("learners", "expected"), [(1, 8), (2, 8), (3, 12), (8, 32)])
def test_default_bound_is_four_versions_a_learner_and_at_least_eight(learners, expected):
    assert bound(StalenessSettings(), learners) == expected


def test_set_bound_wins_over_the_default():
    assert bound(StalenessSettings(max_versions=3), 8) == 3


@pytest.mark.parametrize("policy", ["damp", "accept"])
def test_damp_and_accept_have_no_bound(policy):
    assert bound(StalenessSettings(policy=policy), 1) is None
    assert 0 < judge(StalenessSettings(policy=policy), 10**6, 1) <= 1


def test_update_at_the_bound_is_taken_and_one_beyond_is_not():
    assert judge(StalenessSettings(), 8, 2) == 1.0
    with pytest.raises(StaleUpdateError, match="9 versions behind, at most 8 with 2 live learners"):
        judge(StalenessSettings(), 9, 2)


@pytest.mark.parametrize(
    ("staleness", "exponent", "factor"), [(0, 1.0, 1.0), (4, 1.0, 1.0), (5, 1.0, 0.5), (7, 1.0, 0.25), (7, 0.5, 0.5)]
)
def test_damping_counts_from_the_number_of_learners(staleness, exponent, factor):
    assert damping(StalenessSettings(policy="damp", damping_exponent=exponent), staleness, 4) == factor


def test_only_damp_damps():
    assert damping(StalenessSettings(policy="accept"), 100, 1) == 1.0
