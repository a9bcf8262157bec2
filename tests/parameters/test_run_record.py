import pytest

from adql.episodes import FIRST_RESERVED_SEED
from adql.errors import MalformedBodyError
from adql.parameters import run_record
from adql.parameters.run_record import MAX_WAITING, Episodes, RunRecord
from adql.types import Clocks, Version
from tests.parameters.servers import tiny_specification

RUN = tiny_specification()
"""Evaluates every 10 learner steps; the goal is 10."""


def committed(record: RunRecord, number: int, learner_steps: int, environment_steps: int = 0) -> RunRecord:
    """Returns the record after a commit, with whatever it made due."""
    task = run_record.due(record, Version(1, number), Clocks(environment_steps, learner_steps), RUN)
    return record if task is None else run_record.scheduled(record, task, RUN)


def evaluated(record: RunRecord, mean: float) -> RunRecord:
    """Returns the record after the next waiting task was reported."""
    task = run_record.next_task(record)
    return run_record.reported(record, run_record.result_of(task, episodes(mean, task.episodes)), RUN)


def episodes(mean: float, count: int = 2) -> Episodes:
    return Episodes((mean,) * count, (5,) * count, None, 0.1)


def status(record: RunRecord, learner_steps: int = 1, environment_steps: int = 0) -> str:
    return run_record.status_of(record, Clocks(environment_steps, learner_steps), RUN)


def test_first_commit_after_each_multiple_is_evaluated():
    record = RunRecord()
    for number, learner_steps in enumerate([0, 4, 9, 12, 17, 19, 20, 55, 58]):
        record = committed(record, number, learner_steps)
    assert [(task.number, task.learner_steps) for task in record.waiting] == [(3, 12), (6, 20), (7, 55)]


def test_nothing_but_the_last_version_is_due_while_evaluators_rest():
    budget = RUN.training.environment_steps
    at = Version(1, 3)
    assert run_record.due(RunRecord(), at, Clocks(0, 30), RUN, rests=True) is None
    assert run_record.due(RunRecord(), at, Clocks(0, 30), RUN, rests=False) is not None
    assert run_record.due(RunRecord(), at, Clocks(budget, 30), RUN, rests=True) is not None


def test_every_version_committed_after_the_budget_is_evaluated_once_the_last_one_too():
    budget = RUN.training.environment_steps
    record = committed(RunRecord(), 1, learner_steps=3, environment_steps=budget - 1)
    record = committed(record, 2, learner_steps=4, environment_steps=budget)
    record = committed(record, 2, learner_steps=4, environment_steps=budget)
    record = committed(record, 3, learner_steps=5, environment_steps=budget + 1)
    assert [task.number for task in record.waiting] == [2, 3]


def test_budget_that_ends_before_anything_was_learned_is_evaluated():
    record = committed(RunRecord(), 0, learner_steps=0, environment_steps=RUN.training.environment_steps)
    assert [task.number for task in record.waiting] == [0]


def test_periodic_evaluations_share_their_seeds_and_a_confirmation_has_fresh_ones():
    record = committed(committed(RunRecord(), 1, 10), 2, 20)
    periodic = [task.seed for task in record.waiting]
    record = evaluated(evaluated(record, 10), 10)
    confirmation = run_record.next_task(record)
    assert periodic[0] == periodic[1] != confirmation.seed
    assert min(periodic[0], confirmation.seed) >= FIRST_RESERVED_SEED
    assert max(periodic[0], confirmation.seed) < 2**31


def test_goal_needs_two_consecutive_evaluations_and_a_confirmation_of_the_later_one():
    record = RunRecord()
    for number, mean in enumerate([10, 9, 10, 10], start=1):
        record = evaluated(committed(record, number, 10 * number), mean)
    confirmation = run_record.next_task(record)
    assert (confirmation.purpose, confirmation.number, confirmation.episodes) == ("confirm", 4, 5)
    assert status(record) == "confirming"
    reached = evaluated(record, 10)
    assert (status(reached), reached.reached.task.number) == ("reached", 4)


def test_of_two_evaluations_that_are_reported_out_of_turn_the_later_version_is_confirmed():
    record = committed(committed(RunRecord(), 1, 10), 2, 20)
    for task in reversed(record.waiting):
        record = run_record.reported(record, run_record.result_of(task, episodes(10)), RUN)
    (confirmation,) = record.waiting
    assert (confirmation.purpose, confirmation.number, record.last.task.number) == ("confirm", 2, 2)


def test_task_that_waits_no_longer_cannot_be_given_up():
    record = committed(RunRecord(), 1, 10)
    (task,) = record.waiting
    record = evaluated(record, 1)
    assert run_record.without(record, task) == record


def test_failed_confirmation_lets_the_run_go_on_and_try_again():
    record = evaluated(evaluated(committed(committed(RunRecord(), 1, 10), 2, 20), 10), 11)
    record = evaluated(record, 9)
    assert status(record) == "running"
    record = evaluated(committed(record, 3, 30), 12)
    assert (run_record.next_task(record).purpose, run_record.next_task(record).number) == ("confirm", 3)


