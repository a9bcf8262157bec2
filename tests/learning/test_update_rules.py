"""Every update rule learns CartPole-v1 with its defaults: greedy mean ≥ 475 over 100 fresh episodes.

One seed a rule is learned always, the others and 8 learners with --all-seeds.
"""

import pytest

from tests.learning.training import Outcome, learned

pytestmark = [pytest.mark.learning, pytest.mark.timeout(1_800)]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.all_seeds) for seed in (1, 2))]
OTHERS = ["elastic", "delta", "gradient"]
TWO_LEARNERS, EIGHT_LEARNERS = 30_000, 90_000
"""Most learner steps that a run may take; the defaults take about 10,000 and 35,000."""


def average_of_two(seed: int) -> Outcome:
    return learned("average", 2, seed, TWO_LEARNERS)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_learners_reach_the_goal_by_average(seed: int, record_property) -> None:
    outcome = average_of_two(seed)
    outcome.record(record_property)
    assert (outcome.confirmed or 0.0) >= 475.0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", OTHERS)
def test_every_other_rule_takes_at_most_three_times_the_steps_of_average(rule: str, seed: int, record_property) -> None:
    outcome = learned(rule, 2, seed, 3 * average_of_two(seed).learner_steps)
    outcome.record(record_property)
    assert (outcome.confirmed or 0.0) >= 475.0


@pytest.mark.all_seeds
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("rule", ["average", *OTHERS])
def test_eight_learners_reach_the_goal(rule: str, seed: int, record_property) -> None:
    outcome = learned(rule, 8, seed, EIGHT_LEARNERS)
    outcome.record(record_property)
    assert (outcome.confirmed or 0.0) >= 475.0
