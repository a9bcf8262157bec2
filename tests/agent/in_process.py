"""A whole run in one process and one thread: the real table, server and learners, without sockets or store."""

from dataclasses import dataclass, field

import numpy as np

from adql.agent import assembly as agent
from adql.agent.activity import Stopwatch
from adql.agent.assembly import Parts
from adql.agent.collector import Collector
from adql.agent.environments import resolve
from adql.agent.evaluation import play_episodes
from adql.agent.loop import Loop
from adql.agent.networks import Network, make_network
from adql.agent.study import Study
from adql.agent.synchroniser import Synchroniser
from adql.config import RunSpecification, load_specification
from adql.encodings import from_wire, to_wire
from adql.episodes import FIRST_RESERVED_SEED
from adql.errors import InvalidUpdateError, RateLimitedError, StaleUpdateError
from adql.parameters.initial import initial_parameters
from adql.parameters.server import ParameterServer
from adql.parameters.sessions import Role
from adql.replay.rate_limiter import RateLimiter
from adql.replay.schema import TransitionSchema
from adql.replay.selectors import PrioritisedSelector, UniformSelector
from adql.replay.sessions import Sessions
from adql.replay.table import ReplayTable
from adql.types import (
    ArraySpec,
    Parameters,
    PushAnswer,
    ReplaySample,
    RunState,
    SampleInfo,
    TransitionBatch,
    Update,
    Version,
)

SMALL = ("network.hidden=[16]", "algorithm.batch_size=8", "replay.min_size=100", "replay.samples_per_insert=4")
"""A run that costs little."""


def specification(*assignments: str) -> RunSpecification:
    """The default run with some keys replaced and its environment resolved."""
    loaded = load_specification(None, assignments, {})
    return loaded.model_copy(update={"environment": resolve(loaded.environment)})


class LocalParameters:
    """A ParameterSource that calls the state machine; the answer to a push waits until it is asked for.

    Everything that would travel is rounded by the run's encoding.
    """

    def __init__(self, server: ParameterServer, role: Role) -> None:
        self._server, self.session, self._sequence = server, server.register(role), 0
        self.slot = self.session.slot
        self._encoding = server.specification.update.encoding
        self.staleness: list[int] = []
        self.state = self._state()

    def pull(self, newer_than: Version | None, wait_seconds: float = 0.0) -> Parameters | None:
        self.state = self._state()
        return self._parameters() if self._server.version != newer_than else None

    def progress(self, environment_steps: int) -> None:
        self._server.progress(self.session.identifier, environment_steps)
        self.state = self._state()

    def begin_push(self, vector, based_on: Version, learner_steps: int, environment_steps: int) -> np.ndarray:
        sent = from_wire(to_wire(vector.copy(), self._encoding))
        update = Update(self.session.identifier, self._sequence, based_on, sent, learner_steps, environment_steps)
        self._sequence += 1
        self._answer = self._push(update)
        return sent

    def finish_push(self) -> PushAnswer:
        self.state = self._state()
        return self._answer

    def _push(self, update: Update) -> PushAnswer:
        try:
            result = self._server.push(update)
        except StaleUpdateError:
            return PushAnswer("stale", self._parameters())
        except InvalidUpdateError:
            return PushAnswer("invalid", self._parameters())
        self.staleness.append(result.staleness)
        return PushAnswer(result.outcome, self._parameters(), result.staleness)

    def _parameters(self) -> Parameters:
        newest = self._server.parameters
        return Parameters(newest.version, from_wire(to_wire(newest.vector, self._encoding)))

    def _state(self) -> RunState:
        server = self._server
        return RunState(
            server.identity.run_id,
            server.version,
            server.durable,
            server.clocks,
            server.status,
            server.sessions.learners,
        )


class LocalReplay:
    """A ReplaySource that calls the table."""

    def __init__(self, table: ReplayTable, session: str) -> None:
        self._table, self._session, self._chunk = table, session, 0

    def insert(self, batch: TransitionBatch, wait_seconds: float = 0.0) -> bool:
        try:
            self._table.insert(self._session, self._chunk, batch.columns())
        except RateLimitedError:
            return False
        self._chunk += 1
        return True

    def begin_sample(self, batches: int, batch_size: int, wait_seconds: float = 0.0) -> None:
        self._answer: list[ReplaySample] | None = None
        try:
            drawn = self._table.sample(self._session, batches, batch_size)
        except RateLimitedError:
            return
        self._answer, self._first = [], drawn.first_batch
        for first in range(0, batches * batch_size, batch_size):
            rows = slice(first, first + batch_size)
            info = SampleInfo(drawn.item_ids[rows], drawn.probabilities[rows], self._table.incarnation, drawn.size)
            columns = {name: column[rows] for name, column in drawn.columns.items()}
            self._answer.append(ReplaySample(TransitionBatch.from_columns(columns), info))

    def finish_sample(self) -> list[ReplaySample] | None:
        return self._answer

    def give_back(self, samples: list[ReplaySample]) -> None:
        self._table.give_back(self._table.incarnation, range(self._first, self._first + len(samples)))

    def update_priorities(self, samples: list[ReplaySample], td_errors: list[np.ndarray]) -> None:
        for sample, errors in zip(samples, td_errors, strict=True):
            self._table.update_priorities(sample.info.incarnation, sample.info.item_ids, errors)


