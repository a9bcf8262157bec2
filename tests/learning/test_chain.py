"""A chain of states with a known Q*: every kind of network reaches it through DqnLearner.

Six states in a row, two actions; the step into the last state pays 1 and ends the episode, every other step pays 0. So
V*(s) = γ^(4 − s), Q*(s, right) = V*(s) and Q*(s, left) = γ·V*(max(s − 1, 0)).
"""

import numpy as np
import pytest

from adql.agent.learner import DqnLearner
from adql.agent.networks import make_network
from adql.config import (
    AlgorithmSettings,
    NetworkSettings,
    OptimizerSettings,
    ScheduleSettings,
    SignatureSettings,
    TargetSettings,
)
from adql.parameters.initial import initial_parameters
from adql.types import TransitionBatch

GAMMA, LAST, BATCH = 0.9, 5, 32
SIGNATURE = SignatureSettings(observations=LAST + 1, observation_dtype="int64", actions=2)
STATES = np.arange(LAST)
VALUES = GAMMA ** (LAST - 1.0 - STATES)
Q_STAR = np.stack([GAMMA * VALUES[np.maximum(STATES - 1, 0)], VALUES], axis=1)

SGD = AlgorithmSettings(
    optimizer=OptimizerSettings(kind="sgd"),
    learning_rate=ScheduleSettings(initial=0.5),
    target=TargetSettings(kind="periodic", period_learner_steps=5),
)
ADAM = AlgorithmSettings(learning_rate=ScheduleSettings(initial=2e-3), target=TargetSettings(kind="soft", tau=0.05))
KINDS = {
    "tabular": (NetworkSettings(kind="tabular"), SGD, 300, 1e-4),
    "tabular without double": (NetworkSettings(kind="tabular"), SGD.model_copy(update={"double": False}), 300, 1e-4),
    "dense": (NetworkSettings(hidden=(32, 32)), ADAM, 1_000, 0.005),
    "dense without double": (NetworkSettings(hidden=(32, 32)), ADAM.model_copy(update={"double": False}), 1_000, 0.005),
    "dueling": (NetworkSettings(hidden=(32, 32), dueling=True), ADAM, 1_000, 0.005),
}


def random_batch(rng: np.random.Generator) -> TransitionBatch:
    state, action = rng.integers(0, LAST, BATCH), rng.integers(0, 2, BATCH)
    following = np.maximum(state + 2 * action - 1, 0)
    terminated = following == LAST
    return TransitionBatch(
        observation=state,
        action=action.astype(np.int32),
        reward=terminated.astype(np.float32),
        discount=(GAMMA * ~terminated).astype(np.float32),
        next_observation=following,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_network_reaches_q_star_of_the_chain(kind: str) -> None:
    settings, algorithm, steps, bound = KINDS[kind]
    rng, network = np.random.default_rng(0), make_network(settings, SIGNATURE)
    learner = DqnLearner(network, algorithm, initial_parameters(network.manifest, settings, rng))
    for clock in range(steps):
        learner.step(random_batch(rng), None, clock)
        learner.advance_target(clock, clock + 1, learner.vector)
    assert np.abs(network.q_values(learner.vector, STATES) - Q_STAR).max() < bound
