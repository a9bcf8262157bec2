"""Which parts a process of each role has, and how they are put together; its sources may be local or remote."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adql.agent.accumulator import Accumulator
from adql.agent.acting import ActingLoop
from adql.agent.activity import Stopwatch
from adql.agent.actor import Actor
from adql.agent.actor_learner import ActorLearner
from adql.agent.collector import Collector
from adql.agent.environments import VectorEnvironment
from adql.agent.exploration import make_epsilons
from adql.agent.learner import DqnLearner
from adql.agent.learning import LearningLoop
from adql.agent.loop import Loop
from adql.agent.networks import Network
from adql.agent.sources import ParameterSource, ReplaySource
from adql.agent.study import Study
from adql.agent.synchroniser import Synchroniser
from adql.config import RunSpecification
from adql.episodes import FIRST_RESERVED_SEED
from adql.types import Parameters


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role has."""

    specification: RunSpecification
    network: Network
    parameters: ParameterSource
    replay: ReplaySource
    start: Parameters
    stopwatch: Stopwatch
    clock: Callable[[], float]
    goes_on: Callable[[], bool] = lambda: True
    """Asked after each step of the environments."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """The loop of one role and the halves that it drives."""

    loop: Loop
    collector: Collector | None = None
    """None where nothing is acted."""
    study: Study | None = None
    """None where nothing is learned."""

    def close(self) -> None:
        """Closes the environments."""
        if self.collector is not None:
            self.collector.close()


def assemble(role: Literal["both", "learner", "actor"], parts: Parts) -> Assembly:
    """Returns what a process of ``role`` runs; only one that acts makes environments."""
    return {"both": _both, "learner": _learner, "actor": _actor}[role](parts)


def _both(parts: Parts) -> Assembly:
    collector, study = _collector(parts), _study(parts)
    ratio = parts.specification.replay.samples_per_insert
    return Assembly(ActorLearner(collector, study, parts.parameters, ratio), collector, study)


def _learner(parts: Parts) -> Assembly:
    study = _study(parts)
    return Assembly(LearningLoop(study, parts.parameters), study=study)


def _actor(parts: Parts) -> Assembly:
    collector = _collector(parts)
    loop = ActingLoop(collector, parts.parameters, parts.start, parts.stopwatch, parts.clock)
    return Assembly(loop, collector)


def _study(parts: Parts) -> Study:
    specification = parts.specification
    learner = DqnLearner(parts.network, specification.algorithm, parts.start.vector)
    synchroniser = Synchroniser(learner, parts.parameters, specification, parts.start, parts.stopwatch)
    return Study(specification, learner, synchroniser, parts.replay, parts.stopwatch)


def _collector(parts: Parts) -> Collector:
    specification, slot = parts.specification, parts.parameters.slot
    copies = specification.environment.copies
    # Who takes over a slot later must not live through its predecessor's episodes again.
    entropy = (specification.run.seed, slot, parts.parameters.state.clocks.environment_steps)
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    seeds = [int(seed) for seed in rng.integers(FIRST_RESERVED_SEED, size=copies)]
    actor = Actor(
        VectorEnvironment(specification.environment, seeds),
        parts.network,
        Accumulator(copies, specification.algorithm.n_steps, specification.algorithm.gamma),
        rng,
    )
    epsilons = make_epsilons(specification.exploration, lambda: parts.parameters.slot, copies)
    chunk = specification.replay.chunk_transitions
    return Collector(actor, epsilons, parts.replay, chunk, parts.stopwatch, parts.goes_on)
