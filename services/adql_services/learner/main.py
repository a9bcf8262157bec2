"""Wires one process of a role: network, clients, and the loop that drives them until it is asked to end."""

import random
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass

from adql.agent.activity import Stopwatch
from adql.agent.assembly import Assembly, Parts, assemble
from adql.agent.networks import Network, make_network
from adql.config import LearnerSettings, RunSpecification, config_hash
from adql.config.identity import naming_differences
from adql.schedules import Schedule
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient
from adql_services.learner.reporting import MetricsReport, Teller, observe_answer
from adql_services.runtime.clients import replay_client
from adql_services.runtime.outage import Outage
from adql_services.runtime.worker import Worker, client_token, run_worker

IDLE_WAIT_SECONDS = 1.0
"""Long poll while the run is over."""
REPORTS_A_LEASE = 3
"""While the run is over: a pull renews no lease."""
TIMEOUT_SECONDS = 10.0
"""Of one request to the parameter server: well below a lease, and below the silence that a probe allows."""


@dataclass(frozen=True, slots=True)
class _Process:
    """One learner or actor: what it drives, and what it tells of itself."""

    assembly: Assembly
    parameters: ParameterClient
    replay: ReplayClient
    stopwatch: Stopwatch
    teller: Teller
    learning_rate: Schedule
    report: MetricsReport


def run(specification: RunSpecification, settings: LearnerSettings) -> int:
    """Acts, learns or both until asked to end; ``specification`` has its signature. Returns the exit code."""
    service = "actor" if settings.role == "actor" else "learner"
    return run_worker(
        service, settings, settings.side, lambda worker: _work(specification, settings, worker), metrics.LEARNER_PAGE
    )


def _work(specification: RunSpecification, settings: LearnerSettings, worker: Worker) -> None:
    network = make_network(specification.network, specification.signature)
    with ExitStack() as stack:  # on every way out everything is closed, what was opened last first
        stack.enter_context(naming_differences(specification))
        parameters = stack.enter_context(closing(_parameter_client(specification, settings, network, worker)))
        start = parameters.register()
        replay = stack.enter_context(closing(_replay_client(specification, settings, parameters, worker)))
        stopwatch = Stopwatch(time.monotonic)
        parts = Parts(specification, network, parameters, replay, start, stopwatch, time.monotonic, worker.goes_on)
        assembly = stack.enter_context(closing(assemble(settings.role, parts)))
        _tell_registered(settings.role, parameters)
        worker.ready()
        learning_rate = specification.algorithm.learning_rate.build()
        teller = Teller(parameters, specification.goal, time.monotonic)
        _drive(_Process(assembly, parameters, replay, stopwatch, teller, learning_rate, MetricsReport()), worker)


def _drive(process: _Process, worker: Worker) -> None:
    while worker.goes_on():
        if process.parameters.state.is_over:
            _idle(process, process.parameters, worker)
            continue
        process.assembly.loop.turn()
        _tell(process)
    _rest(process)


def _rest(process: _Process) -> None:
    """Comes to rest: all that was done is reported and told."""
    process.assembly.loop.close()
    _tell(process)
    process.teller.tell_all(process.stopwatch)


def _idle(process: _Process, parameters: ParameterClient, worker: Worker) -> None:
    """The run is over: reports what was done, then waits for a new status without spending the processor."""
    _rest(process)
    until = time.monotonic() + parameters.lease_seconds / REPORTS_A_LEASE
    while parameters.state.is_over and (left := until - time.monotonic()) > 0:
        worker.beat()
        with worker.waiting():
            parameters.pull(newer_than=parameters.state.version, wait_seconds=min(left, IDLE_WAIT_SECONDS))


def _tell_registered(role: str, parameters: ParameterClient) -> None:
    version = str(parameters.state.version)
    get_logger().info("registered", role=role, session=parameters.session, slot=parameters.slot, version=version)


def _tell(process: _Process) -> None:
    assembly, parameters, report = process.assembly, process.parameters, process.report
    if assembly.collector is not None:
        episodes = assembly.collector.take_episodes()
        process.teller.note(episodes)
        report.publish_acting(assembly.collector, episodes)
    if assembly.study is not None:
        report.publish_learning(assembly.study, process.learning_rate)
    process.teller.tell(process.stopwatch)
    report.publish_time(process.stopwatch)
    report.publish_wire(parameters, process.replay)


def _parameter_client(
    specification: RunSpecification, settings: LearnerSettings, network: Network, worker: Worker
) -> ParameterClient:
    outage = Outage("parameter server", "ADQL_PARAMETER_SERVER_URL", settings.parameter_server_url)
    return ParameterClient(
        settings.parameter_server_url,
        token=client_token(settings),
        run=specification.run.name,
        config_hash=config_hash(specification),
        role=settings.role,
        size=network.manifest.size,
        encoding=specification.update.encoding,
        compression=settings.compression,
        clock=time.monotonic,
        sleep=worker.sleep,
        rng=random.Random(),
        timeout_seconds=TIMEOUT_SECONDS,
        on_retry=outage.retried,
        on_success=outage.answered,
        on_answer=observe_answer,
    )


def _replay_client(
    specification: RunSpecification, settings: LearnerSettings, parameters: ParameterClient, worker: Worker
) -> ReplayClient:
    outage = Outage("replay service", "ADQL_REPLAY_URL", settings.replay_url)
    return replay_client(
        specification,
        settings,
        parameters.session,
        sleep=worker.sleep,
        on_retry=outage.retried,
        on_success=outage.answered,
    )
