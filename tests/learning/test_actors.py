"""One learner that only learns, fed by two actors, learns CartPole-v1: greedy mean ≥ 475 over 100 fresh episodes.

One seed is learned always, the others with --all-seeds.
"""

import pytest

from tests.learning.training import learned

pytestmark = [pytest.mark.learning, pytest.mark.timeout(600)]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.all_seeds) for seed in (1, 2))]
LIMIT = 30_000
"""Most learner steps that a run may take; it takes 5,000 to 10,000."""


@pytest.mark.parametrize("seed", SEEDS)
def test_one_learner_and_two_actors_reach_the_goal(seed: int, record_property) -> None:
    outcome = learned("average", 1, seed, LIMIT, actors=2)
    outcome.record(record_property)
    assert (outcome.confirmed or 0.0) >= 475.0
