"""Settings that mean nothing beside the others are refused, not ignored."""

from pathlib import Path

import pytest

from adql.config import load_specification, to_yaml
from adql.config.applicability import HOMES
from adql.errors import ConfigError

MISPLACED = {
    "update.weight=0.5": "update.rule=delta",
    "update.elastic_alpha=0.2": "update.rule=average",
    "update.outer_learning_rate=0.5": "update.rule=elastic",
    "update.outer_momentum=0.9": "update.rule=gradient",
    "update.staleness.max_versions=3": "update.staleness.policy=accept",
    "update.staleness.damping_exponent=2": "update.staleness.policy=reject",
    "network.hidden=[8]": "network.kind=minatar",
    "network.dueling=true": "network.kind=tabular",
    "network.initial_value=1.0": "network.kind=dense",
    "algorithm.huber_delta=2": "network.kind=tabular",
    "algorithm.max_gradient_norm=1": "network.kind=tabular",
    "algorithm.optimizer.momentum=0.9": "algorithm.optimizer.kind=adam",
    "algorithm.optimizer.decay=0.5": "algorithm.optimizer.kind=sgd",
    "algorithm.optimizer.centered=true": "algorithm.optimizer.kind=adagrad",
    "algorithm.optimizer.beta1=0.5": "algorithm.optimizer.kind=rmsprop",
    "algorithm.optimizer.beta2=0.5": "algorithm.optimizer.kind=sgd",
    "algorithm.optimizer.epsilon=0.1": "algorithm.optimizer.kind=sgd",
    "algorithm.target.tau=0.5": "algorithm.target.kind=periodic",
    "algorithm.target.period_learner_steps=9": "algorithm.target.kind=soft",
    "exploration.epsilon=0.1": "exploration.kind=ladder",
    "exploration.base=0.5": "exploration.kind=schedule",
    "exploration.exponent=2": "exploration.kind=schedule",
    "exploration.actors=8": "exploration.kind=schedule",
    "replay.priority_exponent=0.9": "replay.sampler=uniform",
    "replay.importance_exponent=0.9": "replay.sampler=uniform",
}


@pytest.mark.parametrize(("assignment", "chooser"), MISPLACED.items())
def test_setting_that_means_nothing_is_refused_in_one_line(assignment: str, chooser: str):
    with pytest.raises(ConfigError) as caught:
        load_specification(None, [assignment, chooser], {})
    said = str(caught.value)
    key, (choice, value) = assignment.partition("=")[0], chooser.split("=")
    assert f"{key} belongs to {choice}=" in said and f"not to {value}; remove it" in said
    assert "\n" not in said


def test_every_key_that_belongs_somewhere_is_tried():
    assert {key for _, _, keys in HOMES for key in keys} == {assignment.partition("=")[0] for assignment in MISPLACED}


@pytest.mark.parametrize(("choice", "values"), [(choice, values) for choice, values, _ in HOMES])
def test_keys_are_allowed_where_they_belong_and_resolved_defaults_everywhere(
    tmp_path: Path, choice: str, values: tuple[str, ...]
):
    for value in values:
        keys = [key for other, homes, keys in HOMES if other == choice and value in homes for key in keys]
        belonging = [assignment for assignment in MISPLACED if assignment.partition("=")[0] in keys]
        if value == "dense":
            belonging.append("network.hidden=[8]")
        (tmp_path / "run.yaml").write_text(to_yaml(load_specification(None, [f"{choice}={value}", *belonging], {})))
        assert load_specification(tmp_path / "run.yaml", [], {})


def test_variable_that_set_what_means_nothing_is_named():
    with pytest.raises(ConfigError, match=r"update\.weight is set by ADQL_UPDATE__WEIGHT"):
        load_specification(None, ["update.rule=delta"], {"ADQL_UPDATE__WEIGHT": "0.5"})