@dataclass
class Run:
    """Several processes' loops that take turns; deterministic for a seed."""

    specification: RunSpecification
    server: ParameterServer
    table: ReplayTable
    loops: list[Loop] = field(default_factory=list)
    """Learners, then actors."""
    studies: list[Study] = field(default_factory=list)
    """Of the learners."""
    collectors: list[Collector] = field(default_factory=list)
    """Of all that act."""
    sources: list[LocalParameters] = field(default_factory=list)
    """As ``loops``."""

    @property
    def synchronisers(self) -> list[Synchroniser]:
        """Of the learners."""
        return [study.synchroniser for study in self.studies]

    def add(self, source: LocalParameters, network: Network) -> None:
        """Puts together what a process of the source's role has."""
        clock, replay = (lambda: 0.0), LocalReplay(self.table, source.session.identifier)
        parts = Parts(self.specification, network, source, replay, source.pull(None), Stopwatch(clock), clock)
        assembly = agent.assemble(source.session.role, parts)
        self.loops.append(assembly.loop)
        self.studies += [assembly.study] if assembly.study else []
        self.collectors += [assembly.collector] if assembly.collector else []

    def until(self, learner_steps: int) -> None:
        """Gives every loop its turn until the run's clock has passed ``learner_steps``."""
        while self.server.clocks.learner_steps < learner_steps:
            for loop in self.loops:
                loop.turn()

    def greedy_returns(self, episodes: int) -> tuple[float, ...]:
        """Plays greedy episodes of the newest parameters on reserved seeds."""
        network = make_network(self.specification.network, self.specification.environment.signature)
        vector = self.server.parameters.vector
        return play_episodes(self.specification.environment, network, vector, episodes, FIRST_RESERVED_SEED).returns


def assemble(spec: RunSpecification, learners: int, actors: int = 0) -> Run:
    """Makes the table, the server, the learners, which only learn where there are ``actors``, and these."""
    network = make_network(spec.network, spec.environment.signature)
    rng = np.random.default_rng(spec.run.seed)
    vector = initial_parameters(network.manifest, spec.network, rng)
    names = iter(f"session-{i}" for i in range(learners + actors))
    server = ParameterServer(
        spec, vector, run_id="run", clock=lambda: 0.0, wall_clock=lambda: 0.0, new_identifier=lambda: next(names)
    )
    server.available = True  # there is no store to wait for
    run = Run(spec, server, make_table(spec))
    roles = ["learner" if actors else "both"] * learners + ["actor"] * actors
    run.sources += [LocalParameters(server, role) for role in roles]
    for source in run.sources:
        run.add(source, network)
    return run


def make_table(spec: RunSpecification) -> ReplayTable:
    """The replay table of a run."""
    signature, replay = spec.environment.signature, spec.replay
    observation = (signature.observation_shape, signature.observation_dtype)
    columns = (
        ArraySpec("observation", *observation),
        ArraySpec("action", (), "int32"),
        ArraySpec("reward", ()),
        ArraySpec("discount", ()),
        ArraySpec("next_observation", *observation),
    )
    if replay.sampler == "prioritised":
        selector = PrioritisedSelector(spec.replay_capacity, replay.priority_exponent)
    else:
        selector = UniformSelector(spec.replay_capacity)
    limiter = RateLimiter(
        samples_per_insert=replay.samples_per_insert,
        min_size=replay.min_size,
        capacity=spec.replay_capacity,
        max_error=replay.max_error,
        request=spec.algorithm.batch_size * replay.batches_per_request,
        chunk=replay.chunk_transitions,
    )
    schema = TransitionSchema(columns, signature.actions, signature.observations)
    rng = np.random.default_rng(spec.run.seed + 1)
    sessions = Sessions(30.0, lambda: 0.0)
    return ReplayTable(schema, selector, limiter, sessions, capacity=spec.replay_capacity, incarnation=1, rng=rng)
