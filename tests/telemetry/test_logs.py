import json
import logging

import pytest
import structlog

from adql.telemetry import logs


@pytest.fixture(autouse=True)
def restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_json_line_names_service_level_time_event_and_values(capsys):
    logs.configure("json", "replay")
    logs.get_logger().info("snapshot written", seconds=0.5)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "snapshot written", "seconds": 0.5, "service": "replay", "level": "info"}


@pytest.mark.parametrize("form", ["json", "text"])
def test_one_event_is_one_line_whatever_its_values_hold(capsys, form):
    logs.configure(form, "replay")
    logs.get_logger().info("seen", name="a\nINFO forged\r\x1b[31m")
    logging.getLogger("uvicorn.error").error("odd\nrequest")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "\x1b" not in "".join(lines)


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_and_local_variables_never_reach_the_log(capsys, form):
    logs.configure(form, "replay")
    secret = "correct-horse"
    logs.get_logger().info("starting", token=secret, authorization=f"Bearer {secret}")
    try:
        raise ValueError("broken")
    except ValueError:
        logs.get_logger().exception("failed")
    written = capsys.readouterr().err
    assert secret not in written and "broken" in written and "Traceback" in written


@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_of_libraries_carry_the_service_too_and_debug_is_silent(capsys, form):
    logs.configure(form, "replay")
    logging.getLogger("redis").warning("gone")
    logging.getLogger("redis").debug("chatter")
    logs.get_logger().debug("chatter")
    written = capsys.readouterr().err
    assert written.count("replay") == 1 and "gone" in written and "chatter" not in written


def test_nothing_goes_to_stdout_and_configuring_twice_does_not_double(capsys):
    logs.configure("text", "replay")
    logs.configure("text", "replay")
    logs.get_logger().info("once")
    written = capsys.readouterr()
    assert written.out == "" and written.err.count("once") == 1
