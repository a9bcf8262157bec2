"""``adql k8s port-forward``: a port of this machine that leads to a pod of the release."""

import contextlib
import socket
import sys
import threading
from typing import NamedTuple

from adql.errors import AdqlError, InputError, RunFailedError
from adql_services.cluster.api import Cluster
from adql_services.cluster.release import Release, find_release, is_ready, is_running, name_of
from adql_services.runtime.failure import tell

PROMETHEUS = "prometheus"
PORTS = {"parameter-server": 8420, "replay": 8430, PROMETHEUS: 9090}
"""What can be forwarded, and its port in the cluster; the same one is taken here unless another is named."""
_BYTES = 65_536


class Target(NamedTuple):
    """Where connections go."""

    pod: str
    port: int


def port_forward(cluster: Cluster, name: str, what: str, local: int | None, side: bool = False) -> int:
    """Forwards until it is interrupted; returns 0."""
    target = _prometheus(cluster) if what == PROMETHEUS else _target(find_release(cluster, name), what, side=side)
    listening = _listen(target.port if local is None else local)
    with contextlib.closing(listening):
        port = listening.getsockname()[1]
        sys.stdout.write(f"http://127.0.0.1:{port} leads to {target.pod}, port {target.port}; Ctrl-C ends it\n")
        sys.stdout.flush()
        while True:
            accepted, _ = listening.accept()
            threading.Thread(target=_serve, args=(cluster, target, accepted), daemon=True).start()


def _target(release: Release, what: str, *, side: bool) -> Target:
    release.workload(what)
    if (pod := release.running(what)) is None:
        raise RunFailedError(f"no {what} of release {release.name} runs; `adql k8s status` says why")
    return Target(name_of(pod), PORTS[what] + side)


def _prometheus(cluster: Cluster) -> Target:
    """Its own namespace is mostly another than that of the runs."""
    pods = cluster.objects("pods", "app.kubernetes.io/name=prometheus")
    pod = min((one for one in pods if is_running(one)), key=lambda one: not is_ready(one), default=None)
    if pod is None:
        raise RunFailedError(f"no {PROMETHEUS} runs in namespace {cluster.namespace}; name its own by --namespace")
    return Target(name_of(pod), PORTS[PROMETHEUS])


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on 127.0.0.1:{port}: {reason}; name another with --port") from None


def _serve(cluster: Cluster, target: Target, accepted: socket.socket) -> None:
    with contextlib.closing(accepted):
        try:
            far = cluster.forward(target.pod, target.port)
        except AdqlError as error:
            tell(error)
            return
        back = threading.Thread(target=_pump, args=(far, accepted), daemon=True)
        back.start()
        _pump(accepted, far)
        back.join()
        far.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hands on until ``source`` ends, and then says so to ``target``."""
    with contextlib.suppress(OSError):
        while content := source.recv(_BYTES):
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
