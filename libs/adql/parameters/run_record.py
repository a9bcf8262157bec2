"""The run record: which committed versions are evaluated, what came of it, and when the run is over.

Pure functions of a frozen record. A periodic evaluation is due at multiples of ``evaluation.every_learner_steps``; the
first commit after a multiple at which evaluators do not rest is kept for it, and every commit of new learner steps once
the budget is spent, so that the run's last version is among them. The goal counts when two consecutive periodic means
reach it and the later version is confirmed on fresh seeds, while training goes on.
"""

from typing import Literal

import msgspec
import numpy as np

from adql.config import RunSpecification
from adql.episodes import FIRST_RESERVED_SEED, interquartile_mean
from adql.errors import MalformedBodyError
from adql.parameters.plateau import Plateau
from adql.types import SPENT, Clocks, Version

MAX_WAITING = 16
"""Periodic evaluations that may wait for an evaluator; beyond it one is given up and counted."""

Purpose = Literal["periodic", "confirm"]
Status = Literal["waiting", "running", "confirming", "reached", "budget", "plateau"]


class Task(msgspec.Struct, frozen=True):
    """Greedy episodes of one committed version, to be run by an evaluator."""

    identifier: int
    """1, 2, 3 … within a run."""
    purpose: Purpose
    episodes: int
    seed: int
    """The episodes' environments are seeded with seed, seed + 1, …"""
    epoch: int
    number: int
    learner_steps: int
    environment_steps: int

    @property
    def version(self) -> Version:
        """Which parameters."""
        return Version(self.epoch, self.number)


