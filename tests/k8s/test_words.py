"""Which line of a log says what is wrong."""

import json

import pytest

from adql_services.cluster.words import last_words


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("listening\nadql: error: the store is away; start it\n", "the store is away; start it"),
        ("2026 [warning  ] the   store is away\n2026 [info ] listening\n", "2026 [warning ] the store is away"),
        (json.dumps({"level": "error", "event": "full", "error": "no room", "hint": "x"}), "full; no room; x"),
        ("\n".join([json.dumps({"level": "warning", "event": "a"}), json.dumps({"level": "info", "event": "b"})]), "a"),
        ("[1, 2]", "[1, 2]"),
    ],
)  # fmt: skip
def test_newest_complaint_goes_before_the_newest_line(log, said):
    assert last_words(log) == said
