"""A stored policy, ready to play: ``load_policy(path)`` is all that a program needs."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adql.agent.networks import Network, make_network
from adql.config import EnvironmentSettings, NetworkSettings, SignatureSettings
from adql.errors import CheckpointError, InputError
from adql.parameters.policies import StoredPolicy
from adql.types import Array, Float32Array


class Policy:
    """The greedy policy of a run: ``policy(observation)`` returns its action, counted from 0."""

    def __init__(
        self, network: Network, vector: Float32Array, environment: EnvironmentSettings, metadata: Mapping[str, str]
    ) -> None:
        self.network, self.vector = network, vector
        self.environment = environment
        """What it was trained on; of foreign modules, none is allowed."""
        self.metadata = metadata
        """run, version, learner_steps, config_hash and others."""

    def __call__(self, observation: Array) -> int:
        """Returns the action of the largest Q.

        Raises:
            InputError: the observation has another shape than those that the policy was trained on.
        """
        array, signature = np.asarray(observation), self.environment.signature
        if signature is not None and array.shape != signature.observation_shape:
            wanted = signature.observation_shape
            raise InputError(f"observation of shape {array.shape}, the policy reads one of {wanted} at a time")
        return int(self.network.q_values(self.vector, array[None])[0].argmax())


def load_policy(path: str | Path) -> Policy:
    """Reads ``policy-best.safetensors`` or ``policy-last.safetensors`` of a run.

    Raises:
        CheckpointError: no such file, or it is damaged.
        MissingExtraError: its network needs PyTorch.
    """
    return policy_of(StoredPolicy.read(Path(path)))


def policy_of(stored: StoredPolicy) -> Policy:
    """Returns the policy that a file holds.

    Raises:
        CheckpointError: it is damaged.
        MissingExtraError: its network needs PyTorch.
    """
    try:
        keys = json.loads(stored.metadata["keys"])
        environment = EnvironmentSettings.model_validate(keys["environment"])
        signature = SignatureSettings.model_validate(keys["environment"]["signature"])
        settings = NetworkSettings.model_validate(keys["network"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{stored.path} does not say what run it is of; name a policy that `adql train` wrote"
        ) from None
    network = make_network(settings, signature)
    return Policy(network, stored.vector(network.manifest), environment, stored.metadata)
