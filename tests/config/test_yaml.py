"""What is no YAML, or YAML that says two things, is refused in one line; what is a path is not read as YAML."""

from pathlib import Path

import pytest

from adql.config import (
    LearnerSettings,
    ReplayServerSettings,
    child_environment,
    load_settings,
    load_specification,
    yaml_text,
)
from adql.errors import ConfigError

HUGE = "9" * 5_000
BAD = {
    "no such date": "run: {seed: 2026-13-45}",
    "more digits than Python reads": f"run: {{seed: {HUGE}}}",
    "lists in lists": "run: " + "[" * 5_000,
    "mappings in mappings": "run: " + "{a: " * 900 + "}" * 900,
    "a text called a number": "run: {seed: !!int 'x'}",
    "a text called a float": "run: {seed: !!float 'x'}",
    "a text called a truth": "run: {seed: !!bool 'x'}",
    "a text called a time": "run: {seed: !!timestamp 'x'}",
    "a key twice": "run: {seed: 1, seed: 2}",
    "a section twice": "run: {seed: 1}\nnetwork: {hidden: [8]}\nrun: {name: x}",
}


@pytest.mark.parametrize("case", BAD)
def test_file_that_is_no_good_yaml_is_one_line(tmp_path, case):
    file = tmp_path / "run.yaml"
    file.write_text(BAD[case])
    with pytest.raises(ConfigError, match=r"is not YAML|more than 4,300 digits") as refused:
        load_specification(file, [], {})
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


@pytest.mark.parametrize("value", [HUGE, "[" * 3_000, "!!int 'x'", "2026-13-45"])
def test_value_that_is_no_good_yaml_is_one_short_line(value):
    with pytest.raises(ConfigError, match=r"run\.seed: .* is not a YAML value; quote it") as refused:
        load_specification(None, [f"run.seed={value}"], {})
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(("text", "value"), [("12:30:45", "12:30:45"), ("010", "010"), ("1:30.5", "1:30.5")])
def test_numbers_to_the_base_of_sixty_or_eight_are_texts(text, value):
    assert yaml_text.read(text) == value == yaml_text.read(yaml_text.write(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0x1f", 31), ("1_000", 1_000), ("0", 0), ("-7", -7), ("1e5", 1e5), ("-0.25", -0.25)],
)
def test_other_numbers_are_what_they_look_like(text, value):
    assert yaml_text.read(text) == value


@pytest.mark.parametrize(
    "assignment",
    ["run.seed=true", "network.hidden=[true, 3]", "training.goal=no", "algorithm.gamma=false", "run.seed=12:30"],
)
def test_value_that_is_no_number_is_refused_where_one_is_wanted(assignment):
    with pytest.raises(ConfigError, match=assignment.partition("=")[0]):
        load_specification(None, [assignment], {})


def test_sixty_to_a_very_high_power_is_one_short_line(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"run: {{seed: {':'.join(['1'] * 3_000)}}}")
    with pytest.raises(ConfigError, match=r"run\.seed='1:1") as refused:
        load_specification(file, [], {})
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_file_without_end_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="/dev/zero has more than 1048576 bytes"):
        load_specification(Path("/dev/zero"), [], {})


def test_key_that_comes_twice_is_named(tmp_path):
    (tmp_path / "run.yaml").write_text("run: {seed: 1}\nrun: {name: x}\n")
    with pytest.raises(ConfigError, match="the key 'run' comes twice"):
        load_specification(tmp_path / "run.yaml", [], {})


@pytest.mark.parametrize(
    "name", ["2026-11-22", "123", "null", "[x]", "a: b", "?q=1", "%41%20", "a #b", " lead", "two\nlines", "~", "'q"]
)
def test_folder_of_any_name_reaches_a_service_as_it_is(name):
    directory, file = Path("/runs") / name, Path("/runs") / name / "tokens"
    replay = load_settings(ReplayServerSettings, {"directory": directory}, {})
    again = load_settings(ReplayServerSettings, None, child_environment(replay, {}))
    assert again.directory == directory
    learner = load_settings(LearnerSettings, {"token_file": file, "auth": False, "role": "actor"}, {})
    assert load_settings(LearnerSettings, None, child_environment(learner, {})) == learner
