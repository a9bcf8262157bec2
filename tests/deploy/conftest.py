"""What the tests of the chart share."""

from collections.abc import Iterator

import pytest

from tests.deploy.releases import Release, fresh


@pytest.fixture
def release() -> Iterator[Release]:
    """A release that is not installed yet."""
    with fresh() as one:
        yield one
