"""Bugs that a learning curve may hide, each planted into a copy of the code: a named test turns red for each."""

from pathlib import Path

import pytest

from tests.planting import Bug, copied, plant, run_tests

AGENT = "libs/adql/agent"
CONFORMANCE = "tests/learning/test_conformance.py::test_every_loss_of_a_whole_run_is_that_of_plain_dqn"
PERIOD = "target.period_learner_steps"
BUGS = {
    "terminated and truncated swapped": (
        Bug(f"{AGENT}/accumulator.py", "(held, closed, terminated, next_obs", "(held, closed, truncated, next_obs"),
        "tests/agent/test_accumulator.py::test_truncation_still_bootstraps",
    ),
    "importance weights dropped": (
        Bug(f"{AGENT}/study.py", "weights = importance_weights(", "_ = importance_weights("),
        "tests/agent/test_actor_learner.py::test_prioritised_batch_is_learned_with_its_importance_weights",
    ),
    "actor keeps the parameters that it began with": (
        Bug(f"{AGENT}/acting.py", "self._newest = self._parameters.pull(", "_ = self._parameters.pull("),
        "tests/agent/test_roles.py::test_actor_acts_under_a_new_version_one_chunk_after_it_was_told_of_it",
    ),
    "target network skipped": (
        Bug(f"{AGENT}/learner.py", "q_values(self.target_vector, batch", "q_values(self.vector, batch"),
        f"{CONFORMANCE}[plain-periodic-11]",
    ),
    "target copied one step late": (
        Bug(f"{AGENT}/learner.py", f"after // {PERIOD} > steps_before // {PERIOD}", f"before % {PERIOD} == 0"),
        f"{CONFORMANCE}[plain-periodic-11]",
    ),
    "ε of the step before": (
        Bug(f"{AGENT}/collector.py", "self.environment_steps - start)", "self.environment_steps - start - 1)"),
        f"{CONFORMANCE}[plain-periodic-11]",
    ),
    "Adam without bias correction": (
        Bug("libs/adql/parameters/optimizers.py", "1.0 - s.beta1**now.number, (", "1.0, ("),
        f"{CONFORMANCE}[plain-periodic-11]",
    ),
    "reset row inserted": (
        Bug(f"{AGENT}/accumulator.py", "= observation, action, 0.0, valid", "= observation, action, 0.0, True"),
        "tests/agent/test_accumulator.py::test_reset_row_makes_no_transition_and_joins_no_window",
    ),
    "reset row taken for a step": (
        Bug(f"{AGENT}/environments.py", "valid, self._ended = ~self._ended,", "valid, self._ended = self._ended >= 0,"),
        "tests/agent/test_actor.py::test_reset_rows_are_neither_inserted_nor_counted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_turns_its_test_red(tmp_path: Path, name: str) -> None:
    bug, test = BUGS[name]
    copy = copied(tmp_path / "copy")
    plant(copy, bug)
    outcome = run_tests(copy, test)
    assert outcome.returncode == 1, outcome.stdout[-2_000:] + outcome.stderr[-2_000:]
    assert "AssertionError" in outcome.stdout
    assert "1 failed" in outcome.stdout


def test_the_same_tests_are_green_on_an_unchanged_copy(tmp_path: Path) -> None:
    tests = [test for _, test in BUGS.values()]
    outcome = run_tests(copied(tmp_path / "copy"), *tests)
    assert outcome.returncode == 0, outcome.stdout[-2_000:] + outcome.stderr[-2_000:]