def test_confirmation_goes_before_waiting_periodic_evaluations():
    record = RunRecord()
    for number in range(1, 5):
        record = committed(record, number, 10 * number)
    record = evaluated(evaluated(record, 10), 10)
    assert [run_record.next_task(record).purpose, len(record.waiting)] == ["confirm", 3]


def test_confirmation_that_came_while_a_version_was_kept_has_a_number_of_its_own():
    record = evaluated(committed(committed(RunRecord(), 1, 10), 2, 20), 10)
    task = run_record.due(record, Version(1, 3), Clocks(0, 30), RUN)
    record = run_record.scheduled(evaluated(record, 10), task, RUN)
    assert [(task.purpose, task.identifier) for task in record.waiting] == [("confirm", 3), ("periodic", 4)]
    assert record.next_identifier == 5


def test_training_goes_on_and_is_evaluated_while_a_confirmation_waits():
    record = evaluated(evaluated(committed(committed(RunRecord(), 1, 10), 2, 20), 10), 10)
    record = committed(record, 3, 30)
    assert sorted(task.purpose for task in record.waiting) == ["confirm", "periodic"]


def test_without_a_goal_nothing_is_confirmed():
    plain = tiny_specification(
        environment={"id": "Tiny-v0", "signature": {"observations": 2, "observation_dtype": "int64", "actions": 2}}
    )
    record = committed(committed(RunRecord(), 1, 10), 2, 20)
    for _ in range(2):
        result = run_record.result_of(run_record.next_task(record), episodes(1e9))
        record = run_record.reported(record, result, plain)
    assert (record.waiting, record.reached) == ((), None)


def test_best_is_the_periodic_result_with_the_highest_mean():
    record = RunRecord()
    for number, mean in enumerate([3, 8, 5], start=1):
        record = evaluated(committed(record, number, 10 * number), mean)
    assert (record.best.task.number, record.best.mean, record.last.mean) == (2, 8, 5)


def test_confirmed_version_is_the_best_even_if_others_had_a_higher_mean_over_fewer_episodes():
    record = RunRecord()
    for number, mean in enumerate([12, 11], start=1):
        record = evaluated(committed(record, number, 10 * number), mean)
    assert (record.best.task.number, evaluated(record, 9).best) == (1, record.best)
    record = evaluated(record, 10)
    assert (record.best, record.best.task.number, record.best.task.episodes) == (record.reached, 2, 5)


def test_second_report_of_a_task_changes_nothing():
    record = committed(RunRecord(), 1, 10)
    result = run_record.result_of(run_record.next_task(record), episodes(3))
    once = run_record.reported(record, result, RUN)
    assert run_record.reported(once, result, RUN) == once


def test_evaluator_that_died_gets_the_same_task_again():
    record = committed(RunRecord(), 1, 10)
    assert run_record.next_task(record) == run_record.next_task(record)


def test_periodic_evaluations_beyond_the_bound_are_given_up_and_a_confirmation_never():
    record = evaluated(evaluated(committed(committed(RunRecord(), 1, 10), 2, 20), 10), 10)
    for number in range(3, 3 + MAX_WAITING + 2):
        record = committed(record, number, 10 * number)
    assert [task.purpose for task in record.waiting].count("periodic") == MAX_WAITING
    assert (record.given_up, run_record.next_task(record).purpose) == (2, "confirm")
    assert [task.number for task in record.waiting if task.purpose == "periodic"][:2] == [3, 6]


def test_evaluator_that_needs_longer_than_the_time_between_two_evaluations_is_never_in_vain():
    record, taken = RunRecord(), []
    for number in range(1, 100):
        playing = run_record.next_task(record)
        for step in range(3):  # three more become due while it plays one
            record = committed(record, 3 * number + step, 10 * (3 * number + step))
        if playing is not None:
            assert run_record.task_of_report(record, playing.identifier, playing.version) == playing
            record = run_record.reported(record, run_record.result_of(playing, episodes(1)), RUN)
            taken.append(playing.number)
    assert taken == sorted(taken) and len(taken) == 98


@pytest.mark.parametrize(
    ("learner_steps", "environment_steps", "expected"),
    [(0, 0, "waiting"), (1, 0, "running"), (1, RUN.training.environment_steps, "budget")],
)
def test_status_follows_the_clocks(learner_steps, environment_steps, expected):
    assert status(RunRecord(), learner_steps, environment_steps) == expected


def test_goal_confirmed_after_the_budget_still_counts():
    record = evaluated(evaluated(committed(committed(RunRecord(), 1, 10), 2, 20), 10), 10)
    assert status(record, environment_steps=10**9) == "budget"
    assert status(evaluated(record, 10), environment_steps=10**9) == "reached"


def test_success_rate_is_a_share_or_nothing():
    task = run_record.next_task(committed(RunRecord(), 1, 10))
    known = run_record.result_of(task, Episodes((1.0, 2.0), (3, 4), (True, False), 0.1))
    assert known.success_rate == 0.5
    assert run_record.result_of(task, episodes(1)).success_rate is None


