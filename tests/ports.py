"""TCP ports for services under test."""

import socket


def free_port() -> int:
    """Returns a TCP port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
