"""``docker compose up`` on a real engine: it trains, it ends, it goes on, and nobody sees a secret."""

import json
import shlex
import subprocess
import time
import urllib.request

import pytest

from tests.cluster.commands import OF_A_TRAINING, run
from tests.cluster.stack import END_SECONDS, Terminal, new_stack
from tests.readme import blocks
from tests.system.launched import adql
from tests.waiting import wait_until

SERVICES = ("valkey", "parameter-server", "replay", "learner", "evaluator", "prometheus", "curves")
ENDLESS = "environment: {id: CartPole-v1}\ntraining: {goal: 501, environment_steps: 1000000000}\n"
"""No return is over the goal."""
SHORT = "training: {goal: 501, environment_steps: 4000}\nevaluation: {every_learner_steps: 500, episodes: 2}\n"
GOAL_SECONDS, BACK_SECONDS, UP_SECONDS, REFUSED_SECONDS = 600, 120, 240, 60


@pytest.fixture(scope="module")
def stack(built_images, tmp_path_factory):
    """A training that does not end by itself, everybody healthy."""
    directory = tmp_path_factory.mktemp("compose")
    (directory / "run.yaml").write_text(ENDLESS)
    with new_stack(directory, built_images, ADQL_RUN_FILE=str(directory / "run.yaml")) as stack:
        stack("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))
        yield stack


def asked(stack, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.prometheus_port}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


@pytest.fixture
def unbuilt(built_images):
    """A tag that no image has; those that get it are gone afterwards, the layers stay."""
    tag = f"{built_images}-by-compose"
    yield tag
    run("docker", "rmi", "--no-prune", f"adql/service:{tag}", f"adql/learner:{tag}")


def test_one_command_builds_trains_to_the_goal_and_says_where_the_curves_are_and_the_end(unbuilt, tmp_path):
    with new_stack(tmp_path, unbuilt) as stack, Terminal(stack) as terminal:
        wait_until(lambda: terminal.is_up, 600, lambda: terminal.text)
        assert f"the curves: Prometheus http://127.0.0.1:{stack.prometheus_port} (Grafana not" in terminal.text
        stack.wait_until(lambda: all(stack.is_healthy(service) for service in SERVICES), 30)
        wait_until(lambda: "the run reached its goal: mean return " in terminal.text, GOAL_SECONDS, stack.story)
        assert stack.about_the_run()["state"]["status"] == "reached"
        begun = time.monotonic()
        assert terminal.press_ctrl_c() == 0, terminal.text
        assert time.monotonic() - begun < END_SECONDS
        states = {c["Name"]: (c["State"]["Status"], c["State"]["ExitCode"]) for c in stack.containers()}
        assert set(states.values()) == {("exited", 0)}, states


def test_file_is_valid_with_and_without_grafana(stack):
    with_grafana = run("docker", "compose", "--env-file", "/dev/null", "config", "--services").split()
    assert set(with_grafana) == {*SERVICES, "prepare", "grafana"}
    assert set(stack("config", "--services").split()) == {*SERVICES, "prepare"}


def test_prometheus_has_every_service_as_a_target_that_is_up(stack):
    def targets():
        return sorted((t["labels"]["job"], t["health"]) for t in asked(stack, "targets")["activeTargets"])

    expected = [("evaluator", "up"), ("learner", "up"), ("learner", "up"), ("parameter-server", "up"), ("replay", "up")]
    stack.wait_until(lambda: targets() == expected, 60)
    assert {rule["health"] for group in asked(stack, "rules")["groups"] for rule in group["rules"]} <= {"ok", "unknown"}


def test_root_of_every_container_is_read_only(stack):
    for service in SERVICES:
        done = stack.within(service, "sh", "-c", "touch /written && rm /written")
        assert done.returncode != 0 and "Read-only file system" in done.stdout, (service, done.stdout)


def test_secrets_are_in_no_description_argument_or_log(stack):
    place = "cat /run/secrets/adql/tokens /run/secrets/store/password"
    secrets = stack.within("parameter-server", "sh", "-c", place).stdout.split()
    assert len(secrets) == 2 and all(len(secret) == 64 for secret in secrets)
    arguments = [run("docker", "top", c["Id"], "-eo", "pid,args") for c in stack.containers() if c["State"]["Running"]]
    seen = [json.dumps(stack.containers()), stack("logs"), stack("config"), *arguments]
    assert not [secret for secret in secrets for text in seen if secret in text]


def test_only_the_parameter_server_reaches_the_store(stack):
    reach = "import socket; socket.create_connection(('valkey', 6379), 5)"
    assert stack.within("parameter-server", "python", "-c", reach).returncode == 0
    for service in ("learner", "replay", "evaluator"):
        assert stack.within(service, "python", "-c", reach).returncode != 0


def test_store_refuses_whoever_has_no_password(stack):
    assert "NOAUTH" in stack.within("valkey", "valkey-cli", "ping").stdout


def test_four_learners_take_part_and_those_that_were_there_stay(stack):
    before = {container["Id"] for container in stack.containers("learner")}
    stack("up", "--detach", "--wait", "--scale", "learner=4")
    assert before < {container["Id"] for container in stack.containers("learner")}
    stack.wait_until(lambda: stack.about_the_run()["state"]["learners"] == 4, 60)
    stack.wait_for_progress()


def test_token_is_rotated_under_training_and_no_update_is_refused(stack):
    place = ("cat", "/run/secrets/adql/tokens")
    first = stack.within("learner", *place).stdout.split()[0]
    stack("run", "--rm", "prepare", "rotate")
    assert stack.within("learner", *place).stdout.split()[1] == first
    stack.wait_for_progress()
    stack("run", "--rm", "prepare", "rotate")
    assert first not in stack.within("learner", *place).stdout
    stack.wait_for_progress()
    assert {c["RestartCount"] for service in SERVICES for c in stack.containers(service)} == {0}


@pytest.mark.parametrize("service", SERVICES)
def test_killed_container_comes_back_and_training_goes_on(stack, service):
    stack.wait_for_progress()
    durable, killed = stack.durable(), stack.containers(service)[0]
    kill = f"import os; os.kill({killed['State']['Pid']}, 9)"
    image = f"adql/service:{stack.variables['ADQL_TAG']}"
    run("docker", "run", "--rm", "--pid", "host", "--user", "0:0", "--entrypoint", "python", image, "-c", kill)

    def is_back():
        (now,) = json.loads(run("docker", "inspect", killed["Id"]))
        return now["RestartCount"] > killed["RestartCount"] and stack.is_healthy(service)

    stack.wait_until(is_back, BACK_SECONDS)
    assert stack.version() >= durable
    stack.wait_for_progress()


def test_ctrl_c_loses_nothing_and_the_next_up_goes_on_with_the_run(stack):
    stack.wait_for_progress()
    before, durable = stack.about_the_run(), stack.durable()
    stack("stop")
    with Terminal(stack) as terminal:
        wait_until(lambda: terminal.is_up, UP_SECONDS, lambda: terminal.text)
        after, later = stack.about_the_run(), stack.version()
        assert (after["name"], after["state"]["run_id"]) == (before["name"], before["state"]["run_id"])
        assert after["updates"]["applied"] >= before["updates"]["applied"] and later > durable
        stack.wait_for_progress()
        seen = stack.version()
        assert terminal.press_ctrl_c() == 0, terminal.text
    assert {c["State"]["ExitCode"] for c in stack.containers()} == {0}, stack.story()
    stack("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))
    again = stack.about_the_run()
    assert again["state"]["run_id"] == before["state"]["run_id"]
    assert stack.version() > seen and again["updates"]["applied"] >= seen[1]


def line_of_the_readme(part):
    (line,) = [line for block in blocks("README.md", "sh") for line in block.splitlines() if part in line]
    return line


def results(stack, folder):
    """Types what the README tells to type, and returns the summary in the folder that comes of it."""
    told = line_of_the_readme(" results | ").replace("docker compose", shlex.join(stack.command()))
    told = told.replace("runs/compose", str(folder))
    done = subprocess.run(["bash", "-ec", told], env=stack.environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert {part.name for part in folder.iterdir()} - {"activity.json"} == OF_A_TRAINING
    assert "Training return" in (folder / "report.html").read_text()
    return json.loads((folder / "summary.json").read_text())


def test_results_come_as_the_folder_of_a_training_without_an_evaluator_and_after_the_end(built_images, tmp_path):
    (tmp_path / "run.yaml").write_text(f"environment: {{id: CartPole-v1}}\n{SHORT}")
    with new_stack(tmp_path, built_images, ADQL_RUN_FILE=str(tmp_path / "run.yaml")) as stack:
        stack("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))
        stack.wait_until(lambda: stack.about_the_run()["state"]["status"] == "budget", GOAL_SECONDS)
        stack.wait_until(lambda: stack.about_the_run()["evaluations"]["reported"], GOAL_SECONDS)
        stack("stop", "evaluator")
        summary = results(stack, tmp_path / "first")
        assert (summary["status"], summary["goal"]) == ("budget", 501)
        assert json.loads(adql("evaluate", tmp_path / "first", "--episodes", 2, "--json").stdout)["episodes"] == 2
        refused = stack.tried("run", "--rm", "-T", "--env", "ADQL_DIRECTORY=/kept/other", "results")
        assert refused.returncode == 2 and "set ADQL_RUN=adql" in refused.stdout
        stack("stop")
        refused = stack.tried("run", "--rm", "-T", "results")
        assert refused.returncode == 1 and "`docker compose up --detach --wait parameter-server`" in refused.stdout
        stack("up", "--detach", "--wait", "parameter-server")
        again = results(stack, tmp_path / "again")
        assert again["environment_steps"] == summary["environment_steps"] >= 4000


def test_own_environment_is_learnt_by_an_image_of_its_own_whose_package_no_server_has(built_images, tmp_path):
    (dockerfile,) = blocks("README.md", "dockerfile")
    (folder := tmp_path / "my-learner").mkdir()
    (folder / "Dockerfile").write_text(dockerfile.replace("adql/learner:0.1.0", f"adql/learner:{built_images}"))
    (folder / "my_package.py").write_text(blocks("README.md", "python")[0])
    image = f"my-learner:{built_images}-compose"
    run("docker", "build", "--quiet", "--tag", image, str(folder))
    try:
        shown = line_of_the_readme("> my-run.yaml").replace("my-learner", image)
        (tmp_path / "my-run.yaml").write_text(run(*shlex.split(shown.partition(" > ")[0])))
        own = {"ADQL_LEARNER_IMAGE": image, "ADQL_RUN_FILE": str(tmp_path / "my-run.yaml"), "ADQL_RUN": "mine"}
        with new_stack(tmp_path, built_images, **own) as stack:
            stack("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))
            stack.wait_until(lambda: stack.about_the_run()["state"]["status"] == "reached", GOAL_SECONDS)
            playing = [*stack.containers("learner"), *stack.containers("evaluator")]
            assert {container["Config"]["Image"] for container in playing} == {image}
            assert stack.within("replay", "python", "-c", "import my_package").returncode != 0
    finally:
        run("docker", "image", "rm", image)


WRONG = {
    "algorithm: {gama: 0.9}": "adql: error: algorithm.gama: unknown key; did you mean algorithm.gamma?",
    "environment: {id: CartPol-v1}": "adql: error: environment.id='CartPol-v1' is not registered; near are CartPole-v1",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_run_specification_is_one_line_and_starts_no_service(built_images, tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    with new_stack(tmp_path, built_images, ADQL_RUN_FILE=str(tmp_path / "run.yaml")) as stack:
        done = stack.tried("up")
        assert done.returncode == 1
        (line,) = [line for line in done.stdout.splitlines() if "adql: error" in line]
        assert WRONG[text] in line
        assert stack.containers("parameter-server")[0]["State"]["Status"] == "created"


def test_other_algorithm_under_the_same_name_is_refused_in_one_line_and_the_run_is_kept(stack, tmp_path):
    before = stack.about_the_run()
    kept = stack.variables["ADQL_RUN_FILE"]
    (tmp_path / "run.yaml").write_text(f"{ENDLESS}algorithm: {{gamma: 0.9}}\n")
    stack.variables["ADQL_RUN_FILE"] = str(tmp_path / "run.yaml")
    refused = stack.tried("up", seconds=REFUSED_SECONDS)
    assert refused.returncode == 1, refused.stdout
    (line,) = [line for line in refused.stdout.splitlines() if "adql: error" in line]
    assert "run 'adql' was started with another configuration: algorithm.gamma was 0.99, now 0.9; take" in line
    assert not [c["Name"] for c in stack.containers("parameter-server") if c["RestartCount"]]
    stack.variables["ADQL_RUN_FILE"] = kept
    stack("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))
    assert stack.about_the_run()["state"]["run_id"] == before["state"]["run_id"]
    stack.wait_for_progress()
