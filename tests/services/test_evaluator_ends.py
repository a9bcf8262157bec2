"""However the evaluator ends, its connection is closed."""

import contextlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

from adql.config import EvaluatorSettings, child_environment, to_yaml
from adql.errors import WrongRunError
from adql_services.evaluator import main
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.store_process import running_store


class Client:
    """Is answered that the server has another run."""

    reconnects = 0
    closed = False

    def check_configuration(self, config_hash: str) -> None:
        pass

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


@pytest.mark.system
def test_evaluator_of_another_configuration_is_refused_in_one_line(tmp_path):
    run, file = tiny_specification(), tmp_path / "run.yaml"
    algorithm = run.algorithm.model_copy(update={"gamma": run.algorithm.gamma / 2})
    file.write_text(to_yaml(run.model_copy(update={"algorithm": algorithm})))
    with running_store(tmp_path / "store") as store, ServerProcess(tmp_path / "server", run, store.url) as server:
        side = f"unix:{tmp_path}/evaluator.sock"
        settings = EvaluatorSettings(side=side, parameter_server_url=server.listen, auth=False)
        command = [sys.executable, "-m", "adql_services.cli", "evaluator", str(file)]
        ended = subprocess.run(
            command, env=child_environment(settings), stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    assert ended.returncode == 2, ended.stderr
    assert "algorithm.gamma is 0.99 there, 0.495 here; start with its values" in ended.stderr.splitlines()[-1]
