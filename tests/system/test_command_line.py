"""What a person may type wrong: one line with the way out, exit code 2, no traceback, nothing lost."""

import errno
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from adql.agent.environments import make_environment
from adql.agent.policy import load_policy
from adql_services import cli
from tests.ports import free_port
from tests.store_process import running_store
from tests.system.launched import ENVIRONMENT, LONG, SHORT, TINY, adql, command, launched, steps
from tests.waiting import wait_until

pytestmark = pytest.mark.system
REGISTERS = "import gymnasium\ngymnasium.register('Mine-v0', 'gymnasium.envs.classic_control.cartpole:CartPoleEnv')\n"
"""A module with an environment of its own."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that spent its budget; never changed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    done = adql("train", "--output", run, *SHORT)
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied")


def check_refused(done, *parts: str) -> None:
    """One line, exit code 2."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and lines[-1].startswith("adql: error: ")
    for part in parts:
        assert part in lines[-1]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["replay.capacty=5"], ["replay.capacty: unknown key", "capacity"]),
        (["bogus=1"], ["bogus: unknown key"]),
        (["replay.capacity"], ["cannot read replay.capacity", "or write key=value"]),
        (["--steps", "2e3", "--bogus", "replay.capacity=5000"], ["--bogus: not known here"]),
        (["CartPole-v1"], ["CartPole-v1 is no file; did you mean `--env CartPole-v1`?"]),
        (["Pendulum-v1"], ["did you mean `--env Pendulum-v1`?"]),
        (["CartPol-v1"], ["cannot read CartPol-v1: No such file"]),
        (["a.yaml", "b.yaml"], ["one SPEC.yaml at most"]),
        (["replay.capacity=32", "replay.min_size=10"], ["algorithm.batch_size 64 is larger", "lower the one"]),
        (["replay.min_size=10", "replay.capacity=100", "replay.chunk_transitions=200"], ["lower chunk_transitions"]),
        (["replay.capacity=1000000000"], ["lower capacity", "capacity_bytes"]),
        (["update.rule=gradient", "update.sync_every=4"], ["sync_every must be 1"]),
        (["--learners", "0"], ["training.learners=0"]),
        (["--env", "CartPol-v1"], ["not registered", "near are CartPole-v1"]),
        (["--env", "Pendulum-v1"], ["Discrete actions"]),
        (["--env", "nowhere:Thing-v0"], ["environment.allow"]),
        (["--output", "/dev/null/run"], ["cannot write /dev/null/run", "choose another DIR"]),
    ],
)
def test_training_that_cannot_be_is_refused(words, parts, tmp_path):
    check_refused(adql("train", *words, cwd=tmp_path), *parts)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


NEEDS_NONE = "the replay needs no environment where environment.signature is set: `adql config show` prints it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["environment.id=nowhere:Thing-v0", "environment.allow=[nowhere]"], "cannot import 'nowhere'"),
        (["environment.id=ALE/Pong-v5"], "comes with a package (ale-py)"),
        (["environment.id=Warehouse-v3"], "'Warehouse-v3' is not registered"),
    ],
)
def test_server_without_the_environments_package_is_told_that_it_needs_none(words, said):
    check_refused(adql("replay", *words), said, NEEDS_NONE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["environment.id=CartPol-v1"], "near are CartPole-v1"),
        (["environment.id=Pendulum-v1"], "needs Discrete actions"),
        (["environment.id=nowhere:Thing-v0"], "add environment.allow=[nowhere]"),
        (["environment.id=FrozenLake-v1", "environment.kwargs.size=9"], "does not start"),
    ],
)
def test_server_with_a_mistake_in_its_environment_is_told_that_mistake_alone(words, said):
    done = adql("replay", *words)
    check_refused(done, said)
    assert "needs no environment" not in done.stderr


def test_id_of_an_environment_is_given_to_a_service_as_a_key():
    check_refused(adql("replay", "CartPole-v1"), "did you mean `environment.id=CartPole-v1`?")


def test_file_named_like_an_environment_is_read(tmp_path):
    (tmp_path / "CartPole-v1").write_text("run: {seed: 7}\n")
    assert "seed: 7" in adql("config", "show", "CartPole-v1", cwd=tmp_path).stdout


