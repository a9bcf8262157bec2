"""``adql k8s port-forward``: a port of this machine that leads to a pod of the release."""

import contextlib
import socket
import sys
import threading
from typing import NamedTuple, NoReturn

from adql.errors import AdqlError, InputError, RunFailedError
from adql_services.cluster.api import Cluster
from adql_services.cluster.release import find_release, is_ready, is_running, name_of
from adql_services.runtime.failure import tell

PROMETHEUS = "prometheus"
PORTS = {"parameter-server": 8420, "replay": 8430, PROMETHEUS: 9090}
"""What can be forwarded, and its port in the cluster; the same one is taken here unless another is named."""
_PROMETHEUS_PODS = "app.kubernetes.io/name=prometheus"
_BYTES = 65_536
LINGER_SECONDS = 10.0
"""For the rest of an answer, after who asked has said that nothing more comes: mostly it has gone."""


class Target(NamedTuple):
    """Where connections go."""

    pod: str
    port: int


def port_forward(cluster: Cluster, name: str, what: str, local: int | None, side: bool = False) -> NoReturn:
    """Forwards until it is interrupted.

    Raises:
        InputError: no such release, or the port here is taken.
        RunFailedError: nothing runs that it could lead to.
    """
    target = _prometheus(cluster) if what == PROMETHEUS else _component(cluster, name, what, side=side)
    listening = _listen(target.port if local is None else local)
    with contextlib.closing(listening):
        port = listening.getsockname()[1]
        sys.stdout.write(f"http://127.0.0.1:{port} leads to {target.pod}, port {target.port}; Ctrl-C ends it\n")
        sys.stdout.flush()
        while True:
            accepted, _ = listening.accept()
            threading.Thread(target=_serve, args=(cluster, target, accepted), daemon=True).start()


def _component(cluster: Cluster, name: str, what: str, *, side: bool) -> Target:
    release = find_release(cluster, name)
    release.workload(what)
    pod = release.running(what)
    if pod is None:
        raise RunFailedError(f"no {what} of release {name} runs; `adql k8s status --release {name}` says why")
    return Target(name_of(pod), PORTS[what] + (1 if side else 0))


def _prometheus(cluster: Cluster) -> Target:
    """Mostly it has a namespace of its own, in which there is no release."""
    pods = [one for one in cluster.objects("pods", _PROMETHEUS_PODS) if is_running(one)]
    if not pods:
        raise RunFailedError(
            f"no pod with {_PROMETHEUS_PODS} runs in namespace {cluster.namespace}; name the one of your Prometheus "
            "by --namespace, such as monitoring"
        )
    return Target(name_of(min(pods, key=lambda one: not is_ready(one))), PORTS[PROMETHEUS])


def _listen(port: int) -> socket.socket:
    if not 0 <= port < 65_536:
        raise InputError(f"--port {port}: name a number from 0, for any that is free, to 65535")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; name another with --port") from None


def _serve(cluster: Cluster, target: Target, accepted: socket.socket) -> None:
    with contextlib.closing(accepted):
        try:
            far = cluster.forward(target.pod, target.port)
        except AdqlError as error:
            tell(error)
            return
        back = threading.Thread(target=_answer, args=(far.socket, accepted), daemon=True)
        back.start()
        _pump(accepted, far.socket)
        back.join(LINGER_SECONDS)  # the client library knows no half of a connection: to end one way ends both
        _end(far.socket)
        back.join()
        far.socket.close()
    if said := far.error():
        tell(RunFailedError(f"port {target.port} of {target.pod}: {said}; its log says whether it listens there"))


def _answer(source: socket.socket, target: socket.socket) -> None:
    _pump(source, target)
    _end(target)


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hands on until ``source`` ends."""
    with contextlib.suppress(OSError):
        while content := source.recv(_BYTES):
            target.sendall(content)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
