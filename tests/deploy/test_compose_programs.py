"""The two small programs of docker-compose.yml: what is made before the services start, and what is said after."""

import importlib.util
import os
import stat
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.deploy.shipped import ROOT


def program(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docker" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Runs the program on files of this test."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # as in an image, where adql is
    module = program("prepare")
    run_file = tmp_path / "run.yaml"
    run_file.write_text("environment: {id: CartPole-v1}\n")

    def run(*words):
        return module.main(list(words), str(run_file), str(tmp_path / "tokens"), str(tmp_path / "password"))

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


def test_line_says_what_does_not_run(curves):
    module, at = curves
    module.PLACES = {"Grafana": (f"{at}/health", "GRAFANA"), "Prometheus": (f"{at}/ready", "PROMETHEUS")}
    assert module.line() == "the curves: Prometheus http://127.0.0.1:9090 (Grafana not running)"
    module.PLACES = {"Grafana": ("http://127.0.0.1:1/", "GRAFANA")}
    assert module.line() == "there are no curves (Grafana not running)"
