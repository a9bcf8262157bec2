"""Every metric that a dashboard of a run needs, in a real small run: it is there, of its kind, and it moves."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import psutil
import pytest

from tests.services.metrics_page import MetricsPage
from tests.system.local_run import SMALL, TrainProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.system

SERVER, REPLAY, LEARNER, EVALUATOR = "parameter-server", "replay", "learner-0", "evaluator"
EXPLORED, GREEDY = {"policy": "behaviour"}, {"policy": "greedy"}
SENT, PULLED = (
    {"operation": "push", "direction": "sent", "encoding": "float32"},
    {"operation": "pull", "direction": "received", "encoding": "float32"},
)

# What it tells, the service, the sample's name, its kind and its labels.
MOVES = [
    ("episode return, explored", LEARNER, "adql_episode_return", "gauge", EXPLORED),
    ("episode return, greedy", EVALUATOR, "adql_episode_return", "gauge", GREEDY),
    ("episode length, explored", LEARNER, "adql_episode_length_steps", "gauge", EXPLORED),
    ("episode length, greedy", EVALUATOR, "adql_episode_length_steps", "gauge", GREEDY),
    ("cumulative reward", LEARNER, "adql_cumulative_reward", "gauge", {}),
    ("loss", LEARNER, "adql_loss", "gauge", {}),
    ("TD error", LEARNER, "adql_td_error", "gauge", {}),
    ("Q mean", LEARNER, "adql_q_value_mean", "gauge", {}),
    ("Q max", LEARNER, "adql_q_value_max", "gauge", {}),
    ("epsilon", LEARNER, "adql_epsilon", "gauge", {}),
    ("learning rate", LEARNER, "adql_learning_rate", "gauge", {}),
    ("gradient norm", LEARNER, "adql_gradient_norm", "gauge", {}),
    ("environment steps", SERVER, "adql_environment_steps_total", "counter", {}),
    ("learner steps", SERVER, "adql_learner_steps_total", "counter", {}),
    ("updates applied", SERVER, "adql_updates_total", "counter", {"outcome": "applied"}),
    ("updates received", SERVER, "adql_updates_received_total", "counter", {}),
    ("staleness histogram", SERVER, "adql_staleness_versions_count", "histogram", {}),
    ("parameter divergence", LEARNER, "adql_parameter_divergence_ratio", "gauge", {}),
    ("version", SERVER, "adql_version", "gauge", {}),
    ("durable version", SERVER, "adql_durable_version", "gauge", {}),
    ("epoch", SERVER, "adql_epoch", "gauge", {}),
    ("push seconds", LEARNER, "adql_push_seconds_sum", "histogram", {}),
    ("pull seconds", LEARNER, "adql_pull_seconds_sum", "histogram", {}),
    ("push bytes", LEARNER, "adql_wire_bytes_total", "counter", SENT),
    ("pull bytes", LEARNER, "adql_wire_bytes_total", "counter", PULLED),
    ("commit seconds", SERVER, "adql_commit_seconds_sum", "histogram", {}),
    ("commit bytes", SERVER, "adql_commit_bytes_total", "counter", {}),
    ("replay size", REPLAY, "adql_replay_size_transitions", "gauge", {}),
    ("replay bytes", REPLAY, "adql_replay_size_bytes", "gauge", {}),
    ("replay inserts", REPLAY, "adql_replay_inserts_total", "counter", {}),
    ("replay samples", REPLAY, "adql_replay_samples_total", "counter", {}),
    ("replay ratio", REPLAY, "adql_replay_samples_per_insert", "gauge", {}),
    ("replay priority", REPLAY, "adql_replay_priority_mean", "gauge", {}),
    ("replay sample age", REPLAY, "adql_replay_sample_age_inserts_sum", "histogram", {}),
    ("replay capacity", REPLAY, "adql_replay_capacity_transitions", "gauge", {}),
    ("replay target", REPLAY, "adql_replay_samples_per_insert_target", "gauge", {}),
    ("replay limiter bound", REPLAY, "adql_replay_limiter_bound", "gauge", {}),
    ("goal", SERVER, "adql_goal_return", "gauge", {}),
    ("budget", SERVER, "adql_run_budget_environment_steps", "gauge", {}),
    ("environment steps of the run", SERVER, "adql_run_environment_steps", "gauge", {}),
    ("learner steps of the run", SERVER, "adql_run_learner_steps", "gauge", {}),
    ("bound of staleness", SERVER, "adql_staleness_bound_versions", "gauge", {"policy": "reject"}),
    ("evaluation's return", SERVER, "adql_evaluation_return", "gauge", {}),
    ("evaluation's lowest return", SERVER, "adql_evaluation_return_lowest", "gauge", {}),
    ("evaluation's highest return", SERVER, "adql_evaluation_return_highest", "gauge", {}),
    ("last commit", SERVER, "adql_last_commit_timestamp_seconds", "gauge", {}),
    ("memory of the store", SERVER, "adql_store_memory_bytes", "gauge", {}),
    ("limit of the store's memory", SERVER, "adql_store_memory_limit_bytes", "gauge", {}),
    ("updates of a learner", LEARNER, "adql_learner_updates_total", "counter", {"outcome": "applied"}),
    ("active learners", SERVER, "adql_active_learners", "gauge", {}),
    *(
        (f"time of {activity}", LEARNER, "adql_learner_activity_seconds_total", "counter", {"activity": activity})
        for activity in ("environment", "sample", "gradient", "insert", "push")
    ),
]
REFUSED = [
    (f"updates {outcome}", SERVER, "adql_updates_total", "counter", {"outcome": outcome})
    for outcome in ("stale", "duplicate", "invalid_update", "unknown_session", "wrong_run", "malformed")
]
RARE = [
    *REFUSED,
    ("success rate", EVALUATOR, "adql_success_ratio", "gauge", {}),
    ("versions that wait for an evaluator", SERVER, "adql_evaluations_waiting", "gauge", {}),
    ("seconds that samples wait", REPLAY, "adql_replay_wait_seconds_total", "counter", {"verb": "sample"}),
    ("updates at risk", LEARNER, "adql_updates_at_risk_total", "counter", {}),
]
"""There from the start; a run in which nothing goes wrong does not move them."""
FAULTS = [
    (f"{what} of the {service}", service, f"adql_{what}_total", "counter", {})
    for what in ("retries", "reconnects")
    for service in (LEARNER, EVALUATOR)
]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A small run that is learning; it never reaches its goal."""
    settings = (*SMALL, "replay.sampler=prioritised", "training.goal=10000", "environment.copies=2")
    with TrainProcess(tmp_path_factory.mktemp("metrics") / "run", "--steps", "10000000", *settings) as running:
        running.until_learning()
        yield running