def test_existing_run_names_resume_and_is_untouched(finished):
    before = (finished / "summary.json").read_text()
    check_refused(adql("train", "--output", finished), "adql resume")
    check_refused(adql("resume", finished, "network.hidden=[8]"), "network.hidden was [16], now [8]")
    assert (finished / "summary.json").read_text() == before


def test_folder_without_a_run_is_refused(tmp_path):
    for words in (["resume"], ["evaluate"], ["restore"]):
        check_refused(adql(*words, tmp_path), "DIR")


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 0)
        check_refused(adql("resume", run), "trained in by another process")
        check_refused(adql("restore", run), "trained in by another process")
        assert train.stop() == 0


def test_corrupt_and_foreign_policies_are_refused(copied):
    policy = copied / "policy-best.safetensors"
    whole = policy.read_bytes()
    policy.write_bytes(whole[:100])
    check_refused(adql("evaluate", copied), "cannot be read")
    policy.unlink()
    check_refused(adql("evaluate", copied), "does not exist", "--policy last")
    policy.write_bytes(whole)
    settings = (copied / "run.yaml").read_text()
    (copied / "run.yaml").write_text(settings.replace("gamma: 0.99", "gamma: 0.9"))
    check_refused(adql("evaluate", copied), "another run's policy")
    (copied / "run.yaml").write_text(settings.replace("- 16", "- 24"))
    check_refused(adql("evaluate", copied), "belongs to another run")


