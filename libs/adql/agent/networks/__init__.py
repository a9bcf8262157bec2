"""Q-networks: functions of one flat parameter vector, with their gradient."""

from adql.agent.networks.dense import DenseNetwork
from adql.agent.networks.factory import check_network, make_network
from adql.agent.networks.network import Network
from adql.agent.networks.table import TableNetwork

__all__ = ["DenseNetwork", "Network", "TableNetwork", "check_network", "make_network"]
