"""More processes than a machine holds are refused before one is started."""

import pytest

from adql.config import load_specification
from adql.errors import ConfigError
from adql_services.local.memory import check_memory

SIGNATURE = "environment.signature={observation_shape: [4], actions: 2}"


def test_more_processes_than_the_memory_holds_are_refused():
    crowd = load_specification(None, [SIGNATURE, "training.learners=600", "training.actors=396"], {})
    with pytest.raises(ConfigError, match=r"learners=600 and training.actors=396 take at least 7[0-9.]+ GB.* has 25.0"):
        check_memory(crowd, 25_000_000_000)


def test_processes_that_fit_are_let_through():
    check_memory(load_specification(None, [SIGNATURE, "training.learners=8"], {}), 1_000_000_000)


@pytest.mark.parametrize(
    ("hidden", "said"),
    [
        ("[20000, 20000]", r"400,\d+,\d+ parameters, a store keeps at most 134,217,728"),
        ("[9000, 9000]", "network smaller"),
    ],
)
def test_network_that_is_too_large_for_the_store_or_the_machine_is_refused(hidden, said):
    with pytest.raises(ConfigError, match=said):
        check_memory(load_specification(None, [SIGNATURE, f"network.hidden={hidden}"], {}), 4_000_000_000)
