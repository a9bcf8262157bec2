"""Which line of a log says what is wrong."""

import json
import re
from pathlib import Path

import pytest

import adql_services
from adql_services.cluster import words
from adql_services.cluster.words import last_words


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("listening\nadql: error: the store is away; start it\n", "the store is away; start it"),
        ("2026 [warning  ] the   store is away\n2026 [info ] evaluated\n", "2026 [warning ] the store is away"),
        (json.dumps({"level": "error", "event": "full", "error": "no room", "hint": "x"}), "full; no room; x"),
        ("\n".join([json.dumps({"level": "warning", "event": "a"}), json.dumps({"level": "info", "event": "b"})]), "a"),
        ("[1, 2]", "[1, 2]"),
    ],
)  # fmt: skip
def test_newest_complaint_goes_before_the_newest_line(log, said):
    assert last_words(log) == said


@pytest.mark.parametrize(
    "settled",
    [
        "2026 [info     ] found the replay service address=http://adql-replay:8430",
        "2026 [info     ] went on with the weight store  durable=1.7",
        json.dumps({"level": "info", "event": "listening"}),
    ],
)
def test_complaint_that_was_settled_since_is_not_told_again(settled):
    complaint = "2026 [warning  ] waiting for the replay service"
    newest = "2026 [info ] evaluated"
    assert last_words(f"{complaint}\n{settled}\n{newest}\n") == newest
    assert last_words(f"{settled}\n{complaint}\n{newest}\n") == "2026 [warning ] waiting for the replay service"


def test_words_that_settle_a_complaint_are_those_that_services_log():
    logged = "".join(path.read_text(encoding="utf-8") for path in Path(adql_services.__file__).parent.rglob("*.py"))
    for beginning in re.findall(r"[a-z ]+[a-z]", words._SETTLED.pattern.partition(")")[0]):
        assert re.search(rf'\.info\(\s*f?"{beginning}', logged), beginning
