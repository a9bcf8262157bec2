"""The parameter server as a deterministic state machine: no I/O, no threads; time and names are handed in.

An update is checked, written into a buffer that nobody else sees, checked again and then becomes the next version in
one assignment. Vectors that were published are never written, so pulls, commits and checkpoints go on meanwhile.
"""

from collections.abc import Callable
from typing import Literal, NoReturn

import numpy as np

from adql.config import RunSpecification
from adql.config.identity import check_same_hash
from adql.errors import (
    AdqlError,
    CheckpointError,
    InvalidUpdateError,
    OtherRunError,
    StaleUpdateError,
    StoreUnavailableError,
    UnknownSessionError,
    WrongRunError,
)
from adql.parameters import run_record, staleness
from adql.parameters.applying import PushResult, Work, compute
from adql.parameters.buffers import VectorPool, publish
from adql.parameters.pacing import EvaluationPacer
from adql.parameters.run_record import RunRecord, Status
from adql.parameters.sessions import Outcome, Role, Session, SessionTable
from adql.parameters.state import Mark, RunIdentity, State, StateRecord
from adql.parameters.update_rules import Step, make_update_rule
from adql.types import Clocks, Float32Array, Parameters, Update, Version

MAX_EARLIER_EPOCHS = 1_000
"""How many restarts an update may be based before; older ones are stale."""
MAX_STALENESS_KEY = 1_000
"""Staleness is counted one by one up to here."""


