"""What the processes of a local run are started with."""

import pytest

from adql.config import LearnerSettings, load_settings
from adql_services.local.addresses import Rendezvous
from adql_services.local.fleet import Fleet
from adql_services.local.run_directory import RunDirectory
from tests.local.runs import specification


@pytest.fixture
def rendezvous():
    made = Rendezvous()
    yield made
    made.remove()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_every_service_logs_in_the_format_that_the_command_was_given(tmp_path, rendezvous, monkeypatch, log_format):
    monkeypatch.setenv("ADQL_LOG_FORMAT", log_format)
    children = Fleet(specification(), RunDirectory(tmp_path), rendezvous, "redis://r").children()
    assert len(children) == 5
    for child in children:
        assert load_settings(LearnerSettings, environ=child._environment).log_format == log_format


def test_other_settings_of_the_command_do_not_reach_the_services(tmp_path, rendezvous, monkeypatch):
    monkeypatch.setenv("ADQL_SIDE", "http://127.0.0.1:1")
    monkeypatch.setenv("ADQL_TRAINING__LEARNERS", "7")
    for child in Fleet(specification(), RunDirectory(tmp_path), rendezvous, "redis://r").children():
        assert child._environment["ADQL_SIDE"].startswith("unix:")
        assert "ADQL_TRAINING__LEARNERS" not in child._environment
