"""A port of this machine that leads to a pod of a release, or to the Prometheus of the cluster."""

import contextlib
import socket
import threading

import pytest

from adql.errors import InputError, RunFailedError
from adql_services.cluster import forwarding
from adql_services.cluster.api import Forwarded
from adql_services.cluster.command_line import FORWARDED
from tests.k8s.objects import ClusterDouble, healthy, pod, waiting
from tests.waiting import wait_until


class Listening:
    """A port here, to which one connection comes before Ctrl-C."""

    def __init__(self, connections: list[socket.socket]) -> None:
        self._connections = connections

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 5_000

    def accept(self) -> tuple[socket.socket, str]:
        if not self._connections:
            raise KeyboardInterrupt
        return self._connections.pop(), "somebody"

    def close(self) -> None:
        """Does nothing."""


@pytest.fixture
def heard(monkeypatch, capsys):
    """Returns what forwards one connection, and returns what was said of it and what is heard at the port."""

    def hear(cluster: ClusterDouble, what: str, **options) -> tuple:
        here, there = socket.socketpair()
        here.settimeout(30)
        monkeypatch.setattr(forwarding, "_listen", lambda port: Listening([there]))
        threads = threading.active_count()
        with here, here.makefile() as connection:
            with pytest.raises(KeyboardInterrupt):
                forwarding.port_forward(cluster, "adql", what, None, **options)
            content = connection.read()
        wait_until(lambda: threading.active_count() == threads)
        return capsys.readouterr(), content

    return hear


def prometheus(name: str, **status) -> dict:
    found = pod("prometheus", name=name, **status)
    found["metadata"]["labels"] = {"app.kubernetes.io/name": "prometheus"}
    return found


@pytest.mark.parametrize(
    ("what", "side", "place"),
    [
        ("parameter-server", False, "adql-parameter-server-0:8420"),
        ("parameter-server", True, "adql-parameter-server-0:8421"),
        ("replay", False, "adql-replay-0:8430"),
    ],
)
def test_port_leads_to_the_pod_of_a_component(heard, what, side, place):
    said, content = heard(healthy(), what, side=side)
    assert content == place
    assert said.out == f"http://127.0.0.1:5000 leads to {place.replace(':', ', port ')}; Ctrl-C ends it\n"


def test_port_leads_to_a_prometheus_in_a_namespace_that_has_no_release(heard):
    unready = [{"type": "Ready", "status": "False"}]
    cluster = ClusterDouble(pods=[prometheus("new", conditions=unready), prometheus("old")])
    assert heard(cluster, "prometheus", side=True)[1] == "old:9090"


class Answering(ClusterDouble):
    """Its pods answer a moment after they are asked, where the connection has not ended by then."""

    def forward(self, name: str, port: int) -> Forwarded:
        here, there = socket.socketpair()

        def answer() -> None:
            with there:
                asked = there.recv(100)
                there.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    assert not there.recv(1)
                    return
                there.sendall(b"answer to " + asked)

        threading.Thread(target=answer, daemon=True).start()
        return Forwarded(here, lambda: "")


@pytest.fixture
def forwarded(monkeypatch):
    """Returns a connection to a port that leads to a pod that answers late."""
    here, there = socket.socketpair()
    here.settimeout(30)
    monkeypatch.setattr(forwarding, "_listen", lambda port: Listening([there]))
    threads = threading.active_count()
    with here:
        with pytest.raises(KeyboardInterrupt):
            forwarding.port_forward(Answering(**healthy().kinds), "adql", "replay", None)
        yield here
    wait_until(lambda: threading.active_count() == threads)


def test_who_says_that_nothing_more_comes_is_answered(forwarded):
    forwarded.sendall(b"question")
    forwarded.shutdown(socket.SHUT_WR)
    assert forwarded.makefile().read() == "answer to question"


def test_who_has_gone_is_not_waited_for_much_longer(forwarded, monkeypatch):
    monkeypatch.setattr(forwarding, "LINGER_SECONDS", 0.1)
    forwarded.shutdown(socket.SHUT_WR)
    assert forwarded.makefile().read() == ""


def test_port_where_nobody_listens_is_told(heard):
    cluster = healthy()
    cluster.refusal = "failed to connect to localhost:8430: connection refused"
    assert heard(cluster, "replay")[0].err == (
        "adql: error: port 8430 of adql-replay-0: failed to connect to localhost:8430: connection refused; "
        "its log says whether it listens there\n"
    )


def test_prometheus_that_is_not_there_is_told_with_the_namespace_to_name():
    said = r"^no pod with app\.kubernetes\.io/name=prometheus runs in namespace default; name the .* by --namespace"
    with pytest.raises(RunFailedError, match=said):
        forwarding.port_forward(healthy(), "adql", "prometheus", 0)


def test_component_that_does_not_run_is_told_with_who_says_why():
    cluster = healthy()
    cluster.kinds["pods"] = [pod("replay", waiting("ImagePullBackOff"))]
    with pytest.raises(
        RunFailedError, match="no replay of release adql runs; `adql k8s status --release adql` says why"
    ):
        forwarding.port_forward(cluster, "adql", "replay", 0)


def test_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: .*; name another with --port$"):
            forwarding.port_forward(healthy(), "adql", "replay", port)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_port_that_is_none_is_refused_with_the_bounds(port):
    with pytest.raises(InputError, match=f"^--port {port}: name a number from 0, .*, to 65535$"):
        forwarding.port_forward(healthy(), "adql", "replay", port)


def test_what_can_be_typed_is_what_can_be_forwarded():
    assert set(FORWARDED) == set(forwarding.PORTS)
