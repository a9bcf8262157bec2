"""`adql bench server`: a real server under a small load, and what is typed wrong."""

import json

import pytest

from tests.system.launched import adql

pytestmark = pytest.mark.system
SMALL = ("--size", "10KB", "--seconds", "0.5")


def measured(*words: object) -> dict:
    done = adql("bench", "server", *SMALL, *words)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_every_update_of_a_closed_loop_is_applied(transport):
    found = measured("--clients", 3, "--transport", transport)
    assert (found["errors"], found["clients"], found["transport"]) == (0, 3, transport)
    assert found["updates_per_second"] > 0 and 0 < found["p50_ms"] <= found["p99_ms"]
    assert 9_000 < found["bytes"] <= 10_000 and found["store_bytes"] > 0 and found["generator_cores"] > 0


def test_offered_rate_is_kept_and_durable_pushes_are_never_ahead_of_the_store():
    found = measured("--clients", 4, "--rate", 40, "--durable", "--seconds", 1, "update.rule=gradient")
    assert (found["errors"], found["rule"], found["durable"]) == (0, "gradient", True)
    assert 20 <= found["updates_per_second"] <= 60
    assert found["state_bytes"] > 2.5 * found["bytes"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--clients", "0"], ["--clients 0: must be from 1 to"]),
        (["--size", "huge"], ["--size huge: must be a number with KB or MB"]),
        (["--size", "1KB"], ["1000: must be from 10000 to"]),
        (["--seconds", "nan"], ["--seconds nan: must be from"]),
        (["--rate", "1"], ["--rate 1: must be from 6.4", "64 sessions"]),
        (["update.rule=none"], ["update.rule"]),
        (["--transport", "tpc"], ["--transport", "tpc"]),
        (["--bogus"], ["--bogus: not known here"]),
    ],
)
def test_bad_input_is_one_line_that_says_what_may_be(words, parts):
    done = adql("bench", "server", *words)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert all(part in line for part in parts), line
