"""A store, a parameter server and its client; files that need another one name it in the same way."""

import pytest

from adql.wire.connection import Connection
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.store_process import running_store


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    """The address of one store for all tests of a file."""
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store.url


@pytest.fixture
def store(tmp_path):
    with running_store(tmp_path / "store") as store:
        yield store


@pytest.fixture
def server(store, tmp_path):
    with ServerProcess(tmp_path / "server", tiny_specification(), store.url) as process:
        yield process


@pytest.fixture
def client(server):
    client = server.client()
    client.register()
    yield client
    client.close()


@pytest.fixture
def connection(server):
    with Connection(server.listen, token=lambda: None) as connection:
        yield connection
