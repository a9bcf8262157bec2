"""Delivery against a server of ten lines that can lose what it has not committed."""

import numpy as np
import pytest

from adql.errors import (
    InvalidUpdateError,
    SequenceGapError,
    StaleUpdateError,
    SupersededSequenceError,
    UnknownSessionError,
)
from adql.types import Clocks, RunState, Version
from adql.wire.delivery import Answer, Delivery
from adql.wire.unacknowledged import HeldUpdate

WINDOW = 1_000_000


class Server:
    """Keeps the applied vectors by sequence; ``crash`` forgets what is later than the last commit."""

    def __init__(self) -> None:
        self.applied: list[int | None] = []
        self.committed = 0
        self.epoch = 1
        self.number = 0
        self.refuse: dict[int, type[Exception]] = {}
        self.before_answer = lambda: None

    def exchange(self, update: HeldUpdate) -> Answer:
        self.before_answer()
        if update.sequence > len(self.applied):
            raise SequenceGapError("gap")
        if update.sequence < len(self.applied) - 1:
            raise SupersededSequenceError("superseded")
        if update.sequence == len(self.applied):
            return self.take(update)
        return Answer("duplicate", Version(self.epoch, self.number), 0)

    def take(self, update: HeldUpdate) -> Answer:
        value = int(update.vector[0])
        if value in self.refuse:
            self.applied.append(None)
            raise self.refuse[value]("refused")
        self.applied.append(value)
        self.number += 1
        return Answer("applied", Version(self.epoch, self.number), 0)

    def ask(self) -> tuple[int, int]:
        return len(self.applied) - 1, self.committed - 1

    def commit(self) -> None:
        self.committed = len(self.applied)

    def crash(self) -> None:
        del self.applied[self.committed :]
        self.number = sum(value is not None for value in self.applied)
        self.epoch += 1

    def state(self) -> RunState:
        durable = sum(value is not None for value in self.applied[: self.committed])
        versions = Version(self.epoch, self.number), Version(self.epoch, durable)
        return RunState("run", *versions, Clocks(), "running", 1)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def delivery(server):
    return Delivery(server.exchange, server.ask, WINDOW)


def push(delivery, value, size=1):
    vector = np.full(size, value, np.float32)
    return delivery.deliver(HeldUpdate(delivery.next_sequence, Version(1, 0), vector, 1, 0)).outcome


def test_updates_are_held_until_the_watermark_has_them(server, delivery):
    for value in range(3):
        push(delivery, value)
    delivery.acknowledge(server.state())
    assert len(delivery) == 3
    server.commit()
    push(delivery, 3)
    delivery.acknowledge(server.state())
    assert len(delivery) == 1


def test_after_a_crash_what_was_lost_is_sent_again_in_order(server, delivery):
    push(delivery, 0)
    server.commit()
    for value in (1, 2):
        push(delivery, value)
    server.crash()
    assert push(delivery, 3) == "applied"
    assert server.applied == [0, 1, 2, 3]
    assert (delivery.resent, delivery.lost, delivery.at_risk) == (2, 0, 0)


def test_after_a_crash_nothing_durable_is_sent_again(server, delivery):
    for value in range(3):
        push(delivery, value)
    server.commit()
    server.crash()
    delivery.acknowledge(server.state())
    assert (server.applied, len(delivery), delivery.resent) == ([0, 1, 2], 0, 0)


def test_an_idle_client_sends_again_too(server, delivery):
    for value in range(3):
        push(delivery, value)
    server.crash()
    delivery.acknowledge(server.state())
    assert server.applied == [0, 1, 2]


def test_refused_updates_take_a_sequence_and_are_not_sent_again(server, delivery):
    server.refuse = {1: StaleUpdateError, 2: InvalidUpdateError}
    assert [push(delivery, value) for value in range(4)] == ["applied", "stale", "invalid", "applied"]
    server.crash()
    server.refuse = {}
    push(delivery, 4)
    assert server.applied == [0, 3, 4]
    assert delivery.next_sequence == 3


def test_update_refused_on_the_second_sending_is_counted_as_lost(server, delivery):
    for value in range(3):
        push(delivery, value)
    server.crash()
    server.refuse = {1: StaleUpdateError}
    push(delivery, 3)
    assert server.applied == [0, None, 2, 3]
    assert delivery.lost == 1


def test_crash_while_sending_again_loses_nothing_and_doubles_nothing(server, delivery):
    for value in range(4):
        push(delivery, value)
    server.crash()
    crashes = iter([False, False, True, False, True])

    def crash_sometimes():
        if next(crashes, False):
            server.crash()

    server.before_answer = crash_sometimes
    push(delivery, 4)
    delivery.acknowledge(server.state())
    assert server.applied == [0, 1, 2, 3, 4]
    assert server.epoch == 4


def test_update_refused_after_a_crash_while_sending_again_is_counted(server, delivery):
    for value in range(3):
        push(delivery, value)
    server.crash()
    exchanges = iter(range(100))

    def crash_at_the_third_resent():
        if next(exchanges) == 3:
            server.crash()
            server.refuse = {1: StaleUpdateError}

    server.before_answer = crash_at_the_third_resent
    push(delivery, 3)
    assert server.applied == [0, None, 2, 3]
    assert delivery.lost == 1


def test_every_crash_point_keeps_order_and_number(server):
    for crash_at in range(12):
        server = Server()
        delivery = Delivery(server.exchange, server.ask, WINDOW)
        seen = iter(range(1_000))

        def crash_or_commit(server=server, seen=seen, crash_at=crash_at):
            step = next(seen)
            if step == crash_at or step == crash_at + 3:
                server.crash()
            elif step % 4 == 3:
                server.commit()

        server.before_answer = crash_or_commit
        for value in range(8):
            push(delivery, value)
        delivery.acknowledge(server.state())
        assert server.applied == list(range(8)), f"crashed at {crash_at}"


def test_superseded_update_is_never_sent_again(server, delivery):
    for value in range(3):
        push(delivery, value)
    delivery.next_sequence = 1
    assert push(delivery, 7) == "stale"
    assert server.applied == [0, 1, 2]
    assert push(delivery, 8) == "applied"


def test_window_forgets_the_oldest_and_counts_it_at_risk(server):
    delivery = Delivery(server.exchange, server.ask, window_bytes=8)
    for value in range(5):
        push(delivery, value)
    assert (len(delivery), delivery.at_risk) == (2, 3)
    server.crash()
    push(delivery, 5)
    assert server.applied == [3, 4, 5]


def test_new_session_drops_what_the_old_one_held(delivery):
    for value in range(3):
        push(delivery, value)
    delivery.start_session()
    assert (len(delivery), delivery.at_risk, delivery.next_sequence) == (0, 3, 0)


def test_session_lost_while_sending_again_counts_everything_at_risk(server, delivery):
    for value in range(3):
        push(delivery, value)
    server.crash()

    def forget():
        raise UnknownSessionError("gone")

    server.before_answer = forget
    with pytest.raises(UnknownSessionError):
        delivery.acknowledge(server.state())
    delivery.start_session()
    assert delivery.at_risk == 3
