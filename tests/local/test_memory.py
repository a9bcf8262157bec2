"""More processes than a machine holds are refused before one is started."""

import pytest

from adql.config import load_specification
from adql.errors import ConfigError
from adql_services.local.memory import check_memory


def test_more_processes_than_the_memory_holds_are_refused():
    crowd = load_specification(None, ["training.learners=600", "training.actors=396"], {})
    with pytest.raises(ConfigError, match=r"learners=600 and training.actors=396 take at least 70.0 GB.* has 25.0"):
        check_memory(crowd, 25_000_000_000)


def test_processes_that_fit_are_let_through():
    check_memory(load_specification(None, ["training.learners=8"], {}), 1_000_000_000)
