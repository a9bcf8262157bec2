"""`adql k8s port-forward`: which pod a port of this machine leads to, and what goes through it."""

import socket
import threading

import pytest

from adql.errors import InputError, RunFailedError
from adql_services.cluster.forwarding import port_forward
from tests.k8s.objects import ClusterDouble, healthy, pod
from tests.ports import free_port
from tests.waiting import wait_until


class Forwarding(ClusterDouble):
    """A cluster whose pods answer with their name, their port and what they were asked."""

    def forward(self, name: str, port: int) -> socket.socket:
        """Returns this end of a connection."""
        near, far = socket.socketpair()
        threading.Thread(target=self._answer, args=(far, name, port), daemon=True).start()
        return near

    def _answer(self, far: socket.socket, name: str, port: int) -> None:
        with far:
            far.sendall(f"{name}:{port} ".encode() + far.recv(100))


def asked(cluster, what: str, *, side: bool = False) -> bytes:
    """What comes back through a forwarded port."""
    port = free_port()
    threading.Thread(target=port_forward, args=(cluster, "adql", what, port, side), daemon=True).start()
    with wait_until(lambda: connected(port), 10) as connection:
        connection.sendall(b"hello")
        return b"".join(iter(lambda: connection.recv(100), b""))


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=10)
    except ConnectionRefusedError:
        return None


@pytest.mark.parametrize(
    ("what", "side", "reached"),
    [
        ("parameter-server", False, b"adql-parameter-server-0:8420 hello"),
        ("replay", True, b"adql-replay-0:8431 hello"),
    ],
)
def test_port_leads_to_a_pod_of_the_release(what, side, reached):
    cluster = Forwarding()
    cluster.kinds = healthy().kinds
    assert asked(cluster, what, side=side) == reached


def test_prometheus_is_found_where_there_is_no_release():
    cluster = Forwarding()
    cluster.kinds["pods"] = [pod("prometheus", name="prometheus-0")]
    cluster.kinds["pods"][0]["metadata"]["labels"] = {"app.kubernetes.io/name": "prometheus"}
    assert asked(cluster, "prometheus") == b"prometheus-0:9090 hello"


def test_who_does_not_run_is_told_with_where_to_look():
    with pytest.raises(RunFailedError, match="no prometheus runs in namespace default; name its own by --namespace"):
        port_forward(healthy(), "adql", "prometheus", None)
    cluster = healthy()
    cluster.kinds["pods"] = []
    with pytest.raises(RunFailedError, match="no replay of release adql runs; `adql k8s status` says why"):
        port_forward(cluster, "adql", "replay", None)


def test_port_that_is_taken_is_told_with_the_option_for_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port}: .*; name another with --port"):
            port_forward(healthy(), "adql", "replay", port)
