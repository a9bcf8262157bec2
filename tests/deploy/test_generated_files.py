"""Schema and table of the chart: made from values and comments, and never out of date."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from adql.config import RunSpecification
from tools.chart import ChartError, parameters, schema_of, table, with_table
from tools.chart import schema as schema_module
from tools.chart.__main__ import CHART, generated, main
from tools.chart.readme import BEGIN, END

VALUES = """
## @section Learners

learner:
  ## @param learner.role Act and learn (both),
  ##   or one of them | alone
  role: both
  ## @param learner.resources What is kept for it
  resources:
    requests: {cpu: 100m}
"""

OF_THE_CHART = (
    "test_files_generated_from_the_chart_are_up_to_date",
    "test_program_writes_the_files_or_says_what_is_wrong",
)


@pytest.fixture(autouse=True)
def constraints(request, monkeypatch):
    """The small files here have few of the chart's keys; tests of the chart itself take its own constraints."""
    if request.node.name not in OF_THE_CHART:
        monkeypatch.setattr(schema_module, "CONSTRAINTS", {"learner.role": {"enum": ["both", "actor"]}})


def made(text: str) -> dict:
    values = yaml.safe_load(text)
    return schema_of(values, parameters(text, values))


def test_files_generated_from_the_chart_are_up_to_date():
    late = [path.name for path, text in generated(CHART).items() if path.read_text(encoding="utf-8") != text]
    assert late == [], "run `make generate`"


def test_comment_goes_on_in_the_next_line_and_covers_what_a_mapping_holds():
    found = parameters(VALUES, yaml.safe_load(VALUES))
    assert [(one.path, one.description) for one in found] == [
        ("learner.role", "Act and learn (both), or one of them | alone"),
        ("learner.resources", "What is kept for it"),
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("  ## @param learner.resources What is kept for it\n", "", "learner.resources.requests.cpu: no comment"),
        ("  role: both\n", "", "learner.role: described, but no key"),
        ("@param learner.resources", "@param learner.role", "learner.role: described twice"),
    ],
)
def test_key_and_comment_belong_together(right: str, wrong: str, complaint: str):
    assert right in VALUES
    text = VALUES.replace(right, wrong)
    with pytest.raises(ChartError, match=complaint):
        parameters(text, yaml.safe_load(text))


def test_table_has_one_row_a_key_in_one_table_a_section():
    values = yaml.safe_load(VALUES)
    written = table(parameters(VALUES, values), values)
    assert written.splitlines() == [
        "### Learners",
        "",
        "| key | what it is for | default |",
        "|---|---|---|",
        r'| `learner.role` | Act and learn (both), or one of them \| alone | `"both"` |',
        '| `learner.resources` | What is kept for it | `{"requests": {"cpu": "100m"}}` |',
    ]


def test_table_takes_the_place_of_the_former_one_alone():
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(document, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ChartError, match="needs each of these lines once"):
        with_table("before", "new")


def test_schema_is_closed_and_takes_constraints_and_descriptions():
    schema = made(VALUES)
    learner = schema["properties"]["learner"]
    assert schema["additionalProperties"] is False and learner["additionalProperties"] is False
    role = {"description": "Act and learn (both), or one of them | alone", "enum": ["both", "actor"]}
    assert learner["properties"]["role"] == role


@pytest.mark.parametrize(
    ("default", "needed"),
    [("true", True), ("7", True), ("word", True), ("{a: 1}", True), ('""', False), ("{}", False), ("[x]", False)],
)
def test_key_has_to_be_there_unless_nothing_is_as_good(monkeypatch, default: str, needed: bool):
    monkeypatch.setitem(schema_module.CONSTRAINTS, "found", {"description": "any"})
    assert ("found" in made(f"## @param found What it is\nfound: {default}\n{VALUES}")["required"]) is needed
    monkeypatch.setitem(schema_module.CONSTRAINTS, "found", {"type": ["integer", "null"]})
    assert "found" not in made(f"## @param found What it is\nfound: {default}\n{VALUES}")["required"]


def test_default_that_tells_no_type_needs_a_constraint():
    with pytest.raises(ChartError, match=r"name: None does not tell a type; add it to tools/chart/constraints.py"):
        made("## @param name What it is\nname:\n" + VALUES)


def test_constraint_needs_a_key():
    with pytest.raises(ChartError, match=r"learner.role: constrained in tools/chart, but no key"):
        made("## @param name What it is\nname: x\n")


def test_both_switches_of_a_pair_are_not_on_at_once():
    text = VALUES + "".join(
        f"{name}:\n  ## @param {name}.enabled Whether\n  enabled: false\n" for name in ("autoscaling", "controller")
    )
    schema, rest = made(text), yaml.safe_load(VALUES)
    jsonschema.validate({**rest, "autoscaling": {"enabled": True}, "controller": {"enabled": False}}, schema)
    jsonschema.validate({**rest, "autoscaling": {"enabled": False}, "controller": {"enabled": True}}, schema)
    with pytest.raises(jsonschema.ValidationError, match="False was expected") as refused:
        jsonschema.validate({**rest, "autoscaling": {"enabled": True}, "controller": {"enabled": True}}, schema)
    assert refused.value.json_path == "$.controller.enabled"


@pytest.mark.parametrize(
    ("run", "fits"),
    [
        ({}, True),
        (RunSpecification().model_dump(mode="json"), True),
        ({"training": {"goal": None}, "network": {"hidden": [8]}}, True),
        ({"algorithm": {"learning_rate": 0.001}}, True),
        ({"algorithm": {"learning_rate": {"kind": "linear", "initial": 0.1, "final": 0.0, "steps": 9}}}, True),
        ({"environment": {"kwargs": {"anything": {"at": "all"}}}}, True),
        ({"algorithm": {"learning_rate": "0.001", "gamma": "0.99", "huber_delta": "1e-1"}}, True),
        ({"training": {"goal": "-110.5"}, "exploration": {"base": "5e-1"}}, True),
        ({"algorithm": {"gamma": 1.5}}, False),
        ({"algorithm": {"gamma": None}}, False),
        ({"algorithm": {"gamma": [0.5]}}, False),
        ({"algorithm": {"learning_rate": 0}}, False),
        ({"algorithm": {"learning_rate": {"initial": 0}}}, False),
        ({"training": {"goal": True}}, False),
        ({"algorithm": {"learning_rate": {"initial": 0.1, "finally": 0}}}, False),
        ({"exploration": {"epsilon": 1.5}}, False),
        ({"algorithm": {"gama": 0.9}}, False),
        ({"update": {"rule": "mean"}}, False),
        ({"training": {"learners": 2.5}}, False),
    ],
)
def test_run_has_the_keys_and_bounds_of_a_run_specification(run: dict, fits: bool):
    schema = made("## @param run What is trained\nrun: {}\n" + VALUES)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid({**yaml.safe_load(VALUES), "run": run}) is fits


def test_program_writes_the_files_or_says_what_is_wrong(tmp_path: Path, capsys):
    for path in generated(CHART):
        (tmp_path / path.name).write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    (tmp_path / "values.yaml").write_text(values, encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    written = json.loads((tmp_path / "values.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    (tmp_path / "values.yaml").write_text(values + "another: 1\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    assert "another: no comment; write: ## @param another what it is for" in capsys.readouterr().err
