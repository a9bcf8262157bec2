"""What a person may mean, and what is said when it cannot be known."""

import re
from pathlib import Path

import pytest

from adql.config import (
    EvaluatorSettings,
    LearnerSettings,
    ParameterServerSettings,
    ReplayServerSettings,
    ServiceSettings,
    describe_variables,
    explain,
    load_settings,
    load_specification,
    to_yaml,
)
from adql.errors import ConfigError


def refusal(*assignments: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_specification(None, assignments, environ)
    return str(caught.value)


@pytest.mark.parametrize("value", ["0.001", "1e-3", "{initial: 0.001}"])
def test_bare_number_is_a_constant_schedule(value: str):
    schedule = load_specification(None, [f"exploration.epsilon={value}"], {}).exploration.epsilon
    assert (schedule.kind, schedule.initial, schedule.final) == ("constant", 0.001, None)


def test_every_part_of_a_schedule_comes_from_where_its_number_stood():
    lines = explain(None, ["exploration.epsilon=0.1"], {}).splitlines()
    assert [line.partition("# ")[2] for line in lines if line.startswith("exploration.epsilon.")] == [
        "command line"
    ] * 4


def test_whole_numbers_may_have_an_exponent():
    specification = load_specification(None, ["replay.capacity=1e5", "training.environment_steps=2.5e+6"], {})
    assert specification.replay.capacity == 100_000
    assert specification.training.environment_steps == 2_500_000


def test_name_that_looks_like_a_number_reads_back_equal(tmp_path: Path):
    specification = load_specification(None, ["run.name='1e5'"], {})
    (tmp_path / "run.yaml").write_text(to_yaml(specification))
    assert load_specification(tmp_path / "run.yaml", [], {}) == specification


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("network.hidden=256", "must be a list: [256]"),
        ("environment.allow=my_package", "must be a list: [my_package]"),
        ("gamma=0.9", "did you mean algorithm.gamma?"),
        ("trainng.learners=3", "trainng: unknown key; did you mean training? known here: algorithm,"),
        ("train.learners=3", "did you mean training?"),
        ("algorithm.targt.tau=0.1", "did you mean algorithm.target?"),
        ("replay.capcity=9", "did you mean replay.capacity or"),
        ("algorithm.learning_rate=fast", "or a number"),
    ],
)
def test_refusal_says_what_may_be_meant(assignment: str, said: str):
    assert said in refusal(assignment)


def test_variable_that_set_a_bad_value_is_named():
    assert "replay.capacity is set by ADQL_REPLAY__CAPACITY" in refusal(ADQL_REPLAY__CAPACITY="10")
    assert "ADQL_REPLAY__CAPASITY" in refusal(ADQL_REPLAY__CAPASITY="10")
    assert "ADQL_" not in refusal("replay.capacity=10", ADQL_REPLAY__CAPACITY="9000")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1:80", "http://127.0.0.1:99999", "http://a..b:80", "http://[::1:80", f"http://{'a' * 64}:80"),
        *("unix:relative", "https://127.0.0.1:80"),
    ],
)
def test_bad_address_names_its_variable_and_both_forms(address):
    forms = "must be http://HOST:PORT with a PORT up to 65535, or unix:/PATH"
    with pytest.raises(ConfigError, match=re.escape(f"ADQL_SIDE={address!r}: {forms}")):
        load_settings(LearnerSettings, {}, {"ADQL_SIDE": address})


@pytest.mark.parametrize("address", ["http://127.0.0.1:80", "http://[::1]:65535", "http://adql-replay:80", "unix:/a b"])
def test_possible_address_is_taken(address):
    assert load_settings(LearnerSettings, {}, {"ADQL_SIDE": address}).side == address


def test_empty_file_is_called_empty(tmp_path: Path):
    (tmp_path / "run.yaml").touch()
    with pytest.raises(ConfigError, match=r"run\.yaml is empty"):
        load_specification(tmp_path / "run.yaml", [], {})


@pytest.mark.parametrize("kind", [ParameterServerSettings, ReplayServerSettings, LearnerSettings, EvaluatorSettings])
def test_every_variable_of_a_service_is_described_within_the_width(kind: type[ServiceSettings]):
    lines = describe_variables(kind, 60).splitlines()
    names = [i for i, line in enumerate(lines) if line.startswith("  ADQL_")]
    assert len(names) == len(kind.model_fields)
    assert all(lines[i + 1].startswith("      ") for i in names)
    assert max(map(len, lines)) <= 60


def test_variable_is_described_by_its_default_its_other_values_and_what_it_is_for():
    lines = describe_variables(ReplayServerSettings, 120).splitlines()
    said = dict(zip(lines[::2], lines[1::2], strict=True))
    assert "/livez" in said["  ADQL_SIDE=http://127.0.0.1:8431"]
    assert "json" in said["  ADQL_LOG_FORMAT=text"]
    assert "http://HOST:PORT" in said["  ADQL_LISTEN=http://127.0.0.1:8430"]
    assert "token" in said["  ADQL_TOKEN_FILE (not set)"]
