"""What null stands for is shown, and stays null in what is read back."""

import pytest

from adql.config import explain, specification_from, to_annotated_yaml, yaml_text
from adql.config.effective import overlaps
from tests.local.runs import specification


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({}, "sync_every: null  # 8 under average"),
        ({}, "weight: null  # 0.5 with 2 learners"),
        ({"training": {"learners": 1}}, "weight: null  # 1 with 1 learner"),
        ({}, "elastic_alpha: null  # unused under average"),
        ({"update": {"rule": "elastic"}, "training": {"learners": 4}}, "elastic_alpha: null  # 0.225 with 4 learners"),
        ({"update": {"rule": "delta"}}, "outer_learning_rate: null  # 0.5 with 2 learners"),
        ({"update": {"rule": "gradient"}}, "sync_every: null  # 1 under gradient"),
        ({"training": {"learners": 8}}, "max_versions: null  # 32 with 8 learners"),
        ({}, "overlap: null  # true"),
        ({"update": {"staleness": {"policy": "damp"}}}, "max_versions: null  # unused under damp"),
        ({"training": {"learners": 8}}, "capacity: null  # 80000 with 8 learners"),
        ({}, "goal: null  # 475, the environment's reward_threshold"),
    ],
)
def test_null_says_what_it_stands_for(sections, line):
    assert line in [found.strip() for found in to_annotated_yaml(specification(**sections)).splitlines()]


def test_value_that_is_set_has_no_comment():
    text = to_annotated_yaml(
        specification(update={"sync_every": 4}, environment={"id": "A-v0", "kwargs": {"goal": None}})
    )
    assert "sync_every: 4\n" in text and "    goal: null\n" in text


def test_annotated_text_reads_back_to_the_same_specification():
    assert specification_from(yaml_text.read(to_annotated_yaml(specification()))) == specification()


def test_origin_of_a_null_is_followed_by_what_it_stands_for():
    lines = dict(map(str.strip, line.split("  # ")) for line in explain(None, ["update.weight=null"], {}).splitlines())
    assert lines["update.weight=null"] == "command line; 0.5 with 2 learners"
    assert lines["update.sync_every=null"] == "default; 8 under average"


@pytest.mark.parametrize(
    ("kind", "rule", "overlap", "found"),
    [
        ("dense", "average", None, True),
        ("dense", "average", False, False),
        ("tabular", "average", None, False),
        ("tabular", "delta", None, False),
        ("tabular", "average", True, True),
        ("dense", "gradient", None, False),
    ],
)
def test_overlap_that_is_not_set_is_off_for_a_table_and_under_gradient(kind, rule, overlap, found):
    signature = {"observations": 4, "observation_dtype": "int64", "actions": 2}
    run = specification(
        environment={"id": "A-v0", "signature": signature},
        network={"kind": kind},
        update={"rule": rule, "overlap": overlap},
    )
    assert overlaps(run) == found
