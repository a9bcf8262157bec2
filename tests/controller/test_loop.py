"""The controller's rounds over real HTTP: what it writes, what it leaves alone, and what it says."""

from contextlib import closing

import pytest

from adql.errors import RunFailedError, UnauthorizedError
from adql.telemetry import metrics
from adql.wire import routes
from adql_services.cluster.api import ANSWER_SECONDS, CONNECT_SECONDS, Cluster
from adql_services.controller import loop
from adql_services.controller.loop import Controller
from adql_services.controller.sources import TIMEOUT_SECONDS, Sources
from adql_services.runtime.side_port import Health
from adql_services.runtime.worker import Worker
from tests.controller.api_double import EVENTS, SCALE, World


class Clock:
    """Moves on by ten seconds when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rounds:
    """A controller of a world, round by round; every learner brings ten updates a second."""

    def __init__(self, world: World, **changes) -> None:
        self.world, self.clock = world, Clock()
        settings = world.settings(**changes)
        self.sources = Sources(settings)
        self.sources._clock = self.clock
        self.health = Health(clock=self.clock)
        worker = Worker(self.health, settings.side)
        self.controller = Controller(Cluster.of_pod("rl"), self.sources, settings, worker, self.clock)

    def run(self, count: int = 1, updates_per_learner: int = 100) -> None:
        for _ in range(count):
            self.clock.now += 10.0
            self.health.beat()
            self.world.applied += updates_per_learner * self.world.replicas
            self.controller.round()

    def close(self) -> None:
        self.sources.close()


class Said:
    """A logger that remembers what it is told from info on."""

    def __init__(self, said: list[tuple[str, dict]]) -> None:
        self._said = said

    def info(self, what: str, **words) -> None:
        self._said.append((what, words))

    warning = info

    def debug(self, what: str, **words) -> None:
        """Says nothing."""


@pytest.fixture
def world():
    with World().served() as world:
        yield world


@pytest.fixture
def rounds(world, tmp_path, monkeypatch):
    """Returns what begins the rounds of a controller."""
    file = tmp_path / "kubeconfig"
    file.write_text(world.kubeconfig())
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    with closing(_Several(world)) as several:
        yield several


class _Several:
    def __init__(self, world: World) -> None:
        self.world, self.begun = world, []

    def __call__(self, **changes) -> Rounds:
        self.begun.append(Rounds(self.world, **changes))
        return self.begun[-1]

    def close(self) -> None:
        for one in self.begun:
            one.close()


def count(metric, **labels) -> float:
    return metric.labels(**labels)._value.get()


def test_learners_grow_with_the_updates_and_an_event_says_why(world, rounds):
    done = count(metrics.CONTROLLER_CHANGES, outcome="done")
    rounds().run(9)
    assert world.replicas == 2
    (event,) = world.events
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "adql-learner",
        "namespace": "rl",
        "uid": "u-1",
    }
    assert (event["reason"], event["type"]) == ("MoreLearners", "Normal")
    assert event["message"].startswith("1 to 2 learners (growth): 10.0 updates/s")
    assert metrics.CONTROLLER_WANTED._value.get() == 2
    assert count(metrics.CONTROLLER_CHANGES, outcome="done") == done + 1


def test_learners_fall_with_refusals_and_never_below_the_fewest(world, rounds):
    world.replicas = 3
    begun = rounds(min_replicas=2)
    for _ in range(20):
        world.stale += 100
        begun.run()
    assert world.replicas == 2 and [event["reason"] for event in world.events] == ["FewerLearners"]


def test_somebody_who_scales_meanwhile_is_not_overwritten(world, rounds):
    conflicts = count(metrics.CONTROLLER_CHANGES, outcome="conflict")
    begun = rounds()
    begun.run(6)
    world.between_read_and_write = 5
    begun.run()
    assert world.replicas == 5 and world.events == []
    assert count(metrics.CONTROLLER_CHANGES, outcome="conflict") == conflicts + 1
    begun.run(6)
    assert world.replicas == 5, "theirs is measured before it is changed"
    begun.run(3)
    assert world.replicas == 7


def test_change_of_another_kind_only_puts_it_off(world, rounds):
    begun = rounds()
    begun.run(6)
    world.between_read_and_write = 1  # the same number, another resourceVersion: as when a status changes
    begun.run()
    assert world.replicas == 1
    begun.run()
    assert world.replicas == 2


def test_lost_services_keep_every_learner(world, rounds):
    begun = rounds(scale_to_zero_when_done=True)
    world.replicas = 6
    begun.run(3)
    world.services_answer = False
    unknown = count(metrics.CONTROLLER_DECISIONS, reason="unknown")
    begun.run(100)
    assert world.replicas == 6 and world.events == []
    assert count(metrics.CONTROLLER_DECISIONS, reason="unknown") == unknown + 100


@pytest.mark.parametrize("path", [routes.RUN, routes.TABLE])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_service_that_fails_over_one_question_is_asked_again(world, rounds, monkeypatch, path, status):
    begun = rounds()
    begun.run(3)
    answer = world.answer
    monkeypatch.setattr(
        world, "answer", lambda *words: (status, {"detail": "a bug"}) if words[1] == path else answer(*words)
    )
    begun.run(2)
    monkeypatch.setattr(world, "answer", answer)
    begun.run(8)
    assert world.replicas == 2


def test_waiting_for_a_slow_cluster_is_no_silence(world, rounds, monkeypatch):
    begun, alive, answer = rounds(), [], world.answer
    begun.run(6)

    def slowly(method, path, body):
        of_a_service = path in (routes.RUN, routes.TABLE)
        begun.clock.now += 2 * TIMEOUT_SECONDS if of_a_service else CONNECT_SECONDS + ANSWER_SECONDS
        alive.append(begun.health.alive)
        return answer(method, path, body)

    monkeypatch.setattr(world, "answer", slowly)
    begun.run()
    assert world.events and alive == [True] * 5


def test_what_is_measured_over_an_outage_counts_for_nothing(world, rounds):
    begun = rounds()
    begun.run(5)
    world.services_answer = False
    begun.run(1)
    world.services_answer = True
    begun.run(5)
    assert world.replicas == 1
    begun.run(2)
    assert world.replicas == 2


def test_end_of_the_run_sends_learners_away_where_that_is_asked_for(world, rounds):
    world.replicas, world.status = 4, "reached"
    rounds().run(3)
    assert world.replicas == 4
    begun = rounds(scale_to_zero_when_done=True)
    begun.run(3)
    assert world.replicas == 0 and "run is over (reached)" in world.events[-1]["message"]
    world.status = "running"
    begun.run()
    assert world.replicas == 4


def test_own_number_whose_answer_was_lost_is_not_taken_for_a_hand(world, rounds):
    world.replicas, world.status = 4, "reached"
    begun = rounds(scale_to_zero_when_done=True)
    world.lose_answer = True
    begun.run(3)
    assert world.replicas == 0 and world.events == []
    world.status = "running"
    begun.run()
    assert world.replicas == 4


def test_number_that_cannot_be_written_is_told_once_and_not_as_done(world, rounds, monkeypatch):
    said = []
    monkeypatch.setattr(loop, "get_logger", lambda: Said(said))
    answer = world.answer
    monkeypatch.setattr(
        world, "answer", lambda *asked: (500, {"message": "no leader"}) if asked[0] == "PUT" else answer(*asked)
    )
    begun = rounds()
    begun.run(12)
    assert world.replicas == 1 and [what for what, _ in said] == ["settling", "waiting for the cluster"]
    monkeypatch.setattr(world, "answer", answer)
    begun.run()
    assert world.replicas == 2 and [what for what, _ in said][2:] == ["growth"]


def test_right_that_is_missing_is_told_with_the_role(world, rounds):
    world.forbidden.add(f"GET {SCALE}")
    with pytest.raises(RunFailedError, match=r"^User .*; the controller needs a Role with get, patch and update on "):
        rounds().run()
    world.forbidden = {f"PUT {SCALE}"}
    with pytest.raises(RunFailedError, match=r"deployments/scale of adql-learner and create on events"):
        rounds().run(9)


def test_event_that_may_not_be_made_stops_nothing(world, rounds):
    world.forbidden.add(f"POST {EVENTS}")
    rounds().run(9)
    assert world.replicas == 2 and world.events == []


def test_deployment_that_is_not_there_yet_is_waited_for(world, rounds):
    begun = rounds()
    world.deployed = False
    assert begun.controller.round() is False
    world.deployed = True
    assert begun.controller.round() is True


def test_wrong_token_is_no_outage(world, rounds, monkeypatch):
    answer = world.answer
    monkeypatch.setattr(
        world, "answer", lambda *words: (401, {"message": "no"}) if "/v1/run" in words[1] else answer(*words)
    )
    with pytest.raises(UnauthorizedError):
        rounds().run()
