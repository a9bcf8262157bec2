"""However the evaluator ends, its connection is closed."""

import contextlib
from types import SimpleNamespace

import pytest

from adql.config import EvaluatorSettings
from adql.errors import WrongRunError
from adql_services.evaluator import main
from tests.parameters.servers import tiny_specification


class Client:
    """Is answered that the server has another run."""

    reconnects = 0
    closed = False

    def next(self, wait_seconds: float) -> None:
        raise WrongRunError("another run")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("goes_on", [False, True])
def test_evaluator_closes_its_client(monkeypatch, goes_on: bool):
    client = Client()
    monkeypatch.setattr(main, "_client", lambda *given: client)
    worker = SimpleNamespace(goes_on=lambda: goes_on, ready=lambda: None, waiting=contextlib.nullcontext)
    try:
        main._work(tiny_specification(), EvaluatorSettings(), worker)
    except WrongRunError:
        assert goes_on
    assert client.closed
