"""What a service says of another one that does not answer."""

import pytest
from structlog.testing import capture_logs

from adql.errors import RateLimitedError, StoreUnavailableError, TransportError
from adql.telemetry.metrics import CLIENT
from adql_services.runtime.outage import Outage
from adql_services.runtime.reminder import Reminder

GONE = TransportError("refused")


@pytest.fixture
def outage():
    return Outage("parameter server", "ADQL_PARAMETER_SERVER_URL", "http://127.0.0.1:8420")


def test_an_outage_is_told_once_with_address_and_way_out_and_its_end_once(outage):
    with capture_logs() as said:
        for _ in range(100):
            outage.retried(GONE)
        for _ in range(100):
            outage.answered()
    assert [(line["event"], line["address"]) for line in said] == [
        ("waiting for the parameter server", "http://127.0.0.1:8420"),
        ("found the parameter server", "http://127.0.0.1:8420"),
    ]
    assert said[0]["hint"] == "start it there, or set ADQL_PARAMETER_SERVER_URL to where it is"


def test_every_outage_is_told(outage):
    with capture_logs() as said:
        for _ in range(3):
            outage.retried(StoreUnavailableError("its store is away"))
            outage.answered()
    assert len(said) == 6


def test_a_server_that_asks_for_patience_is_no_outage(outage):
    with capture_logs() as said:
        outage.retried(RateLimitedError("slow down"))
        outage.answered()
    assert said == []


def test_every_retry_is_counted_by_kind(outage):
    before = CLIENT.get_sample_value("adql_retries_total", {"kind": "transport"}) or 0.0
    for _ in range(3):
        outage.retried(GONE)
    assert CLIENT.get_sample_value("adql_retries_total", {"kind": "transport"}) == before + 3


def test_a_reminder_is_due_at_once_and_then_ever_less_often_down_to_every_30_seconds():
    now = [100.0]
    reminder, due = Reminder(lambda: now[0]), []
    for tenth in range(1500):
        now[0] = 100.0 + tenth / 10
        if reminder.is_due():
            due.append(tenth / 10)
    assert due == [0, 1, 3, 7, 15, 31, 61, 91, 121]
