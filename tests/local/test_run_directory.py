import os
import shutil
from datetime import datetime
from types import SimpleNamespace

import pytest

from adql.config import RunSpecification, load_specification
from adql.errors import ConfigError, InputError
from adql.wire.replay_format import check_table
from adql_services.local.evaluate import evaluate
from adql_services.local.report import write_report
from adql_services.local.restore import restore
from adql_services.local.resume import changed, check_not_over
from adql_services.local.run import FULL_BYTES
from adql_services.local.run_directory import RunDirectory, new_path
from adql_services.local.summary import Outcome, make_summary, write_summary
from tests.local.runs import observation, specification


def test_new_run_writes_its_settings_and_command(tmp_path):
    directory = RunDirectory.create(tmp_path / "run", specification(), ["adql", "train", "a b"])
    assert load_specification(directory.specification, environ={}) == specification()
    assert directory.command.read_text() == "adql train 'a b'\n"


def test_existing_run_is_refused_and_named(tmp_path):
    RunDirectory.create(tmp_path / "run", specification(), ["adql"])
    with pytest.raises(InputError, match="adql resume"):
        RunDirectory.create(tmp_path / "run", specification(), ["adql"])


def test_folder_with_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        RunDirectory.create(tmp_path, specification(), ["adql"])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_folder_in_which_another_training_begins_is_said_to_be_in_use_and_left_alone(tmp_path):
    first = RunDirectory.create(tmp_path / "run", specification(), ["adql"])
    first.specification.unlink()  # as long as it is not written yet
    parts = sorted(first.path.iterdir())
    with pytest.raises(InputError, match=r"trained in by another process; choose another DIR, .*`adql resume .*run`"):
        RunDirectory.create(first.path, specification(), ["adql"])
    assert sorted(first.path.iterdir()) == parts


def test_folder_with_a_lock_alone_that_nobody_holds_is_trained_in(tmp_path):
    (tmp_path / ".lock").touch()
    assert RunDirectory.create(tmp_path, specification(), ["adql"]).specification.exists()


def test_refused_folder_is_not_kept_locked(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "thesis.txt").write_text("mine")
    for _ in range(2):
        with pytest.raises(InputError, match="is not empty"):
            RunDirectory.create(tmp_path, specification(), ["adql"])
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    "use",
    [
        *(lambda path: RunDirectory.create(path, specification(), ["adql"]), RunDirectory.open, restore),
        lambda path: evaluate(path, "best", 1, 0, as_json=False),
    ],
)
def test_folder_below_one_that_may_not_be_searched_is_refused_in_one_line(tmp_path, use):
    (tmp_path / "closed").mkdir(mode=0o000)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"cannot look into \S+: Permission denied; choose a DIR") as caught:
            use(tmp_path / "closed" / "run")
    finally:
        os.seteuid(user)
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (2, False)


def test_second_training_in_a_folder_is_refused(tmp_path):
    first = RunDirectory.create(tmp_path / "run", specification(), ["adql"])
    with pytest.raises(InputError, match="trained in by another process"):
        RunDirectory.open(first.path)


def test_full_disk_is_refused_with_the_way_on(tmp_path):
    directory = RunDirectory.create(tmp_path / "run", specification(), ["adql"])
    with pytest.raises(InputError, match=r"MB free, needed are .*make room, then `adql resume"):
        directory.check_space(2**80)


def test_only_a_folder_that_this_process_made_is_discarded(tmp_path):
    RunDirectory.create(tmp_path / "run", specification(), ["adql"]).discard()
    assert not (tmp_path / "run").exists()
    kept = RunDirectory.create(tmp_path / "kept", specification(), ["adql"])
    RunDirectory(kept.path).discard()
    assert kept.specification.exists()


def test_files_of_a_run_are_synced_before_they_replace_the_older_ones(tmp_path, monkeypatch):
    directory = RunDirectory.create(tmp_path / "run", specification(), ["adql"])
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    summary = make_summary(specification(), observation(), Outcome("stopped", 1.0, 0))
    directory.write_specification(specification())
    write_summary(summary, directory.summary)
    write_report(specification(), directory, summary)
    for file in (directory.specification, directory.summary, directory.report):
        assert any(f"/.{file.name}." in path for path in synced)


def test_new_path_is_new_within_a_second(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 1, 31, 23, 59, 59)
    first = new_path(specification(), now)
    first.mkdir(parents=True)
    assert (str(first), str(new_path(specification(), now))) == (
        "runs/CartPole-v1-20260131-235959",
        "runs/CartPole-v1-20260131-235959-2",
    )


@pytest.fixture
def run_yaml(tmp_path):
    return RunDirectory.create(tmp_path / "run", specification(), ["adql"]).specification


@pytest.mark.parametrize("key", ["network.hidden=[8]", "run.seed=3", "run.name=other", "replay.sampler=prioritised"])
def test_key_that_defines_the_run_cannot_change(run_yaml, key):
    with pytest.raises(ConfigError, match=key.partition("=")[0] + " was"):
        changed(run_yaml, [key])


def test_budget_goal_and_learners_can_change(run_yaml):
    after = changed(run_yaml, ["training.environment_steps=900000", "training.goal=490", "training.learners=5"])
    assert (after.training.environment_steps, after.goal, after.training.learners) == (900_000, 490, 5)


def test_capacity_that_nobody_set_goes_with_the_learners_of_a_resumed_run(run_yaml):
    assert "capacity: null" in run_yaml.read_text()
    assert changed(run_yaml, ["training.learners=8"]).replay_capacity == 80_000
    assert changed(run_yaml, ["training.learners=8", "replay.capacity=5000"]).replay_capacity == 5_000


def test_environment_that_was_never_made_is_refused_before_anything_is_made():
    with pytest.raises(ConfigError, match=r"environment\.signature is not set"):
        check_table(RunSpecification())


def test_capacity_that_does_not_fit_its_bytes_is_refused_before_anything_is_made():
    check_table(specification())
    with pytest.raises(ConfigError, match="lower capacity to"):
        check_table(specification(replay={"capacity": 100_000_000}))


def test_run_that_is_over_says_how_to_go_on(tmp_path):
    reached = {"reached": True, "environment_steps": 100, "evaluation": {"mean_return": 480.0}}
    with pytest.raises(InputError, match=r"a higher training\.goal if"):
        check_not_over(tmp_path, specification(), reached)
    with pytest.raises(InputError, match=r"training\.environment_steps=400000"):
        check_not_over(tmp_path, specification(), {"environment_steps": 200_000})
    check_not_over(tmp_path, specification(), {"environment_steps": 199_999})
    check_not_over(tmp_path, specification(training={"goal": 490}), reached)
    flat = {"evaluations_without_improvement": 10}
    with pytest.raises(InputError, match=r"10 evaluations without improvement.*training\.plateau_evaluations=20"):
        check_not_over(tmp_path, specification(training={"plateau_evaluations": 10}), flat)
    for limit in (11, None):
        check_not_over(tmp_path, specification(training={"plateau_evaluations": limit}), flat)


def test_run_that_a_full_disk_ends_names_the_space_that_resume_asks_for(tmp_path, monkeypatch):
    directory = RunDirectory.create(tmp_path / "run", specification(), ["adql"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    with pytest.raises(InputError) as resume:
        directory.check_space()
    with pytest.raises(InputError) as end:
        directory.check_space(FULL_BYTES)
    assert str(end.value) == str(resume.value)
