"""The two small programs of docker-compose.yml: what is made before the services start, and what is said after."""

import importlib.util
import stat
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from prometheus_client import generate_latest

from adql.agent.environments import resolve
from adql.config import load_specification, to_yaml
from adql.telemetry import metrics
from adql.types import OVER
from tests.deploy.shipped import ROOT


def program(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docker" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare(tmp_path):
    """Runs the program on files of this test."""
    module = program("prepare")
    run_file = tmp_path / "run.yaml"
    run_file.write_text("environment: {id: CartPole-v1}\n")

    def run(*words):
        kept = str(tmp_path / "kept")
        return module.main(list(words), str(run_file), str(tmp_path / "tokens"), str(tmp_path / "password"), kept)

    return run


def secrets_in(directory):
    return [(directory / name).read_text().split() for name in ("tokens", "password")]


def test_secrets_are_made_once_kept_and_never_printed(prepare, tmp_path, capfd):
    assert prepare() == 0
    made = secrets_in(tmp_path)
    assert [len(secret) for lines in made for secret in lines] == [64, 64]
    assert prepare() == 0
    assert secrets_in(tmp_path) == made
    said = capfd.readouterr()
    assert not any(secret in said.out + said.err for lines in made for secret in lines)
    assert said.out.splitlines() == ["a new token is made", "the store's password is made"]


def test_secrets_can_be_read_by_their_owner_and_group_alone_and_written_by_nobody(prepare, tmp_path):
    prepare()
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("tokens", "password")} == {0o440}
    assert not list(tmp_path.glob(".*"))


def test_rotation_puts_a_new_token_before_the_present_one_and_forgets_the_one_before(prepare, tmp_path):
    prepare()
    ((first,), password) = secrets_in(tmp_path)
    assert prepare("rotate") == prepare("rotate") == 0
    (third, second), kept = secrets_in(tmp_path)
    assert len({first, second, third}) == 3 and kept == password


def test_what_a_crash_left_half_written_does_no_harm(prepare, tmp_path):
    (tmp_path / ".tokens.new").write_text("half")
    (tmp_path / "tokens").write_text("")
    assert prepare() == 0
    assert len(secrets_in(tmp_path)[0][0]) == 64


def test_wrong_run_specification_is_one_line_and_makes_nothing(prepare, tmp_path, capfd):
    (tmp_path / "run.yaml").write_text("algorithm: {gama: 0.9}\n")
    assert prepare() == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("adql: error: algorithm.gama: unknown key; did you mean algorithm.gamma?")
    assert not (tmp_path / "tokens").exists()


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("a: [1", "adql", "ADQL_RUN_FILE=./mine.yaml is not YAML"),
        ("training: {learners: 2}", "My Run", "(run.name is set by ADQL_RUN)"),
    ],
)
def test_what_is_wrong_is_called_by_the_variable_that_people_set(
    prepare, tmp_path, monkeypatch, capfd, text, name, said
):
    monkeypatch.setenv("ADQL_RUN_FILE", "./mine.yaml")
    monkeypatch.setenv("ADQL_RUN__NAME", name)
    (tmp_path / "run.yaml").write_text(text)
    assert prepare() == 2
    assert said in capfd.readouterr().err


def test_own_environment_without_its_shapes_is_told_how_to_get_them(prepare, tmp_path, capfd):
    (tmp_path / "run.yaml").write_text("environment: {id: 'nowhere:MyEnv-v0', allow: [nowhere]}\n")
    assert prepare() == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot import 'nowhere'" in line and "ADQL_LEARNER_IMAGE" in line and "environment.signature" in line


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPol-v1"])
def test_mistake_in_an_environment_whose_package_is_there_is_told_alone(prepare, tmp_path, capfd, name):
    (tmp_path / "run.yaml").write_text(f"environment: {{id: 'gymnasium:{name}', allow: [gymnasium]}}\n")
    assert prepare() == 2
    assert "ADQL_LEARNER_IMAGE" not in capfd.readouterr().err


@pytest.fixture
def kept_run(tmp_path):
    """The specification of a run that was started, as its parameter server keeps it."""
    file = tmp_path / "kept" / "adql" / "run.yaml"
    file.parent.mkdir(parents=True)
    specification = load_specification(tmp_path / "run.yaml", environ={})
    environment = resolve(specification.environment)
    file.write_text(to_yaml(specification.model_copy(update={"environment": environment})))
    return file


