"""What keys of a run may be together: the chart refuses what the program would, in its words, and nothing else."""

import re
from pathlib import Path
from typing import Any, get_args

import helm_python
import pytest

from adql.config import RunSpecification, specification_from
from adql.config.applicability import HOMES
from adql.errors import ConfigError
from adql.parameters.initial import manifest_of
from adql.wire.replay_format import check_table
from tests.deploy.copies import with_bug
from tests.deploy.rendering import CHART, render, values_of

Run = dict[str, Any]
OTHER: Run = {
    "update.weight": 0.25,
    "update.elastic_alpha": 0.25,
    "update.outer_learning_rate": 0.25,
    "update.staleness.max_versions": 3,
    "network.hidden": [8],
    "network.dueling": True,
    "algorithm.optimizer.centered": True,
    "algorithm.target.period_learner_steps": 3,
    "exploration.epsilon": {"kind": "linear", "initial": 1.0, "final": 0.5, "steps": 9},
    "exploration.actors": 3,
}
"""A value that is not the key's default, where 0.25 is none."""


def run_of(settings: Run) -> Run:
    """The tree of ``settings`` by dotted keys."""
    tree: Run = {}
    for key, value in settings.items():
        *above, name = key.split(".")
        here = tree
        for part in above:
            here = here.setdefault(part, {})
        here[name] = value
    return tree


def with_torch(settings: Run) -> dict[str, Any]:
    return {"run": run_of(settings), "image": {"learner": {"repository": "adql/learner-torch"}}}


def said_by_chart(settings: Run, chart: Path = CHART) -> str:
    """What Helm says against a run of ``settings``; nothing where it takes it."""
    try:
        render(with_torch(settings), chart=chart)
    except helm_python.HelmError as refused:
        return str(refused)
    return ""


def said_by_program(settings: Run) -> str:
    """What the program says against it, nothing as YAML has it."""
    try:
        specification_from(run_of(settings))
    except ConfigError as refused:
        return str(refused).replace("None", "null")
    return ""


def words(text: str) -> str:
    """The chart's words as the program has them: it needs no ``run.``, and has just read the values."""
    return re.sub(r"=\S+ belongs", " belongs", re.sub(r"\brun\.(?=[a-z])", "", text))


def agreed(settings: Run) -> None:
    """Both refuse, the chart in the program's words."""
    program, chart = said_by_program(settings), said_by_chart(settings)
    assert program
    assert program in words(chart)


def judged_alike(settings: Run, good: bool) -> None:
    """Neither refuses it if it is good, else both do."""
    if good:
        assert (said_by_program(settings), said_by_chart(settings)) == ("", "")
    else:
        agreed(settings)


def choices(key: str) -> tuple[str, ...]:
    """Every value that the choice ``key`` may have."""
    kind: Any = RunSpecification
    *above, name = key.split(".")
    for part in above:
        kind = kind.model_fields[part].annotation
    return get_args(kind.model_fields[name].annotation)


PLACES = [
    pytest.param({choice: value, key: OTHER.get(key, 0.25)}, value in values, id=f"{choice}={value}-{key}")
    for choice, values, keys in HOMES
    for value in choices(choice)
    for key in keys
]


@pytest.mark.parametrize(("settings", "belongs"), PLACES)
def test_key_is_taken_where_it_belongs_and_refused_elsewhere(settings: Run, belongs: bool):
    judged_alike(settings, belongs)


def test_each_key_that_is_out_of_place_is_named_with_its_value_and_the_way_out():
    said = said_by_chart({"update.rule": "elastic", "update.weight": 0.5, "replay.priority_exponent": "0.7"})
    assert "run.update.weight=0.5 belongs to run.update.rule=average, not to elastic; remove it or change run." in said
    assert "run.replay.priority_exponent=0.7 belongs to run.replay.sampler=prioritised, not to uniform" in said


