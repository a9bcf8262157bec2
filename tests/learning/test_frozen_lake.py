"""A table learned by two learners through the real table, server and update rule, against the exact Q* of FrozenLake.

The behaviour explores half of the time to the end, so that every pair goes on being met; α halves every 1,000 learner
steps. A table is learned without overlap unless that is set: its steps at α = ½ go all the way to their targets, and
laid on top of an answer that has gone there already they overshoot (docs/RESULTS.md, "Update rules").
"""

import gymnasium
import numpy as np
import pytest

from adql.types import Float64Array
from tests.agent.in_process import assemble, specification
from tests.learning.exact import iterated, solve

GAMMA, LEARNER_STEPS = 0.99, 8_000
SETTINGS = (
    "environment.id=FrozenLake-v1",
    "training.environment_steps=1000000",
    "network.kind=tabular",
    "algorithm={n_steps: 1, double: false, batch_size: 256, optimizer: {kind: sgd}, target: {kind: soft, tau: 1.0}}",
    "algorithm.learning_rate={kind: exponential, initial: 0.5, final: 0.01, steps: 1000}",
    "exploration.epsilon={kind: linear, initial: 1.0, final: 0.5, steps: 50000}",
    "replay={capacity: 400000, samples_per_insert: 8}",
)
RULES = ["average", *(pytest.param(rule, marks=pytest.mark.all_seeds) for rule in ("elastic", "delta", "gradient"))]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.all_seeds) for seed in (1, 2))]

pytestmark = [pytest.mark.learning, pytest.mark.timeout(600)]


def value_of_start(environment: gymnasium.Env, policy: np.ndarray) -> float:
    """Returns V(0) of a deterministic ``policy`` (states,), exactly."""
    states = len(policy)
    reward, following = np.zeros((states, 1)), np.zeros((states, 1, states))
    for state, action in enumerate(policy):
        for probability, next_state, r, terminated in environment.unwrapped.P[state][action]:
            reward[state] += probability * r
            following[state, 0, next_state] += probability * (not terminated)
    return float(iterated(reward, GAMMA * following)[0, 0])


def learned_table(rule: str, seed: int) -> Float64Array:
    run = assemble(specification(*SETTINGS, f"update.rule={rule}", f"run.seed={seed}"), learners=2)
    run.until(LEARNER_STEPS)
    return run.server.parameters.vector.reshape(16, 4).astype(np.float64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", RULES)
def test_two_learners_find_the_best_policy_of_frozen_lake_and_q_star_within_01(rule: str, seed: int) -> None:
    environment = gymnasium.make("FrozenLake-v1")
    exact, q = solve(environment, GAMMA), learned_table(rule, seed)
    assert value_of_start(environment, q.argmax(axis=1)) > exact.q[0].max() - 0.005
    assert np.abs(q - exact.q)[exact.nonterminal].max() < 0.1
