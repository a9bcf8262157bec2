"""Updates to a parameter server under test, by the real client and by hand, and pulls that wait for them."""

import json

import numpy as np

from adql.types import ArraySpec
from adql.wire import codec, routes
from tests.parameters.servers import SIZE
from tests.services.raw_socket import wait_until_waiting

ONE = np.array([1, 0, 0, 0], np.float32)


def push(client, vector=ONE, base=None, steps=2, environment_steps=0):
    client.begin_push(vector, base or client.state.version, steps, environment_steps)
    return client.finish_push()


def update_body(client, **changes):
    """Returns the body of an update with any field changed."""
    fields = {
        "session": client.session,
        "sequence": 0,
        "epoch": client.state.version.epoch,
        "version": client.state.version.number,
        "learner_steps": 1,
        "environment_steps": 0,
        "config_hash": client._config_hash,
        "run_id": client.state.run_id,
    }
    vector = changes.pop("update", ONE)
    return b"".join(codec.encode(fields | changes, {"update": vector}))


def raw_push(connection, client, query="", **changes):
    """Sends an update with any field changed; returns what came back."""
    body = [update_body(client, **changes)]
    response = connection.request("POST", routes.UPDATES + query, headers={"Content-Type": routes.BINARY}, body=body)
    return codec.decode(response.body, [ArraySpec("parameters", (SIZE,))])


def asked(connection, client):
    """Returns what the server says of the client's session."""
    return json.loads(bytes(connection.request("GET", routes.session(client.session)).body))


def begin_waiting_pull(connection, client, address):
    """Begins a pull of what is newer than ``client`` knows, and returns once the server lets it wait.

    The server would let it wait three times as long as ``connection.finish`` waits: what that returns was woken.
    """
    query = f"wait=30&status={client.state.status}"
    known = {"If-None-Match": f'"{client.state.version}"'}
    connection.begin("GET", f"{routes.PARAMETERS}?{query}", headers=known, timeout_seconds=10)
    wait_until_waiting(connection, address)
