"""An evaluation that a crash overtook: what it reports is never credited to another version."""

import asyncio
from types import SimpleNamespace

import pytest

from adql.agent.evaluation import EpisodeResults
from adql.parameters import run_record
from adql.parameters.run_record import Episodes
from adql.parameters.volume import Volume
from adql.types import Version
from adql_services.evaluator import main as evaluator
from adql_services.parameter_server.opening import Opened, manifest
from adql_services.parameter_server.service import ParameterService
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health
from tests.parameters.servers import commit, owning_server, push_many, restarted, tiny_specification
from tests.services.store_double import StoreDouble

SPECIFICATION = tiny_specification()


def scheduled(machine, volume, updates):
    """Learns, commits and keeps a version for its evaluation; the number that it got is in no commit yet."""
    push_many(machine, machine.register("both").identifier, updates)
    state = commit(machine)
    task = run_record.due(machine.evaluations, state.mark.version, state.record.clocks, SPECIFICATION)
    volume.keep_for_evaluation(task, state)
    machine.schedule(task)
    return machine.evaluations.waiting[0]


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path, manifest(SPECIFICATION))


def test_late_report_of_a_number_that_a_crash_gave_to_another_version_is_not_credited_to_that(volume):
    async def scenario():
        service = ParameterService(SPECIFICATION, opened, Health(), Shutdown())
        late = await service.report(run, 1, given_out.version, Episodes((9.0, 9.0), (1, 1), None, 0.1))
        assert (late, machine.evaluations.best, volume.log.results) == (False, None, [])
        assert await service.report(run, 1, Version(2, 8), Episodes((3.0, 3.0), (1, 1), None, 0.1))

    before = owning_server(SPECIFICATION)
    run = before.identity.run_id
    durable = commit(before)
    given_out = scheduled(before, volume, updates=5)
    machine = restarted(durable, SPECIFICATION)
    again = scheduled(machine, volume, updates=8)
    assert (given_out.identifier, again.identifier) == (1, 1)
    opened = Opened(machine, StoreDouble(durable.mark), volume, "owner", machine.snapshot(durable.mark))
    asyncio.run(scenario())
    assert (machine.evaluations.best.mean, machine.evaluations.best.task.version) == (3.0, (2, 8))


def test_evaluator_goes_on_when_its_report_is_not_taken(monkeypatch):
    def refuse(result):
        reported.append(result)
        return False

    reported = []
    parameters = SimpleNamespace(version=Version(1, 5), vector=None)
    task = SimpleNamespace(id=1, episodes=2, seed=1, purpose="periodic", parameters=parameters)
    results = EpisodeResults((1.0, 2.0), (1, 1), None)
    monkeypatch.setattr(evaluator, "play_episodes", lambda *arguments: results)
    client, worker = SimpleNamespace(report=refuse), SimpleNamespace(go_on=lambda: None)
    evaluator._evaluate(SPECIFICATION, None, client, task, worker)
    assert [result.version for result in reported] == [(1, 5)]