def page_where(training: TrainProcess, service: str, holds: Callable[[MetricsPage], bool]) -> MetricsPage:
    """Returns the first page of a service that ``holds`` is true of."""
    return wait_until(lambda: holds(found := training.page(service)) and found, what=training.said)


@pytest.mark.parametrize(("service", "name", "kind", "labels"), [c[1:] for c in MOVES], ids=[c[0] for c in MOVES])
def test_metric_is_there_of_its_kind_and_moves(training, service, name, kind, labels):
    found = page_where(training, service, lambda page: page.value(name, **labels) != 0)
    assert found.kinds[name] == kind


@pytest.mark.parametrize(("service", "name", "kind", "labels"), [c[1:] for c in RARE], ids=[c[0] for c in RARE])
def test_metric_of_what_went_wrong_is_there_before_it_does(training, service, name, kind, labels):
    found = page_where(training, service, lambda page: page.has(name, **labels))
    assert found.kinds[name] == kind


@contextlib.contextmanager
def suspended(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Inside, ``processes`` do nothing."""
    with contextlib.ExitStack() as resumed:
        for process in processes:
            resumed.callback(process.resume)
            process.suspend()
        yield


def balance(server: MetricsPage) -> tuple[float, float]:
    """Returns how many pushes came, and how many outcomes they had."""
    outcomes = server.by("adql_updates_total", "outcome")
    return server.value("adql_updates_received_total"), sum(outcomes.values())


def test_every_push_received_has_one_outcome_once_none_is_under_way(training):
    """Nobody pushes meanwhile: a page is not read at one instant, so a push may come between two of its counters."""
    page_where(training, SERVER, lambda page: page.value("adql_active_learners") == 2)

    def all_have_one() -> bool:
        received, outcomes = balance(training.page(SERVER))
        return received == outcomes > 0

    with suspended([training.service(name) for name in ("learner-0", "learner-1")]):
        wait_until(all_have_one, what=lambda: f"(received, outcomes) is {balance(training.page(SERVER))}")


def test_retries_reconnects_and_epoch_move_when_the_parameter_server_was_killed(training):
    page_where(training, SERVER, lambda page: page.value("adql_evaluations_total") > 0)  # the evaluator is connected
    training.service(SERVER).kill()
    page_where(training, SERVER, lambda page: page.value("adql_epoch") == 2)
    for _, service, name, kind, _ in FAULTS:
        found = page_where(training, service, lambda page, name=name: page.value(name) > 0)
        assert found.kinds[name] == kind
