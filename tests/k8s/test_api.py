"""The real client against a server that answers as an API server would."""

import http.server
import json
import socket
import threading

import pytest

from adql.errors import ConflictError, InputError, NotFoundError, RunFailedError
from adql_services.cluster import api as api_module
from adql_services.cluster.api import Cluster
from tests.ports import free_port


class Api(http.server.ThreadingHTTPServer):
    """Answers by path; remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, []
        self.missing_bytes = 0  # of every answer, which breaks off before them


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, path, query, json.loads(body or b"null")))
        status, content = self.server.answers.get(path, (404, failure("not found")))
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text) + self.server.missing_bytes))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PATCH = do_PUT = do_POST = answer

    def log_message(self, *_):
        """Says nothing."""


def failure(message):
    return {"kind": "Status", "status": "Failure", "message": message}


@pytest.fixture
def api():
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(tmp_path, monkeypatch):
    """Returns what writes a kubeconfig whose current context is at a port."""

    def write(port, namespace="rl"):
        file = tmp_path / "config"
        context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": context}, {"name": "there", "context": context}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }  # fmt: skip
        file.write_text(json.dumps(content))
        # The client reads KUBECONFIG once, when it is imported.
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
        return file

    return write


@pytest.fixture
def cluster(api, kubeconfig):
    kubeconfig(api.server_address[1])
    return Cluster()


def test_objects_are_listed_as_trees_by_their_labels(api, cluster):
    items = [{"metadata": {"name": "adql-learner-1"}}]
    api.answers["/api/v1/namespaces/rl/pods"] = 200, {"items": items}
    assert cluster.objects("pods", "app=adql") == items
    assert api.asked == [("GET", "/api/v1/namespaces/rl/pods", "labelSelector=app%3Dadql", None)]


@pytest.mark.parametrize(("given", "used"), [("mine", "mine"), (None, "rl")])
def test_namespace_that_is_named_goes_before_the_contexts_own(api, kubeconfig, given, used):
    kubeconfig(api.server_address[1])
    assert (Cluster(None, given).namespace, Cluster("there", given).context) == (used, "there")


def test_context_without_a_namespace_means_default(api, kubeconfig):
    kubeconfig(api.server_address[1], None)
    assert Cluster().namespace == "default"


def test_scale_changes_the_scale_subresource_alone(api, cluster):
    path = "/apis/apps/v1/namespaces/rl/deployments/adql-learner/scale"
    api.answers[path] = 200, {}
    cluster.scale("adql-learner", 0)
    assert api.asked == [("PATCH", path, "fieldManager=adql", {"spec": {"replicas": 0}})]


SCALE = "/apis/apps/v1/namespaces/rl/deployments/adql-learner/scale"
READ = {"metadata": {"name": "adql-learner", "namespace": "rl", "uid": "u", "resourceVersion": "7"}, "spec": {}}


def test_scale_is_written_under_the_version_that_was_read(api, cluster):
    api.answers[SCALE] = 200, READ
    cluster.rescale(cluster.scale_of("adql-learner"), 3)
    method, path, _, body = api.asked[-1]
    assert (method, path, body["spec"]) == ("PUT", SCALE, {"replicas": 3})
    assert body["metadata"] == {"name": "adql-learner", "namespace": "rl", "resourceVersion": "7"}


def test_scale_that_somebody_changed_meanwhile_is_a_conflict(api, cluster):
    api.answers[SCALE] = 409, failure("the object has been modified")
    with pytest.raises(ConflictError, match="has been modified"):
        cluster.rescale(READ, 3)


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_not_allowed_is_told_apart_from_what_is_away(api, cluster, status):
    api.answers[SCALE] = status, failure("no")
    with pytest.raises(RunFailedError) as refused:
        cluster.scale_of("adql-learner")
    assert refused.value.details["status"] == status


def test_event_is_created_in_the_namespace(api, cluster):
    path = "/api/v1/namespaces/rl/events"
    event = {"kind": "Event", "message": "why", "metadata": {"generateName": "a-"}, "involvedObject": {"name": "a"}}
    api.answers[path] = 201, event
    cluster.tell(event)
    assert api.asked == [("POST", path, "", event)]


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """A pod with the files of a service account."""
    place = "kubernetes.config.incluster_config"
    for name, content in (("token", "t"), ("ca.crt", "c"), ("namespace", "rl\n")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(f"{place}.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(f"{place}.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("adql_services.cluster.api._OWN_NAMESPACE", str(tmp_path / "namespace"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def test_pod_knows_its_own_cluster(pod, monkeypatch):
    monkeypatch.setattr("kubernetes.client.ApiClient", lambda configuration: configuration)
    assert Cluster.of_pod().namespace == "rl" and Cluster.of_pod("other").namespace == "other"
    assert Cluster.of_pod()._configuration.host == "https://10.0.0.1:443"


def test_pod_without_a_token_is_told_so(pod):
    (pod / "token").unlink()
    with pytest.raises(InputError, match=r"^this pod has no access to its cluster .*mount a service account's token$"):
        Cluster.of_pod()


def test_outside_of_a_pod_the_kubeconfig_counts(api, kubeconfig, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    kubeconfig(api.server_address[1])
    assert Cluster.of_pod().context == "here"


def test_log_is_text_and_can_be_followed(api, cluster):
    api.answers["/api/v1/namespaces/rl/pods/p/log"] = 200, b"one\ntwo \xff\nthree"
    assert cluster.log("p", "c", lines=3) == "one\ntwo \ufffd\nthree"
    assert list(cluster.follow("p", "c")) == ["one", "two \ufffd", "three"]
    assert "follow=true" in api.asked[1][2].lower() and "tailLines=3" in api.asked[0][2]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (404, NotFoundError, r'pods "p" is; `adql k8s status` says what there is'),
        (401, RunFailedError, "context here does not know you: log in to it again"),
        (403, RunFailedError, r'pods "p" is; ask who runs the cluster for the right to, or name another --context'),
        (500, RunFailedError, r'the cluster refuses it: pods "p" is'),
    ],
)
def test_refusal_is_one_line_with_the_way_out(api, cluster, status, kind, said):
    api.answers["/api/v1/namespaces/rl/pods/p/log"] = status, failure('pods "p"\nis')
    with pytest.raises(kind, match=said):
        cluster.log("p", "c")


def test_what_may_not_be_asked_everywhere_is_left_out(api, cluster):
    forbidden = 403, failure("no")
    api.answers["/apis/storage.k8s.io/v1/storageclasses"] = api.answers["/apis/apps/v1/statefulsets"] = forbidden
    assert (cluster.storage_classes(), cluster.everywhere("a=b")) == (None, [])


def test_command_in_a_pod_that_is_gone_is_told_in_one_line(api, cluster):
    with pytest.raises(NotFoundError, match=r"^[^\n]+; `adql k8s status` says what there is$"):
        cluster.execute("p", "c", ["adql"])


def test_cluster_that_is_not_there_is_told_with_its_address(kubeconfig):
    port = free_port()
    kubeconfig(port)
    cluster = Cluster()
    said = rf"cannot reach the cluster of context here at http://127\.0\.0\.1:{port} .*refused.*; start it, or name"
    for ask in (lambda: cluster.objects("pods"), lambda: cluster.execute("p", "c", ["adql"])):
        with pytest.raises(RunFailedError, match=said):
            ask()


def test_cluster_that_says_nothing_is_given_up(kubeconfig, monkeypatch):
    monkeypatch.setattr(api_module, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig(silent.getsockname()[1])
        cluster = Cluster()
        for ask in (
            lambda: cluster.objects("pods"),
            lambda: cluster.execute("p", "c", ["adql"]),
            lambda: cluster.forward("p", 80),
        ):
            with pytest.raises(RunFailedError, match=r"cannot reach the cluster of context here .*timed out"):
                ask()


def test_answer_that_breaks_off_is_told_in_one_line(api, cluster):
    api.answers["/api/v1/namespaces/rl/pods"] = 200, {"items": []}
    api.answers["/api/v1/namespaces/rl/pods/p/log"], api.answers[SCALE] = (200, b"one\n"), (200, READ)
    api.missing_bytes = 7
    for ask in (
        lambda: cluster.objects("pods"),
        lambda: cluster.scale_of("adql-learner"),
        lambda: cluster.rescale(READ, 3),
        lambda: cluster.log("p", "c"),
        lambda: list(cluster.follow("p", "c")),
    ):
        with pytest.raises(RunFailedError, match=r"^cannot reach the cluster of context here at [^\n]* 7 more"):
            ask()


def test_answer_of_somebody_else_is_told_in_one_line(api, cluster):
    api.answers["/api/v1/namespaces/rl/pods"] = 200, b"<html>log in</html>"
    with pytest.raises(RunFailedError, match=r"^http://127[^\n]* of context here answers no JSON[^\n]*--context"):
        cluster.objects("pods")


def test_list_that_says_null_is_empty(api, cluster):
    api.answers["/api/v1/namespaces/rl/pods"] = 200, {"items": None}
    assert cluster.objects("pods") == []


def test_ctrl_c_while_a_command_is_started_is_no_failure_of_the_cluster(api, cluster, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("kubernetes.stream.ws_client.create_websocket", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cluster.execute("p", "c", ["adql"])


def test_context_that_does_not_exist_is_told_with_those_that_do(kubeconfig):
    kubeconfig(1)
    with pytest.raises(InputError, match="--context nope: the kubeconfig has here, there; name one of them"):
        Cluster("nope")


@pytest.mark.parametrize("content", [None, "", "{", "a: [", "kind: Config\n", '{"contexts": 5}'])
def test_kubeconfig_that_says_nothing_is_told_in_one_line(kubeconfig, content):
    file = kubeconfig(1)
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(InputError, match=r"^no cluster is known: [^\n]*; make one, .*KUBECONFIG$"):
        Cluster()
