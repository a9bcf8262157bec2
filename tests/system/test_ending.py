"""How a run ends: at its budget, by one signal, by two, with children that hang, with its folder gone."""

import csv
import json
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.system.launched import ENVIRONMENT, LONG, SHORT, TINY, adql, command, launched, steps
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def stop_children(train) -> list[psutil.Process]:
    """Lets every child hang."""
    children = list(train.children().values())
    for child in children:
        child.suspend()
    return children


def check_gone(children: list[psutil.Process]) -> None:
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_second_signal_ends_everything_at_once_and_says_what_is_not_saved(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 0)
        children = stop_children(train)
        train.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "a second Ctrl-C or SIGTERM ends at once" in train.said())
        time.sleep(0.2)  # longer than the echo of one signal
        start = time.monotonic()
        assert train.stop(signal.SIGINT) == 128 + signal.SIGTERM, train.said()
        assert time.monotonic() - start < 5.0
    check_gone(children)
    last = train.said().strip().splitlines()[-1]
    assert "ended at once" in last and "are not saved; committed updates are safe" in last
    assert not (run / "summary.json").exists()


def test_children_that_hang_are_killed_within_a_bound_and_the_exit_code_says_so(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 0)
        children = stop_children(train)
        start = time.monotonic()
        assert train.stop(signal.SIGINT) == 1, train.said()
        assert time.monotonic() - start < 20.0
    check_gone(children)
    assert "replay, store did not end in time and had to be killed" in train.said().strip().splitlines()[-1]


def test_budget_that_a_crash_takes_back_is_learned_again(tmp_path):
    """Nothing is committed before the learner's goodbye, and by then the store stands still until both are killed."""
    run, budget = tmp_path / "run", 16_000
    rare = ["durability.commit_duty=0.000001", "durability.max_interval_seconds=600"]
    settings = [*TINY, *rare, f"training.environment_steps={budget}"]
    with launched(tmp_path / "log", "train", "--output", run, "--learners", "1", *settings) as train:
        wait_until(lambda: steps(run) > 0, what=train.said)
        store = train.children()["store"]
        store.suspend()
        wait_until(lambda: "learner-0" not in train.children(), what=train.said)
        train.children()["parameter-server"].kill()
        store.kill()
        wait_until(lambda: "the run is spent no longer, learners start again" in train.said(), what=train.said)
        assert train.process.wait(60) == 0, train.said()
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["environment_steps"] >= budget) == ("budget", True)


@pytest.mark.parametrize("lost", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_run_that_nobody_can_see_any_more_goes_on_to_its_end(tmp_path, lost):
    run = tmp_path / "run"
    words = shlex.join(command("train", "--output", run, *SHORT))
    done = subprocess.run(
        ["bash", "-c", f"{words} {lost}"], env=ENVIRONMENT, capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 0
    assert json.loads((run / "summary.json").read_text())["status"] == "budget" and (run / "report.html").exists()


def test_run_whose_reader_is_gone_goes_on_to_its_end(tmp_path):
    run = tmp_path / "run"
    words = shlex.join(command("train", "--output", run, *SHORT))
    done = subprocess.run(
        ["bash", "-c", f"{words} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"], env=ENVIRONMENT, timeout=90, check=False
    )
    assert done.returncode == 0 and (run / "summary.json").exists()


@pytest.fixture
def hang_up():
    """Lets processes that are started hear of a terminal that goes away, wherever the tests were started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield signal.SIGHUP
    signal.signal(signal.SIGHUP, before)


def test_terminal_that_goes_away_is_a_wish_to_stop(tmp_path, hang_up):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 0)
        assert train.stop(hang_up) == 0, train.said()
    assert json.loads((run / "summary.json").read_text())["status"] == "stopped"


def test_removed_folder_ends_the_run_with_one_line(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 0)
        children = list(train.children().values())
        shutil.rmtree(run, ignore_errors=True)
        assert train.process.wait(20) == 1, train.said()
    check_gone(children)
    assert "Traceback" not in train.said()
    assert f"adql: error: {run} was removed or moved" in train.said().strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_starting_removes_the_new_folder_and_says_so(tmp_path, number):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: (run / "run.yaml").exists())
        assert train.stop(number) == 0, train.said()
    assert not run.exists()
    assert f"stopped before anything was learned; {run} is removed again" in train.said()


def clocks(run: Path) -> tuple[int, int, int]:
    """Returns what was learned: environment steps, learner steps, version."""
    summary = json.loads((run / "summary.json").read_text())
    return summary["environment_steps"], summary["learner_steps"], summary["version"]["number"]


def test_signal_while_a_run_starts_again_leaves_it_as_it_was(tmp_path):
    run = tmp_path / "run"
    assert adql("train", "--output", run, *SHORT).returncode == 0
    before = clocks(run)
    with launched(tmp_path / "log", "resume", run, "training.environment_steps=10000000") as resume:
        wait_until(lambda: "starting" in resume.said())
        assert resume.stop() == 0, resume.said()
    assert f"go on with `adql resume {run}`" in resume.said().strip().splitlines()[-1]
    assert clocks(run) == before


def test_last_version_of_a_spent_budget_is_evaluated_before_the_run_ends(tmp_path):
    run = tmp_path / "run"
    done = adql("train", "--output", run, *SHORT, "evaluation.every_learner_steps=100000")
    assert done.returncode == 0, done.stderr
    summary = json.loads((run / "summary.json").read_text())
    with (run / "evaluations.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert int(last["learner_steps"]) == summary["learner_steps"] == summary["evaluation"]["learner_steps"]
    assert int(last["number"]) == summary["version"]["number"]
    assert (run / "policy-best.safetensors").exists()