@pytest.mark.parametrize(
    "reported",
    [
        Episodes((1.0,), (3,), None, 0.1),
        Episodes((1.0, 2.0), (3,), None, 0.1),
        Episodes((1.0, 2.0), (3, 4, 5), None, 0.1),
        Episodes((1.0, 2.0), (3, 4), (True,), 0.1),
        Episodes((1e200, -1e200), (3, 4), None, 0.1),
        Episodes((1.7e308, 1.7e308), (3, 4), None, 0.1),
    ],
)
def test_report_of_other_episodes_than_asked_for_or_without_finite_statistics_is_refused(reported):
    task = run_record.next_task(committed(RunRecord(), 1, 10))
    with pytest.raises(MalformedBodyError, match="evaluation 1"):
        run_record.result_of(task, reported)


def test_budget_that_was_raised_has_an_end_of_its_own():
    budget = RUN.training.environment_steps
    raised = RUN.model_copy(update={"training": RUN.training.model_copy(update={"environment_steps": 2 * budget})})
    record = committed(RunRecord(), 1, 3, budget)
    assert run_record.due(record, Version(1, 2), Clocks(budget + 1, 4), raised) is None
    assert run_record.due(record, Version(1, 3), Clocks(2 * budget, 5), raised) is not None


def test_run_goes_on_when_its_goal_is_raised_above_what_was_reached():
    record = evaluated(evaluated(evaluated(committed(committed(RunRecord(), 1, 10), 2, 20), 10), 10), 10)
    raised = RUN.model_copy(update={"training": RUN.training.model_copy(update={"goal": 11.0})})
    assert run_record.status_of(record, Clocks(0, 20), RUN) == "reached"
    assert run_record.status_of(record, Clocks(0, 20), raised) == "running"
    assert run_record.due(record, Version(1, 3), Clocks(0, 30), raised) is not None


FLAT = tiny_specification(training={"goal": 1_000, "plateau_evaluations": 3})
"""Ends after 3 evaluations without improvement."""


def flat_after(returns: list[float], run=FLAT, record: RunRecord | None = None) -> RunRecord:
    """Returns the record after one periodic evaluation for each of ``returns``."""
    record = record or RunRecord()
    for mean in returns:
        learner_steps = 10 * (record.last_multiple + 1)
        task = run_record.due(record, Version(1, learner_steps), Clocks(0, learner_steps), run)
        record = run_record.scheduled(record, task, run)
        result = run_record.result_of(record.waiting[-1], episodes(mean))
        record = run_record.reported(record, result, run)
    return record


@pytest.mark.parametrize(
    ("returns", "found"),
    [
        ([], "running"),
        ([100, 100, 100], "running"),
        ([100, 100, 100, 100], "plateau"),
        ([100, 101, 101, 101], "plateau"),  # exactly 1 % is no improvement
        ([100, 100.5, 101, 101.5], "running"),  # together they are more than 1 %
        ([100, 90, 80, 70], "plateau"),
        ([100, 100, 100, 102, 102, 102], "running"),
        ([-100, -99.5, -99.2, -99.1], "plateau"),
        ([-100, -99.5, -99.2, -98.9], "running"),
        ([0, 0, 0, 0], "plateau"),
        ([0, 0, 0, 0.01], "running"),
    ],
)
def test_a_run_ends_by_a_plateau_when_no_evaluation_in_a_row_is_1_percent_better(returns, found):
    assert run_record.status_of(flat_after(returns), Clocks(0, 10), FLAT) == found


def test_a_plateau_is_never_reached_unless_it_was_asked_for():
    off = tiny_specification(training={"goal": 1_000})
    assert run_record.status_of(flat_after([100] * 50, off), Clocks(0, 10), off) == "running"


def test_a_plateau_stays_whatever_is_evaluated_later_and_ends_when_its_bound_is_raised_or_taken_away():
    record = flat_after([500], record=flat_after([100] * 4))
    assert run_record.status_of(record, Clocks(0, 10), FLAT) == "plateau"
    for limit in (5, None):
        more = tiny_specification(training={"goal": 1_000, "plateau_evaluations": limit})
        assert run_record.status_of(record, Clocks(0, 10), more) == "running"


def test_the_last_version_of_a_plateau_is_evaluated():
    record = flat_after([100] * 4)
    task = run_record.due(record, Version(1, 42), Clocks(0, record.scheduled_learner_steps + 1), FLAT)
    assert task is not None and task.number == 42


def test_a_goal_and_a_spent_budget_say_more_than_a_plateau():
    record = flat_after([100] * 4)
    budget = FLAT.training.environment_steps
    assert run_record.status_of(record, Clocks(budget, 10), FLAT) == "budget"
    lower = tiny_specification(training={"goal": 50, "plateau_evaluations": 3})
    reached = flat_after([100] * 4, lower)
    confirmation = run_record.next_task(reached)
    reached = run_record.reported(reached, run_record.result_of(confirmation, episodes(100, 5)), lower)
    assert run_record.status_of(reached, Clocks(0, 10), lower) == "reached"