def test_other_algorithm_under_the_name_of_a_kept_run_is_one_line_and_makes_nothing(prepare, kept_run, tmp_path, capfd):
    (tmp_path / "run.yaml").write_text("environment: {id: CartPole-v1}\nalgorithm: {gamma: 0.9}\n")
    assert prepare() == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("adql: error: run 'adql' was started with another configuration: algorithm.gamma was 0.99")
    assert line.endswith(
        "take the old values, or another run.name (ADQL_RUN under docker compose, run.run.name in the chart's values)"
    )
    assert not (tmp_path / "tokens").exists()


def test_other_budget_or_another_name_goes_on(prepare, kept_run, tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text("environment: {id: CartPole-v1}\ntraining: {environment_steps: 9000}\n")
    assert prepare() == 0
    (tmp_path / "run.yaml").write_text("environment: {id: CartPole-v1}\nalgorithm: {gamma: 0.9}\n")
    monkeypatch.setenv("ADQL_RUN__NAME", "other")
    assert prepare() == 0


def test_rotation_starts_nothing_and_asks_for_no_run_that_could_go_on(prepare, kept_run, tmp_path):
    assert prepare() == 0
    (tmp_path / "run.yaml").write_text("environment: {id: CartPole-v1}\nalgorithm: {gamma: 0.9}\n")
    assert (prepare(), prepare("rotate")) == (2, 0)
    assert len(secrets_in(tmp_path)[0]) == 2


def test_kept_run_that_cannot_be_read_is_left_to_the_parameter_server(prepare, kept_run):
    kept_run.write_text("algorithm: {of_an_older_version: 1}\n")
    assert prepare() == 0


def test_another_word_than_rotate_is_refused(prepare, capfd):
    assert prepare("rotat") == 2
    assert capfd.readouterr().err == "prepare: rotat: not known here; write nothing, or rotate for a new token\n"


@pytest.fixture
def curves(monkeypatch):
    """The program with a Prometheus that answers and a Grafana that does not."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/ready" else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    module = program("curves")
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("GRAFANA", "http://0.0.0.0:3000/d/adql-learning")
        monkeypatch.setenv("PROMETHEUS", "http://127.0.0.1:9090")
        yield module, at
        server.shutdown()


def test_line_names_what_answers_by_an_address_for_people(curves):
    module, at = curves
    module.PLACES = {"Grafana": (f"{at}/ready", "GRAFANA"), "Prometheus": (f"{at}/ready", "PROMETHEUS")}
    assert (
        module.line() == "the curves: Grafana http://127.0.0.1:3000/d/adql-learning, Prometheus http://127.0.0.1:9090"
    )


RUNNING = {
    'adql_run_status{status="running"}': 1.0,
    'adql_run_status{status="reached"}': 0.0,
    'adql_run_status{status="budget"}': 0.0,
    "adql_evaluations_waiting": 0.0,
    "adql_run_learner_steps": 9008.0,
}
REACHED = RUNNING | {'adql_run_status{status="reached"}': 1.0, "adql_evaluation_return": 498.55}
SPENT = RUNNING | {'adql_run_status{status="budget"}': 1.0}


def test_end_of_a_run_is_said_once_with_what_came_of_it_and_the_way_to_its_report():
    module = program("curves")
    looks = [RUNNING, REACHED, REACHED, REACHED, RUNNING, SPENT | {"adql_evaluations_waiting": 1.0}, SPENT, SPENT]
    reached, spent = module.ends(iter(looks))
    assert reached.startswith("the run reached its goal: mean return 498.6 at 9,008 learner steps; ")
    assert spent.startswith("the run has spent its budget: no evaluation at 9,008 learner steps; ")
    for document in ("README.md", "README.zh.md"):
        assert module.RESULTS in (ROOT / document).read_text(encoding="utf-8")
    assert reached.endswith(f"{module.RESULTS}; Ctrl-C ends")


def test_figures_are_those_of_the_parameter_servers_own_page():
    module = program("curves")
    for status in module.OVER:
        metrics.RUN_STATUS.labels(status)
    page = generate_latest(metrics.PARAMETER_SERVER).decode()
    figures = module.figures_of(page)
    assert REACHED.keys() - figures.keys() == {'adql_run_status{status="running"}', "adql_evaluation_return"}
    assert "# TYPE adql_evaluation_return gauge" in page
    assert set(module.OVER) == set(OVER) and module.end(figures) is None


def test_line_says_what_does_not_run(curves):
    module, at = curves
    module.PLACES = {"Grafana": (f"{at}/health", "GRAFANA"), "Prometheus": (f"{at}/ready", "PROMETHEUS")}
    assert module.line() == "the curves: Prometheus http://127.0.0.1:9090 (Grafana not running)"
    module.PLACES = {"Grafana": ("http://127.0.0.1:1/", "GRAFANA")}
    assert module.line() == "there are no curves (Grafana not running)"
