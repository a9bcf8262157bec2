"""Requests known to have arrived: what a service does with them is then no question of who came first."""

import fcntl
import select
import socket
import termios

from adql.wire import routes
from adql.wire.connection import Connection
from tests.services.plain_http import ask
from tests.waiting import wait_until


def wait_until_read(peer: socket.socket) -> None:
    """Waits until the service has taken everything that ``peer``, a unix socket, sent."""
    wait_until(lambda: fcntl.ioctl(peer, termios.TIOCOUTQ, bytes(4)) == bytes(4))


def wait_until_waiting(connection: Connection, address: str) -> None:
    """Waits until the service at ``address`` is at work on the request under way; fails where it was answered."""
    wait_until_read(connection._socket)
    ask(address, "GET", routes.OPENAPI)  # read after it and answered, so that the other one has had its turn
    assert not select.select([connection._socket], [], [], 0)[0], "it was answered at once"
