"""What a side port answers to who looks after a service."""

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection


def probe(side: str, path: str = routes.READYZ) -> int:
    """Returns the status of a path of the side port, 0 when nobody is there."""
    with Connection(side, token=lambda: None, timeout_seconds=5) as connection:
        try:
            return connection.request("GET", path).status
        except AdqlError as error:
            return 0 if error.kind == "transport" else error.status
