"""How long `adql selftest` waits."""

import pytest

from adql.errors import RunFailedError, TransportError
from adql_services.selftest.main import Patience
from tests.clocks import Clock


def test_a_test_that_waits_too_long_ends_with_what_was_said_last():
    clock = Clock()
    patience = Patience(10.0, clock)
    patience.remember(TransportError("nobody listens"))
    patience.check(9.0)
    with pytest.raises(RunFailedError, match="in 10 s: nobody listens"):
        patience.sleep(11.0)
