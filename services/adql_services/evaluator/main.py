"""Wires the evaluator: asks for a version, plays its episodes, reports, until it is asked to end."""

import random
import time
from contextlib import closing

from adql.agent.evaluation import EpisodeResults, play_episodes, successes_by_goal
from adql.agent.networks import Network, make_network
from adql.config import EvaluatorSettings, RunSpecification, config_hash
from adql.config.identity import naming_differences
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.wire.evaluation_client import EvaluationClient, EvaluationResult, EvaluationTask
from adql_services.runtime.outage import Outage
from adql_services.runtime.worker import Worker, client_token, run_worker

WAIT_SECONDS = 1.0
"""Long poll for the next version."""
TIMEOUT_SECONDS = 10.0
"""Of one request: below the silence that a probe allows; packets to a pod that is gone are answered by nobody."""


def run(specification: RunSpecification, settings: EvaluatorSettings) -> int:
    """Evaluates until asked to end; ``specification`` has its signature. Returns the exit code."""
    return run_worker(
        "evaluator",
        settings,
        settings.side,
        lambda worker: _work(specification, settings, worker),
        metrics.EVALUATOR_PAGE,
    )


def _work(specification: RunSpecification, settings: EvaluatorSettings, worker: Worker) -> None:
    network = make_network(specification.network, specification.signature)
    with naming_differences(specification), closing(_client(settings, network, worker)) as client:
        _drive(specification, network, client, worker)


def _drive(specification: RunSpecification, network: Network, client: EvaluationClient, worker: Worker) -> None:
    reconnects = 0
    with worker.waiting():
        client.check_configuration(config_hash(specification))
    worker.ready()
    while worker.goes_on():
        with worker.waiting():
            task = client.next(WAIT_SECONDS)
        metrics.RECONNECTS.inc(client.reconnects - reconnects)
        reconnects = client.reconnects
        if task is not None:
            _evaluate(specification, network, client, task, worker)


def _client(settings: EvaluatorSettings, network: Network, worker: Worker) -> EvaluationClient:
    outage = Outage("parameter server", "ADQL_PARAMETER_SERVER_URL", settings.parameter_server_url)
    return EvaluationClient(
        settings.parameter_server_url,
        token=client_token(settings),
        size=network.manifest.size,
        clock=time.monotonic,
        sleep=worker.sleep,
        rng=random.Random(),
        timeout_seconds=TIMEOUT_SECONDS,
        on_retry=outage.retried,
        on_success=outage.answered,
    )


def _evaluate(
    specification: RunSpecification, network: Network, client: EvaluationClient, task: EvaluationTask, worker: Worker
) -> None:
    start = time.monotonic()
    results = play_episodes(
        specification.environment, network, task.parameters.vector, task.episodes, task.seed, worker.go_on
    )
    seconds = time.monotonic() - start
    successes = successes_by_goal(results, specification.goal)
    version = task.parameters.version
    if client.report(EvaluationResult(task.id, version, results.returns, results.lengths, successes, seconds)):
        _publish(task, results, successes)
    else:
        get_logger().info("the run no longer waits for this evaluation", version=str(version), purpose=task.purpose)


def _publish(task: EvaluationTask, results: EpisodeResults, successes: tuple[bool, ...] | None) -> None:
    mean = sum(results.returns) / task.episodes
    metrics.EPISODE_RETURN.labels("greedy").set(mean)
    metrics.EPISODE_LENGTH.labels("greedy").set(sum(results.lengths) / task.episodes)
    if successes:
        metrics.SUCCESS_RATIO.set(sum(successes) / task.episodes)
    get_logger().info("evaluated", version=str(task.parameters.version), purpose=task.purpose, mean_return=mean)
