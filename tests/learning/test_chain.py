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
    RateScheduleSettings,
    SignatureSettings,
    TargetSettings,
)
from adql.parameters.initial import initial_parameters
from adql.types import Array, TransitionBatch

GAMMA, LAST = 0.9, 5
SIGNATURE = SignatureSettings(observations=LAST + 1, observation_dtype="int64", actions=2)
IMAGES = {
    "nature": SignatureSettings(observation_shape=(84, 84, 1), observation_dtype="uint8", actions=2),
    "minatar": SignatureSettings(observation_shape=(10, 10, 1), observation_dtype="bool", actions=2),
}
"""A state s is drawn as a bar over the s-th sixth of the columns."""
STATES = np.arange(LAST)
VALUES = GAMMA ** (LAST - 1.0 - STATES)
Q_STAR = np.stack([GAMMA * VALUES[np.maximum(STATES - 1, 0)], VALUES], axis=1)

SGD = AlgorithmSettings(
    optimizer=OptimizerSettings(kind="sgd"),
    learning_rate=RateScheduleSettings(initial=0.5),
    target=TargetSettings(kind="periodic", period_learner_steps=5),
)
ADAM = AlgorithmSettings(learning_rate=RateScheduleSettings(initial=2e-3), target=TargetSettings(kind="soft", tau=0.05))
KINDS = {
    "tabular": (NetworkSettings(kind="tabular"), SGD, 300, 1e-4),
    "minatar": (NetworkSettings(kind="minatar"), ADAM, 400, 0.01),
    "nature": (NetworkSettings(kind="nature", dueling=True), ADAM, 250, 0.03),
    "tabular without double": (NetworkSettings(kind="tabular"), SGD.model_copy(update={"double": False}), 300, 1e-4),
    "dense": (NetworkSettings(hidden=(32, 32)), ADAM, 1_000, 0.005),
    "dense without double": (NetworkSettings(hidden=(32, 32)), ADAM.model_copy(update={"double": False}), 1_000, 0.005),
    "dueling": (NetworkSettings(hidden=(32, 32), dueling=True), ADAM, 1_000, 0.005),
}


def observed(states: Array, kind: str) -> Array:
    """The states themselves, or one image each."""
    if kind not in IMAGES:
        return states
    shape, dtype = IMAGES[kind].observation_shape, IMAGES[kind].observation_dtype
    bar = np.arange(shape[1]) * (LAST + 1) // shape[1] == states[:, None]
    brightest = 1 if dtype == "bool" else 255
    return np.broadcast_to(brightest * bar[:, None, :, None], (len(states), *shape)).astype(dtype)


def every_step(kind: str) -> TransitionBatch:
    """Each pair of a state and an action once."""
    state, action = np.repeat(STATES, 2), np.tile([0, 1], LAST)
    following = np.maximum(state + 2 * action - 1, 0)
    terminated = following == LAST
    return TransitionBatch(
        observation=observed(state, kind),
        action=action.astype(np.int32),
        reward=terminated.astype(np.float32),
        discount=(GAMMA * ~terminated).astype(np.float32),
        next_observation=observed(following, kind),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_network_reaches_q_star_of_the_chain(kind: str) -> None:
    settings, algorithm, steps, bound = KINDS[kind]
    rng, network = np.random.default_rng(0), make_network(settings, IMAGES.get(settings.kind, SIGNATURE))
    learner = DqnLearner(network, algorithm, initial_parameters(network.manifest, settings, rng))
    batch = every_step(settings.kind)
    for clock in range(steps):
        learner.step(batch, None, clock)
        learner.advance_target(clock, clock + 1, learner.vector)
    assert np.abs(network.q_values(learner.vector, observed(STATES, settings.kind)) - Q_STAR).max() < bound
