"""Chooses the network that the settings describe."""

import numpy as np
import numpy.typing as npt

from adql.agent.networks.dense import DenseNetwork
from adql.agent.networks.heads import DuelingHead, LinearHead
from adql.agent.networks.network import Network
from adql.agent.networks.table import TableNetwork
from adql.config import NetworkSettings, SignatureSettings
from adql.parameters.initial import manifest_of


def make_network(network: NetworkSettings, signature: SignatureSettings, dtype: npt.DTypeLike = np.float32) -> Network:
    """Returns the network of ``network`` for an environment of ``signature``, computing in ``dtype``.

    Raises:
        ConfigError: the network does not fit the environment's spaces.
    """
    manifest = manifest_of(network, signature)
    if network.kind == "tabular":
        return TableNetwork(manifest, dtype)
    head = DuelingHead() if network.dueling else LinearHead()
    return DenseNetwork(manifest, head, signature.observations, dtype)
