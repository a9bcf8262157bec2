"""What a parameter server publishes of its run beside what happens: goal, budget, clocks, bound, last evaluation."""

from types import SimpleNamespace

import pytest

from adql.parameters import run_record
from adql.parameters.run_record import Episodes, result_of
from adql.telemetry.metrics import LEARNER, PARAMETER_SERVER
from adql_services.learner.reporting import MetricsReport as LearnerReport
from adql_services.parameter_server.metrics_report import MetricsReport
from tests.parameters.servers import owning_server, push_many, tiny_specification


def shown(name: str, **labels: str) -> float | None:
    return PARAMETER_SERVER.get_sample_value(f"adql_{name}", labels)


def begun(machine) -> MetricsReport:
    report = MetricsReport(machine.clocks)
    report.begin(machine)
    report.publish(machine)
    return report


def test_goal_budget_and_clocks_of_the_run_are_shown():
    machine = owning_server(tiny_specification(training={"environment_steps": 70_000, "goal": 12.5}))
    push_many(machine, machine.register("both").identifier, 3)
    begun(machine)
    assert (shown("goal_return"), shown("run_budget_environment_steps")) == (12.5, 70_000)
    clocks = machine.clocks
    assert (shown("run_environment_steps"), shown("run_learner_steps")) == (
        clocks.environment_steps,
        clocks.learner_steps,
    )


@pytest.mark.parametrize(("policy", "learners", "bound"), [("reject", 1, 8), ("reject", 3, 12), ("damp", 3, 12)])
def test_bound_of_staleness_follows_the_live_learners_under_every_policy(policy, learners, bound):
    machine = owning_server(tiny_specification(update={"rule": "delta", "staleness": {"policy": policy}}))
    for _ in range(learners):
        machine.register("both")
    begun(machine)
    assert shown("staleness_bound_versions", policy=policy) == bound
    assert MetricsReport(machine.clocks).describe(machine)["staleness_bound"] == bound


def evaluated(task, *returns: float):
    return result_of(task, Episodes(returns, (1,) * len(returns), None, 0.1))


def test_evaluation_is_shown_with_its_extremes_and_again_after_a_restart_of_the_server():
    machine = owning_server(tiny_specification())
    task = SimpleNamespace(purpose="periodic", episodes=2)
    result = evaluated(task, 3.0, 9.0)
    fresh = SimpleNamespace(specification=machine.specification, evaluations=SimpleNamespace(reached=None, last=result))
    MetricsReport(machine.clocks).begin(fresh)
    names = ("evaluation_return", "evaluation_return_lowest", "evaluation_return_highest")
    assert [shown(name) for name in names] == [6.0, 3.0, 9.0]


def test_kept_versions_that_wait_for_an_evaluator_are_counted():
    machine = owning_server(tiny_specification(evaluation={"every_learner_steps": 1}))
    report = begun(machine)
    assert shown("evaluations_waiting") == 0
    push_many(machine, machine.register("both").identifier, 1)
    task = run_record.due(machine.evaluations, machine.version, machine.clocks, machine.specification)
    machine.schedule(task)
    report.publish(machine)
    assert shown("evaluations_waiting") == 1


def test_answered_updates_of_a_learner_are_counted_once_by_outcome():
    def applied() -> float:
        return LEARNER.get_sample_value("adql_learner_updates_total", {"outcome": "applied"})

    report = LearnerReport()
    study = SimpleNamespace(
        record=SimpleNamespace(learner_steps=0, outliers_dropped=0, newest=None),
        synchroniser=SimpleNamespace(outcomes={"applied": 2}, divergence=0.0, learner_clock=0),
    )
    before = applied()
    report.publish_learning(study, lambda clock: 0.1)
    study.synchroniser.outcomes = {"applied": 5, "stale": 1}
    report.publish_learning(study, lambda clock: 0.1)
    assert applied() - before == 5
    assert LEARNER.get_sample_value("adql_learner_updates_total", {"outcome": "stale"}) >= 1
