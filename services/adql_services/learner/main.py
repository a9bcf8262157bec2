"""Wires one learner: environment, network, clients, and the loop that drives them until the run is over."""

import random
import time
from dataclasses import dataclass

import numpy as np

from adql.agent.accumulator import Accumulator
from adql.agent.activity import Stopwatch
from adql.agent.actor import Actor
from adql.agent.actor_learner import ActorLearner
from adql.agent.environments import VectorEnvironment
from adql.agent.evaluation import FIRST_RESERVED_SEED
from adql.agent.experience import Experience
from adql.agent.exploration import make_epsilons
from adql.agent.learner import DqnLearner
from adql.agent.networks import Network, make_network
from adql.agent.synchroniser import Synchroniser
from adql.config import LearnerSettings, RunSpecification, SignatureSettings, config_hash
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.types import Parameters
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient
from adql_services.learner.reporting import EpisodeFile, MetricsReport, count_retry, observe_answer
from adql_services.runtime.worker import Worker, client_token, run_worker

IDLE_WAIT_SECONDS = 1.0
"""Long poll while the run is over."""
TIMEOUT_SECONDS = 10.0
"""Of one request to the parameter server: well below a lease, and below the silence that a probe allows."""


@dataclass(frozen=True, slots=True)
class Learner:
    """The assembled parts."""

    parameters: ParameterClient
    replay: ReplayClient
    experience: Experience
    synchroniser: Synchroniser
    loop: ActorLearner
    stopwatch: Stopwatch


def run(specification: RunSpecification, settings: LearnerSettings) -> int:
    """Learns until asked to end; ``specification`` has its signature. Returns the exit code."""
    return run_worker("learner", settings, settings.side, lambda worker: _work(specification, settings, worker))


def _work(specification: RunSpecification, settings: LearnerSettings, worker: Worker) -> None:
    signature = _signature(specification)
    network = make_network(specification.network, signature)
    parameters = _parameter_client(specification, settings, network, worker)
    start = parameters.register()
    learner = _assemble(specification, settings, network, parameters, start, worker)
    get_logger().info("registered", session=parameters.session, slot=parameters.slot, version=str(start.version))
    worker.ready()
    try:
        _drive(learner, specification, settings, worker)
    finally:
        learner.replay.close()
        parameters.close()


def _drive(learner: Learner, specification: RunSpecification, settings: LearnerSettings, worker: Worker) -> None:
    report, episodes_file = MetricsReport(), EpisodeFile(settings.episodes_file)
    learning_rate = specification.algorithm.learning_rate.build()
    while not worker.stopping:
        worker.beat()
        if learner.parameters.state.is_over:
            _idle(learner, worker)
            continue
        learner.loop.turn()
        episodes = learner.experience.take_episodes()
        episodes_file.write(episodes, learner.parameters.slot, learner.parameters.state)
        report.publish(learner.loop.record, learner.stopwatch, learner.experience.environment_steps, episodes)
        report.publish_wire(learner.parameters)
        metrics.LEARNER_DIVERGENCE.set(learner.synchroniser.divergence)
        metrics.LEARNING_RATE.set(learning_rate(learner.synchroniser.learner_clock))
    learner.loop.close()


def _idle(learner: Learner, worker: Worker) -> None:
    """The run is over: waits for a new status without spending the processor."""
    learner.synchroniser.settle()
    with worker.waiting():
        learner.parameters.pull(newer_than=learner.parameters.state.version, wait_seconds=IDLE_WAIT_SECONDS)


def _assemble(
    specification: RunSpecification,
    settings: LearnerSettings,
    network: Network,
    parameters: ParameterClient,
    start: Parameters,
    worker: Worker,
) -> Learner:
    stopwatch = Stopwatch(time.monotonic)
    replay = _replay_client(specification, settings, parameters, worker)
    experience = _experience(specification, network, parameters, replay, stopwatch)
    learner = DqnLearner(network, specification.algorithm, start.vector)
    synchroniser = Synchroniser(learner, parameters, specification.update, start, stopwatch)
    loop = ActorLearner(specification, experience, learner, synchroniser, parameters, replay, stopwatch)
    return Learner(parameters, replay, experience, synchroniser, loop, stopwatch)


def _experience(
    specification: RunSpecification,
    network: Network,
    parameters: ParameterClient,
    replay: ReplayClient,
    stopwatch: Stopwatch,
) -> Experience:
    copies, slot = specification.environment.copies, parameters.slot
    # A learner that takes over a slot later must not live through its predecessor's episodes again.
    entropy = (specification.run.seed, slot, parameters.state.clocks.environment_steps)
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    seeds = [int(seed) for seed in rng.integers(FIRST_RESERVED_SEED, size=copies)]
    actor = Actor(
        VectorEnvironment(specification.environment, seeds),
        network,
        Accumulator(copies, specification.algorithm.n_steps, specification.algorithm.gamma),
        rng,
    )
    epsilons = make_epsilons(specification.exploration, slot, copies)
    return Experience(actor, epsilons, replay, specification.replay.chunk_transitions, stopwatch)


def _parameter_client(
    specification: RunSpecification, settings: LearnerSettings, network: Network, worker: Worker
) -> ParameterClient:
    return ParameterClient(
        settings.parameter_server_url,
        token=client_token(settings),
        run=specification.run.name,
        config_hash=config_hash(specification),
        role="both",
        size=network.manifest.size,
        encoding=specification.update.encoding,
        clock=time.monotonic,
        sleep=worker.sleep,
        rng=random.Random(),
        timeout_seconds=TIMEOUT_SECONDS,
        on_retry=count_retry,
        on_answer=observe_answer,
    )


def _replay_client(
    specification: RunSpecification, settings: LearnerSettings, parameters: ParameterClient, worker: Worker
) -> ReplayClient:
    return ReplayClient(
        settings.replay_url,
        token=client_token(settings),
        signature=_signature(specification),
        session=parameters.session,
        config_hash=config_hash(specification),
        clock=time.monotonic,
        sleep=worker.sleep,
        rng=random.Random(),
        on_retry=count_retry,
    )


def _signature(specification: RunSpecification) -> SignatureSettings:
    signature = specification.environment.signature
    assert signature is not None, "the command line resolves the environment before a service starts"
    return signature