def test_corrupt_checkpoints_are_refused_and_an_older_whole_one_is_taken_only_if_it_is_named(copied):
    shutil.rmtree(copied / "store")
    files = sorted((copied / "checkpoints").glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    newest, older = files[-1], files[-2]
    newest.write_bytes(newest.read_bytes()[:-8])
    way_out = f"`adql restore {copied} --checkpoint {older}`"
    check_refused(adql("restore", copied), f"{newest} is passed over", "its bytes are not those", way_out)
    restored = adql("restore", copied, "--checkpoint", older)
    assert restored.returncode == 0 and "0 learner steps" in restored.stdout, restored.stderr
    assert f"{newest} is passed over" in restored.stdout
    for file in (copied / "checkpoints").glob("*.safetensors"):
        file.write_bytes(b"")
    shutil.rmtree(copied / "store")
    check_refused(adql("restore", copied), "no checkpoint that can be read")


def test_store_that_is_not_persistent_or_not_there_is_refused(tmp_path):
    with running_store(tmp_path / "store", appendonly="no") as store:
        refused = adql("train", "--output", tmp_path / "run", environ={"ADQL_REDIS_URL": store.url})
        check_refused(refused, "appendonly='no', needed is yes")
    nobody = {"ADQL_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    check_refused(adql("train", "--output", tmp_path / "run", environ=nobody), "start that store")
    assert not (tmp_path / "run").exists()


def test_name_that_a_shared_store_knows_is_refused(tmp_path):
    with running_store(tmp_path / "store") as store:
        environ = {"ADQL_REDIS_URL": store.url}
        assert adql("train", "--output", tmp_path / "first", *SHORT, environ=environ).returncode == 0
        refused = adql("train", "--output", tmp_path / "second", *SHORT, environ=environ)
        check_refused(refused, "a run named 'adql' already", "run.name=")
        more = adql("resume", tmp_path / "first", "training.environment_steps=3000", environ=environ)
        assert more.returncode == 0, more.stderr


@pytest.mark.parametrize("service", ["parameter-server", "replay", "learner", "evaluator"])
def test_service_without_its_token_file_is_refused(service, tmp_path):
    check_refused(adql(service, cwd=tmp_path), "ADQL_TOKEN_FILE is not set")
    missing = {"ADQL_TOKEN_FILE": "/nowhere/token"}
    check_refused(adql(service, cwd=tmp_path, environ=missing), "cannot read the token file /nowhere/token")


@pytest.mark.parametrize("service", ["parameter-server", "replay", "learner", "evaluator"])
def test_port_in_use_is_refused(service, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        environ = {"ADQL_SIDE": address, "ADQL_LISTEN": f"http://127.0.0.1:{free_port()}", "ADQL_AUTH": "false"}
        way_out = f"ADQL_SIDE={address}: it is already in use; set ADQL_SIDE to another address or stop what uses it"
        check_refused(adql(service, cwd=tmp_path, environ=environ), way_out)


def test_services_started_by_hand_train_over_tcp_and_refuse_a_foreign_learner(tmp_path):
    (tmp_path / "token").write_text("secret-of-the-run\n")
    ports = [f"http://127.0.0.1:{free_port()}" for _ in range(7)]
    server, replay = ports[:2]
    sides = iter(ports[2:])
    common = {"ADQL_TOKEN_FILE": str(tmp_path / "token")}
    clients = {**common, "ADQL_PARAMETER_SERVER_URL": server, "ADQL_REPLAY_URL": replay}
    with running_store(tmp_path / "store") as store:
        serve = {**common, "ADQL_LISTEN": server, "ADQL_SIDE": next(sides), "ADQL_REDIS_URL": store.url}
        keep = {**common, "ADQL_LISTEN": replay, "ADQL_SIDE": next(sides), "ADQL_DIRECTORY": str(tmp_path / "replay")}
        learn = {**clients, "ADQL_SIDE": next(sides)}
        play = {**clients, "ADQL_SIDE": next(sides)}
        with (
            launched(tmp_path / "log-server", "parameter-server", *LONG,
                     environ={**serve, "ADQL_DIRECTORY": str(tmp_path / "server")}) as first,
            launched(tmp_path / "log-replay", "replay", *LONG, environ=keep) as second,
            launched(tmp_path / "log-learner", "learner", *LONG, environ=learn) as third,
            launched(tmp_path / "log-evaluator", "evaluator", *LONG, environ=play) as fourth,
        ):  # fmt: skip
            evaluations = tmp_path / "server" / "evaluations.csv"
            wait_until(lambda: evaluations.exists() and len(evaluations.read_text().splitlines()) > 3)
            other = {**clients, "ADQL_SIDE": next(sides)}
            refused = adql("learner", *TINY, "algorithm.gamma=0.5", environ=other)
            check_refused(refused, "configuration differs from this run's")
            for service in (third, fourth, second, first):
                assert service.stop(signal.SIGTERM, 10.0) == 0, service.said()


def test_keys_may_follow_an_option(tmp_path):
    shown = adql("config", "show", "update.rule=elastic", "--steps", "2e3", "replay.capacity=5000", cwd=tmp_path)
    assert {"rule: elastic", "environment_steps: 2000", "capacity: 5000"} <= {
        x.strip() for x in shown.stdout.split("\n")
    }
    check_refused(adql("evaluate", tmp_path, "replay.capacity=5000"), "replay.capacity=5000: not known here")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["train", "--lerners", "2"], "--lerners: not known here, did you mean --learners?"),
        (["train", "--learner", "2"], "did you mean --learners?"),
        (["evaluate", "runs/x", "--episode=3"], "did you mean --episodes?"),
        (["doctor", "--hepl"], "did you mean --help?"),
        (["trian"], "'trian'"),
        ([], "COMMAND"),
    ],
)
def test_misspelt_command_or_option_is_one_line_with_what_may_be_meant(words, part):
    refused = adql(*words)
    check_refused(refused, part, "--help` says what there is")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["resume", "runs/x", "--steps", "300000"], "`adql train`; write training.environment_steps=300000; "),
        (["resume", "--learners=4", "runs/x"], "--learners belongs to `adql train`; write training.learners=4; "),
        (["resume", "runs/x", "--steps"], "write training.environment_steps=…; "),
        (["learner", "--seed", "4"], "--seed belongs to `adql train`; write run.seed=4; "),
        (["resume", "runs/x", "--goal", "-110"], "--goal: not known here; write training.goal=-110; "),
        (["train", "--batch-size", "32"], "--batch-size: not known here; write algorithm.batch_size=32; "),
        (["resume", "runs/x", "--env", "Acrobot-v1"], "environment.id defines the run and cannot be changed on resume"),
        (["resume", "runs/x", "--gamma", "0.9"], "algorithm.gamma defines the run and cannot be changed on resume"),
        (["resume", "runs/x", "--output", "y"], "--output belongs to `adql train` and cannot be changed on resume"),
        (["evaluate", "runs/x", "--learners", "4"], "--learners belongs to `adql train`; `adql evaluate --help`"),
        (["train", "--episodes", "4"], "--episodes belongs to `adql evaluate`; `adql train --help`"),
        (["resume", "runs/x", "--stepz", "3"], "--stepz 3: not known here; `adql resume --help` says what there is"),
    ],
)
def test_option_of_another_command_or_named_like_a_key_is_refused_with_what_to_write(words, part):
    check_refused(adql(*words), part)


