"""Options and surroundings of the whole suite."""

import os

# Before numpy is first imported, here and in every process that a test starts: on small matrices two BLAS threads are
# slower than one, and the services set the same.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-seeds", action="store_true", help="learn every seed and with 8 learners, not one seed a rule"
    )
    parser.addoption("--cluster", action="store_true", help="run what needs a Kubernetes and a Docker engine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, option in (("all_seeds", "--all-seeds"), ("cluster", "--cluster")):
        if not config.getoption(option):
            left_out = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what learning tests recorded, one line a run."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    lines = [dict(report.user_properties) for report in reports if report.when == "call" and report.user_properties]
    for line in lines:
        terminalreporter.write_line(", ".join(f"{name} {value}" for name, value in line.items()))
