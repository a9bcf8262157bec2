"""One plain HTTP request, so that a test sees status and headers as they are and not the errors made of them."""

import http.client
import json
import socket
from collections.abc import Mapping
from typing import NamedTuple

from adql.wire import routes


class Answer(NamedTuple):
    """What came back; the names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    address: str, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """Sends one request to ``unix:/path`` on a connection of its own."""
    connection = _UnixConnection(address.removeprefix("unix:"))
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def operations(address: str, token: str | None = None) -> list[tuple[str, str]]:
    """Returns method and path of every operation that the service's own description names, and of that itself."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = ask(address, "GET", routes.OPENAPI, headers)
    assert answer.status == 200, answer
    found = [("GET", routes.OPENAPI)]
    for path, methods in json.loads(answer.body)["paths"].items():
        found += [(method.upper(), path.replace("{session}", "x")) for method in methods]
    return found
