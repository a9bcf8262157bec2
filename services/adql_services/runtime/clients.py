"""The replay client of whoever inserts and samples in a session of its own: a learner, and the self-test."""

import random
import time
from collections.abc import Callable

from adql.config import LearnerSettings, RunSpecification, SelfTestSettings, config_hash
from adql.errors import AdqlError
from adql.wire.replay_client import ReplayClient
from adql_services.runtime.worker import client_token


def replay_client(
    specification: RunSpecification,
    settings: LearnerSettings | SelfTestSettings,
    session: str,
    *,
    sleep: Callable[[float], None],
    on_retry: Callable[[AdqlError], None],
    on_success: Callable[[], None] = lambda: None,
) -> ReplayClient:
    """Returns a client of the run's table; ``specification`` has its signature, ``session`` is leased already."""
    return ReplayClient(
        settings.replay_url,
        token=client_token(settings),
        signature=specification.signature,
        session=session,
        config_hash=config_hash(specification),
        clock=time.monotonic,
        sleep=sleep,
        rng=random.Random(),
        on_retry=on_retry,
        on_success=on_success,
    )
