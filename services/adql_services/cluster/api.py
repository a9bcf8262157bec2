"""The Kubernetes API as far as ADQL needs it; the only module that imports its client.

Objects are plain trees, as ``kubectl --output json`` shows them.
"""

import contextlib
import functools
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream, ws_client
from websocket import WebSocket

from adql.errors import AdqlError, ConflictError, InputError, NotFoundError, RunFailedError
from adql_services.cluster.execution import Execution

Tree = dict[str, Any]
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0
"""Together less than a service may be silent before it is taken for dead."""
SILENCE_SECONDS = 7 * 86_400.0
"""Of a log that is followed; the client takes no endless wait."""
_FIELD_MANAGER = "adql"
_OWN_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


class Forwarded(NamedTuple):
    """A connection to a port of a pod, and why it could not be made or has broken: empty where it has not."""

    socket: socket.socket
    error: Callable[[], str]


class _WebSocket(WebSocket):
    """One that waits for the answer to its handshake no longer than other requests do, and then for ever."""

    def connect(self, url: str, **options: Any) -> None:
        """Connects; what then comes is its user's to wait for."""
        self.settimeout(ANSWER_SECONDS)
        super().connect(url, **options)  # type: ignore[no-untyped-call]
        self.settimeout(None)


ws_client.WebSocket = _WebSocket  # type: ignore[attr-defined] # its streams take no deadline