class Episodes(msgspec.Struct, frozen=True):
    """What an evaluator saw: one entry an episode in each list, at least one."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    successes: tuple[bool, ...] | None
    """None where success has no meaning."""
    seconds: float


class Result(msgspec.Struct, frozen=True):
    """What came of one task; returns are summed rewards of whole episodes."""

    task: Task
    mean: float
    median: float
    interquartile_mean: float
    """Of the middle half: a quarter of the episodes, rounded down, is cut at each end (2108.13264)."""
    total: float
    """Cumulative reward: the sum over all episodes."""
    deviation: float
    lowest: float
    highest: float
    mean_length: float
    success_rate: float | None
    """Share of successful episodes; None where success has no meaning."""
    seconds: float


_STATISTICS = [name for name in Result.__struct_fields__ if name != "task"]


class RunRecord(msgspec.Struct, frozen=True):
    """What the server knows about evaluations; part of every commit, of bounded size."""

    next_identifier: int = 1
    last_multiple: int = 0
    """Of ``every_learner_steps``, that has been scheduled."""
    scheduled_learner_steps: int = -1
    """Of the newest version that has been scheduled."""
    waiting: tuple[Task, ...] = ()
    """Not yet reported; a confirmation goes first."""
    last: Result | None = None
    """The newest periodic result."""
    best: Result | None = None
    """The confirmation that reached the goal; before it the first periodic result with the highest mean."""
    reached: Result | None = None
    """The confirmation that ended the run; it goes on if the goal is raised above it."""
    plateau: Plateau = Plateau()
    """Of the periodic results."""
    reported: int = 0
    given_up: int = 0


def status_of(record: RunRecord, clocks: Clocks, specification: RunSpecification) -> Status:
    """Returns the status that every answer carries."""
    if is_over(record.reached, specification):
        return "reached"
    if clocks.environment_steps >= specification.training.environment_steps:
        return "budget"
    if record.plateau.is_reached(specification.training.plateau_evaluations):
        return "plateau"
    if any(task.purpose == "confirm" for task in record.waiting):
        return "confirming"
    return "running" if clocks.learner_steps else "waiting"


def due(
    record: RunRecord, version: Version, clocks: Clocks, specification: RunSpecification, *, rests: bool = False
) -> Task | None:
    """Returns the periodic task that the commit of ``version`` at ``clocks`` makes due, if any.

    While an evaluator ``rests`` nothing is due but the last version of a run.
    """
    multiple = clocks.learner_steps // specification.evaluation.every_learner_steps
    ended = status_of(record, clocks, specification) in SPENT
    periodic = multiple > record.last_multiple and not rests
    wanted = periodic or (ended and clocks.learner_steps > record.scheduled_learner_steps)
    if is_over(record.reached, specification) or not wanted:
        return None
    return Task(
        record.next_identifier,
        "periodic",
        specification.evaluation.episodes,
        _seed(specification.run.seed, 0),
        *version,
        clocks.learner_steps,
        clocks.environment_steps,
    )


def scheduled(record: RunRecord, task: Task, specification: RunSpecification) -> RunRecord:
    """Returns the record with the periodic ``task`` waiting; beyond MAX_WAITING the oldest but one is given up.

    The oldest is what an evaluator plays: given up, it would be played in vain, and the next one again.

    The task gets the next number now: between ``due`` and here a confirmation may have taken the one that it had.
    """
    task = msgspec.structs.replace(task, identifier=record.next_identifier)
    periodic = [waiting for waiting in record.waiting if waiting.purpose == "periodic"]
    excess = max(0, len(periodic) + 1 - MAX_WAITING)
    given_up = periodic[1 : 1 + excess]
    return msgspec.structs.replace(
        record,
        next_identifier=task.identifier + 1,
        last_multiple=task.learner_steps // specification.evaluation.every_learner_steps,
        scheduled_learner_steps=task.learner_steps,
        waiting=(*(waiting for waiting in record.waiting if waiting not in given_up), task),
        given_up=record.given_up + len(given_up),
    )


def without(record: RunRecord, task: Task) -> RunRecord:
    """Returns the record after ``task`` was given up; one that waits no longer changes nothing."""
    if task not in record.waiting:
        return record
    waiting = tuple(other for other in record.waiting if other != task)
    return msgspec.structs.replace(record, waiting=waiting, given_up=record.given_up + 1)


def find_task(record: RunRecord, identifier: int) -> Task | None:
    """Returns the waiting task with this number, or None if it was reported or given up."""
    return next((task for task in record.waiting if task.identifier == identifier), None)


def task_of_report(record: RunRecord, identifier: int, version: Version) -> Task | None:
    """Returns the waiting task that a report of ``version`` is for, or None.

    The number alone does not say: one that was given out before its commit is given again after a crash, for another
    version. Versions are never made twice.
    """
    task = find_task(record, identifier)
    return task if task is not None and task.version == version else None


def next_task(record: RunRecord) -> Task | None:
    """Returns what an evaluator should do now: a confirmation first, else the oldest."""
    return min(record.waiting, key=lambda task: (task.purpose != "confirm", task.identifier), default=None)


def result_of(task: Task, episodes: Episodes) -> Result:
    """Summarises the episodes of ``task``.

    Raises:
        MalformedBodyError: another number of episodes than was asked for, or statistics that are not finite.
    """
    returns = episodes.returns
    _check_count(task, episodes)
    with np.errstate(all="ignore"):
        result = _summary(task, episodes)
    numbers = [value for name in _STATISTICS if (value := getattr(result, name)) is not None]
    if not np.isfinite(numbers).all():
        raise MalformedBodyError(
            f"evaluation {task.identifier}: returns from {min(returns):g} to {max(returns):g} have no finite "
            "statistics; scale the environment's rewards"
        )
    return result


def _check_count(task: Task, episodes: Episodes) -> None:
    for name in ("returns", "lengths", "successes"):
        values = getattr(episodes, name)
        if values is not None and len(values) != task.episodes:
            raise MalformedBodyError(
                f"evaluation {task.identifier}: {len(values)} {name}, asked for were {task.episodes} episodes; "
                "report each once"
            )


def _summary(task: Task, episodes: Episodes) -> Result:
    returns = episodes.returns
    return Result(
        task,
        mean=float(np.mean(returns)),
        median=float(np.median(returns)),
        interquartile_mean=interquartile_mean(returns),
        total=float(np.sum(returns)),
        deviation=float(np.std(returns)),
        lowest=min(returns),
        highest=max(returns),
        mean_length=float(np.mean(episodes.lengths)),
        success_rate=float(np.mean(episodes.successes)) if episodes.successes else None,
        seconds=episodes.seconds,
    )


def reported(record: RunRecord, result: Result, specification: RunSpecification) -> RunRecord:
    """Returns the record after ``result``; a result of a task that does not wait, or no longer, changes nothing."""
    if result.task not in record.waiting:
        return record
    waiting = tuple(task for task in record.waiting if task.identifier != result.task.identifier)
    record = msgspec.structs.replace(record, waiting=waiting, reported=record.reported + 1)
    if result.task.purpose == "confirm":
        over = is_over(result, specification)
        return msgspec.structs.replace(record, reached=result, best=result, waiting=()) if over else record
    best = result if record.best is None or result.mean > record.best.mean else record.best
    # Several evaluators may report out of turn: the later version of the two is the one to confirm.
    newest = max(record.last or result, result, key=lambda one: one.task.identifier)
    confirmable = is_over(record.last, specification) and is_over(result, specification)
    plateau = record.plateau.after(result.interquartile_mean, specification.training.plateau_evaluations)
    record = msgspec.structs.replace(record, last=newest, best=best, plateau=plateau)
    return _confirming(record, newest, specification) if confirmable else record


def is_best(record: RunRecord, result: Result) -> bool:
    """Whether ``result`` is the one that the record calls the best."""
    return record.best is not None and record.best.task.identifier == result.task.identifier


def is_over(result: Result | None, specification: RunSpecification) -> bool:
    """Whether ``result`` reaches the goal; not where there is none of either."""
    return result is not None and specification.goal is not None and result.mean >= specification.goal


def _confirming(record: RunRecord, result: Result, specification: RunSpecification) -> RunRecord:
    if is_over(record.reached, specification) or any(task.purpose == "confirm" for task in record.waiting):
        return record
    task = msgspec.structs.replace(
        result.task,
        identifier=record.next_identifier,
        purpose="confirm",
        episodes=specification.evaluation.confirm_episodes,
        seed=_seed(specification.run.seed, record.next_identifier),
    )
    return msgspec.structs.replace(record, next_identifier=task.identifier + 1, waiting=(*record.waiting, task))


def _seed(run_seed: int, purpose: int) -> int:
    """Periodic evaluations share a seed (purpose 0), so that all versions meet the same episodes."""
    sequence = np.random.SeedSequence((run_seed, purpose))
    return FIRST_RESERVED_SEED + int(sequence.generate_state(1)[0] >> 2)
