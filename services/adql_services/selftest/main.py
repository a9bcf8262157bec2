"""Does once what a learner does all the time: pushes, pulls, inserts and samples, and says what came of it.

The update changes nothing, the transitions are played by the newest policy, and what was sampled is given back: a run
that is under way hardly notices.
"""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

import numpy as np

from adql.agent.activity import Stopwatch
from adql.agent.assembly import Parts, assemble
from adql.agent.collector import Collector
from adql.agent.networks import Network, make_network
from adql.config import RunSpecification, SelfTestSettings, config_hash
from adql.config.identity import naming_differences
from adql.errors import AdqlError, RunFailedError
from adql.telemetry import logs
from adql.telemetry.logs import get_logger
from adql.types import Float32Array, Parameters
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient
from adql_services.runtime.clients import replay_client
from adql_services.runtime.worker import client_token

DEADLINE_SECONDS = 60.0
"""Of the whole test: a service may be starting again just then."""
ATTEMPTS = 10
"""Pushes before others, all of them refused as stale, count as a failure."""
SAMPLE_WAIT_SECONDS = 0.2


class Patience:
    """How long the test waits for the services, and what they said last."""

    def __init__(self, seconds: float = DEADLINE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._end = seconds, clock, clock() + seconds
        self._last: AdqlError | str = "one of insert and sample had to wait for the other"

    def remember(self, error: AdqlError) -> None:
        """Keeps why something has to be tried again."""
        self._last = error

    def check(self, seconds: float = 0.0) -> None:
        """Ends the test if it would still wait after ``seconds``.

        Raises:
            RunFailedError: it would; with what was said last.
        """
        if self._clock() + seconds > self._end:
            raise RunFailedError(f"the services did not do their work in {self._seconds:g} s: {self._last}")

    def sleep(self, seconds: float) -> None:
        """Waits between two attempts."""
        self.check(seconds)
        time.sleep(seconds)


def run(specification: RunSpecification, settings: SelfTestSettings) -> int:
    """Tries every verb once; ``specification`` has its signature. Returns the exit code.

    Raises:
        AdqlError: what does not work.
    """
    logs.configure(settings.log_format, "selftest")
    patience, network = Patience(), make_network(specification.network, specification.signature)
    with ExitStack() as stack:
        stack.enter_context(naming_differences(specification))
        parameters = stack.enter_context(closing(_parameter_client(specification, settings, network, patience)))
        newest = _try_parameters(specification, parameters)
        session, remember = parameters.session, patience.remember
        client = replay_client(specification, settings, session, sleep=patience.sleep, on_retry=remember)
        replay = stack.enter_context(closing(client))
        parts = Parts(specification, network, parameters, replay, newest, Stopwatch(time.monotonic), time.monotonic)
        actor = stack.enter_context(closing(assemble("actor", parts)))
        assert actor.collector is not None
        _try_replay(actor.collector, replay, newest.vector, specification.algorithm.batch_size, patience)
    return 0


def _try_parameters(specification: RunSpecification, client: ParameterClient) -> Parameters:
    pushed = _pushed(specification.update.rule, client, client.register())
    get_logger().info("pushed", version=str(pushed.version), durable=str(client.state.durable))
    pulled = client.pull(newer_than=None)
    if pulled is None or pulled.version < pushed.version:
        raise RunFailedError(f"version {pushed.version} was pushed and is not in what was pulled; see the server's log")
    get_logger().info("pulled", version=str(pulled.version), status=client.state.status)
    return pulled


def _pushed(rule: str, client: ParameterClient, newest: Parameters) -> Parameters:
    """Pushes an update that changes nothing, and returns the parameters with it, once the store has them."""
    for _ in range(ATTEMPTS):
        client.begin_push(_nothing_new(rule, newest.vector), newest.version, learner_steps=1, environment_steps=0)
        answer = client.finish_push()
        if answer.joined:
            return answer.parameters
        newest = answer.parameters
    raise RunFailedError(
        f"{ATTEMPTS} updates in a row were refused as {answer.outcome}; see the parameter server's log"
    )


def _nothing_new(rule: str, vector: Float32Array) -> Float32Array:
    """A learner sends its parameters under ``average``, and a difference or a gradient otherwise."""
    return vector if rule == "average" else np.zeros_like(vector)


def _try_replay(
    collector: Collector, replay: ReplayClient, vector: Float32Array, batch_size: int, patience: Patience
) -> None:
    """Either verb may have to wait for the other, so that both are tried in turn.

    Where learners rest nobody else samples: until the insert has passed, what was sampled is kept to make room for it.
    """
    inserted, sampled = 0, 0
    while not (inserted and sampled):
        patience.check()
        collector.gather(vector, 0)
        inserted += collector.offer()
        replay.begin_sample(1, batch_size, SAMPLE_WAIT_SECONDS)
        if samples := replay.finish_sample():
            sampled = sum(len(sample.transitions) for sample in samples)
            if inserted:
                replay.give_back(samples)
    get_logger().info("inserted", transitions=inserted)
    get_logger().info("sampled", transitions=sampled)


def _parameter_client(
    specification: RunSpecification, settings: SelfTestSettings, network: Network, patience: Patience
) -> ParameterClient:
    return ParameterClient(
        settings.parameter_server_url,
        token=client_token(settings),
        run=specification.run.name,
        config_hash=config_hash(specification),
        size=network.manifest.size,
        encoding=specification.update.encoding,
        clock=time.monotonic,
        sleep=patience.sleep,
        rng=random.Random(),
        timeout_seconds=DEADLINE_SECONDS / 4,
        durable=True,
        on_retry=patience.remember,
    )
