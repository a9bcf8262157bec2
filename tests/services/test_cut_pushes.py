"""A learner that is killed after any part of a push: nothing is applied, its session expires, the server is well."""

import json
import subprocess
import sys

import pytest

from adql.wire import routes
from tests.parameters.servers import tiny_specification
from tests.services.metrics_page import scrape
from tests.services.parameter_process import ServerProcess
from tests.services.plain_http import ask
from tests.services.pushes import update_body
from tests.store_process import running_store
from tests.waiting import wait_until

pytestmark = pytest.mark.system

PREFIX = 16
_PROGRAM = """
import json, os, signal, socket, sys
address, sent, cuts = json.loads(sys.stdin.read())
for cut in cuts:
    child = os.fork()
    if not child:
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(address)
        peer.sendall(bytes.fromhex(sent)[:cut])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
"""
"""Sends the first bytes of a push in a process that then kills itself, once a cut."""


def die_after(address: str, sent: bytes, cuts: list[int]) -> None:
    told = json.dumps([address.removeprefix("unix:"), sent.hex(), cuts])
    subprocess.run([sys.executable, "-c", _PROGRAM], input=told, text=True, check=True, timeout=30)


def request(body: bytes) -> bytes:
    lines = [f"POST {routes.UPDATES} HTTP/1.1", "Host: x", f"Content-Type: {routes.BINARY}"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def boundaries(sent: bytes) -> list[int]:
    """Around the ends of the request line, each header, the prefix, the body's header, the array, and in it."""
    head = sent.index(b"\r\n\r\n") + 4
    lines = [at for at in range(head) if sent[at : at + 1] == b"\n"]
    array = len(sent) - 16
    inside = [head, head + 4, head + PREFIX, head + PREFIX + 40, array - 8, array, array + 4, array + 8, len(sent)]
    cuts = {at + step for at in [*lines, *inside] for step in (-1, 0, 1)}
    return sorted(cut for cut in cuts if 0 < cut < len(sent))


def test_learner_killed_after_any_part_of_a_push_changes_nothing(tmp_path):
    run = tiny_specification(durability={"lease_seconds": 10.0})
    with running_store(tmp_path / "store") as store, ServerProcess(tmp_path / "server", run, store.url) as server:
        client = server.client()
        before = client.register().version
        sent = request(update_body(client))
        cuts = boundaries(sent)
        assert len(cuts) >= 25
        die_after(server.listen, sent, cuts)
        begun = sum(cut >= sent.index(b"\r\n\r\n") + 4 for cut in cuts)
        wait_until(lambda: scrape(server.side).by("adql_updates_total", "outcome") == {"incomplete": begun})
        assert client.pull(before) is None
        session = json.loads(ask(server.listen, "GET", routes.session(client.session)).body)
        assert session["last_sequence"] == -1
        die_after(server.listen, sent, [len(sent)])
        wait_until(lambda: client.pull(before) is not None)
        assert client.pull(None).vector.tolist() == [1, 0, 0, 0]
        wait_until(lambda: server.get(routes.RUN)["state"]["learners"] == 0)
        assert [server.probe(path) for path in (routes.LIVEZ, routes.READYZ)] == [200, 200]
        client.close()
