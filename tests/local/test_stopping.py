"""The first signal asks to save and end, the second to end at once."""

import signal

import pytest

from adql_services.local import stopping
from adql_services.local.stopping import EndNow, Interrupted, StopRequest


@pytest.fixture
def stop():
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield StopRequest().listen()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_first_signal_is_noted_and_leaves_a_wait_at_once(stop):
    with pytest.raises(Interrupted), stop.waiting():
        signal.raise_signal(signal.SIGTERM)
    assert stop.number == signal.SIGTERM


def test_wait_that_begins_after_a_signal_is_left_at_once(stop):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted), stop.waiting():
        pytest.fail("it waits")


def test_second_signal_ends_at_once_and_a_third_is_ignored(stop, monkeypatch):
    monkeypatch.setattr(stopping, "ECHO_SECONDS", 0.0)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(EndNow):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert stop.number == signal.SIGINT


def test_signal_that_follows_within_a_moment_is_the_same_one(stop, monkeypatch):
    monkeypatch.setattr(stopping, "ECHO_SECONDS", 60.0)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert stop.number == signal.SIGTERM