@pytest.mark.parametrize("choice", sorted({choice for choice, _, _ in HOMES}))
def test_key_at_its_default_does_no_harm(choice: str):
    """A resolved run.yaml names every key."""
    for value in choices(choice):
        run = RunSpecification().model_dump(mode="json")
        section, _, name = choice.rpartition(".")
        here: Any = run
        for part in section.split("."):
            here = here[part]
        here[name] = value
        specification_from(run)
        render({"run": run, "image": {"learner": {"repository": "adql/learner-torch"}}})


@pytest.mark.parametrize(
    "assignments",
    [
        ("run.algorithm.optimizer.momentum=0.0",),
        ("run.algorithm.optimizer.epsilon=1e-8", "run.algorithm.optimizer.kind=sgd"),
        ("run.update.rule=delta", "run.update.outer_learning_rate=0.5"),
        ("run.update.rule=delta", "run.update.weight=null"),
        ("run.network.kind=tabular", "run.network.hidden={256,256}", "run.algorithm.max_gradient_norm=10"),
        ("run.exploration.kind=ladder", "run.exploration.base=0.5"),
    ],
)
def test_texts_of_the_command_line_are_the_values_that_they_mean(assignments: tuple[str, ...]):
    render(values_of(*assignments))


SCHEDULES = (
    {"algorithm.learning_rate": {}},
    {"exploration.epsilon": {}},
    {"replay.importance_exponent": {}, "replay.sampler": "prioritised"},
)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda settings: next(iter(settings)))
@pytest.mark.parametrize(
    ("keys", "good"),
    [
        ({"kind": "linear"}, False),
        ({"kind": "linear", "final": 0.5}, False),
        ({"kind": "exponential", "steps": 9}, False),
        ({"kind": "exponential", "steps": 9, "final": None}, False),
        ({"final": 0.5}, False),
        ({"final": 0.0}, False),
        ({"steps": 9}, False),
        ({"kind": "constant", "final": 0.5, "steps": 9}, False),
        ({}, True),
        ({"kind": "constant", "final": None, "steps": None}, True),
        ({"kind": "linear", "final": 0.0, "steps": 9}, True),
        ({"kind": "exponential", "final": "0.5", "steps": 9}, True),
    ],
)
def test_schedule_has_the_keys_of_its_kind(schedule: Run, keys: Run, good: bool):
    settings = {**schedule, next(iter(schedule)): {"initial": 0.25, **keys}}
    judged_alike(settings, good)


BOX = {"observation_shape": [4, 8, 8], "actions": 2}
PAIRS: list[tuple[Run, bool]] = [
    ({"replay.capacity": 500}, False),
    ({"replay.capacity": 999}, False),
    ({"replay.capacity": 1000}, True),
    ({"replay.capacity": 63, "replay.min_size": 1}, False),
    ({"replay.capacity": 64, "replay.min_size": 1, "replay.chunk_transitions": 1}, True),
    ({"replay.min_size": 30_000}, False),
    ({"replay.min_size": 20_000}, True),
    ({"replay.min_size": 30_000, "training.learners": 3}, True),
    ({"replay.min_size": 30_001, "training.learners": 3}, False),
    ({"replay.min_size": 30_000, "replay.capacity": None, "training.learners": 3}, True),
    ({"replay.min_size": 2_000_000, "replay.capacity": 3_000_000}, False),
    ({"replay.min_size": 2_000_000, "replay.capacity": 3_000_000, "training.environment_steps": 50_000_000}, True),
    ({"algorithm.batch_size": 20_001}, False),
    ({"algorithm.batch_size": 20_000}, True),
    ({"algorithm.batch_size": 5_000_000}, False),
    ({"training.environment_steps": 999}, False),
    ({"training.environment_steps": 1000}, False),
    ({"training.environment_steps": 1000, "replay.samples_per_insert": None}, True),
    ({"training.environment_steps": 1031}, False),
    ({"training.environment_steps": 1032}, True),
    ({"training.environment_steps": 1032, "replay.batches_per_request": 9}, False),
    ({"training.environment_steps": 1255, "replay.samples_per_insert": "2.0"}, False),
    ({"training.environment_steps": 1256, "replay.samples_per_insert": "2.0"}, True),
    ({"replay.samples_per_insert": "0.0025"}, False),
    ({"replay.samples_per_insert": "2.5e-3"}, False),
    ({"replay.samples_per_insert": "0.0026"}, True),
    ({"update.rule": "gradient", "update.sync_every": 2}, False),
    ({"update.rule": "gradient", "update.sync_every": 1}, True),
    ({"update.rule": "gradient", "update.sync_every": None}, True),
    ({"update.rule": "delta", "update.sync_every": 2}, True),
    ({"environment.signature": None}, True),
    ({"environment.signature": BOX}, True),
    ({"environment.signature": {"actions": 2, "observations": 16}}, True),
    ({"environment.signature": BOX | {"frame_stack": 4}}, False),
    ({"environment.signature": BOX, "environment.frame_stack": 4}, False),
    ({"environment.signature": BOX | {"frame_stack": 4}, "environment.frame_stack": 4}, True),
    ({"environment.signature": BOX | {"frame_stack": 3}, "environment.frame_stack": 3}, False),
    ({"environment.signature": {"actions": 2, "frame_stack": 3}, "environment.frame_stack": 3}, False),
    ({"environment.frame_stack": 4}, True),
]


