"""A real parameter server in a process of its own."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from adql.config import RunSpecification, config_hash
from adql.wire import routes
from adql.wire.connection import Connection
from adql.wire.evaluation_client import EvaluationClient
from adql.wire.parameter_client import ParameterClient
from adql_services.parameter_server.opening import manifest
from adql_services.runtime.parent import tethered
from tests.services import side_port
from tests.waiting import wait_until

_PROGRAM = """
import json
import sys
from adql.config import ParameterServerSettings, load_settings, specification_from
from adql_services.parameter_server.main import run
specification, settings = json.loads(sys.argv[1]), json.loads(sys.argv[2])
sys.exit(run(specification_from(specification), load_settings(ParameterServerSettings, settings, {})))
"""


class ServerProcess:
    """A parameter server that can be killed and started again; it listens on unix sockets in ``directory``."""

    def __init__(self, directory: Path, specification: RunSpecification, redis_url: str, **settings: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.specification = directory, specification
        self.listen, self.side = f"unix:{directory}/ps.sock", f"unix:{directory}/side.sock"
        own = {
            "listen": self.listen,
            "side": self.side,
            "directory": str(directory / "volume"),
            "redis_url": redis_url,
            "auth": False,
        }
        self._arguments = [json.dumps(specification.model_dump(mode="json")), json.dumps(own | settings)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: bool = True) -> "ServerProcess":
        """Starts the process, and waits until it is ready."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(tethered([sys.executable, "-c", _PROGRAM, *self._arguments]), stderr=log)
        if ready:
            wait_until(lambda: self.probe(routes.READYZ) == 200, what=self.log)
        return self

    def kill(self) -> None:
        """Ends the process by SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self, seconds: float = 10.0) -> int:
        """Asks the process to end; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def log(self) -> str:
        """Everything that the process wrote."""
        return (self.directory / "log").read_text()

    def probe(self, path: str) -> int:
        """Returns the status of a path of the side port, 0 when nobody is there."""
        return side_port.probe(self.side, path)

    def get(self, path: str) -> Any:
        """Returns the JSON at ``path``."""
        with Connection(self.listen, token=lambda: None) as connection:
            return json.loads(bytes(connection.request("GET", path).body))

    def client(self, seed: int = 0, **settings: Any) -> ParameterClient:
        """Returns a client that has not registered yet."""
        identity = {"run": self.specification.run.name, "config_hash": config_hash(self.specification)}
        return ParameterClient(
            self.listen,
            size=manifest(self.specification).size,
            encoding=self.specification.update.encoding,
            clock=time.monotonic,
            rng=random.Random(seed),
            **({"token": lambda: None, "sleep": time.sleep} | identity | settings),
        )

    def evaluator(self) -> EvaluationClient:
        """Returns a client that evaluates."""
        return EvaluationClient(
            self.listen,
            token=lambda: None,
            size=manifest(self.specification).size,
            clock=time.monotonic,
            sleep=time.sleep,
            rng=random.Random(0),
        )

    def __enter__(self) -> "ServerProcess":
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
