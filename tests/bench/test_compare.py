"""The regression check reads ratios, and nothing else."""

import json

import pytest

from tests.bench.compare import slower


@pytest.fixture
def files(tmp_path):
    def write(name: str, *lines: dict):
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return path

    return write


PULL = {"case": "pull", "socket": "tcp", "median_ms": 5.0, "times_raw": 1.6}


def test_slower_machine_is_no_regression(files):
    assert list(slower(files("old", PULL), files("new", PULL | {"median_ms": 50.0}), 0.25)) == []


def test_ratio_within_the_tolerance_is_no_regression(files):
    assert list(slower(files("old", PULL), files("new", PULL | {"times_raw": 1.99}), 0.25)) == []


def test_worse_ratio_is_told_with_case_values_and_bound(files):
    (complaint,) = slower(files("old", PULL), files("new", PULL | {"times_raw": 2.1}), 0.25)
    assert complaint == "case=pull socket=tcp times_raw: 2.1, 1.6 before; allowed is 2"


def test_case_that_is_measured_no_more_is_told(files):
    (complaint,) = slower(files("old", PULL), files("new", PULL | {"socket": "unix"}), 0.25)
    assert complaint == "case=pull socket=tcp times_raw: 1.6 before, not measured now"