@pytest.mark.parametrize(("settings", "good"), PAIRS)
def test_numbers_fit_together(settings: Run, good: bool):
    judged_alike(settings, good)


def said_at_start(settings: Run) -> str:
    """What the servers say against a run that is a whole specification."""
    run = specification_from(run_of(settings | {"environment.signature": {"observation_shape": [4], "actions": 2}}))
    try:
        check_table(run)
        manifest_of(run.network, run.signature)
    except ConfigError as refused:
        return str(refused)
    return ""


SMALL = {"replay.min_size": 50}


@pytest.mark.parametrize(
    ("settings", "good"),
    [
        (SMALL | {"replay.capacity": 86}, False),
        (SMALL | {"replay.capacity": 87}, True),
        (SMALL | {"replay.capacity": 87, "algorithm.n_steps": 4}, False),
        (SMALL | {"replay.capacity": 87, "environment.copies": 9}, False),
        ({"replay.chunk_transitions": 19_978}, False),
        ({"replay.chunk_transitions": 19_977}, True),
        ({"network.dueling": True, "network.hidden": []}, False),
        ({"network.dueling": True, "network.hidden": [8]}, True),
        ({"network.dueling": True}, True),
        ({"network.hidden": []}, True),
    ],
)
def test_what_servers_refuse_at_start_of_any_environment_is_refused(settings: Run, good: bool):
    program, chart = said_at_start(settings), said_by_chart(settings)
    assert (bool(program), bool(chart)) == (not good, not good)
    assert program in words(chart)


BOX, DISCRETE = {"observation_shape": [4], "actions": 2}, {"observation_shape": [], "observations": 7, "actions": 2}


@pytest.mark.parametrize("kind", ["dense", "tabular", "nature", "minatar"])
@pytest.mark.parametrize(
    "signature",
    [BOX, DISCRETE, *({"observation_shape": shape, "actions": 2} for shape in (
        [84, 84, 4], [4, 84, 84], [10, 10, 6], [6, 10, 10], [10, 10, 10], [84, 4, 84], [84, 84], [1, 84, 84, 4], [],
    ))],
    ids=str,
)  # fmt: skip
def test_network_that_cannot_read_what_the_signature_says_is_refused(kind: str, signature: dict):
    settings = {"network.kind": kind, "environment.signature": signature, "replay.capacity_bytes": 10**11}
    run = specification_from(run_of(settings))
    try:
        manifest_of(run.network, run.signature)
        program = ""
    except ConfigError as refused:
        program = str(refused)
    chart = said_by_chart(settings)
    assert bool(program) == bool(chart)
    assert program.partition(", not ")[0] in words(chart)


def test_planted_bug_lets_a_key_out_of_its_place_through(tmp_path: Path):
    chart = with_bug(tmp_path, "templates/_validate.tpl", '{{- include "adql.validateRun" . -}}\n', "")
    assert not said_by_chart({"update.elastic_alpha": 0.5}, chart)
