"""A stored policy, ready to play: ``load_policy(path)`` is all that a program needs."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from adql.agent.networks import Network, make_network
from adql.config import EnvironmentSettings, NetworkSettings, SignatureSettings
from adql.errors import CheckpointError
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
        """Returns the action of the largest Q."""
        return int(self.network.q_values(self.vector, np.asarray(observation)[None])[0].argmax())


def load_policy(path: str | Path) -> Policy:
    """Reads ``policy-best.safetensors`` or ``policy-last.safetensors`` of a run.

    Raises:
        CheckpointError: no such file, or it is damaged.
        MissingExtraError: its network needs PyTorch.
    """
    tensors, metadata = _read(Path(path))
    try:
        keys = json.loads(metadata["keys"])
        environment = EnvironmentSettings.model_validate(keys["environment"])
        signature = SignatureSettings.model_validate(keys["environment"]["signature"])
        settings = NetworkSettings.model_validate(keys["network"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path} does not say what run it is of; name a policy that `adql train` wrote") from None
    network = make_network(settings, signature)
    return Policy(network, _flat(path, tensors, network), environment, metadata)


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: no policy was evaluated yet; try --policy last")
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a policy: {error}; take a copy or the other --policy") from None


def _flat(path: str | Path, tensors: Mapping[str, Array], network: Network) -> Float32Array:
    found = {name: (tensor.shape, tensor.dtype.name) for name, tensor in tensors.items()}
    wanted = {entry.name: (entry.shape, entry.dtype) for entry in network.manifest.entries}
    if found != wanted:
        raise CheckpointError(f"{path} has arrays {found}, its network has {wanted}: it is damaged; try another file")
    vector = np.concatenate([tensors[entry.name].ravel() for entry in network.manifest.entries])
    if not np.isfinite(vector).all():
        raise CheckpointError(f"{path} holds numbers that are not finite: it is damaged; try the other --policy")
    return vector