@pytest.mark.parametrize("words", [["config", "show"], ["doctor"]])
def test_answer_that_cannot_be_written_is_no_traceback(words):
    for where, code in ((">/dev/full", 2), ("| true; exit ${PIPESTATUS[0]}", None)):
        line = f"{shlex.join(command(*words))} {where}"
        done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
        assert code is None or done.returncode == code


def test_folder_whose_name_is_no_utf_8_is_refused_and_left_out(tmp_path):
    name = os.fsencode(tmp_path) + b"/m\xff"
    words = [*command("train", *SHORT, "--output"), name]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    check_refused(done, "is no name in UTF-8; choose another DIR")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [" v1", "null", "a: b", "x=1", "2026-11-22", "a #b"])
def test_run_is_in_the_folder_that_was_named_and_touches_no_other(tmp_path, name):
    neighbour = tmp_path / name.strip()[:1]
    done = adql("train", *SHORT, "--output", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name] and not neighbour.exists()
    assert (tmp_path / name / "replay").is_dir() and (tmp_path / name / "evaluations.csv").exists()
    assert adql("evaluate", name, "--episodes", 1, cwd=tmp_path).returncode == 0


def test_folder_of_logs_that_was_removed_is_made_again(copied):
    shutil.rmtree(copied / "logs")
    done = adql("resume", copied, "training.environment_steps=4000")
    assert done.returncode == 0, done.stderr


def test_run_whose_state_is_in_a_named_store_is_looked_for_nowhere_else(tmp_path):
    run, more = tmp_path / "run", "training.environment_steps=4000"
    with running_store(tmp_path / "store") as store:
        named = {"ADQL_REDIS_URL": store.url}
        assert adql("train", "--output", run, *SHORT, environ=named).returncode == 0
        for words in (["resume", run, more], ["restore", run]):
            check_refused(adql(*words), f"is in the store at {store.url}; set ADQL_REDIS_URL to it")
        check_refused(adql("restore", run, environ=named), "has lost nothing")
        resumed = adql("resume", run, more, environ=named)
        assert resumed.returncode == 0, resumed.stderr


def test_run_with_a_store_of_its_own_is_not_looked_for_in_another_one(finished):
    for words in (["resume", finished, "training.environment_steps=4000"], ["restore", finished]):
        check_refused(adql(*words, environ={"ADQL_REDIS_URL": "redis://127.0.0.1:1"}), "unset ADQL_REDIS_URL")


def test_allowed_module_may_lie_in_the_current_folder(tmp_path):
    (tmp_path / "my_package.py").write_text(REGISTERS)
    words = ["config", "show", "--env", "my_package:Mine-v0", "environment.allow=[my_package]"]
    command = [Path(sys.executable).with_name("adql"), *words]
    shown = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "actions: 2" in shown.stdout, shown.stderr


