"""A plain DQN loop that knows nothing of ADQL, beside DqnLearner with the rule ``gradient``, k = 1, staleness 0.

Same network, same batches out of the same replay, in float64: every loss agrees to 1e-9 over 600 updates, across
target changes.
"""

import numpy as np
import pytest

from adql.agent.learner import DqnLearner
from adql.agent.merging import make_merge
from adql.agent.networks import Network, make_network
from adql.config import AlgorithmSettings, NetworkSettings, SignatureSettings, TargetSettings, UpdateSettings
from adql.parameters.initial import initial_parameters
from adql.parameters.optimizers import make_optimizer
from adql.types import TransitionBatch
from tests.learning.plain_dqn import ACTIONS, INPUTS, PERIOD, TAU, reference_losses, replayed_batches

SETTINGS = NetworkSettings(hidden=(32, 32))


def adql_losses(layers: list[np.ndarray], double: bool, soft: bool) -> list[float]:
    """The learner sends clipped gradients, a server's optimizer applies each at once, the learner takes the answer."""
    kind = "soft" if soft else "periodic"
    target = TargetSettings(kind=kind, period_learner_steps=PERIOD, tau=TAU)
    algorithm = AlgorithmSettings(double=double, target=target, max_gradient_norm=0.5)
    server = np.concatenate([layer.ravel() for layer in layers])
    learner = DqnLearner(network(), algorithm, server)
    optimizer = make_optimizer(algorithm.optimizer, len(server), np.float64)
    merge = make_merge(UpdateSettings(rule="gradient"))
    losses = []
    for clock, columns in enumerate(replayed_batches()):
        gradient, result = learner.gradient(TransitionBatch(*columns), None)
        sent = merge.outgoing(gradient, server, learners=1)
        optimizer.step(server, sent, 1e-3)
        merge.merge(learner.vector, server, sent, server)
        learner.advance_target(clock, clock + 1, server)
        losses.append(result.loss)
    return losses


def network() -> Network:
    return make_network(SETTINGS, SignatureSettings(observation_shape=(INPUTS,), actions=ACTIONS), np.float64)


def initial_layers() -> list[np.ndarray]:
    manifest = network().manifest
    vector = initial_parameters(manifest, SETTINGS, np.random.default_rng(3)).astype(np.float64)
    return [layer.copy() for layer in manifest.views(vector).values()]


@pytest.mark.parametrize("soft", [False, True], ids=["periodic", "soft"])
@pytest.mark.parametrize("double", [False, True], ids=["plain", "double"])
def test_600_losses_agree_with_a_plain_single_process_loop(double: bool, soft: bool) -> None:
    reference = np.array(reference_losses(initial_layers(), double, soft))
    ours = np.array(adql_losses(initial_layers(), double, soft))
    np.testing.assert_allclose(ours, reference, rtol=1e-9)