class ParameterServer:
    """Parameters, update rule, sessions, clocks and run record of one run.

    ``clock`` is monotonic seconds, ``wall_clock`` Unix seconds, ``new_identifier`` names sessions.
    """

    def __init__(
        self,
        specification: RunSpecification,
        vector: Float32Array,
        *,
        run_id: str,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        new_identifier: Callable[[], str],
    ) -> None:
        self.specification = specification
        self.identity = RunIdentity.of(specification, run_id)
        self.sessions = SessionTable(specification.durability.lease_seconds, clock, new_identifier)
        self.evaluations = RunRecord()
        self._evaluation_pacer = EvaluationPacer(specification.evaluation)
        self.durable = Version(0, 0)
        self.available = False
        """Whether updates and registrations are taken; not while the store is away or a new epoch is not committed."""
        self.incidents = 0
        self._changes = 0
        self._clock, self._wall_clock = clock, wall_clock
        self._pool = VectorPool(len(vector))
        self._rule = make_update_rule(
            specification.update,
            specification.algorithm,
            len(vector),
            is_table=specification.network.kind == "tabular",
        )
        self._vector = publish(vector)
        self._epoch, self._number, self._learner_steps = 0, 0, 0
        self._earlier_epochs: dict[int, int] = {}
        self._staleness: dict[int, int] = {}
        self._started_at = wall_clock()
        self._durable_sequences: dict[str, int] = {}

    # What it shows

    @property
    def version(self) -> Version:
        """The newest applied version."""
        return Version(self._epoch, self._number)

    @property
    def parameters(self) -> Parameters:
        """The newest applied parameters; their vector is read-only for good."""
        return Parameters(self.version, self._vector)

    @property
    def clocks(self) -> Clocks:
        """Environment steps of all sessions, learner steps of all applied updates."""
        return Clocks(self.sessions.environment_steps, self._learner_steps)

    @property
    def status(self) -> Status:
        """What every process of the run goes by."""
        return run_record.status_of(self.evaluations, self.clocks, self.specification)

    @property
    def changes(self) -> int:
        """Grows with every change that a commit would save; sessions may end while another one is looked for."""
        return self._changes + self.sessions.expired

    @property
    def staleness_counts(self) -> dict[int, int]:
        """Applied updates by staleness."""
        return dict(self._staleness)

    @property
    def started_at(self) -> float:
        """Unix seconds at which the run began."""
        return self._started_at

    def durable_sequence(self, session: str) -> int:
        """Returns the session's last sequence in the newest commit; −1 if it is registered there and has none.

        Raises:
            UnknownSessionError: no commit has this session.
        """
        if session not in self._durable_sequences:
            raise UnknownSessionError("session is in no commit yet; ask again or register again")
        return self._durable_sequences[session]

    def is_durable(self, session: str, sequence: int) -> bool:
        """Whether the newest commit has the session, with this sequence (−1: none) used up."""
        return self._durable_sequences.get(session, -2) >= sequence

    # What it is asked

    def check_identity(self, run_id: str, config_hash: str) -> None:
        """Refuses another run and another configuration.

        Raises:
            OtherRunError, WrongRunError: it says which.
        """
        self.check_run_id(run_id)
        self._check_hash(config_hash)

    def check_run_id(self, run_id: str) -> None:
        """Refuses what belongs to another run.

        Raises:
            OtherRunError: it says which.
        """
        if run_id != self.identity.run_id:
            raise OtherRunError(
                f"this belongs to run id {run_id!r}, this server has {self.identity.run_id!r}; start afresh"
            )

    def check_epoch(self, epoch: int) -> None:
        """Refuses a client that has seen a newer epoch than this server's.

        Raises:
            WrongRunError: it says which.
        """
        if epoch > self._epoch:
            raise WrongRunError(
                f"epoch {epoch} is newer than this server's {self._epoch}: another server owns the run; "
                "end this server or ask that one",
                epoch=self._epoch,
            )

    def check_run(self, name: str, config_hash: str) -> None:
        """Refuses a process of another run or configuration.

        Raises:
            WrongRunError: it says which.
        """
        if name != self.identity.name:
            raise WrongRunError(
                f"this server has run {self.identity.name!r}, not {name!r}; set run.name or the address of its server"
            )
        self._check_hash(config_hash)

    def register(self, role: Role) -> Session:
        """Leases a session; to be answered after the next commit.

        Raises:
            StoreUnavailableError: nothing is taken now.
            RateLimitedError: too many sessions are live.
        """
        self._check_available()
        self._changed()
        return self.sessions.register(role)

    def progress(self, session: str, environment_steps: int) -> None:
        """Renews a lease and raises the session's counter of environment steps."""
        before = self.sessions.environment_steps
        self.sessions.report_steps(session, environment_steps)
        if self.sessions.environment_steps != before:
            self._changed()

    def close_session(self, session: str) -> None:
        """Ends a session; what it counted stays."""
        self.sessions.close(session)
        self._changed()

    def expire(self) -> int:
        """Ends sessions that were silent for a whole lease; returns how many."""
        return self.sessions.expire()

    def push(self, update: Update) -> PushResult:
        """Applies an update, or says why not; a repeat of the session's last sequence gets its recorded answer.

        Raises:
            StaleUpdateError, InvalidUpdateError: refused; the sequence is used up.
            UnknownSessionError, SequenceGapError, SupersededSequenceError, StoreUnavailableError: nothing changed.
        """
        begun = self.begin(update)
        return begun if isinstance(begun, PushResult) else self.finish(begun, self.compute(begun))

    def begin(self, update: Update) -> PushResult | Work:
        """Returns what is to be computed for an update, or the recorded answer to a repeat; raises as ``push``."""
        self.sessions.find(update.session)  # it lives, and its lease is renewed, while the store is away
        self._check_available()
        recorded = self.sessions.recorded(update.session, update.sequence)
        if recorded is not None:
            return self._repeat(update.session, recorded)
        try:
            return self._judged(update)
        except StaleUpdateError as refusal:
            self._refuse("stale", update, refusal)
            raise

    def compute(self, work: Work) -> InvalidUpdateError | None:
        """Computes ``work``, in any thread; returns why its result must not be taken, if so.

        Of this object it changes the update rule's arrays alone: until ``finish`` nothing may begin, nor a snapshot be.
        """
        return compute(self._rule, work, self.specification.update.encoding)

    def finish(self, work: Work, refusal: InvalidUpdateError | None) -> PushResult:
        """Makes the result of ``work`` the next version, in one assignment.

        Raises:
            InvalidUpdateError: ``refusal``; the sequence is used up.
            UnknownSessionError: its session ended meanwhile; nothing changed.
        """
        update = work.update
        try:
            self.sessions.find(update.session)
        except UnknownSessionError:
            if refusal is None:
                self._rule.undo()
            raise
        if refusal is not None:
            self._refuse("invalid", update, refusal)
            raise refusal
        self._advance(publish(work.result), update.learner_steps, work.behind)
        self._record(update, Outcome("applied", *self.version, work.behind))
        return PushResult("applied", self.version, work.behind, self.parameters)

    def _repeat(self, session: str, recorded: Outcome) -> PushResult:
        self.sessions.count_duplicate(session)
        if recorded.kind == "stale":
            raise StaleUpdateError(recorded.message, staleness=recorded.staleness)
        if recorded.kind == "invalid":
            raise InvalidUpdateError(recorded.message)
        applied = Version(recorded.epoch, recorded.number)
        return PushResult("duplicate", applied, recorded.staleness, self.parameters)

    def _record(self, update: Update, outcome: Outcome) -> None:
        self.sessions.use_sequence(update.session, outcome, update.learner_steps)
        self.sessions.report_steps(update.session, update.environment_steps)
        self._changed()

    def _check_hash(self, config_hash: str) -> None:
        check_same_hash(config_hash, self.identity.config_hash, self.identity.keys)

    # How an update is applied

    def _judged(self, update: Update) -> Work:
        behind = self._behind(update.based_on)
        if behind is None:
            _refuse_lost_base(update.based_on, self.version)
        learners = max(1, self.sessions.learners)
        factor = staleness.judge(self.specification.update.staleness, behind, learners)
        step = Step(learners, factor, self._learner_steps)
        return Work(update, behind, step, self._vector, self._pool.spare())

    def _refuse(self, kind: Literal["stale", "invalid"], update: Update, refusal: AdqlError) -> None:
        self._record(update, Outcome(kind, *self.version, self._behind(update.based_on) or 0, str(refusal)))

    def _behind(self, base: Version) -> int | None:
        """Returns how many versions were applied since ``base``, None if the run does not go on from it."""
        last = self._number if base.epoch == self._epoch else self._earlier_epochs.get(base.epoch, -1)
        return self._number - base.number if base.number <= last else None

    def _advance(self, vector: Float32Array, learner_steps: int, behind: int) -> None:
        self._vector = vector
        self._number += 1
        self._learner_steps += learner_steps
        key = min(behind, MAX_STALENESS_KEY)
        self._staleness[key] = self._staleness.get(key, 0) + 1

    def _check_available(self) -> None:
        if not self.available:
            raise StoreUnavailableError("the weight store is away; send the same request again", retry_after_ms=200)

    def _changed(self) -> None:
        self._changes += 1

    # What is committed, and how it goes on from there

    def snapshot(self, mark: Mark) -> State:
        """Returns the whole state to be committed under ``mark``, immutable; a newer epoch begins with its commit."""
        arrays = {name: array.copy() for name, array in self._rule.state().items()}
        record = StateRecord(
            identity=self.identity,
            arrays=[(name, list(array.shape), array.dtype.name) for name, array in arrays.items()],
            learner_steps=self._learner_steps,
            sessions=self.sessions.record(),
            evaluations=self.evaluations,
            earlier_epochs=self._epochs_before(mark.epoch),
            staleness=dict(self._staleness),
            incidents=self.incidents,
            started_at=self._started_at,
            saved_at=self._wall_clock(),
        )
        return State(mark, self._vector, arrays, record)

    def committed(self, state: State) -> None:
        """Raises the durable watermark to ``state``, which the store is known to hold."""
        if state.mark.epoch != self._epoch:
            self._earlier_epochs, self._epoch = dict(state.record.earlier_epochs), state.mark.epoch
        self.durable = state.mark.version
        self._durable_sequences = {s.identifier: s.last_sequence for s in state.record.sessions.live}

    def load(self, state: State) -> None:
        """Goes on from a committed state; a commit under a newer epoch has to follow before anything is answered.

        Raises:
            ConfigError: the state belongs to another configuration.
            CheckpointError: its arrays have other shapes.
        """
        state.record.identity.check(self.specification)
        if state.parameters.shape != self._vector.shape:
            raise CheckpointError(
                f"stored parameters have shape {state.parameters.shape}, not {self._vector.shape}; "
                "start with the settings that made them"
            )
        self._rule.load(state.arrays)
        vector = self._pool.spare()
        np.copyto(vector, state.parameters)
        self._vector = publish(vector)
        self._restore(state.mark, state.record)

    def _restore(self, mark: Mark, record: StateRecord) -> None:
        self._epoch, self._number, self._learner_steps = mark.epoch, mark.number, record.learner_steps
        self.durable, self.identity = mark.version, record.identity
        self.sessions.load(record.sessions)
        self.evaluations, self.incidents = record.evaluations, record.incidents
        self._earlier_epochs, self._staleness = dict(record.earlier_epochs), dict(record.staleness)
        self._started_at = record.started_at
        self._durable_sequences = {s.identifier: s.last_sequence for s in record.sessions.live}

    def _epochs_before(self, epoch: int) -> dict[int, int]:
        if epoch == self._epoch or self._epoch == 0:
            return dict(self._earlier_epochs)
        kept = {**self._earlier_epochs, self._epoch: self._number}
        return dict(sorted(kept.items())[-MAX_EARLIER_EPOCHS:])

    # Evaluations

    def due_evaluation(self, version: Version, clocks: Clocks) -> run_record.Task | None:
        """Returns the periodic task that the commit of ``version`` at ``clocks`` makes due now, if any."""
        rests = self._evaluation_pacer.rests(self._clock())
        return run_record.due(self.evaluations, version, clocks, self.specification, rests=rests)

    def schedule(self, task: run_record.Task) -> None:
        """Lets a periodic ``task`` wait, after its committed version was kept."""
        self.evaluations = run_record.scheduled(self.evaluations, task, self.specification)
        self._evaluation_pacer.scheduled(self._clock())
        self._changed()

    def give_up(self, task: run_record.Task) -> None:
        """Forgets a waiting task whose kept version is lost."""
        self.evaluations = run_record.without(self.evaluations, task)
        self._changed()

    def report(self, result: run_record.Result) -> None:
        """Takes an evaluator's result; decides on best policy, confirmation and goal."""
        self.evaluations = run_record.reported(self.evaluations, result, self.specification)
        if result.task.purpose == "periodic":
            over = run_record.is_over(result, self.specification)
            self._evaluation_pacer.played(self._clock(), result.seconds, over_the_goal=over)
        self._changed()


def _refuse_lost_base(base: Version, current: Version) -> NoReturn:
    raise StaleUpdateError(f"update is based on version {base}, which this run (now {current}) lost; pull and go on")
