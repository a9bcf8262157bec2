"""What defines a run cannot change under its name: an upgrade that would is refused before anything is done."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from adql.config import config_hash, specification_from
from adql.config.identity import IDENTITY
from tests.deploy.copies import copied, with_bug
from tests.deploy.releases import Release, fresh
from tests.deploy.rendering import CHART, render, values_of
from tools.chart.identity import OF_THE_ENVIRONMENT

DEFINING = json.loads((CHART / "files" / "identity.json").read_text(encoding="utf-8"))


def installed(release: Release, *assignments: str) -> None:
    """A release whose parameter server has the run."""
    release.install(*assignments)
    serve(release)


def serve(release: Release, pods: int = 1) -> None:
    release.server.get("StatefulSet", "adql-parameter-server")["status"] = {"readyReplicas": pods}


def refusal(release: Release, *assignments: str) -> str:
    before = dict(release.server.objects)
    with pytest.raises(helm_python.HelmError) as refused:
        release.upgrade(*assignments)
    assert release.server.objects == before
    return str(refused.value)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("run.algorithm.gamma=0.5", "run.algorithm.gamma was 0.99, now 0.5"),
        ("run.algorithm.learning_rate=0.1", "run.algorithm.learning_rate was 0.001, now 0.1"),
        ("run.environment.id=Acrobot-v1", 'run.environment.id was "CartPole-v1", now "Acrobot-v1"'),
        ("run.environment.kwargs.sutton=true", 'run.environment.kwargs was {}, now {"sutton":true}'),
        ("run.network.hidden={8}", "run.network.hidden was [256,256], now [8]"),
        ("run.replay.samples_per_insert=null", "run.replay.samples_per_insert was 16, now null"),
        ("run.update.staleness.policy=damp", 'run.update.staleness.policy was "reject", now "damp"'),
    ],
)
def test_change_of_what_defines_the_run_is_refused_with_both_values_and_the_way_out(release, assignment, words):
    installed(release)
    said = refusal(release, assignment)
    assert f'run "adql" was started with another configuration: {words}; ' in said
    assert "set it back, or start another run with another run.run.name" in said


def test_every_key_that_changed_is_named(release: Release):
    installed(release, "run.algorithm.gamma=0.9", "run.run.name=mine")
    said = refusal(release, "run.update.rule=elastic", "run.run.name=mine")
    assert 'run "mine"' in said
    assert 'run.algorithm.gamma was 0.9, now 0.99, run.update.rule was "average", now "elastic"' in said


@pytest.mark.parametrize(
    "run",
    [
        {"algorithm": {"gamma": 0.99, "optimizer": {"epsilon": 1e-8}}},
        {"algorithm": {"gamma": "0.99", "learning_rate": "1e-3"}},
        {"algorithm": {"learning_rate": {"kind": "constant", "initial": 0.001, "final": None}}},
        {"exploration": {"epsilon": {"kind": "linear", "initial": 1, "final": 0.04, "steps": 8000}}},
        {"network": {"hidden": [256, 256]}, "update": {"weight": None}},
        {"run": {"name": "adql", "seed": 3}, "training": {"environment_steps": 5000}},
        {"replay": {"capacity": 50_000}, "evaluation": {"episodes": 5}, "environment": {"copies": 2}},
        {"environment": {"signature": {"observation_shape": [4], "actions": 2, "reward_threshold": 475}}},
    ],
)
def test_same_values_in_other_words_and_what_defines_no_run_may_change(release: Release, run: dict[str, Any]):
    installed(release)
    release.upgrade(run=run)


SIGNATURE = {"observation_shape": [4], "actions": 2, "reward_threshold": 475}


def signed(**changes: Any) -> dict[str, Any]:
    return {"environment": {"signature": SIGNATURE | changes}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": 3}, ('"actions":2', '"actions":3')),
        ({"observation_dtype": "uint8"}, ('"observation_dtype":"float32"', '"observation_dtype":"uint8"')),
        ({"reward_threshold": "475.5"}, ('"reward_threshold":475}', '"reward_threshold":475.5}')),
    ],
)
def test_signature_that_was_given_does_not_change(release: Release, changes: dict[str, Any], words: tuple[str, ...]):
    release.install(run=signed())
    serve(release)
    with pytest.raises(
        helm_python.HelmError, match=r"another configuration: run\.environment\.signature was"
    ) as refused:
        release.upgrade(run=signed(**changes))
    assert [word for word in words if word not in str(refused.value)] == []


def test_signature_is_the_same_in_other_words_and_compared_with_no_environments_own(release: Release):
    release.install(run=signed())
    serve(release)
    release.upgrade(run=signed(observation_dtype="float32", observations=None, reward_threshold="475.0"))
    serve(release)
    release.upgrade()
    serve(release)
    release.upgrade(run={"environment": {"signature": None}})
    serve(release)
    release.upgrade(run=signed(actions=3))


def test_another_name_may_be_anything_else_and_the_former_one_come_back(release: Release):
    installed(release)
    release.upgrade("run.run.name=other", "run.algorithm.gamma=0.5")
    serve(release)
    release.upgrade()


def test_run_that_its_server_does_not_serve_may_be_set_right_under_its_name(release: Release):
    """It was refused because of what the store has, or never began."""
    release.install("run.algorithm.gamma=0.5")
    release.upgrade()
    serve(release, 0)
    release.upgrade("run.algorithm.gamma=0.5")


def with_other_defaults(directory: Path) -> Path:
    """A chart whose program has another discount unless it is set."""
    return copied(directory, files__identity_json=json.dumps(DEFINING | {"algorithm.gamma": 0.97}))


def test_chart_with_another_default_is_held_to_the_run_as_it_was_started(tmp_path, release: Release):
    installed(release)
    release._chart = helm_python.Chart.load(with_other_defaults(tmp_path))
    assert "run.algorithm.gamma was 0.99, now 0.97" in refusal(release)
    release.upgrade("run.algorithm.gamma=0.99")


def test_release_of_a_chart_that_wrote_down_nothing_is_left_to_its_server(release: Release):
    installed(release)
    del release.server.get("ConfigMap", "adql-run")["data"]["identity.json"]
    release.upgrade("run.algorithm.gamma=0.5")


RUNS: list[dict[str, Any]] = [
    {},
    {"algorithm": {"gamma": 0.5}},
    {"algorithm": {"gamma": 0.99, "learning_rate": 1e-3}},
    {"algorithm": {"learning_rate": {"initial": 1e-3}}},
    {"algorithm": {"learning_rate": {"kind": "linear", "initial": 1e-3, "final": 0, "steps": 9}}},
    {"exploration": {"epsilon": {"initial": 1.0}}},
    {"exploration": {"epsilon": 1}},
    {"network": {"hidden": [8]}},
    {"environment": {"kwargs": {"a": 1, "b": None}}},
    {"environment": {"kwargs": {"a": 1}}},
    {"environment": {"kwargs": {"initial": 1, "size": 4}}},
    {"environment": {"kwargs": {"initial": 1, "size": 8}}},
    {"environment": {"id": "CartPole-v1", "allow": ["x"]}, "replay": {"capacity": 50_000}},
    {"replay": {"samples_per_insert": None}},
    {"replay": {"samples_per_insert": 16}},
    signed(),
    signed(observation_dtype="float32", frame_stack=None, reward_threshold="475.0"),
    signed(reward_threshold=None),
    {"environment": {"signature": None}},
    {"update": {"rule": "gradient", "staleness": {"policy": "accept"}}},
]


def test_chart_and_program_agree_on_which_runs_are_one():
    seen = []
    for run in RUNS:
        data = render({"run": run}).the("ConfigMap", "adql-run")["data"]
        program = config_hash(specification_from(yaml.safe_load(data["run.yaml"])))
        seen.append((json.loads(data["identity.json"]), program))
    for (ours, one), (theirs, other) in combinations(seen, 2):
        assert (ours == theirs) == (one == other), (ours, theirs)


def test_chart_knows_every_section_that_defines_a_run():
    assert {key.partition(".")[0] for key in DEFINING} == {*IDENTITY, "run"}
    assert not DEFINING.keys() & OF_THE_ENVIRONMENT


def test_without_a_cluster_there_is_nothing_to_compare_with():
    render(values_of("run.algorithm.gamma=0.5"))


def test_planted_bug_lets_a_change_of_the_run_through(tmp_path):
    with fresh(with_bug(tmp_path, "templates/run.yaml", '{{- include "adql.checkRun" . -}}\n', "")) as release:
        installed(release)
        release.upgrade("run.algorithm.gamma=0.5")  # what its server would refuse, for ever
