"""What a learner publishes of its wire, and what it tells of itself."""

from types import SimpleNamespace

import pytest

from adql.agent.activity import Stopwatch
from adql.agent.actor import Episode
from adql.telemetry.metrics import CLIENT
from adql.types import Clocks
from adql_services.learner.reporting import MAX_EPISODES, MAX_WAITING, MetricsReport, Teller
from tests.clocks import Clock


def published(operation: str, direction: str) -> float:
    labels = {"operation": operation, "direction": direction, "encoding": "bfloat16"}
    return CLIENT.get_sample_value("adql_wire_bytes_total", labels) or 0.0


REPLAY = SimpleNamespace(reconnects=0)


def client(**bulk_bytes: int) -> SimpleNamespace:
    """What the report reads of a ParameterClient; keys are operation_direction."""
    pairs = {tuple(name.split("_")): count for name, count in bulk_bytes.items()}
    return SimpleNamespace(
        bulk_bytes=pairs, encoding="bfloat16", reconnects=0, updates_at_risk=0, updates_resent=0, updates_lost=0
    )


def test_bytes_of_vectors_are_published_once_by_operation_and_direction():
    report, before = MetricsReport(), published("push", "sent")
    report.publish_wire(client(push_sent=10), REPLAY)
    report.publish_wire(client(push_sent=30, pull_received=7), REPLAY)
    assert (published("push", "sent") - before, published("pull", "received")) == (30, 7)


class Server:
    """What a Teller asks of a ParameterClient."""

    def __init__(self):
        self.accounts, self.state = [], SimpleNamespace(clocks=Clocks(5, 0))

    def tell(self, account):
        self.accounts.append(account)

    @property
    def returns(self):
        return [value for account in self.accounts for value in account.returns]


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stopwatch(clock):
    return Stopwatch(clock)


def episode(total: float, success: bool | None = None) -> Episode:
    return Episode(total, 10, 0.1, success)


@pytest.mark.parametrize(
    ("goal", "successes"), [(475.0, (False, True, False, True)), (None, (None, None, False, True))]
)
def test_success_of_an_episode_is_the_environments_word_else_by_the_goal_else_blank(
    server, clock, stopwatch, goal, successes
):
    teller = Teller(server, goal, clock)
    played = ((474.0, None), (475.0, None), (500.0, False), (1.0, True))
    teller.note([episode(total, said) for total, said in played])
    teller.tell_all(stopwatch)
    (account,) = server.accounts
    assert (account.successes, account.environment_steps) == (successes, (5, 5, 5, 5))


def test_account_is_given_once_a_second_and_tells_only_what_is_new(server, clock, stopwatch):
    teller = Teller(server, None, clock)
    with stopwatch.on("gradient"):
        clock.now += 0.9
    teller.note([episode(1.0)])
    teller.tell(stopwatch)
    assert server.accounts == []
    with stopwatch.on("push"):
        clock.now += 0.5
    teller.tell(stopwatch)
    with stopwatch.on("push"):
        clock.now += 1.5
    teller.tell(stopwatch)
    spent = [dict(account.activity_seconds) for account in server.accounts]
    assert spent == [pytest.approx({"gradient": 0.9, "push": 0.5}), pytest.approx({"push": 1.5})]
    assert [account.returns for account in server.accounts] == [(1.0,), ()]


def test_process_at_rest_tells_nothing(server, clock, stopwatch):
    teller = Teller(server, None, clock)
    teller.tell_all(stopwatch)
    clock.now += 10.0
    teller.tell(stopwatch)
    assert server.accounts == []


def test_many_short_episodes_are_told_in_several_accounts_of_bounded_size(server, clock, stopwatch):
    teller = Teller(server, None, clock)
    teller.note([episode(float(number)) for number in range(MAX_EPISODES + 5)])
    teller.tell(stopwatch)
    teller.tell_all(stopwatch)
    assert [len(account.returns) for account in server.accounts] == [MAX_EPISODES, 5]
    assert server.returns == [float(number) for number in range(MAX_EPISODES + 5)]


def test_episodes_that_wait_are_bounded_and_the_oldest_go(server, clock, stopwatch):
    teller = Teller(server, None, clock)
    teller.note([episode(float(number)) for number in range(MAX_WAITING + 7)])
    teller.tell_all(stopwatch)
    assert (len(server.returns), server.returns[0]) == (MAX_WAITING, 7.0)


def test_return_that_is_no_finite_number_is_not_told(server, clock, stopwatch):
    teller = Teller(server, None, clock)
    teller.note([episode(float("inf")), episode(3.0), episode(float("nan"))])
    teller.tell_all(stopwatch)
    assert server.returns == [3.0]