def test_run_whose_module_lies_in_another_folder_is_evaluated_there(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir(), elsewhere.mkdir()
    (home / "my_package.py").write_text(REGISTERS)
    foreign = ["--env", "my_package:Mine-v0", "environment.allow=[my_package]"]
    assert adql("train", *foreign, *SHORT, "--output", "run", cwd=home).returncode == 0
    way_out = "install the package that has it, run in the folder that has it, or mend it"
    check_refused(adql("evaluate", home / "run", cwd=elsewhere), "cannot import 'my_package'", way_out)
    check_refused(adql("train", *foreign, cwd=elsewhere), "cannot import 'my_package'", way_out)
    assert adql("evaluate", home / "run", "--episodes", 1, cwd=home).returncode == 0


def test_id_that_an_allowed_module_does_not_register_is_refused_with_those_that_it_does(tmp_path):
    (tmp_path / "my_package.py").write_text(REGISTERS)
    refused = adql("train", "--env", "my_package:Nope-v0", "environment.allow=[my_package]", cwd=tmp_path)
    check_refused(refused, "'my_package:Nope-v0' is not registered; 'my_package' registers my_package:Mine-v0: name")


def test_service_that_the_machine_fails_was_not_asked_for_something_wrong(monkeypatch, capsys):
    """Who looks after it starts it again, as after a crash."""

    def run_out_of_descriptors(options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(cli, "_serve", run_out_of_descriptors)
    assert cli.main(["replay"]) == 1
    assert capsys.readouterr().err == "adql: error: Too many open files; start it again\n"


def test_folder_that_is_gone_is_named_where_a_command_needs_it(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    words = f"cd {shlex.quote(str(gone))}; rmdir {shlex.quote(str(gone))}; {shlex.join(command('doctor'))}"
    done = subprocess.run(["bash", "-c", words], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    check_refused(done, "the current folder: No such file or directory")


def test_version_and_variables_are_told():
    assert adql("--version").stdout.startswith("adql ")
    assert "ADQL_REPLAY_URL" in adql("learner", "--help").stdout


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("evaluate", ["DIR folder of the run", "--episodes N episodes to play; 100 by default", "; best by default"]),
        ("resume", ["DIR folder of the run"]),
        ("restore", ["DIR folder of the run"]),
        ("parameter-server", ["ADQL_REDIS_PASSWORD_FILE (not set) Holds the password"]),
        ("replay", ["ADQL_LOG_FORMAT=text Of the log on stderr: text for people, or json", "8430 Where it is asked"]),
        ("learner", ["ADQL_ROLE=both Act and learn (both), "]),
        ("probe", ["--live ask /livez", "the exit code 0 (yes), 1 (no, or nobody is there)"]),
        ("evaluator", ["ADQL_SIDE=http://127.0.0.1:8451 Where /livez"]),
    ],
)
def test_help_explains_every_word_within_the_width_of_the_terminal(command, parts):
    said = adql(command, "--help", environ={"COLUMNS": "80"}).stdout
    assert max(map(len, said.splitlines())) <= 80
    assert [part for part in parts if part not in " ".join(said.split())] == []


def test_settings_say_what_the_environment_sets(tmp_path):
    lines = adql("config", "show", "--origin", cwd=tmp_path).stdout.splitlines()
    said = {line.split("=")[0]: line for line in lines}
    assert said["environment.signature.actions"].endswith("# the environment")
    assert "475" in said["training.goal"]


def test_settings_say_where_they_come_from(tmp_path):
    shown = adql("config", "show", "--origin", "--env", "Acrobot-v1", environ={"ADQL_REPLAY__CAPACITY": "7000"})
    assert "environment.id=Acrobot-v1" in shown.stdout and "# command line" in shown.stdout
    assert any("replay.capacity=7000" in x and "ADQL_REPLAY__CAPACITY" in x for x in shown.stdout.splitlines())


def test_doctor_finds_what_is_needed_and_what_is_missing(tmp_path):
    healthy = adql("doctor", cwd=tmp_path)
    assert healthy.returncode == 0 and "starts, answers and is durable" in healthy.stdout, healthy.stdout
    sick = adql("doctor", cwd=tmp_path, environ={"ADQL_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"})
    assert sick.returncode == 1 and "[missing] weight store: ADQL_REDIS_URL" in sick.stdout


def test_evaluate_plays_either_policy_for_programs_and_people(finished):
    for policy in ("best", "last"):
        figures = json.loads(adql("evaluate", finished, "--policy", policy, "--episodes", 2, "--json").stdout)
        assert figures["episodes"] == 2 and figures["min_return"] <= figures["mean_return"] <= figures["max_return"]
    assert "mean_return" in adql("evaluate", finished, "--episodes", 1).stdout
    check_refused(adql("evaluate", finished, "--episodes", 0), "--episodes 0: at least 1")
    check_refused(adql("evaluate", finished, "--seed", -1), "--seed -1: at least 0")


def test_evaluation_is_the_same_every_time_unless_it_is_given_another_seed(finished):
    first, again, other = (
        adql("evaluate", finished, "--episodes", 5, "--json", *words).stdout for words in ((), (), ("--seed", 7))
    )
    assert first == again != other


def test_stored_policy_plays_by_itself(finished):
    policy = load_policy(finished / "policy-best.safetensors")
    environment = make_environment(policy.environment)
    observation, _ = environment.reset(seed=0)
    assert environment.action_space.contains(policy(observation))


def test_package_is_run_as_the_command_is():
    shown = subprocess.run([sys.executable, "-m", "adql_services", "--version"], capture_output=True, check=True)
    assert shown.stdout.startswith(b"adql ")
