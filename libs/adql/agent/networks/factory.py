"""Chooses the network that the settings describe."""

import importlib.util

import numpy as np
import numpy.typing as npt

from adql.agent.networks.dense import DenseNetwork
from adql.agent.networks.heads import DuelingHead, Head, LinearHead
from adql.agent.networks.minatar import MinAtarNetwork
from adql.agent.networks.network import Network
from adql.agent.networks.table import TableNetwork
from adql.config import NetworkSettings, SignatureSettings
from adql.errors import MissingExtraError
from adql.parameters.initial import IMAGE_NETWORKS, image_format, manifest_of
from adql.types import Manifest


def make_network(network: NetworkSettings, signature: SignatureSettings, dtype: npt.DTypeLike = np.float32) -> Network:
    """Returns the network of ``network`` for an environment of ``signature``, computing in ``dtype``.

    Raises:
        ConfigError: the network does not fit the environment's spaces.
        MissingExtraError: it is DQN's and PyTorch is not installed.
    """
    manifest = manifest_of(network, signature)
    if network.kind == "tabular":
        return TableNetwork(manifest, dtype)
    head = DuelingHead() if network.dueling else LinearHead()
    if network.kind == "nature":
        return _nature(signature, manifest, head, dtype)
    if network.kind == "minatar":
        (convolution,) = IMAGE_NETWORKS["minatar"].convolutions
        return MinAtarNetwork(manifest, convolution, image_format("minatar", signature), head, dtype)
    return DenseNetwork(manifest, head, signature.observations, dtype)


def check_network(network: NetworkSettings, signature: SignatureSettings) -> None:
    """Says what ``make_network`` would refuse, without making anything or loading PyTorch.

    Raises:
        ConfigError, MissingExtraError: as ``make_network``.
    """
    manifest_of(network, signature)
    if network.kind == "nature" and importlib.util.find_spec("torch") is None:
        raise _torch_is_missing("no module of that name")


def _nature(signature: SignatureSettings, manifest: Manifest, head: Head, dtype: npt.DTypeLike) -> Network:
    try:
        from adql.agent.networks.convolutional import ConvolutionalNetwork
    except ImportError as error:
        raise _torch_is_missing(str(error)) from None
    # Frames of bytes become numbers from 0 to 1; frames that were scaled before are read as they are.
    scale = 1.0 / 255.0 if signature.observation_dtype == "uint8" else 1.0
    convolutions = IMAGE_NETWORKS["nature"].convolutions
    return ConvolutionalNetwork(manifest, convolutions, image_format("nature", signature), head, scale, dtype)


def _torch_is_missing(reason: str) -> MissingExtraError:
    return MissingExtraError(
        f"network.kind=nature needs PyTorch ({reason}); install the extra, in ADQL's folder by "
        "`pip install '.[torch]'`, or choose network.kind=dense"
    )
