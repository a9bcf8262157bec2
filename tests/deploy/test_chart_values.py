"""`adql config show --values`: what trains on this machine is what the chart trains."""

import pytest
import yaml

from adql.config import load_specification
from adql_services import cli
from tests.deploy.rendering import Rendered, render
from tests.readme import blocks

WORDS = ["training.goal=1", "algorithm.learning_rate.initial=1e-4", "replay.sampler=prioritised"]


@pytest.fixture
def shown(capsys):
    """Returns what is printed for words of a command line, as a tree."""

    def show(*words: str):
        assert cli.main(["config", "show", "--values", *words]) == 0
        return yaml.safe_load(capsys.readouterr().out)

    return show


def specification_in(rendered: Rendered, folder):
    (folder / "run.yaml").write_text(rendered.the("ConfigMap", "adql-run")["data"]["run.yaml"])
    return load_specification(folder / "run.yaml", (), {})


def test_chart_trains_what_was_specified(shown, tmp_path):
    made = specification_in(render(shown("--env", "CartPole-v1", *WORDS)), tmp_path)
    wanted = cli._load(cli._options(["config", "show", "--env", "CartPole-v1", *WORDS]))
    assert made == wanted and made.environment.signature is not None


def test_only_what_was_set_is_in_it(shown):
    assert shown("--env", "CartPole-v1", "run.seed=3")["run"].keys() == {"run", "environment"}


def test_learners_and_actors_are_those_of_the_training(shown):
    rendered = render(shown("--env", "CartPole-v1", "--learners", "1", "--actors", "5"))
    assert rendered.component("learner")["spec"]["replicas"] == 1
    assert rendered.component("actor")["spec"]["replicas"] == 5
    assert "learner" not in shown("--env", "CartPole-v1")


def test_services_need_no_package_of_the_environment(shown, tmp_path, monkeypatch):
    (tmp_path / "my_package.py").write_text(blocks("README.md", "python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    values = shown("--env", "my_package:MyEnv-v0", "environment.allow=[my_package]")
    monkeypatch.undo()
    (tmp_path / "my_package.py").unlink()
    rendered = specification_in(render(values), tmp_path)
    assert cli._resolved(rendered).environment.signature.actions == 2


@pytest.mark.parametrize(("service", "told"), [("replay", True), ("parameter-server", True), ("learner", False)])
def test_server_without_the_package_is_told_how_to_do_without_it(capsys, service, told):
    assert cli.main([service, "environment.id=nowhere:MyEnv-v0", "environment.allow=[nowhere]"]) == 2
    said = capsys.readouterr().err
    assert "cannot import 'nowhere'" in said and said.count("\n") == 1
    assert ("`adql config show` prints it" in said) == told