class Cluster:
    """One namespace of one cluster, as the user of a kubeconfig.

    Raises:
        InputError: the kubeconfig names no cluster, or not the context that is asked for; at construction.
        RunFailedError: the cluster cannot be reached, or does not allow it; in every method.
        NotFoundError: the object that is named does not exist; in every method that names one.

    ``details["status"]`` of a RunFailedError is 401 or 403 where the cluster does not know or does not allow it.
    """

    def __init__(self, context: str | None = None, namespace: str | None = None) -> None:
        configuration = client.Configuration()
        with _kubeconfig():
            name, own = _context(context)
            config.load_kube_config(  # type: ignore[no-untyped-call]
                context=context, client_configuration=configuration
            )
        self._connect(configuration, name, namespace or own)

    @classmethod
    def of_pod(cls, namespace: str | None = None) -> "Cluster":
        """Returns the cluster around this pod, as the pod's service account; outside of one that of the kubeconfig.

        Raises:
            InputError: there is neither, or the pod was given no token.
        """
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            if "host/port" in str(error):  # every pod has it
                return cls(None, namespace)
            raise InputError(
                f"this pod has no access to its cluster ({error}); mount a service account's token"
            ) from None
        cluster = cls.__new__(cls)
        own = namespace or Path(_OWN_NAMESPACE).read_text(encoding="utf-8").strip()
        cluster._connect(configuration, "this pod", own)
        return cluster

    def _connect(self, configuration: client.Configuration, context: str, namespace: str) -> None:
        self._configuration, self.context, self.namespace = configuration, context, namespace
        self._configuration.retries = urllib3.Retry(0)
        self._client = client.ApiClient(self._configuration)
        core, apps = client.CoreV1Api(self._client), client.AppsV1Api(self._client)
        self._core, self._apps = core, apps
        self._lists: dict[str, Callable[..., Any]] = {
            "pods": core.list_namespaced_pod,
            "services": core.list_namespaced_service,
            "persistentvolumeclaims": core.list_namespaced_persistent_volume_claim,
            "events": core.list_namespaced_event,
            "statefulsets": apps.list_namespaced_stateful_set,
            "deployments": apps.list_namespaced_deployment,
        }

    # What there is

    def objects(self, kind: str, selector: str = "") -> list[Tree]:
        """Returns the objects of ``kind`` (pods, services, deployments …) with these labels."""
        return self._items(self._lists[kind], self.namespace, label_selector=selector)

    def everywhere(self, selector: str) -> list[Tree]:
        """Returns the stateful sets with these labels of all namespaces; none where that may not be asked."""
        return self._allowed(self._apps.list_stateful_set_for_all_namespaces, label_selector=selector)

    def pod(self, name: str) -> Tree:
        """Returns a pod."""
        return self._tree(self._core.read_namespaced_pod, name, self.namespace)

    def storage_classes(self) -> list[Tree] | None:
        """Returns the storage classes, None where they may not be asked for."""
        try:
            return self._items(client.StorageV1Api(self._client).list_storage_class)
        except AdqlError:
            return None

    def log(self, pod: str, container: str, *, lines: int | None = None, previous: bool = False) -> str:
        """Returns the last ``lines`` of a container's log; ``previous``: of the one that ran before it."""
        return self._asked(
            self._core.read_namespaced_pod_log,
            pod,
            self.namespace,
            container=container,
            previous=previous,
            **({} if lines is None else {"tail_lines": lines}),
        ).decode(errors="replace")

    def follow(self, pod: str, container: str, lines: int | None = None) -> Iterator[str]:
        """Yields the lines of a container's log as they come, until it has ended; a thread may wait in it for ever."""
        answer = self._begun(
            _unchecked(self._core.read_namespaced_pod_log),
            pod,
            self.namespace,
            container=container,
            follow=True,
            **({} if lines is None else {"tail_lines": lines}),
            _request_timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
        )
        with self._explained():
            yield from _lines(answer)

    # What is done

    def scale(self, deployment: str, replicas: int) -> None:
        """Sets the scale subresource of a deployment, and nothing else of it."""
        body = {"spec": {"replicas": replicas}}
        self._asked(
            self._apps.patch_namespaced_deployment_scale,
            deployment,
            self.namespace,
            body,
            field_manager=_FIELD_MANAGER,
        )

    def scale_of(self, deployment: str) -> Tree:
        """Returns the scale subresource of a deployment: whose it is, and how many pods it is asked for."""
        return self._tree(self._apps.read_namespaced_deployment_scale, deployment, self.namespace)

    def rescale(self, scale: Tree, replicas: int) -> None:
        """Sets what ``scale_of`` returned to ``replicas``.

        Raises:
            ConflictError: the deployment was changed since; nothing was set.
        """
        metadata = {key: scale["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}}
        self._asked(
            self._apps.replace_namespaced_deployment_scale,
            metadata["name"],
            self.namespace,
            body,
            field_manager=_FIELD_MANAGER,
        )

    def tell(self, event: Tree) -> None:
        """Creates an event."""
        self._asked(self._core.create_namespaced_event, self.namespace, event)

    def start(self, pod: Tree) -> None:
        """Creates a pod.

        Raises:
            ConflictError: there is one of that name.
        """
        self._asked(self._core.create_namespaced_pod, self.namespace, pod)

    def remove(self, pod: str) -> None:
        """Deletes a pod; one that something else keeps comes again."""
        self._asked(self._core.delete_namespaced_pod, pod, self.namespace)

    def execute(self, pod: str, container: str, command: Sequence[str]) -> Execution:
        """Starts a command in a container; its output is read from what is returned."""
        socket_of = self._streamed(
            stream,
            "connect_get_namespaced_pod_exec",
            pod,
            container=container,
            command=list(command),
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            binary=True,
        )
        return Execution(socket_of.sock)

    def forward(self, pod: str, port: int) -> Forwarded:
        """Connects to ``port`` of a pod; whether somebody listens there turns out later."""
        forwarded = self._streamed(portforward, "connect_get_namespaced_pod_portforward", pod, ports=str(port))
        return Forwarded(forwarded.socket(port), lambda: " ".join((forwarded.error(port) or "").split()))

    # How it is asked

    def _items(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> list[Tree]:
        items: list[Tree] = self._tree(operation, *arguments, **options).get("items") or []
        return items

    def _allowed(self, operation: Callable[..., Any], **options: Any) -> list[Tree]:
        try:
            return self._items(operation, **options)
        except AdqlError:
            return []

    def _tree(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Tree:
        try:
            tree: Tree = json.loads(self._asked(operation, *arguments, **options))
        except ValueError:
            raise RunFailedError(
                f"{self._configuration.host} of context {self.context} answers no JSON, so it is no Kubernetes API; "
                "name another --context, or log in where a proxy asks for it"
            ) from None
        return tree

    def _asked(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
        """Returns the whole answer; one that is not read to its end would keep its connection for itself."""
        with self._explained():
            return bytes(self._begun(operation, *arguments, **options).data)

    def _begun(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        timeout = {"_request_timeout": (CONNECT_SECONDS, ANSWER_SECONDS)}
        with self._explained():
            return operation(*arguments, _preload_content=False, **(timeout | options))

    def _streamed(self, over: Callable[..., Any], operation: str, pod: str, **options: Any) -> Any:
        """A stream takes the place of its client's way to ask for a moment: it has a client of its own."""
        method = getattr(client.CoreV1Api(client.ApiClient(self._configuration)), operation)
        with self._explained():
            return over(method, pod, self.namespace, _preload_content=False, **options)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Says in one line what became of a request that failed, also where its answer broke off.

        Raises:
            AdqlError: as the class says.
        """
        try:
            yield
        except ApiException as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # which the client of a stream takes for a failure
                raise error.__context__ from None
            raise self._refusal(error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None

    def _refusal(self, error: ApiException) -> AdqlError:
        said, status = _message(error), _status(error)
        if not status:
            return self._unreachable(error)
        if status == 404:
            return NotFoundError(f"{said}; `adql k8s status` says what there is")
        if status == 409:
            return ConflictError(said)
        if status == 401:
            words = f"the cluster of context {self.context} does not know you: log in to it again"
            return RunFailedError(words, status=status)
        if status == 403:
            words = f"{said}; ask who runs the cluster for the right to, or name another --context"
            return RunFailedError(words, status=status)
        return RunFailedError(f"the cluster refuses it: {said}; `adql k8s status` says more")

    def _unreachable(self, error: Exception) -> AdqlError:
        return RunFailedError(
            f"cannot reach the cluster of context {self.context} at {self._configuration.host} "
            f"({_cause(error)}); start it, or name another with --context"
        )


def _unchecked(method: Any) -> Callable[..., Any]:
    """A method of the client without the check of its arguments, which is Rust.

    A process that ends while one of its threads waits below a frame of Rust is aborted.
    """
    return functools.partial(method.__func__.raw_function, method.__self__)


@contextlib.contextmanager
def _kubeconfig() -> Iterator[None]:
    """Says in one line what is wrong with the kubeconfig, whatever it is.

    Raises:
        InputError: it cannot be used.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of its YAML, of a path in it, of a plugin that it names …
        raise InputError(
            f"no cluster is known: {' '.join(str(error).split())}; make one, such as by `kind create cluster`, "
            "or name the file of yours by KUBECONFIG"
        ) from None


def _context(name: str | None) -> tuple[str, str]:
    """Returns the context's name and its namespace."""
    contexts, active = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    named = {context["name"]: context for context in contexts}
    if name is not None and name not in named:
        raise InputError(f"--context {name}: the kubeconfig has {', '.join(sorted(named)) or 'none'}; name one of them")
    chosen: Mapping[str, Any] = named[name] if name is not None else active
    return str(chosen["name"]), str(chosen["context"].get("namespace") or "default")


def _status(error: ApiException) -> int:
    """Of the answer; a WebSocket's stands in the reason. 0 where none came."""
    handshake = re.match(r"Handshake status (\d+)", str(error.reason))
    return int(handshake[1]) if handshake else int(error.status or 0)


def _message(error: ApiException) -> str:
    """The API server's own words."""
    status, *parts = str(error.reason).split(" -+-+- ")  # of a WebSocket: status, headers, body
    try:
        said = json.loads(error.body or parts[-1])["message"]
    except (ValueError, KeyError, TypeError, IndexError):
        said = status
    return " ".join(str(said).split())


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).rpartition(": ")[2].split()) or type(reason).__name__


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[str]:
    rest = b""
    for chunk in answer.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
